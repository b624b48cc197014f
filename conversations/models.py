"""Conversations and their messages, the one record of what was said."""

from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from accounts.ids import new_id
from conversations import failures
from conversations.viewings import Viewing as Viewing
from invitations.models import Invitation
from scenarios.models import Scenario
from usage.holds import Purse
from usage.models import Hold, StreamType

if TYPE_CHECKING:
    from collections.abc import Collection

    from accounts.models import User


class SessionStatus(models.TextChoices):
    ACTIVE = "active", "Active"
    ENDED = "ended", "Ended"


class ConversationQuerySet(models.QuerySet["ConversationSession"]):
    def visible_to(
        self, user: "User | AnonymousUser", held_invitations: "Collection[str]" = ()
    ) -> Self:
        """Those of a visitor: their account's, and those of the invitations their browser holds.

        An invitation that an account took over opens its conversations to that account alone.
        """
        held = Q(
            user=None,
            invitation__held_as__in=held_invitations,
            invitation__linked_user=None,
            invitation__revoked_at=None,
            invitation__expires_at__gt=timezone.now(),
        )
        return self.filter(held | Q(user=user) if user.is_authenticated else held)

    def closed_to(self, held_invitations: "Collection[str]") -> Self:
        """Those that a guest's browser still holds, but whose invitation lets nobody in now."""
        guests = self.filter(user=None, invitation__held_as__in=held_invitations)
        return guests.filter(
            Q(invitation__expires_at__lte=timezone.now()) | Q(invitation__revoked_at__isnull=False),
            invitation__linked_user=None,
        )

    def active(self) -> Self:
        return self.filter(status=SessionStatus.ACTIVE)


class ConversationSession(models.Model):
    """One rehearsal, with a snapshot of its scenario from the moment it started."""

    id = models.AutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="sessions"
    )
    invitation = models.ForeignKey(
        Invitation, models.SET_NULL, null=True, blank=True, related_name="sessions"
    )
    scenario = models.ForeignKey(Scenario, models.RESTRICT, related_name="sessions")
    status = models.CharField(max_length=16, choices=SessionStatus, default=SessionStatus.ACTIVE)
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    total_messages = models.PositiveIntegerField(default=0)
    duration_seconds = models.PositiveIntegerField(null=True, blank=True)

    scenario_name = models.CharField(max_length=200)
    scenario_description = models.TextField()
    partner_persona = models.CharField(max_length=200)
    partner_system_prompt = models.TextField()
    coach_system_prompt = models.TextField()
    partner_model = models.CharField(max_length=100)
    coach_model = models.CharField(max_length=100)
    partner_opens = models.BooleanField(default=False)

    objects = ConversationQuerySet.as_manager()

    SNAPSHOT = (
        "partner_persona",
        "partner_system_prompt",
        "coach_system_prompt",
        "partner_model",
        "coach_model",
        "partner_opens",
    )

    class Meta:
        verbose_name = "conversation"
        ordering = ["-started_at"]
        permissions = [("view_transcript", "Can read transcripts")]
        indexes = [
            models.Index(fields=["user"], name="session_user"),
            models.Index(fields=["invitation"], name="session_invitation"),
            models.Index(fields=["status"], name="session_status"),
            models.Index(fields=["started_at"], name="session_started"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status=SessionStatus.ACTIVE, ended_at=None)
                | Q(status=SessionStatus.ENDED, ended_at__isnull=False),
                name="session_ended_at_with_final_status",
            )
        ]

    def __str__(self) -> str:
        # Without the scenario's name, which may be for few: the admin shows this wherever a
        # conversation is pointed to.
        return f"Conversation {self.pk}, {self.started_at:%Y-%m-%d %H:%M}"

    def get_absolute_url(self) -> str:
        return reverse("conversations:show", args=[self.pk])

    @classmethod
    def begin(
        cls, scenario: Scenario, *, user: "User | None", invitation: Invitation | None
    ) -> "ConversationSession":
        """Start a conversation on a snapshot of `scenario`."""
        return cls.objects.create(
            scenario=scenario,
            user=user,
            invitation=invitation,
            scenario_name=scenario.name,
            scenario_description=scenario.description,
            **{field: getattr(scenario, field) for field in cls.SNAPSHOT},
        )

    def is_visible_to(self, user_id: str | None, held_invitations: "Collection[str]") -> bool:
        """What `ConversationQuerySet.visible_to` asks the database, of a row at hand."""
        if self.user_id is not None:
            return self.user_id == user_id
        invitation = self.invitation
        return (
            invitation is not None
            and invitation.held_as in held_invitations
            and invitation.linked_user_id is None
            and invitation.is_open
        )

    @property
    def is_active(self) -> bool:
        return self.status == SessionStatus.ACTIVE

    @property
    def purse(self) -> Purse:
        """Who pays for it."""
        return Purse(invitation_id=self.invitation_id, user_id=self.user_id)


class MessageRole(models.TextChoices):
    USER = "user", "Learner"
    PARTNER = "partner", "Partner"
    COACH = "coach", "Coach"


class Kind(models.TextChoices):
    TURN = "turn", "Turn"
    NOTE = "note", "Coach's note"
    ASIDE = "aside", "Private question or its answer"
    DEBRIEF = "debrief", "Debrief"


class MessageStatus(models.TextChoices):
    STREAMING = "streaming", "Streaming"
    COMPLETE = "complete", "Complete"
    STOPPED = "stopped", "Stopped"
    INTERRUPTED = "interrupted", "Interrupted"
    FAILED = "failed", "Failed"


# Replies that count as said: they stand in later prompts.
HEARD = (MessageStatus.COMPLETE, MessageStatus.STOPPED)
# This process, as leases name it.
PROCESS: Final = new_id()
# A process renews its lease with every checkpoint; past this it is taken for dead, by the
# database's clock: those of hosts differ.
LEASE = timedelta(seconds=10)


class MessageQuerySet(models.QuerySet["Message"]):
    def streaming(self) -> Self:
        return self.filter(status=MessageStatus.STREAMING)

    def ours(self) -> Self:
        """Replies that this process runs."""
        return self.streaming().filter(lease_owner=PROCESS)

    def lease_expired(self) -> Self:
        """Streaming rows whose process has not been heard of in time."""
        return self.streaming().filter(lease_expires_at__lt=Now())

    def lost(self) -> Self:
        """Replies whose process has died, and those that one which shut down left behind."""
        return self.filter(
            Q(status=MessageStatus.STREAMING, lease_expires_at__lt=Now()) | Q(begin_again=True)
        )

    def conversation(self) -> Self:
        """The turns of learner and partner."""
        return self.filter(kind=Kind.TURN)

    def newest(self) -> int:
        """The highest id, 0 where there is none.

        To be asked for before the rows that a page shows: what comes meanwhile is then newer.
        """
        return int(self.aggregate(newest=models.Max("pk", default=0))["newest"])

    def coaching(self) -> Self:
        """The coach's notes, private questions and their answers."""
        return self.filter(kind__in=[Kind.NOTE, Kind.ASIDE])


class Message(models.Model):
    id = models.AutoField(primary_key=True)
    session = models.ForeignKey(ConversationSession, models.CASCADE, related_name="messages")
    role = models.CharField(max_length=16, choices=MessageRole)
    content = models.TextField(blank=True)
    timestamp = models.DateTimeField(default=timezone.now)
    audio_url = models.URLField(max_length=500, null=True, blank=True)
    metadata = models.JSONField(null=True, blank=True)

    parent = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="children"
    )
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.TURN)
    status = models.CharField(max_length=16, choices=MessageStatus, default=MessageStatus.COMPLETE)
    client_id = models.UUIDField(null=True, blank=True, editable=False)
    failure = models.CharField(
        max_length=40, blank=True, help_text="Why a reply failed, or how it was cut short."
    )
    finished_at = models.DateTimeField(null=True, blank=True)
    hold = models.OneToOneField(Hold, models.SET_NULL, null=True, blank=True, related_name="reply")
    # A coach's reply: the newest partner reply it had read, so that its prompt can be rebuilt.
    heard_through = models.PositiveBigIntegerField(null=True, blank=True, editable=False)
    # How often this reply was started again by itself after its process died.
    restarts = models.PositiveSmallIntegerField(default=0, editable=False)
    # Lost with its process while it shut down: whoever looks next begins it again.
    begin_again = models.BooleanField(default=False, editable=False)
    # While it streams: since when no call of it is under way, neither before the first nor
    # between two tries. Empty where one may be, as in rows from before there was this field.
    waiting_since = models.DateTimeField(null=True, blank=True, editable=False)
    lease_owner = models.CharField(max_length=64, blank=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    stop_requested_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = MessageQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["session"], name="message_session"),
            models.Index(
                fields=["lease_expires_at"],
                condition=Q(status=MessageStatus.STREAMING),
                name="message_leases",
            ),
            models.Index(
                fields=["begin_again"], condition=Q(begin_again=True), name="message_begin_again"
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["session", "client_id"], name="message_sent_once"),
            models.UniqueConstraint(
                fields=["session"],
                condition=Q(status=MessageStatus.STREAMING, role=MessageRole.PARTNER),
                name="message_one_partner_reply",
            ),
            models.UniqueConstraint(
                fields=["session"],
                condition=Q(status=MessageStatus.STREAMING, role=MessageRole.COACH),
                name="message_one_coach_reply",
            ),
            models.CheckConstraint(
                condition=Q(role__in=MessageRole.values)
                & Q(kind__in=Kind.values)
                & Q(status__in=MessageStatus.values),
                name="message_words_known",
            ),
            models.CheckConstraint(
                condition=Q(role=MessageRole.USER, status=MessageStatus.COMPLETE)
                | ~Q(role=MessageRole.USER),
                name="message_learner_complete",
            ),
            models.CheckConstraint(
                condition=Q(status=MessageStatus.STREAMING, lease_expires_at__isnull=False)
                | (~Q(status=MessageStatus.STREAMING) & Q(lease_expires_at=None)),
                name="message_lease_while_streaming",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()}, {self.timestamp:%Y-%m-%d %H:%M}"

    @property
    def is_reply(self) -> bool:
        return self.role != MessageRole.USER

    @property
    def is_streaming(self) -> bool:
        return self.status == MessageStatus.STREAMING

    @property
    def pane(self) -> str:
        """The region of the page that shows it: "conversation", "coach" or "debrief"."""
        if self.kind == Kind.DEBRIEF:
            return "debrief"
        return "conversation" if self.kind == Kind.TURN else "coach"

    @property
    def failure_words(self) -> str:
        """What happened to this reply and what to do, for a person; empty if all is well."""
        who = "The coach" if self.role == MessageRole.COACH else self.session.partner_persona
        return failures.words(self.failure, who, self.kind)

    @property
    def can_retry(self) -> bool:
        """Whether *Try again* makes sense: nothing, or not all, of the reply arrived."""
        return (
            self.is_reply
            and self.failure not in (*failures.FOREGONE, failures.ASKED_AGAIN)
            and (
                self.status in (MessageStatus.FAILED, MessageStatus.INTERRUPTED)
                or (self.status == MessageStatus.STOPPED and not self.content)
            )
        )

    @property
    def stream_type(self) -> str:
        """The word that `UsageLog` files this reply under."""
        if self.role == MessageRole.PARTNER:
            return StreamType.PARTNER
        return {Kind.ASIDE: StreamType.ASIDE, Kind.DEBRIEF: StreamType.DEBRIEF}.get(
            Kind(self.kind), StreamType.COACH
        )
