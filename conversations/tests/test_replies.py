"""The life of a reply against a model server: what is stored, charged and told."""

import asyncio
import json
from itertools import pairwise
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async

from conversations import turns
from conversations.live import hub
from conversations.models import Kind, MessageRole, MessageStatus
from conversations.replies import runner
from conversations.tests.talking import Listening, act, partner_of, rows, talk, usage_of
from invitations.models import Invitation
from usage.models import Hold, HoldState, UsageLog

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_model")]


async def test_an_exchange_is_stored_noted_and_charged(conversation, model_server):
    model_server.script(
        "partner", text="Oh, it's you.", usage={"input_tokens": 50, "output_tokens": 4}
    )
    model_server.script(
        "coach", text="“Hello” opens.", usage={"input_tokens": 70, "output_tokens": 6}
    )
    reply = await talk(conversation)
    assert (reply.status, reply.content, reply.failure) == ("complete", "Oh, it's you.", "")
    (note,) = await rows(conversation, role=MessageRole.COACH)
    assert (note.kind, note.content, note.parent_id) == (
        Kind.NOTE,
        "“Hello” opens.",
        reply.parent_id,
    )
    assert await usage_of(conversation) == {
        "input_tokens": 120,
        "output_tokens": 10,
        "held_tokens": 0,
    }
    logs = [log async for log in UsageLog.objects.order_by("timestamp")]
    assert [log.stream_type for log in logs] == ["partner", "coach"]
    assert not await Hold.objects.held().aexists()


async def test_the_hold_stands_while_the_call_runs(conversation, model_server):
    model_server.script("partner", chunks=["One ", "two"], pause=1)
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    async with asyncio.timeout(5):
        while not model_server.requests("partner"):
            await asyncio.sleep(0.01)
    hold = await Hold.objects.aget()
    assert (await usage_of(conversation))["held_tokens"] == hold.tokens
    model_server.release()
    await runner().wait()
    await hold.arefresh_from_db()
    assert hold.state == HoldState.SETTLED


async def test_what_was_streamed_is_what_is_stored(conversation, model_server):
    chunks = ["Ünï", "👩‍👩‍👧 ", "x" * 50, "\x00", " العربية", "."]
    model_server.script("partner", chunks=chunks, delay=0.02)
    page = Listening()
    hub().listen(conversation.pk, page)
    reply = await talk(conversation)
    text = ""
    for frame in map(json.loads, page.heard):
        if frame["type"] == "chunk" and frame["message"] == reply.pk:
            assert frame["index"] == len(text)
            text += frame["text"]
    assert text == reply.content == "".join(chunks).replace("\x00", "")
    hub().leave(conversation.pk, page)


async def test_half_a_character_of_the_models_is_a_question_mark(conversation, model_server):
    model_server.script("partner", chunks=["One ", "\ud83d", " two"])
    page = Listening()
    hub().listen(conversation.pk, page)
    reply = await talk(conversation)
    hub().leave(conversation.pk, page)
    assert (reply.status, reply.content) == ("complete", "One ? two")
    assert all(text.encode() for text in page.heard)


async def test_it_checkpoints_on_the_way(conversation, model_server):
    model_server.script("partner", chunks=["One ", "two"], pause=1)
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    async with asyncio.timeout(5):
        while (await partner_of(conversation)).content != "One ":
            await asyncio.sleep(0.02)
    model_server.release()
    await runner().wait()


@pytest.mark.parametrize("sent", [True, False], ids=["after the request", "before the request"])
async def test_stop_before_the_first_token(conversation, model_server, sent):
    model_server.script("partner", text="Late.", header_delay=30)
    reply = (await act(turns.send, conversation.pk, uuid4(), "Hello")).replies[0].message
    async with asyncio.timeout(5):
        while sent and not model_server.requests("partner"):
            await asyncio.sleep(0.01)
    hub().request_stop(conversation.pk, reply.pk)
    async with asyncio.timeout(1):
        await runner().wait()
    reply = await partner_of(conversation)
    assert (reply.status, reply.content) == ("stopped", "")
    assert not await Hold.objects.held().aexists()
    assert await UsageLog.objects.acount() == sent
    model_server.reset()
    model_server.script("partner", text="Yes?")
    assert (await talk(conversation, "Another")).content == "Yes?"


async def test_stop_in_mid_stream_keeps_the_text_and_ends_the_call(conversation, model_server):
    model_server.script(
        "partner", chunks=["One ", "two"], pause=1, usage={"input_tokens": 50, "output_tokens": 9}
    )
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    reply = await partner_of(conversation)
    async with asyncio.timeout(5):
        while (await partner_of(conversation)).content != "One ":
            await asyncio.sleep(0.02)
    hub().request_stop(conversation.pk, reply.pk)
    async with asyncio.timeout(1):
        while not model_server.requests("partner")[-1]["closed_early"]:
            await asyncio.sleep(0.01)
    await runner().wait()
    await reply.arefresh_from_db()
    assert (reply.status, reply.content) == ("stopped", "One ")
    log = await UsageLog.objects.aget(stream_type="partner")
    assert (log.input_tokens, log.output_tokens, log.is_estimate) == (50, 400, True)


async def test_a_stop_that_only_the_database_tells_of_is_heeded(conversation, model_server):
    model_server.script("partner", chunks=["One ", "two"], stall=1)
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    reply = await partner_of(conversation)
    await sync_to_async(turns.request_stop)(conversation.pk, reply.pk)
    async with asyncio.timeout(2):
        await runner().wait()
    assert (await partner_of(conversation)).status == "stopped"


async def test_trying_again_is_a_new_row_and_the_old_one_stays(conversation, model_server):
    model_server.script("partner", chunks=["One ", "two"], cut=1)
    failed = await talk(conversation)
    model_server.script("partner", text="Whole.")
    await act(turns.retry, conversation.pk, failed.pk)
    await runner().wait()
    await failed.arefresh_from_db()
    assert (failed.status, failed.content) == ("interrupted", "One ")
    reply = await partner_of(conversation)
    assert (reply.content, reply.parent_id) == ("Whole.", failed.parent_id)
    said = model_server.requests("partner")[-1]["body"]["messages"]
    assert [turn["role"] for turn in said] == ["user"]


async def test_the_coachs_failure_is_not_the_partners(conversation, model_server):
    model_server.script("coach", default=True, status=529)
    reply = await talk(conversation)
    assert reply.status == "complete"
    (note,) = await rows(conversation, role=MessageRole.COACH)
    assert (note.status, note.pane) == ("failed", "coach")


async def test_the_partner_never_hears_the_coach(conversation, model_server):
    model_server.script("coach", default=True, text="COACH-WORDS")
    await talk(conversation, "Hello")
    await act(turns.ask, conversation.pk, uuid4(), "PRIVATE-WORDS")
    await runner().wait()
    await talk(conversation, "And now?")
    for request in model_server.requests("partner"):
        assert "COACH-WORDS" not in str(request["body"])
        assert "PRIVATE-WORDS" not in str(request["body"])
        assert "SECRET-COACH" not in str(request["body"])


async def test_each_request_is_a_prefix_of_the_next(conversation, model_server):
    for text in ("One?", "Two?", "Three?"):
        await talk(conversation, text)
    for stream in ("partner", "coach"):
        bodies = [request["body"] for request in model_server.requests(stream)]
        assert len(bodies) == 3
        for before, after in pairwise(bodies):
            assert after["system"] == before["system"]
            assert after["messages"][: len(before["messages"])] == before["messages"]


async def test_the_next_hold_builds_on_what_the_last_call_really_had(conversation, model_server):
    usage = {"input_tokens": 90, "output_tokens": 5}
    model_server.script("partner", default=True, text="Hm.", usage=usage)
    await talk(conversation, "Hello")
    await talk(conversation, "Again")
    first, second = [
        hold async for hold in Hold.objects.filter(stream_type="partner").order_by("created_at")
    ]
    assert second.tokens < first.tokens
    assert second.tokens > 90 + 400


async def test_a_long_conversation_is_told_from_later_on_before_the_model_complains(
    conversation, model_server, settings
):
    settings.CONTEXT_TOKENS = 1500
    await Invitation.objects.filter(pk=conversation.invitation_id).aupdate(
        quota={"tokens": 10_000_000, "label": ""}
    )
    begins = []
    for number in range(30):
        await talk(conversation, f"Line {number}. " + "Some words of mine. " * 10)
        body = model_server.requests("partner")[-1]["body"]
        begins.append(body["messages"][0]["content"][0]["text"][:8])
        assert "Ray, loud and lonely" in body["system"][0]["text"]
        assert f"Line {number}." in json.dumps(body["messages"][-1])
    assert all(m.status == "complete" for m in await rows(conversation, role="partner"))
    # In large steps: between two of them requests only grow.
    assert 1 < len(set(begins)) < 12
    for call in model_server.requests("coach"):
        assert call["body"]["messages"][0]["role"] == "user"
    sizes = [len(json.dumps(c["body"]["messages"])) for c in model_server.requests("coach")]
    assert max(sizes) < 3 * 1500 * 2.5


async def test_ending_writes_a_debrief_and_counts_it(conversation, model_server):
    await talk(conversation)
    model_server.script("coach", text="What went well:\n- x\n\nWhat to try next:\n- y")
    await act(turns.end, conversation.pk)
    await runner().wait()
    (report,) = await rows(conversation, kind=Kind.DEBRIEF)
    assert report.status == "complete"
    assert await UsageLog.objects.filter(stream_type="debrief").acount() == 1


async def test_ending_while_the_partner_speaks_stops_them_first(conversation, model_server):
    model_server.script("partner", chunks=["One ", "two"], stall=1)
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    async with asyncio.timeout(5):
        while (await partner_of(conversation)).content != "One ":
            await asyncio.sleep(0.02)
    await act(turns.end, conversation.pk)
    async with asyncio.timeout(5):
        await runner().wait()
    assert (await partner_of(conversation)).status == "stopped"
    assert await rows(conversation, kind=Kind.DEBRIEF, status=MessageStatus.COMPLETE)


async def test_pages_hear_of_a_reply_before_its_end_however_quickly_it_fails(
    conversation, model_server
):
    model_server.script("partner", status=401)
    page = Listening()
    hub().listen(conversation.pk, page)
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    await runner().wait()
    hub().leave(conversation.pk, page)
    frames = [json.loads(text) for text in page.heard]
    seen = [f["status"] for f in frames if f["type"] == "turn" and f["role"] == "partner"]
    assert seen == ["streaming", "failed"]
