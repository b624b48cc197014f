"""Replies that lose their process or their database: who takes them over, and what comes then."""

import asyncio
import json
from datetime import timedelta
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.utils import timezone

from conversations import leases, llm, marks, replies, taking, turns
from conversations.live import hub
from conversations.models import Message, MessageRole, MessageStatus
from conversations.replies import runner
from conversations.tests.talking import Listening, act, partner_of, row_when, rows, talk, usage_of
from usage.models import UsageLog

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_model")]


async def test_a_reply_whose_process_died_is_begun_again_by_whoever_looks(
    conversation, model_server, say
):
    line = await sync_to_async(say)("user", "Hello")
    lost = await sync_to_async(say)(
        "partner",
        "Half a",
        parent=line,
        status=MessageStatus.STREAMING,
        lease_owner="dead",
        lease_expires_at=timezone.now() - timedelta(seconds=1),
    )
    model_server.script("partner", text="Whole.")
    taken = await asyncio.gather(*(runner().recover(conversation.pk) for _ in range(5)))
    assert sum(taken) == 1
    await runner().wait()
    await lost.arefresh_from_db()
    assert (lost.status, lost.content) == ("interrupted", "Half a")
    assert (await partner_of(conversation)).content == "Whole."
    assert len(model_server.requests("partner")) == 1


@pytest.mark.parametrize("trouble", [OperationalError, KeyError])
async def test_a_reply_runs_whatever_kept_pages_from_being_told(
    conversation, model_server, monkeypatch, trouble
):
    def away(*_):
        monkeypatch.undo()
        raise trouble

    page = Listening()
    hub().listen(conversation.pk, page)
    monkeypatch.setattr(taking, "_news", away)
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    await runner().wait()
    assert json.loads(page.heard[0]) == {"type": "resync"}
    assert (await partner_of(conversation)).status == MessageStatus.COMPLETE


async def test_after_an_outage_others_get_the_time_to_renew_their_leases(
    conversation, say, model_server, monkeypatch
):
    late = timezone.now() - timedelta(seconds=1)
    say_so = sync_to_async(say)
    line = await say_so("user", "Hello")
    streaming = {"status": MessageStatus.STREAMING, "lease_owner": "another"}
    lost = await say_so("partner", "Half a", parent=line, **streaming)
    await Message.objects.filter(pk=lost.pk).aupdate(lease_owner="another", lease_expires_at=late)

    def away(*args, **kwargs):
        raise OperationalError

    with monkeypatch.context() as outage:
        outage.setattr(leases, "lost", away)
        with pytest.raises(OperationalError):
            await runner().recover()
    assert await runner().recover() == 0
    # What one that shut down left behind needs no patience.
    left = {"status": MessageStatus.INTERRUPTED, "begin_again": True, "lease_owner": ""}
    await Message.objects.filter(pk=lost.pk).aupdate(**left, lease_expires_at=None)
    assert await runner().recover() == 1
    await runner().wait()


async def test_a_process_does_not_take_over_what_it_runs_itself(
    conversation, model_server, monkeypatch
):
    monkeypatch.setattr(replies, "CHECKPOINT_SECONDS", 30)
    model_server.script("partner", text="One two", pause=1)
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    await sync_to_async(model_server.wait_for)("partner")
    late = timezone.now() - timedelta(seconds=1)
    await conversation.messages.streaming().aupdate(lease_expires_at=late)
    assert await runner().recover() == 0
    model_server.release()
    await runner().wait()
    partner = await partner_of(conversation)
    assert (partner.status, partner.content) == (MessageStatus.COMPLETE, "One two")


@pytest.mark.parametrize("work", ["reserve_counted", "_mark", "finish"])
async def test_a_reply_waits_for_a_database_that_is_away(
    conversation, model_server, monkeypatch, tight, work
):
    place = {"reserve_counted": replies, "_mark": marks, "finish": leases}[work]
    there, tries = getattr(place, work), []

    def away(*args, **kwargs):
        tries.append(args)
        if len(tries) < 4:
            raise OperationalError
        return there(*args, **kwargs)

    page = Listening()
    hub().listen(conversation.pk, page)
    monkeypatch.setattr(place, work, away)
    model_server.script("partner", text="Whole.")
    reply = await talk(conversation)
    assert (reply.status, reply.content) == ("complete", "Whole.")
    assert len(model_server.requests("partner")) == 1
    assert json.dumps({"type": "resync"}) in page.heard
    hub().leave(conversation.pk, page)


async def test_a_reply_that_was_taken_over_writes_nothing_more(conversation, model_server):
    model_server.script("partner", chunks=["One ", "two"], stall=1)
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    reply = await partner_of(conversation)
    await Message.objects.filter(pk=reply.pk).aupdate(lease_owner="somebody-else", content="theirs")
    async with asyncio.timeout(2):
        await runner().wait()
    await reply.arefresh_from_db()
    assert (reply.status, reply.content) == ("streaming", "theirs")


async def test_what_is_taken_over_between_two_tries_costs_nothing_and_calls_no_more(
    conversation, model_server, monkeypatch
):
    monkeypatch.setattr(llm, "BACKOFF", (0.4, 0.4))
    monkeypatch.setattr(replies, "CHECKPOINT_SECONDS", 30)
    model_server.script("partner", status=429)
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    await sync_to_async(model_server.wait_for)("partner")
    row = await row_when(conversation, lambda row: row.waiting_since)
    late = timezone.now() - timedelta(seconds=1)
    await conversation.messages.streaming().aupdate(
        lease_expires_at=late, lease_owner="other", stop_requested_at=late
    )
    await sync_to_async(leases.take_over)(row.pk)
    await runner().wait()
    assert len(model_server.requests("partner")) == 1
    assert not await UsageLog.objects.aexists()
    assert (await usage_of(conversation))["held_tokens"] == 0


async def test_a_reply_that_is_not_ours_any_more_makes_no_call(conversation, model_server):
    sent = await runner().take(turns.send, conversation.pk, uuid4(), "Hello")
    await conversation.messages.streaming().aupdate(lease_owner="other")
    runner().carry_out(sent)
    await runner().wait()
    assert model_server.requests("partner") == []


async def test_who_tries_again_what_was_handed_over_gets_one_reply(conversation, model_server, say):
    line = await sync_to_async(say)("user", "Hello")
    lost = await sync_to_async(say)(
        "partner",
        "",
        parent=line,
        status=MessageStatus.INTERRUPTED,
        failure="lost",
        begin_again=True,
    )
    await act(turns.retry, conversation.pk, lost.pk)
    await runner().recover(conversation.pk)
    await runner().wait()
    await runner().recover(conversation.pk)
    await runner().wait()
    await lost.arefresh_from_db()
    assert not lost.begin_again
    assert len(model_server.requests("partner")) == 1
    assert len(await rows(conversation, role=MessageRole.COACH)) == 1


async def test_a_newer_turn_makes_a_lost_reply_moot(conversation, model_server, say):
    line = await sync_to_async(say)("user", "Hello")
    lost = await sync_to_async(say)(
        "partner", "", parent=line, status=MessageStatus.INTERRUPTED, begin_again=True
    )
    await act(turns.send, conversation.pk, uuid4(), "Hello?")
    await runner().wait()
    await lost.arefresh_from_db()
    assert not lost.begin_again
    assert await runner().recover() == 0
