"""Group links: one link for a class or a poster, one personal invitation for each who comes."""

from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self
from uuid import UUID

from django.conf import settings
from django.core.signing import Signer
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone

from invitations.offers import Offer
from invitations.tokens import new_token, unsigned

if TYPE_CHECKING:
    from accounts.models import User
    from invitations.models import Invitation

# Not the invitations' salt: no token of one kind opens anything of the other.
signer = Signer(salt="group-link")
MOST_PLACES: Final = 1000
MOST_DAYS: Final = 365


class GroupStatus(models.TextChoices):
    OPEN = "open", "Open"
    FULL = "full", "Full"
    EXPIRED = "expired", "Expired"
    REVOKED = "revoked", "Revoked"


class GroupLinkQuerySet(models.QuerySet["GroupLink"]):
    def open(self) -> Self:
        """Those that are neither revoked nor expired; they may be full."""
        return self.filter(revoked_at=None, expires_at__gt=timezone.now())

    def with_places(self) -> Self:
        return self.filter(taken__lt=F("places"))

    def in_status(self, status: str) -> Self:
        """Those that `GroupLink.status` calls `status`."""
        if status == GroupStatus.REVOKED:
            return self.exclude(revoked_at=None)
        if status == GroupStatus.EXPIRED:
            return self.filter(revoked_at=None, expires_at__lte=timezone.now())
        if status == GroupStatus.FULL:
            return self.open().filter(taken__gte=F("places"))
        return self.open().with_places()

    def for_link(self, link: str) -> "GroupLink | None":
        """The group link that a signed link names, whatever its state; None if there is none."""
        found = self.select_related("scenario", "created_by")
        return found.filter(token=unsigned(link, signer)).first()


class GroupLink(Offer):
    """So many places behind one link; taking one makes a personal invitation."""

    label = models.CharField(
        "name", max_length=200, help_text="For the list and the poster: “Nursing, spring term”."
    )
    token = models.CharField(max_length=64, unique=True, default=new_token, editable=False)
    places = models.PositiveIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(MOST_PLACES)]
    )
    taken = models.PositiveIntegerField(default=0, editable=False)
    days = models.PositiveSmallIntegerField(
        "days for each",
        default=14,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_DAYS)],
        help_text="How long each may talk, from the day they come in.",
    )
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Of the form that it was made on.
    key = models.UUIDField(null=True, editable=False)

    objects = GroupLinkQuerySet.as_manager()

    class Meta(Offer.Meta):
        constraints = [
            *Offer.Meta.constraints,
            models.UniqueConstraint(fields=["created_by", "key"], name="grouplink_one_a_form"),
            models.CheckConstraint(
                condition=Q(taken__lte=F("places")) & Q(places__gte=1),
                name="grouplink_never_more_than_places",
                violation_error_message="More places are taken than that.",
            ),
        ]

    def __str__(self) -> str:
        return self.label

    def get_absolute_url(self) -> str:
        return reverse("join:show", args=[self.link])

    @property
    def link(self) -> str:
        """The signed token. Never log it: whoever holds it may take a place."""
        return signer.sign(self.token)

    @property
    def url(self) -> str:
        """The absolute address for a poster."""
        return settings.SITE_URL.rstrip("/") + self.get_absolute_url()

    @property
    def left(self) -> int:
        return self.places - self.taken

    @property
    def is_open(self) -> bool:
        """Whether the link still lets people in, as far as places are left."""
        return self.revoked_at is None and self.expires_at > timezone.now()

    @property
    def status(self) -> GroupStatus:
        if self.revoked_at:
            return GroupStatus.REVOKED
        if not self.is_open:
            return GroupStatus.EXPIRED
        return GroupStatus.OPEN if self.left > 0 else GroupStatus.FULL

    def place_of(self, user: "User | None", held: Collection[str]) -> "Invitation | None":
        """The personal invitation that an account, or a browser by what it holds, has here."""
        if user and (mine := self.invitations.filter(linked_user=user).first()):
            return mine
        if not held:
            return None
        return self.invitations.held_by(held).first()

    @transaction.atomic
    def take_place(
        self, key: UUID, *, user: "User | None", held: Collection[str] = (), name: str = ""
    ) -> "Invitation | None":
        """Return the claimant's personal invitation, made now if they have none; None when full.

        `key` names the page that one browser was shown, so that its button pressed twice, or in
        two tabs, takes one place.
        The row is locked, so that of two requests of one account the second finds the place of
        the first; the conditional UPDATE, and the constraint behind it, keep to the places.
        """
        type(self).objects.select_for_update().get(pk=self.pk)
        mine = self.place_of(user, held) or self.invitations.filter(place_key=key).first()
        if mine:
            return mine
        free = type(self).objects.open().with_places().filter(pk=self.pk)
        if not free.update(taken=F("taken") + 1):
            self.refresh_from_db(fields=["taken", "places", "revoked_at", "expires_at"])
            return None
        return self.invitations.create(
            place_key=key,
            recipient_name=name,
            expires_at=timezone.now() + timedelta(days=self.days),
            **self.for_each,
        )

    def free_place(self) -> None:
        """Count one less, for a place that is no more; somebody else may take it."""
        type(self).objects.filter(pk=self.pk, taken__gt=0).update(taken=F("taken") - 1)
        self.refresh_from_db(fields=["taken"])

    def revoke(self) -> None:
        """Let nobody new in; who has a place keeps it. Revoking twice keeps the first time."""
        type(self).objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=timezone.now())
        self.refresh_from_db(fields=["revoked_at"])
