"""The states of an invitation, and how lists of them are asked for."""

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import F
from django.db.models.expressions import Combinable
from django.utils import timezone

from invitations.quota import tokens
from invitations.tokens import signer, unsigned

if TYPE_CHECKING:
    from collections.abc import Collection

    from accounts.models import User
    from invitations.models import Invitation


class Status(models.TextChoices):
    DRAFT = "draft", "Draft"
    SENT = "sent", "Sent"
    OPENED = "opened", "Opened"
    CLAIMED = "claimed", "Claimed"
    LINKED = "linked", "Linked"
    EXPIRED = "expired", "Expired"
    REVOKED = "revoked", "Revoked"
    USED_UP = "used_up", "Used up"


class Wish(models.TextChoices):
    """What a holder may ask the inviter for, once until staff have answered."""

    TIME = "time", "more time"
    BUDGET = "budget", "more budget"

    @property
    def field(self) -> str:
        """Where the invitation keeps when it was asked for."""
        return f"{self.value}_asked_at"


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self, at: Combinable | None = None) -> Self:
        """Those whose link still lets somebody in, now or `at`: neither revoked nor expired."""
        return self.filter(revoked_at=None, expires_at__gt=at or timezone.now())

    def sent_by(self, user: "User") -> Self:
        return self.filter(created_by=user)

    def with_spent(self) -> Self:
        """Annotate `quota_tokens` and `spent_tokens` (settled plus held)."""
        return self.annotate(
            quota_tokens=tokens("quota", "tokens"),
            spent_tokens=tokens("usage", "input_tokens")
            + tokens("usage", "output_tokens")
            + tokens("usage", "held_tokens"),
        )

    def with_room_for(self, tokens: int | Combinable) -> Self:
        """Those whose budget has at least so many tokens neither spent nor held."""
        return self.with_spent().filter(quota_tokens__gte=F("spent_tokens") + tokens)

    def in_status(self, status: str) -> Self:
        """Those that `Invitation.status` calls `status`."""
        now = timezone.now()
        if status == Status.REVOKED:
            return self.exclude(revoked_at=None)
        found = self.filter(revoked_at=None)
        if status == Status.EXPIRED:
            return found.filter(expires_at__lte=now)
        found = found.filter(expires_at__gt=now).with_spent()
        if status == Status.USED_UP:
            return found.filter(spent_tokens__gte=F("quota_tokens"))
        found = found.filter(spent_tokens__lt=F("quota_tokens"))
        if status == Status.LINKED:
            return found.exclude(linked_user=None)
        found = found.filter(linked_user=None)
        if status == Status.CLAIMED:
            return found.exclude(claimed_at=None)
        found = found.filter(claimed_at=None)
        if status == Status.OPENED:
            return found.exclude(opened_at=None)
        return found.filter(opened_at=None, sent_at__isnull=status != Status.SENT)

    def asking_for(self, wish: Wish) -> Self:
        """Those whose holder waits for an answer, as `Invitation.wishes` has them."""
        return self.filter(revoked_at=None).exclude(**{wish.field: None})

    def held_by(self, keys: "Collection[str]") -> Self:
        """Those that a guest's browser still holds by its session's `keys`.

        A new link takes them away from the browsers that came in by the old one, an account
        from all of them.
        """
        return self.filter(held_as__in=keys, linked_user=None)

    def for_link(self, link: str) -> "Invitation | None":
        """The invitation that a signed link names, whatever its state; None if there is none."""
        found = self.select_related("scenario", "created_by")
        return found.filter(token=unsigned(link, signer)).first()
