"""Invitations by the hundred: a batch, and where each of its mails stands.

Conditional UPDATEs decide who sends a mail: a delivery is taken from `waiting` once, so that no
two senders, processes or clicks send the same one.
"""

from datetime import timedelta
from typing import Any, Final, Self
from uuid import uuid4

from django.apps import apps
from django.db import models, transaction
from django.db.models import Count, F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from invitations.offers import Offer

# A sender renews its lease with every mail; past this it is taken for dead.
LEASE: Final = timedelta(seconds=60)
# A mail server gets 20 seconds for each step of a mail; nobody is at one longer than this.
LONGEST_MAIL: Final = timedelta(minutes=3)


class Halt(models.TextChoices):
    NONE = "", "Not halted"
    STOPPED = "stopped", "Stopped by staff"
    UNREACHABLE = "unreachable", "The mail server could not be reached"


class State(models.TextChoices):
    WAITING = "waiting", "Waiting"
    SENDING = "sending", "Being sent"
    SENT = "sent", "Sent"
    FAILED = "failed", "Failed"
    UNCLEAR = "unclear", "Unclear"


TONES: Final = {
    State.WAITING: "quiet",
    State.SENDING: "busy",
    State.SENT: "good",
    State.FAILED: "bad",
    State.UNCLEAR: "warning",
}


# What a person reads of a mail that did not go out.
FAILURES: Final = {
    "closed": "Not sent: the invitation was revoked, has expired or has no address any more.",
    "address": "The mail server takes no mail for this address.",
    "refused": "The mail server refused the mail.",
    "error": "The mail could not be written. The server’s log says more.",
    "cut": "The line to the mail server broke in the middle: it may have gone out, or not.",
    "lost": "The server stopped in the middle of this mail: it may have gone out, or not.",
}


def standing_at(state: State, prefix: str = "") -> Q:
    """Deliveries that `Delivery.standing` calls `state`; `prefix` leads to them."""
    long_ago = timezone.now() - LONGEST_MAIL
    under_way = {f"{prefix}state": State.SENDING}
    match state:
        case State.SENDING:
            return Q(**under_way, **{f"{prefix}begun_at__gte": long_ago})
        case State.UNCLEAR:
            lost = Q(**under_way, **{f"{prefix}begun_at__lt": long_ago})
            return lost | Q(**{f"{prefix}state": state})
    return Q(**{f"{prefix}state": state})


class BatchQuerySet(models.QuerySet["Batch"]):
    def unfinished(self) -> Self:
        """Those with mails to send that nobody is at."""
        waiting = self.filter(deliveries__state=State.WAITING, halted=Halt.NONE).distinct()
        return waiting.filter(Q(lease_expires_at=None) | Q(lease_expires_at__lt=timezone.now()))

    def with_counts(self) -> Self:
        """Annotate how many deliveries stand at each state: `waiting`, `sent`, …; and `total`."""
        counts = {
            str(state): Count("deliveries", filter=standing_at(state, "deliveries__"))
            for state in State
        }
        return self.annotate(total=Count("deliveries"), **counts)


class Batch(Offer):
    """One bulk invitation. Its addresses stand in the invitations alone."""

    # Of the form that it was sent from, so that a form sent twice is one batch.
    key = models.UUIDField(unique=True, default=uuid4, editable=False)
    halted = models.CharField(max_length=16, blank=True, choices=Halt, default=Halt.NONE)
    lease_owner = models.CharField(max_length=32, blank=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = BatchQuerySet.as_manager()

    class Meta(Offer.Meta):
        verbose_name = "bulk invitation"

    def __str__(self) -> str:
        local = timezone.localtime(self.created_at)
        return f"{self.scenario or 'Any scenario'}, {local:%Y-%m-%d %H:%M}"

    @property
    def is_leased(self) -> bool:
        """Whether somebody is at it who has given a sign of life lately."""
        return self.lease_expires_at is not None and self.lease_expires_at >= timezone.now()

    def lease(self, owner: str) -> bool:
        """Take the sending over, or go on with it. Returns False if somebody else is at it."""
        now = timezone.now()
        free = Q(lease_expires_at=None) | Q(lease_expires_at__lt=now) | Q(lease_owner=owner)
        mine = type(self).objects.filter(free, pk=self.pk, halted=Halt.NONE)
        return bool(mine.update(lease_owner=owner, lease_expires_at=now + LEASE))

    def release(self, owner: str, halted: str = Halt.NONE) -> None:
        """Leave it to the next one; with a reason, to a person's decision."""
        left: dict[str, Any] = {"lease_owner": "", "lease_expires_at": None}
        if halted:
            left["halted"] = halted
        type(self).objects.filter(pk=self.pk, lease_owner=owner).update(**left)

    def halt(self) -> None:
        """Stop after the mail that is being sent; the others wait."""
        type(self).objects.filter(pk=self.pk).update(halted=Halt.STOPPED)

    def go_on(self) -> None:
        """Lift a halt."""
        type(self).objects.filter(pk=self.pk).update(halted=Halt.NONE)


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def in_state(self, *states: State) -> Self:
        return self.filter(state__in=states)

    def give_up_lost(self) -> int:
        """Mark those whose sender died in the middle of the mail: it may be out, or not."""
        lost = self.in_state(State.SENDING).filter(standing_at(State.UNCLEAR))
        return lost.update(state=State.UNCLEAR, failure="lost")

    def send_again(self) -> int:
        """Have failed and unclear ones wait for a sender once more. Returns how many."""
        return self.in_state(State.FAILED, State.UNCLEAR).update(state=State.WAITING, failure="")

    def note_sent(self) -> int:
        """Note of those that no sender is at that they went out otherwise. Returns how many."""
        idle = Q(state__in=[State.WAITING, State.FAILED]) | standing_at(State.UNCLEAR)
        return self.filter(idle).update(state=State.SENT, failure="")

    @transaction.atomic
    def take_as_sent(self) -> int:
        """Believe that unclear ones have arrived, when they were sent. Returns how many."""
        unclear = self.in_state(State.UNCLEAR)
        begun = Delivery.objects.filter(invitation=OuterRef("pk")).values("begun_at")
        invitations = apps.get_model("invitations.Invitation")._default_manager
        invitations.filter(sent_at=None, delivery__in=unclear).update(
            sent_at=Coalesce(Subquery(begun), timezone.now())
        )
        return unclear.update(state=State.SENT, failure="")

    def claim_next(self) -> "Delivery | None":
        """Take the next waiting one to send it; None when there is none."""
        while found := self.in_state(State.WAITING).order_by("position").first():
            waiting = self.in_state(State.WAITING).filter(pk=found.pk)
            claimed = waiting.update(
                state=State.SENDING, begun_at=timezone.now(), attempts=F("attempts") + 1
            )
            if claimed:
                found.refresh_from_db(fields=["state", "begun_at", "attempts"])
                return found
        return None


class Delivery(models.Model):
    """Where the mail of one invitation of a batch stands."""

    batch = models.ForeignKey(Batch, models.CASCADE, related_name="deliveries")
    invitation = models.OneToOneField(
        "invitations.Invitation", models.CASCADE, related_name="delivery"
    )
    position = models.PositiveIntegerField()
    state = models.CharField(max_length=16, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    begun_at = models.DateTimeField(null=True, blank=True, editable=False)
    failure = models.CharField(max_length=40, blank=True, editable=False)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        ordering = ["position"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=State.values), name="delivery_states_known"
            ),
            models.CheckConstraint(
                condition=~Q(state=State.SENDING) | Q(begun_at__isnull=False),
                name="delivery_begun_while_sending",
            ),
        ]
        indexes = [models.Index(fields=["batch", "state"], name="delivery_batch_state")]

    def __str__(self) -> str:
        return f"{self.get_state_display()}: {self.invitation_id}"

    @property
    def standing(self) -> State:
        """Its state as far as it is known: one whose sender died is unclear, noted or not."""
        is_lost = self.begun_at is not None and self.begun_at < timezone.now() - LONGEST_MAIL
        return State.UNCLEAR if self.state == State.SENDING and is_lost else State(self.state)

    @property
    def failure_words(self) -> str:
        """What went wrong, for a person; "" if nothing did."""
        is_noted = self.standing == self.state
        return FAILURES.get(self.failure if is_noted else "lost", "")

    @property
    def tone(self) -> str:
        """The colour of its state, as `config.admin.badge` names them."""
        return TONES[self.standing]

    def finish(self, state: State, failure: str = "") -> bool:
        """Note how this attempt ended; False if a person has decided otherwise meanwhile."""
        mine = type(self).objects.filter(pk=self.pk, state=State.SENDING, attempts=self.attempts)
        return bool(mine.update(state=state, failure=failure))
