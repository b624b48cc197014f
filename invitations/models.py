"""Invitations: a link, a scenario and a budget of tokens behind it."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone

from accounts.ids import new_id
from invitations.bulk import Batch as Batch
from invitations.bulk import Delivery as Delivery
from invitations.groups import GroupLink
from invitations.mailing import message
from invitations.quota import JSONWholeNumber, in_words, validate_quota, validate_usage
from invitations.states import InvitationQuerySet as InvitationQuerySet
from invitations.states import Status as Status
from invitations.states import Wish as Wish
from invitations.tokens import default_expiry, new_token, signer
from scenarios.models import Scenario

if TYPE_CHECKING:
    from accounts.models import User

# Staff who mean “for ever” choose a day like this one.
LATEST: Final = datetime(9999, 12, 31, tzinfo=UTC)


class QuotaPreset(models.Model):
    id = models.CharField(primary_key=True, max_length=32, default=new_id, editable=False)
    name = models.CharField(max_length=100, unique=True)
    label = models.CharField(max_length=200, help_text="What staff and learners read.")
    description = models.TextField(null=True, blank=True)
    quota = models.JSONField(validators=[validate_quota])
    is_default = models.BooleanField("default", default=False)
    sort_order = models.IntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["sort_order", "name"]
        constraints = [
            models.CheckConstraint(
                condition=JSONWholeNumber("quota", key="tokens", least=1),
                name="quotapreset_whole_tokens",
                violation_error_message="A quota needs a whole, positive number of tokens.",
            ),
            models.UniqueConstraint(
                fields=["is_default"],
                condition=Q(is_default=True),
                name="quotapreset_one_default",
                violation_error_message="Another preset is the default; turn that off first.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Invitation(models.Model):
    id = models.CharField(primary_key=True, max_length=32, default=new_id, editable=False)
    token = models.CharField(max_length=64, unique=True, default=new_token, editable=False)
    # What a guest's session keeps of it. It changes with the token, so that a new link also ends
    # what the old one opened; it opens nothing by itself.
    held_as = models.CharField(max_length=32, unique=True, default=new_id, editable=False)
    scenario = models.ForeignKey(
        Scenario,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="invitations",
        help_text="Leave empty to let the learner choose.",
    )
    recipient_email = models.EmailField("recipient", blank=True)
    recipient_name = models.CharField(max_length=200, blank=True)
    personal_note = models.TextField(
        blank=True, max_length=2000, help_text="A few words of yours, shown in the mail."
    )
    quota = models.JSONField(validators=[validate_quota])
    usage = models.JSONField(default=dict, blank=True, editable=False, validators=[validate_usage])
    expires_at = models.DateTimeField(default=default_expiry)
    claimed_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    sent_at = models.DateTimeField("last sent", null=True, blank=True, editable=False)
    opened_at = models.DateTimeField(
        "opened on",
        null=True,
        blank=True,
        editable=False,
        help_text="When a person first did something on its page: a click, a key, a scroll. Merely "
        "loading it leaves no trace, since mail scanners do that too.",
    )
    time_asked_at = models.DateTimeField(
        "asked for more time", null=True, blank=True, editable=False
    )
    budget_asked_at = models.DateTimeField(
        "asked for more budget", null=True, blank=True, editable=False
    )
    linked_user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="invitations_claimed",
        help_text="The account that carries on with it.",
    )
    group = models.ForeignKey(
        GroupLink,
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="invitations",
        help_text="The group link that it is a place of.",
    )
    # Of the page on which the place was taken: its button, pressed twice, takes one.
    place_key = models.UUIDField(null=True, blank=True, editable=False)
    # Of the form that it was made on, and of the last button that staff pressed at it.
    key = models.UUIDField(null=True, editable=False)
    pressed = models.UUIDField(null=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.RESTRICT, related_name="invitations_created"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["token"], name="invitation_token"),
            models.Index(fields=["expires_at"], name="invitation_expires_at"),
            # As the admin's list stands.
            models.Index(fields=["-created_at", "-id"], name="invitation_newest"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=JSONWholeNumber("quota", key="tokens", least=1),
                name="invitation_whole_tokens",
                violation_error_message="A quota needs a whole, positive number of tokens.",
            ),
            models.UniqueConstraint(fields=["group", "place_key"], name="invitation_one_place"),
            models.UniqueConstraint(fields=["created_by", "key"], name="invitation_one_a_form"),
            *(
                models.CheckConstraint(
                    condition=Q(**{f"usage__{key}__isnull": True})  # type: ignore[arg-type]
                    | JSONWholeNumber("usage", key=key, least=0),
                    name=f"invitation_{key}",
                )
                for key in ("input_tokens", "output_tokens", "held_tokens")
            ),
        ]

    def __str__(self) -> str:
        return f"Invitation for {self.recipient_name or self.recipient_email or 'anybody'}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        validate_quota(self.quota)
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        return reverse("invitations:show", args=[self.link])

    @transaction.atomic
    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """As Django's; the place of a group link that it was is free again.

        Raises `ProtectedError` while a model call is under way that it pays for. A queryset's
        own `delete` raises it too, but does not know of places.
        """
        group = GroupLink.objects.filter(pk=self.group_id).select_for_update().first()
        # As replies do, before what they spend: none begins until this is done.
        list(self.sessions.order_by("pk").select_for_update(no_key=True).values_list("pk"))
        total, counts = super().delete(*args, **kwargs)
        # Nothing where somebody else has deleted it meanwhile: they have freed the place.
        if group and counts.get(self._meta.label):
            group.free_place()
        return total, counts

    @property
    def link(self) -> str:
        """The signed token. Never log it: whoever holds it may come in."""
        return signer.sign(self.token)

    @property
    def url(self) -> str:
        """The absolute address that a mail carries."""
        return settings.SITE_URL.rstrip("/") + self.get_absolute_url()

    @property
    def offered_scenario(self) -> Scenario | None:
        """What a conversation on it starts with; None lets the learner choose.

        So does one that staff have withdrawn since. A private one is offered to nobody.
        """
        return self.scenario if self.scenario and self.scenario.is_offered else None

    @property
    def limit(self) -> int:
        """The budget in tokens."""
        return int(self.quota["tokens"])

    @property
    def length_in_words(self) -> str:
        """How long a conversation the budget is good for, as learners read it."""
        return in_words(self.quota)

    @property
    def settled(self) -> int:
        """Tokens that finished calls have cost."""
        return sum(int(self.usage.get(key, 0)) for key in ("input_tokens", "output_tokens"))

    @property
    def held(self) -> int:
        """Tokens set aside for calls under way."""
        return int(self.usage.get("held_tokens", 0))

    @property
    def status(self) -> Status:
        if self.revoked_at:
            return Status.REVOKED
        if self.expires_at <= timezone.now():
            return Status.EXPIRED
        if self.settled + self.held >= self.limit:
            return Status.USED_UP
        if self.linked_user_id:
            return Status.LINKED
        if self.claimed_at:
            return Status.CLAIMED
        if self.opened_at:
            return Status.OPENED
        return Status.SENT if self.sent_at else Status.DRAFT

    @property
    def wishes(self) -> list[Wish]:
        """What its holder has asked for and staff have not answered."""
        return [wish for wish in Wish if getattr(self, wish.field) and not self.revoked_at]

    @property
    def opens_what_was_said(self) -> bool:
        """Whether its link shows whoever has it what a guest has said."""
        return self.claimed_at is not None and self.linked_user_id is None and self.is_open

    @property
    def is_open(self) -> bool:
        """Whether somebody may come in by the link, to talk or at least to read."""
        return self.revoked_at is None and self.expires_at > timezone.now()

    def claim(self, user: "User | None" = None) -> bool:
        """Take the invitation up, for `user`'s account where one is signed in.

        One conditional UPDATE, so that of two accounts that try at once one wins. Returns
        whether the claimant may use it: claiming again by the same holder changes nothing.
        """
        now = timezone.now()
        mine = type(self).objects.open().filter(pk=self.pk)
        times = {field: Coalesce(field, models.Value(now)) for field in ("opened_at", "claimed_at")}
        if user is None:
            mine.filter(linked_user=None, claimed_at=None).update(**times)
        else:
            # An account finds its place by itself; the browser may be somebody else's next.
            free = mine.filter(Q(linked_user=None) | Q(linked_user=user))
            free.update(linked_user=user, place_key=None, **times)
        self.refresh_from_db(
            fields=["opened_at", "claimed_at", "linked_user", "revoked_at", "expires_at"]
        )
        return self.is_open and self.linked_user_id == (user.pk if user else None)

    def press(self, key: UUID | None) -> bool:
        """Count a press of a button on the page that carried `key`; False for a second one.

        One conditional UPDATE, so that of two presses at once one counts. Without a key each does.
        """
        if key is None:
            return True
        others = type(self).objects.filter(pk=self.pk).exclude(pressed=key)
        return bool(others.update(pressed=key))

    def open_page(self) -> None:
        """Note that a person is at its page; only the first time counts.

        Not where the link was replaced meanwhile: the new one has not been opened.
        """
        if self.opened_at is None:
            unopened = type(self).objects.filter(pk=self.pk, token=self.token, opened_at=None)
            unopened.update(opened_at=timezone.now())
            self.refresh_from_db(fields=["opened_at"])

    def ask(self, wish: Wish) -> bool:
        """Note that the holder asks for `wish`. Returns whether this call did.

        One conditional UPDATE: of two presses at once, one is told to write the mail. False as
        well where it is asked for already, or where it would not help: more time before the
        expiry, more budget after it.
        """
        rows = type(self).objects
        helped = rows.in_status(Status.EXPIRED) if wish == Wish.TIME else rows.open()
        missing = helped.filter(pk=self.pk, **{wish.field: None})
        done = missing.update(**{wish.field: timezone.now()})
        self.refresh_from_db(fields=[wish.field])
        return bool(done)

    def unask(self, wish: Wish) -> None:
        """Take a wish back that did not reach the inviter."""
        asked = {"pk": self.pk, wish.field: getattr(self, wish.field)}
        type(self).objects.filter(**asked).update(**{wish.field: None})
        setattr(self, wish.field, None)

    @transaction.atomic
    def extend(self, by: timedelta) -> datetime:
        """Move the expiry on by `by`, counted from now where it is past; returns the old one.

        That answers a wish for more time. It goes no further than the calendar does.
        """
        self._lock("expires_at")
        before = self.expires_at
        from_when = max(before, timezone.now())
        self.expires_at = from_when + by if from_when <= LATEST - by else max(from_when, LATEST)
        self.time_asked_at = None
        self.save(update_fields=["expires_at", "time_asked_at"])
        return before

    @transaction.atomic
    def add_tokens(self, count: int) -> int:
        """Add `count` tokens to the budget; returns the old limit.

        That answers a wish for more budget. Raises `ValidationError` where a quota cannot hold
        so many.
        """
        self._lock("quota")
        before = self.limit
        self.quota, self.budget_asked_at = {**self.quota, "tokens": before + count}, None
        self.save(update_fields=["quota", "budget_asked_at"])
        return before

    def _lock(self, field: str) -> None:
        """Read `field` anew and keep others from writing the row until the transaction ends."""
        rows = type(self).objects.select_for_update()
        self.refresh_from_db(fields=[field], from_queryset=rows)

    @property
    def why_not_sendable(self) -> str:
        """What keeps it from being mailed, in a sentence for staff; "" if nothing does."""
        if not self.recipient_email:
            return "There is no recipient to send it to."
        if self.revoked_at:
            return "The invitation is revoked."
        return "" if self.is_open else "The invitation has expired; extend it first."

    def send(self) -> None:
        """Mail the link to the recipient, the same one each time, and note when.

        Raises `ValidationError` where `why_not_sendable` says something, and whatever the mail
        server raises; then `sent_at` stays.
        """
        if reason := self.why_not_sendable:
            raise ValidationError(reason)
        message(self).send()
        self.sent_at = timezone.now()
        # Not where the link was replaced meanwhile: the new one has not been sent.
        same = type(self).objects.filter(pk=self.pk, token=self.token)
        if same.update(sent_at=self.sent_at):
            Delivery.objects.filter(invitation=self.pk).note_sent()

    def new_link(self) -> None:
        """Replace the token: the old link is closed, and so are browsers that came in by it.

        An account that took the invitation over keeps it. The new link has not been sent yet, nor
        opened, unless the invitation was taken up before.
        """
        self.token, self.held_as, self.sent_at = new_token(), new_id(), None
        # The page on which a place of a group was taken opens it no more than the old link does.
        self.place_key = None
        self.save(update_fields=["token", "held_as", "sent_at", "place_key"])
        # A conditional UPDATE: somebody may claim at this moment.
        type(self).objects.filter(pk=self.pk, claimed_at=None).update(opened_at=None)
        self.refresh_from_db(fields=["opened_at", "claimed_at"])

    def revoke(self) -> None:
        """Close the link for good; what was said stays. Revoking twice keeps the first time."""
        type(self).objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=timezone.now())
        self.refresh_from_db(fields=["revoked_at"])
