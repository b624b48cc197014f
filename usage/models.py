"""What model calls cost: holds before a call, a log row after it, allowances per role."""

from datetime import UTC, date, timedelta
from typing import Any, Self

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.ids import new_id
from accounts.models import Role, User
from invitations.models import Invitation
from usage.deleting import cascade_unless_held, unlink_unless_held


def today() -> date:
    """The day in UTC, as usage is counted and priced."""
    return timezone.now().astimezone(UTC).date()


def dollars_per_million(name: str, help_text: str = "") -> "models.DecimalField[Any, Any]":
    return models.DecimalField(name, max_digits=12, decimal_places=6, help_text=help_text)


class StreamType(models.TextChoices):
    PARTNER = "partner", "Partner"
    COACH = "coach", "Coach"
    ASIDE = "aside", "Private question"
    DEBRIEF = "debrief", "Debrief"


class UsageLog(models.Model):
    """One model call. Whom and what it was for are plain values: usage outlives them."""

    id = models.CharField(primary_key=True, max_length=32, default=new_id, editable=False)
    user_id = models.CharField(max_length=32, null=True, blank=True)
    invitation_id = models.CharField(max_length=32, null=True, blank=True)
    session = models.ForeignKey(
        "conversations.ConversationSession",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="usage_logs",
    )
    model = models.CharField(max_length=100, help_text="The model that answered.")
    stream_type = models.CharField(max_length=16, choices=StreamType)
    input_tokens = models.PositiveIntegerField(help_text="All input, cached or not.")
    output_tokens = models.PositiveIntegerField()
    cache_write_tokens = models.PositiveIntegerField(default=0)
    cache_read_tokens = models.PositiveIntegerField(default=0)
    is_estimate = models.BooleanField(
        default=False, help_text="The provider's count was lost; the whole hold was charged."
    )
    stop_reason = models.CharField(max_length=40, blank=True)
    first_token_ms = models.PositiveIntegerField(
        "time to first token", null=True, blank=True, help_text="Milliseconds."
    )
    duration_ms = models.PositiveIntegerField(
        "duration", null=True, blank=True, help_text="Milliseconds."
    )
    hold_id = models.CharField(max_length=32, unique=True, null=True, blank=True)
    scenario_id = models.PositiveBigIntegerField(null=True, blank=True)
    timestamp = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-timestamp"]
        indexes = [
            models.Index(fields=["user_id", "timestamp"], name="usagelog_user_time"),
            models.Index(fields=["invitation_id", "timestamp"], name="usagelog_invitation_time"),
            models.Index(fields=["timestamp"], name="usagelog_time"),
            # What the list in the admin filters by, newest first.
            models.Index(fields=["model", "timestamp"], name="usagelog_model_time"),
            models.Index(fields=["stream_type", "timestamp"], name="usagelog_stream_time"),
            models.Index(
                fields=["stream_type", "model", "timestamp"], name="usagelog_stream_model_time"
            ),
            models.Index(
                fields=["timestamp"], condition=Q(is_estimate=True), name="usagelog_estimate_time"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    input_tokens__gte=0,
                    output_tokens__gte=0,
                    cache_write_tokens__gte=0,
                    cache_read_tokens__gte=0,
                ),
                name="usagelog_tokens_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(stream_type__in=StreamType.values), name="usagelog_stream_type_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.stream_type} on {self.model}, {self.timestamp:%Y-%m-%d %H:%M}"


class HoldState(models.TextChoices):
    HELD = "held", "Held"
    SETTLED = "settled", "Settled"
    RELEASED = "released", "Released"


class HoldQuerySet(models.QuerySet["Hold"]):
    def held(self) -> Self:
        return self.filter(state=HoldState.HELD)


class Hold(models.Model):
    """Tokens set aside for one call: an upper bound of what it can cost."""

    id = models.CharField(primary_key=True, max_length=32, default=new_id, editable=False)
    invitation = models.ForeignKey(
        Invitation, cascade_unless_held, null=True, blank=True, related_name="holds"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        cascade_unless_held,
        null=True,
        blank=True,
        related_name="holds",
    )
    session = models.ForeignKey(
        "conversations.ConversationSession",
        unlink_unless_held,
        null=True,
        blank=True,
        related_name="holds",
    )
    stream_type = models.CharField(max_length=16, choices=StreamType)
    model = models.CharField(max_length=100)
    tokens = models.PositiveIntegerField()
    max_tokens = models.PositiveIntegerField(help_text="The part of it that is for output.")
    state = models.CharField(max_length=16, choices=HoldState, default=HoldState.HELD)
    created_at = models.DateTimeField(default=timezone.now)
    settled_at = models.DateTimeField(null=True, blank=True)

    objects = HoldQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["user"], condition=Q(state=HoldState.HELD), name="hold_open_by_user"
            ),
            models.Index(fields=["created_at"], name="hold_created"),
            models.Index(fields=["state", "created_at"], name="hold_state_created"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(tokens__gt=0), name="hold_tokens_positive"),
            models.CheckConstraint(
                condition=Q(state=HoldState.HELD, settled_at=None)
                | Q(state__in=[HoldState.SETTLED, HoldState.RELEASED], settled_at__isnull=False),
                name="hold_settled_at_when_closed",
            ),
            models.CheckConstraint(
                condition=Q(invitation=None) | Q(user=None), name="hold_of_one_purse"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tokens} tokens, {self.get_state_display().lower()}"


# Where staff have set nothing: tokens in a week. None is without limit.
DEFAULT_ALLOWANCES: dict[str, int | None] = {
    Role.GUEST: 0,
    Role.USER: 200_000,
    Role.POWER_USER: 1_000_000,
    Role.ADMIN: None,
}
DEFAULT_WINDOW_HOURS = 7 * 24
# Ten years. What is counted back from today has to be a day of the calendar.
LONGEST_WINDOW_HOURS = 10 * 365 * 24


class Window(models.Model):
    """Tokens that may be spent without an invitation, in a rolling window."""

    tokens = models.PositiveIntegerField(
        null=True, blank=True, help_text="Leave empty for no limit; 0 asks for an invitation."
    )
    window_hours = models.PositiveIntegerField(
        default=DEFAULT_WINDOW_HOURS,
        validators=[
            MaxValueValidator(
                LONGEST_WINDOW_HOURS,
                f"A window is {LONGEST_WINDOW_HOURS:,} hours, which is ten years, at the most.",
            )
        ],
    )

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(window_hours__gt=0), name="%(class)s_window_positive"
            ),
            models.CheckConstraint(
                condition=Q(window_hours__lte=LONGEST_WINDOW_HOURS), name="%(class)s_window_longest"
            ),
        ]

    def spent_by(self, user_id: str) -> models.QuerySet[UsageLog]:
        """The calls that count against it: in the window, and on no invitation."""
        since = timezone.now() - timedelta(hours=self.window_hours)
        return UsageLog.objects.filter(user_id=user_id, invitation_id=None, timestamp__gte=since)


class Allowance(Window):
    """What people of a role may spend."""

    role = models.CharField(max_length=16, choices=Role, unique=True)

    class Meta(Window.Meta):
        ordering = ["role"]
        constraints = [
            *Window.Meta.constraints,
            models.CheckConstraint(condition=Q(role__in=Role.values), name="allowance_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()}: {self.tokens if self.tokens is not None else '∞'}"

    @classmethod
    def for_role(cls, role: str) -> "Allowance":
        """The allowance that staff set for `role`, else the default one (unsaved)."""
        return cls.objects.filter(role=role).first() or cls(
            role=role, tokens=DEFAULT_ALLOWANCES[role]
        )


class PersonalAllowanceQuerySet(models.QuerySet["PersonalAllowance"]):
    def in_force(self) -> Self:
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))


class PersonalAllowance(Window):
    """An exception for one person, in place of their role's allowance while it is in force."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="personal_allowance"
    )
    expires_at = models.DateTimeField(
        "until",
        null=True,
        blank=True,
        help_text="From then on the role's allowance holds again. Leave empty for no end.",
    )
    reason = models.CharField(
        max_length=200,
        blank=True,
        help_text="Staff read it here, and the person in the download of their data.",
    )

    objects = PersonalAllowanceQuerySet.as_manager()

    class Meta(Window.Meta):
        ordering = ["user"]

    def __str__(self) -> str:
        return f"Allowance of {self.user}"

    @property
    def is_in_force(self) -> bool:
        return self.expires_at is None or self.expires_at > timezone.now()


def allowance_of(user: User) -> Window:
    """What `user` may spend: an exception of their own while one is in force, else the role's."""
    personal = PersonalAllowance.objects.in_force().filter(user=user).first()
    return personal or Allowance.for_role(user.role)


class Price(models.Model):
    """What a model costs from a day on, in US dollars for a million tokens."""

    model = models.CharField(
        max_length=100,
        help_text="As calls name it. A price without a date in its name also holds for dated "
        "versions: claude-x for claude-x-20260901.",
    )
    valid_from = models.DateField(
        default=today,
        help_text="A new price is a new row with a later day; what was spent before keeps its "
        "own. Days begin at midnight UTC.",
    )
    input_price = dollars_per_million("input", "Input that is not cached.")
    output_price = dollars_per_million("output")
    cache_write_price = dollars_per_million("cache write", "Input that is written to the cache.")
    cache_read_price = dollars_per_million("cache read", "Input that is read from the cache.")

    class Meta:
        ordering = ["model", "-valid_from"]
        constraints = [
            models.UniqueConstraint(
                fields=["model", "valid_from"],
                name="price_one_a_day",
                violation_error_message="This model has a price from that day already.",
            ),
            models.CheckConstraint(
                condition=Q(
                    input_price__gte=0,
                    output_price__gte=0,
                    cache_write_price__gte=0,
                    cache_read_price__gte=0,
                ),
                name="price_not_negative",
                violation_error_message="A price is zero or more.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} from {self.valid_from:%d %b %Y}"


class ReportedDay(models.Model):
    """A past day (UTC) whose sums stand in `DayUsage` and `PayerUsage`.

    Sums are made when somebody asks, of days that are over. A trigger on the log deletes the
    day of each call that is added, changed or deleted later, and its sums with it: see
    `usage.triggers`. So what stands here equals the log, always.
    """

    day = models.DateField(primary_key=True)

    def __str__(self) -> str:
        return f"{self.day:%d %b %Y}"


class Sums(models.Model):
    """Calls of a day, and their tokens."""

    model = models.CharField(max_length=100)
    calls = models.PositiveBigIntegerField()
    input_tokens = models.PositiveBigIntegerField()
    output_tokens = models.PositiveBigIntegerField()
    cache_write_tokens = models.PositiveBigIntegerField()
    cache_read_tokens = models.PositiveBigIntegerField()

    class Meta:
        abstract = True


class DayUsage(Sums):
    """By model, stream and scenario: few rows a day, whatever the traffic."""

    day = models.ForeignKey(ReportedDay, models.DB_CASCADE, related_name="+")
    stream_type = models.CharField(max_length=16)
    scenario_id = models.PositiveBigIntegerField(null=True)

    def __str__(self) -> str:
        return f"{self.stream_type} on {self.model}, {self.day_id}"


class PayerUsage(Sums):
    """By model and whose budget paid."""

    day = models.ForeignKey(ReportedDay, models.DB_CASCADE, related_name="+")
    user_id = models.CharField(max_length=32, null=True)
    invitation_id = models.CharField(max_length=32, null=True)

    class Meta:
        indexes = [
            models.Index(fields=["user_id"], name="payerusage_user"),
            models.Index(fields=["invitation_id"], name="payerusage_invitation"),
        ]

    def __str__(self) -> str:
        return f"{self.invitation_id or self.user_id} on {self.model}, {self.day_id}"
