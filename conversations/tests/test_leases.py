"""A reply's row: renewed while it is ours, ended once, taken over once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from conversations import leases, marks, turns
from conversations.lanes import locked
from conversations.models import Kind, Message, MessageRole, MessageStatus
from usage.holds import CallRecord, CallUsage, take_hold
from usage.models import HoldState, UsageLog


@pytest.fixture
def running(conversation, say):
    line = say("user", "Hello")
    hold = take_hold(
        conversation.purse,
        bound=1000,
        max_tokens=400,
        session_id=conversation.pk,
        stream_type="partner",
        model="m",
    )
    return say("partner", "", parent=line, status=MessageStatus.STREAMING, hold=hold)


def abandon(message):
    """Make the row look like one whose process has died."""
    message.lease_owner = "somebody-else"
    message.lease_expires_at = timezone.now() - timedelta(seconds=1)
    message.save()


def mark(pk):
    return marks.begin_calls([pk])


def done(**fields):
    return CallRecord("m", CallUsage(10, 5), **fields)


def test_a_checkpoint_stores_the_text_and_renews_the_lease(running):
    soon = timezone.now() + timedelta(seconds=1)
    Message.objects.filter(pk=running.pk).update(lease_expires_at=soon)
    assert leases.checkpoint({running.pk: "Hel"})[running.pk].ours
    running.refresh_from_db()
    assert running.content == "Hel"
    assert running.lease_expires_at > soon


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize(
    "renew",
    [lambda pk: None, lambda pk: leases.checkpoint({pk: "Hel"}), mark],
    ids=["at its birth", "by a checkpoint", "by a mark"],
)
def test_the_clock_of_a_host_does_not_matter(conversation, monkeypatch, hours, renew):
    there = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: there() + timedelta(hours=hours))
    born = turns.send(conversation.pk, uuid4(), "Hello").replies[0].message
    renew(born.pk)
    lease = conversation.messages.filter(pk=born.pk).values_list("lease_expires_at", flat=True)
    assert timedelta(seconds=8) < lease.get() - there() < timedelta(seconds=11)
    assert leases.lost() == []
    lease.update(lease_expires_at=there() - timedelta(seconds=1))
    assert leases.lost() == [born.pk]


def test_a_checkpoint_tells_of_a_stop(running):
    running.stop_requested_at = timezone.now()
    running.save()
    assert leases.checkpoint({running.pk: "Hel"})[running.pk].stop


def test_a_checkpoint_of_a_reply_that_was_taken_over_writes_nothing(running):
    abandon(running)
    assert not leases.checkpoint({running.pk: "late"})[running.pk].ours
    running.refresh_from_db()
    assert running.content == ""


def test_it_ends_settles_and_begins_the_coachs_note_in_one_step(running):
    step = leases.finish(
        running.pk, status=MessageStatus.COMPLETE, content="Hi there.", record=done()
    )
    assert step.message.status == MessageStatus.COMPLETE
    note = step.replies[0].message
    assert (note.role, note.kind, note.parent_id) == (
        MessageRole.COACH,
        Kind.NOTE,
        running.parent_id,
    )
    assert note.heard_through == running.pk
    running.hold.refresh_from_db()
    assert running.hold.state == HoldState.SETTLED
    log = UsageLog.objects.get()
    assert (log.input_tokens, log.output_tokens, log.stream_type) == (10, 5, "partner")


def test_an_ended_reply_is_never_written_again(running):
    leases.finish(running.pk, status=MessageStatus.STOPPED, content="Hi", record=done())
    assert (
        leases.finish(running.pk, status=MessageStatus.COMPLETE, content="Other", record=done())
        is None
    )
    running.refresh_from_db()
    assert (running.status, running.content) == (MessageStatus.STOPPED, "Hi")
    assert UsageLog.objects.count() == 1


def test_a_reply_that_made_no_call_gives_its_hold_back(running):
    leases.finish(running.pk, status=MessageStatus.FAILED, content="", failure="budget")
    running.hold.refresh_from_db()
    assert running.hold.state == HoldState.RELEASED
    assert not UsageLog.objects.exists()


def test_a_failed_reply_gets_no_note(running):
    step = leases.finish(running.pk, status=MessageStatus.FAILED, content="", record=done())
    assert step.replies == ()


def test_a_living_lease_is_not_taken_over(running):
    assert leases.lost() == []
    assert leases.take_over(running.pk) is None


def test_a_lost_reply_is_closed_charged_in_full_and_begun_again_once(running, invitation):
    leases.checkpoint({running.pk: "Half a"})
    running.refresh_from_db()
    abandon(running)
    assert leases.lost() == [running.pk]
    step = leases.take_over(running.pk)
    assert (step.message.status, step.message.content) == (MessageStatus.INTERRUPTED, "Half a")
    assert step.message.failure_words == "The reply was lost when a server stopped."
    again = step.replies[0].message
    assert (again.parent_id, again.restarts, again.content) == (running.parent_id, 1, "")
    invitation.refresh_from_db()
    held = step.replies[0].hold.tokens
    assert invitation.usage == {"input_tokens": 600, "output_tokens": 400, "held_tokens": held}
    assert leases.take_over(running.pk) is None
    abandon(again)
    assert leases.take_over(again.pk).replies == ()


def test_a_hold_whose_call_was_not_under_way_is_given_back(running, invitation):
    running.waiting_since = timezone.now()
    abandon(running)
    step = leases.take_over(running.pk)
    running.hold.refresh_from_db()
    assert running.hold.state == HoldState.RELEASED
    invitation.refresh_from_db()
    assert invitation.usage["input_tokens"] == 0
    assert not UsageLog.objects.exists()
    assert len(step.replies) == 1


def test_a_reply_is_born_waiting_and_a_row_from_before_counts_as_called(conversation, say):
    born = turns.send(conversation.pk, uuid4(), "Hello").replies[0].message
    assert born.waiting_since is not None
    assert say("coach", "", status=MessageStatus.STREAMING).waiting_since is None


def test_a_dropped_reply_begins_again_once(running):
    unknown = CallRecord("m", None)
    drop = partial(leases.finish, status=MessageStatus.INTERRUPTED, content="", failure="dropped")
    step = drop(running.pk, record=unknown)
    assert (step.message.failure, step.message.can_retry) == ("asked_again", False)
    again = step.replies[0].message
    assert (again.parent_id, again.restarts) == (running.parent_id, 1)
    assert step.running == {"partner": again.pk}
    step = drop(again.pk, record=unknown)
    assert (step.message.failure, step.message.can_retry, step.replies) == ("dropped", True, ())
    assert "Try again" in step.message.failure_words
    assert UsageLog.objects.filter(is_estimate=True).count() == 2


@pytest.mark.parametrize(
    ("failure", "begins"), [("dropped", ["partner"]), ("cut", []), ("lost", ["partner"])]
)
def test_who_leaves_has_another_begin_again_what_was_lost_before_words(running, failure, begins):
    leases.finish(
        running.pk,
        status=MessageStatus.INTERRUPTED,
        content="",
        failure=failure,
        record=CallRecord("m", None),
        leaving=True,
    )
    step = leases.take_over(running.pk)
    assert [reply.message.role for reply in step.replies] == begins


def test_a_dropped_note_is_its_own_failure_and_not_begun_again(conversation, say):
    note = say("coach", "", status=MessageStatus.STREAMING)
    step = leases.finish(note.pk, status=MessageStatus.INTERRUPTED, content="", failure="dropped")
    assert (step.message.failure, step.replies) == ("dropped", ())
    assert step.message.can_retry


def test_who_leaves_begins_no_note_and_whoever_looks_next_does(running):
    step = leases.finish(
        running.pk, status=MessageStatus.COMPLETE, content="Hi.", record=done(), leaving=True
    )
    assert step.replies == ()
    assert leases.lost() == [running.pk]
    step = leases.take_over(running.pk)
    assert [(r.message.role, r.message.kind) for r in step.replies] == [("coach", "note")]
    assert step.message.status == MessageStatus.COMPLETE
    assert leases.lost() == []


def test_a_lost_reply_that_was_to_be_stopped_is_not_begun_again(running):
    running.stop_requested_at = timezone.now()
    abandon(running)
    assert leases.take_over(running.pk).replies == ()


def test_a_lost_note_is_not_begun_again(conversation, say):
    note = say("coach", "", status=MessageStatus.STREAMING)
    abandon(note)
    assert leases.take_over(note.pk).replies == ()


def test_a_question_that_waited_is_answered_after_the_note(conversation, say):
    say("partner", "Hi", parent=say("user", "Hello"))
    note = say("coach", "", status=MessageStatus.STREAMING)
    question = say("user", "What now?", kind=Kind.ASIDE)
    step = leases.finish(note.pk, status=MessageStatus.COMPLETE, content="Good.")
    answer = step.replies[0].message
    assert (answer.kind, answer.parent_id) == (Kind.ASIDE, question.pk)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="rows are locked by PostgreSQL")
@pytest.mark.django_db(transaction=True)
def test_a_hold_does_not_wait_for_a_conversation_that_is_locked(conversation):
    def hold():
        try:
            with transaction.atomic():
                connection.cursor().execute("SET LOCAL lock_timeout = '3s'")
                return take_hold(
                    conversation.purse,
                    bound=100,
                    max_tokens=50,
                    session_id=conversation.pk,
                    stream_type="partner",
                    model="m",
                )
        finally:
            connection.close()

    with locked(conversation.pk), ThreadPoolExecutor(1) as thread:
        assert thread.submit(hold).result() is not None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("then", "due"),
    [
        (lambda pk: turns.end(pk), Kind.DEBRIEF),
        (lambda pk: turns.ask(pk, uuid4(), "And now?"), Kind.ASIDE),
    ],
)
def test_what_waits_for_a_note_that_is_handed_over_is_begun_by_the_next_process(
    conversation, then, due
):
    reply = turns.send(conversation.pk, uuid4(), "Hello").replies[0].message
    spoken = leases.finish(
        reply.pk, status=MessageStatus.COMPLETE, content="Hi.", record=done(stop_reason="end_turn")
    )
    note = spoken.replies[0].message
    then(conversation.pk)
    leases.hand_over(note.pk, "", None)
    assert [leases.take_over(pk) is not None for pk in leases.lost()] == [True]
    streaming = conversation.messages.streaming().get()
    assert (streaming.role, streaming.kind) == (MessageRole.COACH, due)
    note.refresh_from_db()
    assert (note.status, note.begin_again) == (MessageStatus.INTERRUPTED, False)
    assert leases.lost() == []
