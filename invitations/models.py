"""Invitations: a link, a scenario and a budget of tokens behind it."""

import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.signing import BadSignature, Signer
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone

from accounts.ids import new_id
from invitations.mailing import message
from invitations.quota import JSONWholeNumber, in_words, tokens, validate_quota, validate_usage
from scenarios.models import Scenario

if TYPE_CHECKING:
    from accounts.models import User

signer = Signer(salt="invitation")


def new_token() -> str:
    """Return 256 random bits; only its signed form opens anything."""
    return secrets.token_urlsafe(32)


def default_expiry() -> datetime:
    return timezone.now() + timedelta(days=14)


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


class Status(models.TextChoices):
    OPEN = "open", "Open"
    CLAIMED = "claimed", "Claimed"
    EXPIRED = "expired", "Expired"
    REVOKED = "revoked", "Revoked"
    USED_UP = "used_up", "Used up"


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self) -> Self:
        """Those whose link still lets somebody in: neither revoked nor expired."""
        return self.filter(revoked_at=None, expires_at__gt=timezone.now())

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

    def with_room_for(self, tokens: int) -> Self:
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
        return found.filter(claimed_at__isnull=status != Status.CLAIMED)

    def for_link(self, link: str) -> "Invitation | None":
        """The invitation that a signed link names, whatever its state; None if there is none."""
        try:
            token = signer.unsign(link)
        except BadSignature:
            token = ""  # asked for all the same, so that a forged link takes as long as a true one
        return self.select_related("scenario", "created_by").filter(token=token).first()


class Invitation(models.Model):
    id = models.CharField(primary_key=True, max_length=32, default=new_id, editable=False)
    token = models.CharField(max_length=64, unique=True, default=new_token, editable=False)
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
    linked_user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="invitations_claimed",
        help_text="The account that carries on with it.",
    )
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
        ]
        constraints = [
            models.CheckConstraint(
                condition=JSONWholeNumber("quota", key="tokens", least=1),
                name="invitation_whole_tokens",
                violation_error_message="A quota needs a whole, positive number of tokens.",
            ),
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

    @property
    def link(self) -> str:
        """The signed token. Never log it: whoever holds it may come in."""
        return signer.sign(self.token)

    @property
    def url(self) -> str:
        """The absolute address that a mail carries."""
        return settings.SITE_URL.rstrip("/") + self.get_absolute_url()

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
        return Status.CLAIMED if self.claimed_at else Status.OPEN

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
        if user is None:
            mine.filter(linked_user=None, claimed_at=None).update(claimed_at=now)
        else:
            mine.filter(Q(linked_user=None) | Q(linked_user=user)).update(
                linked_user=user,
                claimed_at=Coalesce("claimed_at", models.Value(now)),
            )
        self.refresh_from_db(fields=["claimed_at", "linked_user", "revoked_at", "expires_at"])
        return self.is_open and self.linked_user_id == (user.pk if user else None)

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
        self.save(update_fields=["sent_at"])

    def new_link(self) -> None:
        """Replace the token, which closes the old link; the new one has not been sent yet."""
        self.token, self.sent_at = new_token(), None
        self.save(update_fields=["token", "sent_at"])

    def revoke(self) -> None:
        """Close the link for good; what was said stays. Revoking twice keeps the first time."""
        type(self).objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=timezone.now())
        self.refresh_from_db(fields=["revoked_at"])
