"""A reply's call, however it ends: one state with words, one row in the log, the right charge."""

import asyncio
import gc
import inspect
import json
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async

from conversations import llm, turns
from conversations.live import hub
from conversations.models import MessageRole
from conversations.prompts import PARTNER_MOST
from conversations.replies import runner
from conversations.tests.talking import (
    Listening,
    act,
    counts,
    partner_of,
    row_when,
    rows,
    talk,
    usage_of,
)
from usage.models import Hold, UsageLog

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_model")]


@pytest.mark.parametrize(
    ("behaviour", "status", "failure", "content"),
    [
        ({"status": 529, "times": 9}, "failed", "busy", ""),
        ({"status": 401}, "failed", "key", ""),
        ({"status": 404}, "failed", "model", ""),
        ({"chunks": ["One ", "two"], "cut": 1}, "interrupted", "cut", "One "),
        ({"chunks": ["One ", "two"], "no_stop": 1}, "interrupted", "cut", "One "),
        (
            {"chunks": ["One ", "two"], "error": "overloaded_error", "error_after": 1},
            "interrupted",
            "cut",
            "One ",
        ),
        ({"empty": True}, "failed", "cut", ""),
        ({"text": "", "stop_reason": "end_turn"}, "failed", "empty", ""),
        ({"text": "No.", "stop_reason": "refusal"}, "failed", "refusal", "No."),
        ({"text": "And so", "stop_reason": "max_tokens"}, "complete", "max_tokens", "And so"),
    ],
    ids=str,
)
async def test_every_ending_is_one_state_with_words_and_one_log_row(
    conversation, model_server, behaviour, status, failure, content
):
    model_server.script("partner", **behaviour)
    reply = await talk(conversation)
    assert (reply.status, reply.failure, reply.content) == (status, failure, content)
    assert await sync_to_async(lambda: reply.failure_words)()
    assert await UsageLog.objects.filter(stream_type="partner").acount() == 1
    assert not await Hold.objects.held().aexists()


async def test_a_provider_that_heeds_no_max_tokens_stores_no_flood(conversation, model_server):
    model_server.script("partner", chunks=["x" * 1_000] * 500, usage=counts(50, 3))
    reply = await talk(conversation)
    assert (reply.status, reply.failure) == ("complete", "max_tokens")
    assert reply.content == "x" * llm.MOST_CHARACTERS * PARTNER_MOST
    log = await UsageLog.objects.aget(stream_type="partner")
    assert (log.input_tokens, log.output_tokens, log.is_estimate) == (50, PARTNER_MOST, True)


async def test_an_error_event_before_the_first_token_is_tried_again_visibly_and_costs_nothing(
    conversation, model_server
):
    model_server.script("partner", error_first="api_error", ping_first=1)
    model_server.script("partner", text="At last.", usage=counts(50, 4))
    page = Listening()
    hub().listen(conversation.pk, page)
    reply = await talk(conversation)
    hub().leave(conversation.pk, page)
    assert (reply.status, reply.content, reply.restarts) == ("complete", "At last.", 0)
    notices = [f for f in map(json.loads, page.heard) if f["type"] == "notice"]
    assert [notice["message"] for notice in notices] == [reply.pk]
    log = await UsageLog.objects.aget(stream_type="partner")
    assert (log.input_tokens, log.output_tokens, log.is_estimate) == (50, 4, False)


@pytest.mark.parametrize("how", ["cut", "open"])
async def test_a_reply_that_is_whole_is_complete_and_heard_however_its_line_ends(
    conversation, model_server, how
):
    model_server.script("partner", text="Fine then.", usage=counts(50, 3), after_stop=how)
    reply = await talk(conversation)
    assert (reply.status, reply.failure, reply.content) == ("complete", "", "Fine then.")
    log = await UsageLog.objects.aget(stream_type="partner")
    assert (log.output_tokens, log.is_estimate) == (3, False)
    await talk(conversation, "And then?")
    said = model_server.requests("partner")[-1]["body"]["messages"]
    assert [turn["role"] for turn in said] == ["user", "assistant", "user"]


async def test_what_is_whole_when_it_is_stopped_is_complete(
    conversation, model_server, monkeypatch
):
    monkeypatch.setattr(llm, "FAREWELL", 30)
    model_server.script("partner", text="Fine then.", after_stop="open")
    sent = await act(turns.send, conversation.pk, uuid4(), "Hello")
    await row_when(conversation, lambda row: row.content == "Fine then.")
    hub().request_stop(conversation.pk, sent.replies[0].message.pk)
    async with asyncio.timeout(5):
        await runner().wait()
    assert (await partner_of(conversation)).status == "complete"


async def test_no_answer_is_charged_and_begun_again_by_itself_once(conversation, model_server):
    model_server.script("partner", no_answer=True)
    model_server.script("partner", text="Hello.")
    reply = await talk(conversation)
    first, _ = await rows(conversation, role=MessageRole.PARTNER)
    assert (first.status, first.failure, first.content) == ("interrupted", "asked_again", "")
    assert (reply.status, reply.content, reply.restarts) == ("complete", "Hello.", 1)
    logs = [log async for log in UsageLog.objects.filter(stream_type="partner")]
    assert sorted(log.is_estimate for log in logs) == [False, True]
    (unknown,) = [log for log in logs if log.is_estimate]
    hold = await Hold.objects.aget(pk=unknown.hold_id)
    assert unknown.input_tokens + unknown.output_tokens == hold.tokens
    assert len(model_server.requests("partner")) == 2


async def test_no_answer_twice_is_for_the_learner_to_try_again(conversation, model_server):
    model_server.script("partner", no_answer=True, times=2)
    reply = await talk(conversation)
    assert (reply.status, reply.failure, reply.can_retry) == ("interrupted", "dropped", True)
    assert await UsageLog.objects.filter(stream_type="partner").acount() == 2
    assert not await Hold.objects.held().aexists()
    await act(turns.retry, conversation.pk, reply.pk)
    await runner().wait()
    assert (await partner_of(conversation)).status == "complete"


async def test_no_answer_to_the_coach_is_the_coachs_failure(conversation, model_server):
    model_server.script("coach", no_answer=True)
    reply = await talk(conversation)
    assert reply.status == "complete"
    (note,) = await rows(conversation, role=MessageRole.COACH)
    assert (note.status, note.failure, note.can_retry) == ("interrupted", "dropped", True)
    assert await UsageLog.objects.filter(stream_type="coach").acount() == 1


async def test_a_refused_connection_is_no_call(conversation, settings):
    settings.ANTHROPIC_BASE_URL = "http://127.0.0.1:9"
    reply = await talk(conversation)
    assert (reply.status, reply.failure) == ("failed", "unreachable")
    assert not await UsageLog.objects.aexists()
    assert (await usage_of(conversation))["held_tokens"] == 0


async def test_the_row_says_whether_a_call_may_be_under_way(
    conversation, model_server, monkeypatch
):
    monkeypatch.setattr(llm, "BACKOFF", (0.4, 0.4))
    model_server.script("partner", status=429)
    model_server.script("partner", text="Hello.", header_delay=0.3)
    sent = await runner().take(turns.send, conversation.pk, uuid4(), "Hello")
    assert sent.replies[0].message.waiting_since
    runner().carry_out(sent)
    await sync_to_async(model_server.wait_for)("partner")
    await row_when(conversation, lambda row: row.waiting_since)
    await sync_to_async(model_server.wait_for)("partner", 2)
    assert (await partner_of(conversation)).waiting_since is None
    await runner().wait()


@pytest.mark.parametrize(
    "behaviour",
    [
        {"chunks": ["One ", "two"], "error": "overloaded_error", "error_after": 1},
        {"error_first": "invalid_request_error"},
        {"chunks": ["One ", "two"], "cut": 1},
        {"chunks": ["x" * 1_000] * 500},
        {"raw": "event: message_start\ndata: [1]\n\n"},
        {"text": "All of it."},
    ],
    ids=str,
)
async def test_nothing_of_a_line_is_left_for_the_garbage_collector(
    conversation, model_server, behaviour
):
    """It may run in any thread, and close what the loop's thread is closing in that moment."""
    model_server.script("partner", **behaviour)
    gc.collect()
    gc.disable()
    try:
        await talk(conversation)
        for _ in range(20):
            await asyncio.sleep(0)
        left = [each for each in gc.get_objects() if inspect.isasyncgen(each) and each.ag_frame]
    finally:
        gc.enable()
    assert [each for each in left if "site-packages" in each.ag_code.co_filename] == []
