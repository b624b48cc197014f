"""A database that goes away in the moment in which it commits: what was begun runs all the same."""

import asyncio
import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.db import DataError, IntegrityError, OperationalError, connections, transaction
from django.utils import timezone

from conversations import leases, replies, strays, turns
from conversations.lanes import Locked
from conversations.models import Kind, Message, MessageRole, MessageStatus
from conversations.replies import runner
from conversations.tests.talking import rows
from usage.models import Hold, UsageLog

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _model(quick_model, monkeypatch):
    monkeypatch.setattr(strays, "AGAIN_AFTER", 0.02)


@pytest.fixture
def unheard(monkeypatch):
    """`unheard(place, name)`: the next transaction of that function commits, and nobody hears."""
    thread = threading.local()
    # The wrapper's own, for all threads.
    kind = type(connections["default"])
    commit = kind._commit

    def commit_and_break(wrapper):
        commit(wrapper)
        if getattr(thread, "breaks", False):
            thread.breaks = False
            if wrapper.vendor == "postgresql":
                wrapper.connection.close()
            raise OperationalError("server closed the connection unexpectedly")

    def arrange(place, name, wanted=lambda *args, **kwargs: True):
        there, left = getattr(place, name), [True]

        def broken(*args, **kwargs):
            thread.breaks = bool(left) and wanted(*args, **kwargs)
            if thread.breaks:
                left.clear()
            return there(*args, **kwargs)

        monkeypatch.setattr(place, name, broken)

    monkeypatch.setattr(kind, "_commit", commit_and_break)
    return arrange


async def act(step, *args):
    await runner().act(lambda: step(*args))


async def all_quiet():
    async with asyncio.timeout(5):
        await runner().wait()


async def well_settled(calls):
    """Each call was logged once, by what it cost, and nothing is held any more."""
    assert await UsageLog.objects.filter(is_estimate=False).acount() == calls
    assert await UsageLog.objects.acount() == calls
    assert not await Hold.objects.held().aexists()


async def test_a_send_whose_answer_was_lost_is_replied_to_at_once(
    conversation, model_server, unheard
):
    unheard(turns, "send")
    client_id = uuid4()
    with pytest.raises(OperationalError):
        await act(turns.send, conversation.pk, client_id, "Hello")
    await act(turns.send, conversation.pk, client_id, "Hello")
    await all_quiet()
    statuses = [(row.role, row.status, row.restarts) for row in await rows(conversation)]
    whole = MessageStatus.COMPLETE
    assert statuses == [("user", whole, 0), ("partner", whole, 0), ("coach", whole, 0)]
    assert len(model_server.requests("partner")) == 1
    await well_settled(calls=2)


@pytest.mark.parametrize("kind", [Kind.NOTE, Kind.ASIDE, Kind.DEBRIEF])
async def test_what_the_coach_owes_is_begun_though_the_answer_was_lost(
    conversation, model_server, unheard, kind
):
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    if kind != Kind.NOTE:
        await all_quiet()
    begin = {
        Kind.NOTE: (leases, "finish", None),
        Kind.ASIDE: (turns, "ask", [conversation.pk, uuid4(), "And now?"]),
        Kind.DEBRIEF: (turns, "end", [conversation.pk]),
    }
    place, name, args = begin[kind]
    unheard(place, name)
    if args:
        with pytest.raises(OperationalError):
            await act(getattr(place, name), *args)
    await all_quiet()
    (reply,) = await rows(conversation, role=MessageRole.COACH, kind=kind)
    assert (reply.status, reply.failure) == (MessageStatus.COMPLETE, "")
    await well_settled(calls=2 if kind == Kind.NOTE else 3)


async def test_a_partner_begun_again_unheard_runs(conversation, model_server, unheard):
    model_server.script("partner", no_answer=True)
    unheard(leases, "finish")
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    await all_quiet()
    first, second = await rows(conversation, role=MessageRole.PARTNER)
    assert (first.failure, second.status, second.restarts) == ("asked_again", "complete", 1)
    assert len(model_server.requests("partner")) == 2


async def test_what_is_taken_over_unheard_runs(conversation, model_server, say, unheard):
    line = await sync_to_async(say)("user", "Hello")
    dead = {"lease_owner": "dead", "lease_expires_at": timezone.now() - timedelta(seconds=1)}
    await sync_to_async(say)("partner", "", parent=line, status="streaming", **dead)
    unheard(leases, "take_over")
    with pytest.raises(OperationalError):
        await runner().recover()
    await all_quiet()
    assert (await rows(conversation, role="partner"))[-1].status == MessageStatus.COMPLETE


async def test_it_is_looked_for_until_the_database_is_back(
    conversation, model_server, unheard, monkeypatch
):
    there, tries = leases.strays, []

    def away(known):
        tries.append(known)
        if len(tries) < 4:
            raise OperationalError
        return there(known)

    monkeypatch.setattr(leases, "strays", away)
    unheard(turns, "send")
    with pytest.raises(OperationalError):
        await act(turns.send, conversation.pk, uuid4(), "Hello")
    await all_quiet()
    assert len(tries) == 4
    assert (await rows(conversation, role="partner"))[-1].status == MessageStatus.COMPLETE


async def test_what_is_doubted_while_it_is_looked_is_looked_for_again(
    conversation, model_server, monkeypatch
):
    there, looks, loop = leases.strays, [], asyncio.get_running_loop()
    doubt = runner()._strays.doubt

    def too_early(known):
        looks.append(known)
        if len(looks) == 1:
            loop.call_soon_threadsafe(doubt)
            return []
        return there(known)

    monkeypatch.setattr(leases, "strays", too_early)
    await runner().take(turns.send, conversation.pk, uuid4(), "Hello")
    doubt()
    await all_quiet()
    assert (await rows(conversation, role="partner"))[-1].status == MessageStatus.COMPLETE


async def test_an_adoption_that_is_not_heard_of_is_made_again(conversation, model_server, unheard):
    unheard(turns, "send")
    unheard(leases, "adopt")
    with pytest.raises(OperationalError):
        await act(turns.send, conversation.pk, uuid4(), "Hello")
    await all_quiet()
    assert (await rows(conversation, role="partner"))[-1].status == MessageStatus.COMPLETE
    assert len(model_server.requests("partner")) == 1


async def test_what_another_thread_is_just_beginning_is_no_stray(
    conversation, model_server, monkeypatch
):
    """It stands in the database, and its runner has not heard of it yet."""
    stored, go_on, there = threading.Event(), threading.Event(), turns.send
    adopted = []

    def slow_to_return(*args):
        step = there(*args)
        stored.set()
        go_on.wait(5)
        return step

    monkeypatch.setattr(leases, "adopt", lambda pk: adopted.append(pk))
    asked = asyncio.create_task(act(slow_to_return, conversation.pk, uuid4(), "Hello"))
    await asyncio.to_thread(stored.wait, 5)
    assert await sync_to_async(leases.strays)({})
    runner()._strays.doubt()
    await asyncio.sleep(0.1)
    go_on.set()
    await asked
    await all_quiet()
    assert adopted == []
    assert len(model_server.requests("partner")) == 1
    await well_settled(calls=2)


async def test_a_reply_that_runs_is_not_begun_twice(conversation, model_server):
    model_server.script("partner", chunks=["One ", "two"], pause=1)
    sent = await runner().take(turns.send, conversation.pk, uuid4(), "Hello")
    again = await runner().take(leases.adopt, sent.replies[0].message.pk)
    for step in (sent, again):
        runner().carry_out(step)
    await sync_to_async(model_server.wait_for)("partner")
    model_server.release()
    await all_quiet()
    assert len(model_server.requests("partner")) == 1
    await well_settled(calls=2)


async def test_a_stray_that_is_to_be_stopped_is_stopped(conversation, model_server):
    sent = await runner().take(turns.send, conversation.pk, uuid4(), "Hello")
    await sync_to_async(turns.request_stop)(conversation.pk, sent.replies[0].message.pk)
    runner()._strays.doubt()
    await all_quiet()
    (reply,) = await rows(conversation, role="partner")
    assert reply.status == MessageStatus.STOPPED
    assert model_server.requests("partner") == []
    await well_settled(calls=0)


async def test_one_that_may_have_been_called_for_is_charged_and_begun_again(
    conversation, model_server
):
    sent = await runner().take(turns.send, conversation.pk, uuid4(), "Hello")
    await Message.objects.filter(pk=sent.replies[0].message.pk).aupdate(waiting_since=None)
    runner()._strays.doubt()
    await all_quiet()
    lost, again = await rows(conversation, role="partner")
    assert (lost.status, lost.failure) == (MessageStatus.INTERRUPTED, "lost")
    assert (again.status, again.restarts) == (MessageStatus.COMPLETE, 1)
    assert await UsageLog.objects.filter(is_estimate=True).acount() == 1


@pytest.mark.parametrize("change", [{"lease_owner": "another"}, {"status": "interrupted"}])
async def test_what_is_not_ours_any_more_is_left_alone(conversation, change):
    sent = await runner().take(turns.send, conversation.pk, uuid4(), "Hello")
    pk = sent.replies[0].message.pk
    ended = {"lease_expires_at": None} if "status" in change else {}
    await Message.objects.filter(pk=pk).aupdate(**change, **ended)
    assert await sync_to_async(leases.adopt)(pk) is None
    assert await sync_to_async(leases.strays)({}) == []


async def test_a_reply_that_could_not_be_stored_in_time_is_taken_up_once_it_can_be(
    conversation, model_server, monkeypatch
):
    def away(*args, **kwargs):
        raise OperationalError

    monkeypatch.setattr(replies, "PATIENCE", 1)
    with monkeypatch.context() as outage:
        outage.setattr(leases, "finish", away)
        outage.setattr(leases, "strays", away)
        await act(turns.send, conversation.pk, uuid4(), "Hello")
        await asyncio.to_thread(model_server.wait_for, "partner")
        async with asyncio.timeout(5):
            while runner()._runs:
                await asyncio.sleep(0.01)
    await all_quiet()
    lost, again = await rows(conversation, role="partner")
    assert (lost.failure, again.status) == ("lost", MessageStatus.COMPLETE)


@pytest.mark.parametrize("trouble", [DataError, IntegrityError])
async def test_a_reply_whose_end_the_database_refuses_is_lost_and_begun_again(
    conversation, model_server, monkeypatch, trouble
):
    there, tries = leases.finish, []

    def refuse(*args, **kwargs):
        tries.append(kwargs["status"])
        if len(tries) < 3:
            raise trouble
        return there(*args, **kwargs)

    monkeypatch.setattr(leases, "finish", refuse)
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    await all_quiet()
    assert tries[:2] == [MessageStatus.COMPLETE, MessageStatus.INTERRUPTED]
    lost, again = await rows(conversation, role="partner")
    assert (lost.status, lost.failure) == (MessageStatus.INTERRUPTED, "lost")
    assert (again.status, again.restarts) == (MessageStatus.COMPLETE, 1)
    assert not await Hold.objects.held().aexists()


def test_a_reply_asks_what_it_was_to_ask_whenever_it_is_resumed(conversation, say):
    """Rows that came, and ended, since it was begun change nothing of its request."""
    say("partner", "Hi.", parent=say("user", "Hello"))
    say("coach", "Good.")
    turns.ask(conversation.pk, uuid4(), "How do I go on?")
    Message.objects.streaming().update(status=MessageStatus.COMPLETE, lease_expires_at=None)
    sent = turns.send(conversation.pk, uuid4(), "And how are you?")
    asked = turns.ask(conversation.pk, uuid4(), "Was that good?")
    partner, answer = sent.replies[0], asked.replies[0]
    finish = {"status": MessageStatus.COMPLETE, "content": "Well enough."}
    with transaction.atomic():
        leases.finish(partner.message.pk, **finish)
        transaction.set_rollback(True)
    for reply, meanwhile in ((answer, partner), (partner, answer)):
        with transaction.atomic():
            leases.finish(meanwhile.message.pk, **finish)
            row = Message.objects.select_related("hold").get(pk=reply.message.pk)
            resumed = Locked(conversation.pk).resume(row)
            assert (resumed.request, resumed.since) == (reply.request, reply.since)
            assert resumed.hold == reply.hold
            transaction.set_rollback(True)
