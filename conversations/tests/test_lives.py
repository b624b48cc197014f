"""Any life of a partner's reply, against a plain account of who owes what at every moment."""

from datetime import timedelta
from uuid import uuid4

from django.db.models import F, Sum
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from conversations import leases, marks, turns
from conversations.models import ConversationSession, Message, MessageStatus
from invitations.models import Invitation
from usage.holds import CallRecord, CallUsage
from usage.models import Hold, UsageLog

runs = precondition(lambda self: self.reply is not None)
idle = precondition(lambda self: self.reply is None)


class Life(RuleBasedStateMachine):
    """One conversation; `under_way` says whether a call of its reply is, as the provider knows."""

    scenario, staff = None, None

    def __init__(self):
        super().__init__()
        invitation = Invitation.objects.create(
            scenario=self.scenario,
            created_by=self.staff,
            quota={"tokens": 10_000_000, "label": ""},
            expires_at=timezone.now() + timedelta(days=1),
        )
        self.conversation = ConversationSession.begin(
            self.scenario, user=None, invitation=invitation
        )
        self.reply, self.under_way, self.tries = None, False, 0
        self.spent, self.calls = 0, 0

    def begun(self, replies):
        """What a step begins of the partner's; a note of the coach's is ended at once."""
        self.reply, self.under_way, self.tries = None, False, 0
        for reply in replies:
            if reply.message.role == "partner":
                self.reply = reply
            else:
                assert leases.finish(reply.message.pk, status=MessageStatus.STOPPED, content="")

    def charge(self, tokens):
        self.spent += tokens
        self.calls += 1

    @idle
    @rule()
    def send(self):
        self.begun(turns.send(self.conversation.pk, uuid4(), "Hello").replies)

    @runs
    @precondition(lambda self: not self.under_way)
    @rule()
    def call(self):
        assert marks.begin_calls([self.reply.message.pk])
        self.under_way = True
        self.tries += 1

    @runs
    @precondition(lambda self: self.under_way)
    @rule()
    def be_turned_down(self):
        assert marks.await_calls([self.reply.message.pk])
        self.under_way = False

    @runs
    @rule(
        known=st.booleans(),
        end=st.sampled_from(["complete", "stopped", "cut", "dropped", "handed over"]),
        leaving=st.booleans(),
    )
    def end(self, known, end, leaving):
        pk, hold = self.reply.message.pk, self.reply.hold
        record = None
        if self.under_way:
            known = known and end != "dropped"
            record = CallRecord("m", CallUsage(20, 10) if known else None)
            self.charge(30 if known else hold.tokens)
        elif self.tries:
            record = CallRecord("m", CallUsage(0, 0))
            self.charge(0)
        if end == "handed over":
            step = leases.hand_over(pk, "", record)
        else:
            broke = end in ("cut", "dropped")
            step = leases.finish(
                pk,
                status=MessageStatus.INTERRUPTED if broke else MessageStatus(end),
                content="Hm.",
                failure=end if broke else "",
                record=record,
                leaving=leaving,
            )
        self.close_again(pk)
        self.begun(step.replies)

    def close_again(self, pk):
        """Nothing that comes late changes anything."""
        late = CallRecord("m", CallUsage(9, 9))
        assert leases.finish(pk, status=MessageStatus.COMPLETE, content="", record=late) is None
        assert leases.hand_over(pk, "late", late) is None
        assert marks.begin_calls([pk]) == marks.await_calls([pk]) == set()

    @runs
    @rule()
    def die(self):
        """The process is killed; its lease runs out, and somebody looks."""
        pk = self.reply.message.pk
        self.row(pk).update(
            lease_expires_at=timezone.now() - timedelta(seconds=1), lease_owner="dead"
        )
        if self.under_way:
            self.charge(self.reply.hold.tokens)
        step = leases.take_over(pk)
        assert leases.take_over(pk) is None
        self.close_again(pk)
        self.begun(step.replies)

    @idle
    @rule()
    def look(self):
        """Somebody finds what a process that left had no time for."""
        for pk in leases.lost(self.conversation.pk):
            step = leases.take_over(pk)
            assert step.replies == () or self.reply is None
            self.begun(step.replies)

    @runs
    @rule()
    def be_late(self):
        """A lease that was not renewed for a while, and nobody looked."""
        late = timezone.now() - timedelta(seconds=1)
        self.row(self.reply.message.pk).update(lease_expires_at=late)

    def row(self, pk):
        return Message.objects.filter(pk=pk)

    @invariant()
    def the_account_agrees(self):
        held = Hold.objects.held().filter(session=self.conversation)
        tokens = held.aggregate(sum=Sum("tokens"))["sum"] or 0
        assert tokens == (self.reply.hold.tokens if self.reply else 0)
        usage = Invitation.objects.get(pk=self.conversation.invitation_id)
        assert (usage.settled, usage.held) == (self.spent, tokens)
        logs = UsageLog.objects.filter(session=self.conversation)
        assert logs.count() == self.calls
        total = logs.aggregate(sum=Sum(F("input_tokens") + F("output_tokens")))["sum"] or 0
        assert total == self.spent
        restarts = self.conversation.messages.aggregate(most=Sum("restarts"))["most"] or 0
        assert restarts <= self.conversation.messages.filter(role="user").count()
        streaming = list(self.conversation.messages.streaming().values_list("pk", flat=True))
        assert streaming == ([self.reply.message.pk] if self.reply else [])


def test_whatever_becomes_of_a_reply_it_is_charged_for_what_was_called(db, scenario, staff):
    machine = type("Lives", (Life,), {"scenario": scenario, "staff": staff})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
