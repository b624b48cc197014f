"""Who of the staff read a conversation, or watches it just now: a record, and a sign of life."""

from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.ids import new_id

if TYPE_CHECKING:
    from accounts.models import User
    from conversations.models import ConversationSession

# Somebody who watches is seen every second; one who was not for so long is taken to have gone.
LASTS: Final = timedelta(seconds=6)
# A mail's two parts are two pages, seen at once.
LINK_STAYS: Final = timedelta(minutes=1)
# Later it is a new viewing, with a record of its own.
RESUMED_WITHIN: Final = timedelta(minutes=2)


class ViewingKind(models.TextChoices):
    TRANSCRIPT = "transcript", "Read the transcript"
    LIVE = "live", "Watched live"
    SEARCH = "search", "Found it by its words"
    LINK = "link", "Saw the link that opens it"


class ViewingQuerySet(models.QuerySet["Viewing"]):
    def going_on(self) -> Self:
        """Those of people who watch at this moment."""
        return self.filter(seen_until__gt=timezone.now())

    def recent(self) -> Self:
        """Those that may go on: a line that breaks comes back within minutes."""
        return self.filter(seen_until__gt=timezone.now() - RESUMED_WITHIN)

    def renew(self, ids: Collection[str]) -> int:
        """Whoever watches by these is still there."""
        live = self.filter(pk__in=ids, kind=ViewingKind.LIVE)
        return live.update(seen_until=timezone.now() + LASTS)

    def leave(self, ids: Collection[str]) -> int:
        """They have gone."""
        return self.going_on().filter(pk__in=ids).update(seen_until=timezone.now())


class Viewing(models.Model):
    """One person of the staff at one conversation. Nobody edits it; it outlives both."""

    id = models.CharField(primary_key=True, max_length=32, default=new_id, editable=False)
    conversation = models.ForeignKey(
        "conversations.ConversationSession",
        models.SET_NULL,
        null=True,
        related_name="viewings",
    )
    number = models.PositiveIntegerField(help_text="Of the conversation, also once it is gone.")
    viewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="viewings"
    )
    kind = models.CharField(max_length=16, choices=ViewingKind)
    started_at = models.DateTimeField(default=timezone.now)
    # Of a live one: until when it counts as going on, unless renewed; later, when it ended.
    seen_until = models.DateTimeField(null=True)

    objects = ViewingQuerySet.as_manager()

    class Meta:
        verbose_name = "reading"
        ordering = ["-started_at"]
        indexes = [
            models.Index(
                fields=["seen_until"],
                condition=Q(seen_until__isnull=False),
                name="viewing_going_on",
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind=ViewingKind.LIVE, seen_until__isnull=False)
                | (~Q(kind=ViewingKind.LIVE) & Q(seen_until=None)),
                name="viewing_seen_while_live",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, conversation {self.number}"

    @classmethod
    def record(cls, conversation: "ConversationSession", viewer: Any, kind: str) -> "Viewing":
        """Note that `viewer` looks at `conversation` from now on."""
        return cls.objects.create(
            conversation=conversation,
            number=conversation.pk,
            viewer=viewer,
            kind=kind,
            seen_until=timezone.now() + LASTS if kind == ViewingKind.LIVE else None,
        )

    @classmethod
    def record_link(cls, conversations: Collection[int], viewer: Any) -> bool:
        """Note that `viewer` was shown a link that opens these, once a minute; whether it did."""
        seen = {"viewer": viewer, "kind": ViewingKind.LINK}
        lately = timezone.now() - LINK_STAYS
        mine = cls.objects.filter(number__in=conversations, started_at__gt=lately, **seen)
        known = set(mine.values_list("number", flat=True))
        new = [number for number in conversations if number not in known]
        cls.objects.bulk_create(
            cls(conversation_id=number, number=number, **seen) for number in new
        )
        return bool(new)

    @classmethod
    def record_search(cls, conversations: Collection[int], viewer: Any) -> None:
        """Note that `viewer` has found these by words that were said in them."""
        found = {"viewer": viewer, "kind": ViewingKind.SEARCH}
        Viewing.objects.bulk_create(
            Viewing(conversation_id=number, number=number, **found) for number in conversations
        )


def watchers() -> dict[int, str]:
    """Words on who watches, by conversation, for those that anybody watches."""
    names: dict[int, list[str]] = {}
    going_on = Viewing.objects.going_on().exclude(conversation=None).select_related("viewer")
    for viewing in going_on.order_by("started_at"):
        if viewing.conversation_id and viewing.viewer:
            names.setdefault(viewing.conversation_id, []).append(_name(viewing.viewer))
    return {conversation: words(found) for conversation, found in names.items()}


def watchers_of(conversation_id: int) -> str:
    """Words on who watches this conversation; empty where nobody does."""
    going_on = Viewing.objects.going_on().filter(conversation=conversation_id)
    found = going_on.exclude(viewer=None).select_related("viewer").order_by("started_at")
    return words([_name(viewing.viewer) for viewing in found if viewing.viewer])


def words(names: list[str]) -> str:
    """“Kim from staff is watching”; empty for nobody."""
    people = list(dict.fromkeys(names))
    match people:
        case []:
            return ""
        case [one]:
            return f"{one} from staff is watching"
        case [one, other]:
            return f"{one} and {other} from staff are watching"
        case [one, *others]:
            return f"{one} and {len(others)} others from staff are watching"
    return ""


def _name(viewer: "User") -> str:
    # An address is for those whom its owner gave it to.
    return viewer.name or "Somebody"
