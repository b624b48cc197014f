"""Shutting down: what ends, what is handed over, and what the next process makes of it."""

import asyncio
import time
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError

from conversations import leases, replies, turns
from conversations.live import hub
from conversations.models import Message
from conversations.replies import runner
from conversations.tests.talking import Listening, act, counts, partner_of, usage_of
from usage.models import Hold, UsageLog

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_model")]


async def test_a_drain_lets_a_short_reply_end(conversation, model_server):
    model_server.script("partner", chunks=["One ", "two"], delay=0.05)
    page = Listening()
    hub().listen(conversation.pk, page)
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    await runner().drain(5)
    hub().leave(conversation.pk, page)
    reply = await partner_of(conversation)
    assert (reply.status, reply.content) == ("complete", "One two")
    assert page.codes == [1012]


async def test_a_drain_waits_for_what_is_being_stored(conversation, model_server):
    def slowly():
        time.sleep(0.3)
        return turns.send(conversation.pk, uuid4(), "Hello")

    asked = asyncio.create_task(runner().act(slowly))
    await asyncio.sleep(0.1)
    await runner().drain(5)
    assert asked.done()
    assert (await partner_of(conversation)).status == "complete"


async def test_a_drain_hands_a_long_reply_over_and_the_next_process_begins_it_again_once(
    conversation, model_server
):
    usage = counts(50, 9)
    model_server.script("partner", chunks=["One ", "two"], stall=1, usage=usage)
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    async with asyncio.timeout(5):
        while (await partner_of(conversation)).content != "One ":
            await asyncio.sleep(0.02)
    async with asyncio.timeout(2):
        await runner().drain(0.05)
    lost = await partner_of(conversation)
    assert (lost.status, lost.content, lost.failure) == ("interrupted", "One ", "lost")
    assert not await Hold.objects.held().aexists()
    assert not await Message.objects.streaming().aexists()
    assert (await usage_of(conversation))["input_tokens"] == 50

    replies._runners.clear()  # the next process
    model_server.script("partner", text="Whole.")
    taken = await asyncio.gather(*(runner().recover() for _ in range(5)))
    assert sum(taken) == 1
    await runner().wait()
    assert (await partner_of(conversation)).content == "Whole."
    assert await runner().recover() == 0


async def test_a_drain_ends_though_the_database_is_away(conversation, model_server, monkeypatch):
    def away(*args, **kwargs):
        raise OperationalError

    model_server.script("partner", text="Hello.")
    monkeypatch.setattr(leases, "finish", away)
    monkeypatch.setattr(replies, "FAREWELL", 0.2)
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    async with asyncio.timeout(2):
        await runner().drain(0.3)
    monkeypatch.undo()
    await runner().wait()


async def test_a_reply_that_begins_during_the_end_of_a_drain_makes_no_call(
    conversation, model_server
):
    await runner().drain(0)
    runner()._closed = True
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    await runner().wait()
    reply = await partner_of(conversation)
    assert (reply.status, reply.begin_again) == ("interrupted", True)
    assert model_server.requests("partner") == []


async def test_what_is_dropped_while_the_process_leaves_is_asked_again_by_the_next_one(
    conversation, model_server
):
    """What the page reads of it, that it was asked again, is true as soon as another looks."""
    model_server.script("partner", no_answer=True, header_delay=0.3)
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    await sync_to_async(model_server.wait_for)("partner")
    await runner().drain(5)
    dropped = await partner_of(conversation)
    assert (dropped.status, dropped.failure) == ("interrupted", "asked_again")
    assert not dropped.can_retry
    log = await UsageLog.objects.aget()
    hold = await Hold.objects.aget()
    assert (log.is_estimate, log.input_tokens + log.output_tokens) == (True, hold.tokens)
    replies._runners.clear()  # the next process
    assert await runner().recover() == 1
    await runner().wait()
    again = await partner_of(conversation)
    assert (again.status, again.restarts) == ("complete", 1)
    assert len(model_server.requests("partner")) == 2
