"""The life of a reply against a model server: what is stored, charged and told, however it ends."""

import asyncio
import json
import time
from datetime import timedelta
from itertools import pairwise
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.utils import timezone

from conversations import leases, llm, marks, replies, taking, turns
from conversations.live import hub
from conversations.models import Kind, Message, MessageRole, MessageStatus
from conversations.prompts import PARTNER_MOST, partner_request
from conversations.replies import runner
from conversations.reservations import reserve_counted
from invitations.models import Invitation
from usage.models import Hold, HoldState, UsageLog

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _model(settings, model_server, monkeypatch):
    settings.ANTHROPIC_BASE_URL = model_server.url
    settings.ANTHROPIC_API_KEY = "key"
    monkeypatch.setattr(llm, "BACKOFF", (0.01, 0.01))
    monkeypatch.setattr(replies, "CHECKPOINT_SECONDS", 0.05)


class Listening:
    """A socket that keeps what it is given."""

    def __init__(self):
        self.heard, self.codes = [], []

    def deliver(self, text):
        self.heard.append(text)

    def hang_up(self, code):
        self.codes.append(code)


async def act(step, *args):
    """Carry out a step of `turns` and return its frames' texts once nothing runs any more."""
    done = await runner().take(step, *args)
    runner().carry_out(done)
    return done


async def rows(conversation, **wanted):
    return await sync_to_async(lambda: list(conversation.messages.filter(**wanted)))()


async def partner_of(conversation):
    return (await rows(conversation, role=MessageRole.PARTNER))[-1]


async def talk(conversation, text="Hello"):
    await act(turns.send, conversation.pk, uuid4(), text)
    await runner().wait()
    return await partner_of(conversation)


def counts(input_tokens, output_tokens):
    return {"input_tokens": input_tokens, "output_tokens": output_tokens}


async def usage_of(conversation):
    return (await Invitation.objects.aget(pk=conversation.invitation_id)).usage


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


async def row_when(conversation, is_so):
    async with asyncio.timeout(5):
        while not is_so(row := await partner_of(conversation)):
            await asyncio.sleep(0.01)
    return row


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


async def test_a_small_budget_is_counted_exactly_and_the_reply_may_be_as_long_as_ever(
    conversation, model_server, tight
):
    model_server.script("partner", text="Hm.")
    reply = await talk(conversation)
    assert reply.status == "complete"
    assert model_server.requests("partner")[-1]["body"]["max_tokens"] == PARTNER_MOST


@pytest.mark.parametrize("body", ['{"input_tokens": 0}', '{"input_tokens": -5000}', "[]", "<html>"])
async def test_a_count_that_is_none_begins_nothing_where_only_a_count_would_fit(
    conversation, tight, model_server, body
):
    model_server.script("count", default=True, body=body)
    reply = await talk(conversation)
    assert (reply.status, reply.failure) == ("failed", "budget")
    assert model_server.requests("partner") == []


async def test_no_count_of_a_providers_overspends_a_budget(conversation, tight, model_server):
    model_server.script("partner", text="Hm.", usage=counts(5_000_000, 3))
    reply = await talk(conversation)
    assert (reply.status, reply.failure) == ("complete", "")
    invitation = await Invitation.objects.aget(pk=conversation.invitation_id)
    assert invitation.settled + invitation.held <= invitation.limit


async def probe(conversation, model_server):
    """What the model server counts for the first turn."""
    said = [Message(pk=1, role=MessageRole.USER, content="Hello")]
    return await llm.count_tokens(partner_request(conversation, said))


async def test_stop_ends_the_wait_for_a_count(conversation, tight, model_server):
    model_server.script("count", header_delay=5)
    await act(turns.send, conversation.pk, uuid4(), "Hello")
    async with asyncio.timeout(3):
        while len(model_server.requests("count")) < 2:  # one by `tight`
            await asyncio.sleep(0.01)
        runner().stop((await partner_of(conversation)).pk)
        await runner().wait()
    reply = await partner_of(conversation)
    assert (reply.status, reply.failure, reply.hold_id) == ("stopped", "", None)
    assert model_server.requests("partner") == []


async def test_a_budget_too_small_for_a_whole_reply_calls_nothing(conversation, model_server):
    await Invitation.objects.filter(pk=conversation.invitation_id).aupdate(
        quota={"tokens": 450, "label": ""}
    )
    reply = await talk(conversation)
    assert (reply.status, reply.failure) == ("failed", "budget")
    assert model_server.requests("partner") == []
    assert not await UsageLog.objects.aexists()
    assert (await usage_of(conversation)).get("held_tokens", 0) == 0


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


@pytest.fixture
async def tight(conversation, model_server):
    """A budget that only an exact count makes a reply fit into."""
    counted = await probe(conversation, model_server)
    quota = {"tokens": round(counted * 1.05) + 16 + PARTNER_MOST, "label": ""}
    await Invitation.objects.filter(pk=conversation.invitation_id).aupdate(quota=quota)


async def test_a_reply_that_was_taken_over_before_its_hold_calls_and_holds_nothing(
    conversation, model_server, tight
):
    sent = await runner().take(turns.send, conversation.pk, uuid4(), "Hello")
    assert sent.replies[0].hold is None
    late = timezone.now() - timedelta(seconds=1)
    await conversation.messages.streaming().aupdate(
        lease_expires_at=late, stop_requested_at=late, lease_owner="somebody-else"
    )
    await sync_to_async(leases.take_over)(sent.replies[0].message.pk)
    runner().carry_out(sent)
    await runner().wait()
    assert model_server.requests("partner") == []
    assert not await Hold.objects.aexists()
    assert (await usage_of(conversation)).get("held_tokens", 0) == 0


async def test_a_hold_taken_in_the_moment_of_a_take_over_is_given_back(
    conversation, monkeypatch, tight
):
    sent = await runner().take(turns.send, conversation.pk, uuid4(), "Hello")
    reply = sent.replies[0]
    late = timezone.now() - timedelta(seconds=1)
    await conversation.messages.streaming().aupdate(lease_expires_at=late, stop_requested_at=late)
    found = leases._found

    def found_a_moment_ago(pk):
        row = found(pk)
        reserve_counted(pk, reply.request, 0, 10)
        return row

    monkeypatch.setattr(leases, "_found", found_a_moment_ago)
    await sync_to_async(leases.take_over)(reply.message.pk)
    assert [hold.state async for hold in Hold.objects.all()] == [HoldState.RELEASED]
    assert (await usage_of(conversation))["held_tokens"] == 0


async def test_a_hold_whose_answer_got_lost_is_not_taken_twice(conversation, tight, model_server):
    sent = await runner().take(turns.send, conversation.pk, uuid4(), "Hello")
    reply = sent.replies[0]
    counted = await llm.count_tokens(reply.request)
    first, again = [
        await sync_to_async(reserve_counted)(reply.message.pk, reply.request, 0, counted)
        for _ in range(2)
    ]
    assert first == again
    assert await Hold.objects.acount() == 1


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


# --- Shutting down ---


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
