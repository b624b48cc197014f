"""Whatever JSON a provider sends: text is kept, and the reply ends in one state, charged once."""

import json
from copy import deepcopy
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from conversations import leases, llm, turns
from conversations.models import MessageRole
from conversations.replies import runner
from conversations.tests.test_llm import speak
from invitations.models import Invitation
from usage.holds import CallUsage
from usage.models import Hold, UsageLog

pytestmark = pytest.mark.usefixtures("quick_model")

SAID = 3  # all of the text has come with so many events
START, END = (0, "message"), (4, "delta")


def events():
    """A reply of “Fine then.” as it should come."""
    message = {"id": "x", "type": "message", "role": "assistant", "model": "m", "content": []}
    text = {"type": "text_delta", "text": "Fine then."}
    return [
        {"type": "message_start", "message": message | {"usage": usage(50, 1)}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": text},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage(50, 3)},
        {"type": "message_stop"},
    ]


def usage(input_tokens, output_tokens):
    return {"input_tokens": input_tokens, "output_tokens": output_tokens}


NAMES = [event["type"] for event in events()] + ["error"]


def with_(path, value):
    """The events with `value` in place of what stands at `path`."""
    changed = deepcopy(events())
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return changed


def inserted(value, at=SAID):
    return [*events()[:at], value, *events()[at:]]


def on_wire(sent, name="content_block_delta"):
    """As text of the wire; what is no event has the `name` of one, what is text stands as it is."""
    lines = []
    for event in sent:
        kind = event.get("type") if isinstance(event, dict) else None
        kind = kind if kind in NAMES else name
        data = event if isinstance(event, str) else json.dumps(event)
        lines.append(f"event: {kind}\ndata: {data}\n\n")
    return "".join(lines)


def paths(value, at=()):
    """Where in the events a value stands, their kinds aside."""
    yield at
    if not isinstance(value, (dict, list)):
        return
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if not (len(at) == 1 and key == "type"):
            yield from paths(inner, (*at, key))


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
text = plain | st.text(st.characters(), max_size=8) | st.just("\ud83d")
junk = st.recursive(
    text, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
places = st.sampled_from([path for path in paths(events()) if path])
replies = st.one_of(
    st.builds(with_, places, junk),
    st.builds(inserted, junk, st.integers(0, len(events()))),
    st.lists(st.sampled_from(events()) | junk, max_size=6),
).map(on_wire)
quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def is_count(value):
    return type(value) is int and 0 <= value < 2**31


@given(raw=replies)
@example(raw=on_wire(inserted("[" * 100_000)))
@example(raw=on_wire(inserted("[" * 100_000, at=0)))
@example(raw=on_wire(inserted("1" * 5_000)))
@example(raw=on_wire(inserted({"type": "error", "error": {"type": {"a": 1}}}, at=0)))
@quick
async def test_a_call_ends_in_text_or_in_trouble(model_server, raw):
    model_server.reset()
    model_server.script("partner", raw=raw)
    model_server.script("partner", text="The next one.", default=True)
    text, call, trouble = await speak()
    assert text == text.replace("\x00", "").encode(errors="replace").decode()
    assert trouble is None or isinstance(trouble, llm.Trouble)
    assert isinstance(call.model, str)
    assert isinstance(call.stop_reason, str)
    assert call.usage is None or (
        is_count(call.usage.input_tokens) and is_count(call.usage.output_tokens)
    )


UNKNOWN = "many", -500, 2**31, 12.5, [1], {"a": 1}, float("nan")


@pytest.mark.parametrize("count", UNKNOWN, ids=str)
@pytest.mark.parametrize(
    "path",
    [
        (*START, "usage", "input_tokens"),
        (*START, "usage", "cache_read_input_tokens"),
        (4, "usage", "input_tokens"),
        (4, "usage", "output_tokens"),
    ],
    ids=str,
)
async def test_a_count_that_is_no_number_of_tokens_is_unknown(model_server, path, count):
    model_server.script("partner", raw=on_wire(with_(path, count)))
    text, call, trouble = await speak()
    if path[0] == 0 and path[-1] == "input_tokens":
        # The counts are cumulative: what comes last holds.
        assert call.usage == CallUsage(50, 3)
    else:
        assert call.usage is None
    assert (text, trouble) == ("Fine then.", None)


async def test_what_was_counted_at_the_start_is_no_final_count_of_output(model_server):
    model_server.script("partner", raw=on_wire(with_((4, "usage"), None)))
    _, call, _ = await speak()
    assert call.usage == CallUsage(50, 50, is_estimate=True)


# --- Replies --------------------------------------------------------------------------------


async def answer(conversation, model_server, raw):
    """The partner's rows after a turn that is answered with `raw`."""
    model_server.reset()
    model_server.script("partner", raw=raw)
    sent = await runner().take(turns.send, conversation.pk, uuid4(), "Hello")
    runner().carry_out(sent)
    await runner().wait()
    since = conversation.messages.filter(role=MessageRole.PARTNER, parent=sent.message)
    return await sync_to_async(lambda: list(since.select_related("session")))()


KEPT = ("interrupted", "cut")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("sent", "ending", "charged"),
    [
        (with_((*END, "stop_reason"), 7), ("complete", ""), True),
        (with_((*END, "stop_reason"), {"a": 1}), ("complete", ""), True),
        (with_((*END, "stop_reason"), "\ud83d\x00"), ("complete", ""), True),
        (with_((*START, "model"), 5), ("complete", ""), True),
        (with_((*START, "model"), "m\ud83d"), ("complete", ""), True),
        (with_((4, "usage", "input_tokens"), "many"), ("complete", ""), False),
        (with_((4, "usage", "input_tokens"), -500), ("complete", ""), False),
        (with_((4, "usage", "input_tokens"), 2**40), ("complete", ""), False),
        (with_((4, "usage"), [1, 2]), ("complete", ""), False),
        (with_((4, "delta"), None), KEPT, False),
        (inserted([1, 2]), KEPT, False),
        (inserted(5), KEPT, False),
        (inserted({"type": "content_block_delta", "index": 0}), KEPT, False),
        (inserted({"type": "error", "error": {"type": {"a": 1}}}), KEPT, False),
        (inserted("[" * 100_000), KEPT, False),
        (inserted(events()[2] | {"delta": {"type": "text_delta", "text": 5}}), KEPT, False),
        (inserted(events()[2] | {"delta": {"type": "text_delta", "text": ["a"]}}), KEPT, False),
    ],
)
async def test_the_text_is_kept_and_charged_once(conversation, model_server, sent, ending, charged):
    (reply,) = await answer(conversation, model_server, on_wire(sent))
    assert (reply.status, reply.failure, reply.content) == (*ending, "Fine then.")
    log = await UsageLog.objects.aget(stream_type="partner")
    assert not await Hold.objects.held().aexists()
    assert log.is_estimate is not charged
    if charged:
        assert (log.input_tokens, log.output_tokens) == (50, 3)


@pytest.mark.django_db(transaction=True)
@given(raw=replies)
@settings(quick, max_examples=25)
async def test_a_reply_ends_once_in_one_state_with_words(conversation, model_server, raw):
    await Invitation.objects.aupdate(quota={"tokens": 10**9, "label": ""})
    logged = await UsageLog.objects.filter(stream_type="partner").acount()
    *_, reply = rows = await answer(conversation, model_server, raw)
    assert len(rows) == (2 if rows[0].failure == "asked_again" else 1)
    assert reply.status in ("complete", "interrupted", "failed")
    assert reply.failure != "error"
    assert bool(reply.failure_words) == bool(reply.failure)
    assert reply.status != "failed" or not reply.content.strip() or reply.failure == "refusal"
    assert await UsageLog.objects.filter(stream_type="partner").acount() - logged == len(rows)
    assert not await Hold.objects.held().aexists()


@pytest.mark.django_db(transaction=True)
async def test_what_cannot_be_stored_with_its_record_is_stored_without(
    conversation, model_server, monkeypatch
):
    def settle(hold, record, **whom):
        if record.usage is not None:
            raise TypeError
        return there(hold, record, **whom)

    there = leases.settle
    monkeypatch.setattr(leases, "settle", settle)
    (reply,) = await answer(conversation, model_server, on_wire(events()))
    assert (reply.status, reply.failure, reply.content) == ("interrupted", "error", "Fine then.")
    log = await UsageLog.objects.aget(stream_type="partner")
    hold = await Hold.objects.aget(pk=log.hold_id)
    assert (log.is_estimate, log.input_tokens + log.output_tokens) == (True, hold.tokens)
