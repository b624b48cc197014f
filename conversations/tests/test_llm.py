"""Calls against a model server over real HTTP: text, counts, and every way to fail."""

import asyncio
import contextlib
import socket
import time

import pytest

from conversations import llm
from conversations.llm import Call, CallError, Trouble
from conversations.prompts import Request
from usage.holds import CallUsage

REQUEST = Request(
    model="claude-sonnet-5-5",
    system="You play Uncle Ray.",
    messages=[{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    max_tokens=50,
)


@pytest.fixture(autouse=True)
def _model(settings, model_server, monkeypatch):
    settings.ANTHROPIC_BASE_URL = model_server.url
    settings.ANTHROPIC_API_KEY = "key"
    monkeypatch.setattr(llm, "BACKOFF", (0.01, 0.01, 0.01))


def call_of(request=REQUEST, told=None):
    """A call; what it tells before requests and waits goes into `told`."""
    told = [] if told is None else told

    async def on_call():
        told.append("call")

    async def on_wait():
        told.append("wait")

    return Call(request, on_call=on_call, on_wait=on_wait)


async def speak(told=None, request=REQUEST):
    """The text of a call, the call, and its trouble if it had any."""
    call = call_of(request, told)
    parts = []
    try:
        async for text in call.text():
            parts.append(text)
    except CallError as error:
        return "".join(parts), call, error.trouble
    return "".join(parts), call, None


async def test_it_gives_the_text_and_the_final_counts(model_server):
    usage = {
        "input_tokens": 20,
        "cache_creation_input_tokens": 7,
        "cache_read_input_tokens": 3,
        "output_tokens": 9,
    }
    model_server.script("partner", text="Well, look who's here.", usage=usage, model="really-this")
    text, call, trouble = await speak()
    assert (text, trouble) == ("Well, look who's here.", None)
    assert call.usage == CallUsage(30, 9, 7, 3)
    assert (call.model, call.stop_reason) == ("really-this", "end_turn")
    assert call.first_token_ms is not None


async def test_the_request_is_the_one_that_was_built(model_server):
    model_server.script("partner", text="Hm.")
    await speak()
    body = model_server.requests("partner")[-1]["body"]
    assert {**REQUEST.body(), "stream": True} == body


@pytest.mark.parametrize("status", [429, 500, 529])
async def test_a_busy_provider_is_tried_again_visibly(model_server, status):
    model_server.script("partner", status=status, times=2)
    model_server.script("partner", text="At last.")
    told = []
    text, call, _ = await speak(told)
    assert text == "At last."
    assert told == ["call", "wait", "call", "wait", "call"]
    assert call.usage.input_tokens > 0


@pytest.mark.parametrize("pings", [0, 2])
@pytest.mark.parametrize("kind", ["overloaded_error", "rate_limit_error", "api_error"])
async def test_an_error_that_comes_in_place_of_an_answer_is_like_a_status(
    model_server, kind, pings
):
    model_server.script("partner", error_first=kind, ping_first=pings)
    model_server.script("partner", text="At last.", ping_first=pings)
    told = []
    text, call, trouble = await speak(told)
    assert (text, trouble) == ("At last.", None)
    assert told == ["call", "wait", "call"]
    assert not call.usage.is_estimate


@pytest.mark.parametrize(
    ("kind", "trouble"),
    [
        ("invalid_request_error", Trouble.REJECTED),
        ("authentication_error", Trouble.KEY),
        ("permission_error", Trouble.KEY),
        ("not_found_error", Trouble.MODEL),
        ("request_too_large", Trouble.TOO_LONG),
        ("one_that_is_new", Trouble.REJECTED),
    ],
)
async def test_an_error_that_will_not_pass_is_told_at_once_and_costs_nothing(
    model_server, kind, trouble
):
    model_server.script("partner", error_first=kind, ping_first=1)
    _, call, came_to = await speak()
    assert (came_to, call.usage) == (trouble, CallUsage(0, 0))
    assert len(model_server.requests("partner")) == 1


async def test_pings_are_no_answer(model_server, settings):
    settings.REPLY_FIRST_TOKEN_SECONDS = 0.5
    model_server.script("partner", ping_first=1000, delay=0.05)
    async with asyncio.timeout(2):
        _, call, trouble = await speak()
    assert (trouble, call.usage) == (Trouble.SLOW, None)


@pytest.mark.parametrize("reset", [False, True])
async def test_a_status_without_an_answer_is_of_unknown_cost(model_server, reset):
    model_server.script("partner", cut_first=True, reset=reset)
    _, call, trouble = await speak()
    assert (trouble, call.usage) == (Trouble.DROPPED, None)
    assert len(model_server.requests("partner")) == 1


async def test_it_gives_up_in_the_end_at_no_cost(model_server):
    model_server.script("partner", default=True, status=529)
    _, call, trouble = await speak()
    assert trouble == Trouble.BUSY
    assert call.usage == CallUsage(0, 0)
    assert len(model_server.requests("partner")) == 4


async def test_a_huge_retry_after_does_not_park_the_turn(model_server, settings):
    settings.REPLY_FIRST_TOKEN_SECONDS = 2
    model_server.script("partner", default=True, status=429, retry_after=3600)
    async with asyncio.timeout(2):
        assert (await speak())[2] == Trouble.BUSY


async def test_a_refused_connection_is_tried_again_then_told(settings):
    settings.ANTHROPIC_BASE_URL = "http://127.0.0.1:9"
    _, call, trouble = await speak()
    assert trouble == Trouble.UNREACHABLE
    assert call.usage == CallUsage(0, 0)
    assert not call.made


@pytest.fixture
def deaf(settings):
    """An address where connections are neither taken nor refused."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        settings.ANTHROPIC_BASE_URL = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield


async def test_a_connection_that_never_comes_costs_nothing(deaf, settings):
    settings.REPLY_FIRST_TOKEN_SECONDS = 0.2
    _, call, trouble = await speak()
    assert trouble == Trouble.UNREACHABLE
    assert (call.made, call.usage) == (False, CallUsage(0, 0))


async def test_who_leaves_while_it_connects_owes_nothing(deaf):
    call = call_of()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await anext(call.text())
    assert (call.made, call.usage) == (False, CallUsage(0, 0))


@pytest.mark.parametrize("reset", [False, True])
async def test_no_answer_is_of_unknown_cost_and_not_asked_again(model_server, reset):
    model_server.script("partner", no_answer=True, reset=reset)
    _, call, trouble = await speak()
    assert trouble == Trouble.DROPPED
    assert (call.made, call.usage) == (True, None)
    assert len(model_server.requests("partner")) == 1


async def test_a_busy_provider_that_then_does_not_answer_may_have_charged(model_server):
    model_server.script("partner", status=529)
    model_server.script("partner", no_answer=True)
    _, call, trouble = await speak()
    assert (trouble, call.usage) == (Trouble.DROPPED, None)


async def test_a_line_that_was_closed_while_idle_is_not_used_again(model_server):
    for _ in range(2):
        model_server.script("partner", status=404)  # its line is kept open
        await speak()
        model_server.stop()
        model_server.start()
        model_server.script("partner", text="Hello.")
        assert (await speak())[0] == "Hello."


async def test_what_ends_a_wait_ends_the_call(model_server):
    async def lost():
        raise LookupError

    async def on_call():
        pass

    model_server.script("partner", status=529)
    with pytest.raises(LookupError):
        await anext(Call(REQUEST, on_call=on_call, on_wait=lost).text())


async def test_a_wait_that_takes_too_long_ends_by_our_deadline(model_server, settings):
    settings.REPLY_FIRST_TOKEN_SECONDS = 0.3

    async def on_call():
        pass

    async def on_wait():
        await asyncio.sleep(5)

    model_server.script("partner", status=529)
    call = Call(REQUEST, on_call=on_call, on_wait=on_wait)
    with pytest.raises(CallError, match="busy"):
        await anext(call.text())
    assert call.usage == CallUsage(0, 0)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, Trouble.REJECTED),
        (401, Trouble.KEY),
        (403, Trouble.KEY),
        (404, Trouble.MODEL),
        (413, Trouble.TOO_LONG),
    ],
)
async def test_what_will_not_get_better_is_not_tried_again(model_server, status, expected):
    model_server.script("partner", default=True, status=status)
    assert (await speak())[2] == expected
    assert len(model_server.requests("partner")) == 1


async def test_a_model_that_is_gone_falls_back(model_server, settings):
    settings.FALLBACK_MODEL = "other"
    model_server.script("partner", status=404)
    model_server.script("partner", text="Hello.")
    text, call, _ = await speak()
    assert text == "Hello."
    assert model_server.requests("partner")[-1]["body"]["model"] == "other"
    assert "thinking" not in model_server.requests("partner")[-1]["body"]
    assert call.request.model == "other"


@pytest.mark.parametrize(
    "behaviour",
    [
        {"cut": 2},
        {"cut": 2, "reset": True},
        {"no_stop": 2},
        {"error": "overloaded_error", "error_after": 2},
        {"error": "api_error", "error_after": 2},
    ],
    ids=str,
)
async def test_what_came_before_a_break_is_kept_and_charged(model_server, behaviour):
    model_server.script("partner", chunks=["One ", "two ", "three ", "four "], **behaviour)
    text, call, trouble = await speak()
    assert text == "One two "
    assert trouble == Trouble.CUT
    assert call.usage.is_estimate
    assert call.usage.output_tokens == REQUEST.max_tokens
    assert len(model_server.requests("partner")) == 1


BAD_ENDS = [
    *({"after_reason": how} for how in ("cut", "open", "end", "error")),
    *({"after_stop": how} for how in ("cut", "open", "error")),
]


@pytest.mark.parametrize("ending", BAD_ENDS, ids=str)
async def test_a_reply_is_whole_once_it_says_so_however_its_line_ends(
    model_server, settings, ending
):
    settings.REPLY_CHUNK_SECONDS = 5
    model_server.script("partner", text="Fine then.", usage={"output_tokens": 3}, **ending)
    async with asyncio.timeout(2):
        text, call, trouble = await speak()
    assert (text, trouble, call.stop_reason) == ("Fine then.", None, "end_turn")
    assert (call.usage.output_tokens, call.usage.is_estimate) == (3, False)


async def test_what_is_whole_does_not_outlast_the_time_of_a_reply(model_server, settings):
    settings.REPLY_CHUNK_SECONDS = 0.3
    model_server.script("partner", text="Fine.", after_stop="open")
    started = time.monotonic()
    assert (await speak())[::2] == ("Fine.", None)
    assert time.monotonic() - started < llm.FAREWELL


async def test_a_line_that_ends_in_order_is_used_again(model_server):
    model_server.script("partner", text="Hello.", keep_alive=True, times=2)
    await speak()
    await speak()
    first, second = model_server.requests("partner")
    assert first["port"] == second["port"]


async def test_a_stall_ends_by_our_own_deadline(model_server, settings):
    settings.REPLY_CHUNK_SECONDS = 0.1
    model_server.script("partner", chunks=["One ", "two "], stall=1)
    text, _, trouble = await speak()
    assert (text, trouble) == ("One ", Trouble.STALLED)


async def test_a_first_token_that_never_comes(model_server, settings):
    # Enough to connect on a busy machine.
    settings.REPLY_FIRST_TOKEN_SECONDS = 0.6
    model_server.script("partner", text="Late.", header_delay=5)
    _, call, trouble = await speak()
    assert trouble == Trouble.SLOW
    assert call.usage is None


async def test_a_reply_that_never_ends(model_server, settings):
    settings.REPLY_SECONDS = 0.3
    model_server.script("partner", chunks=["x"] * 200, delay=0.02)
    text, _, trouble = await speak()
    assert trouble == Trouble.OVERTIME
    assert text


@pytest.mark.parametrize("size", [600, 600_000], ids=["in many chunks", "in one"])
async def test_a_provider_that_heeds_no_max_tokens_is_ended(model_server, size):
    chunks = ["flood " * (size // 6)] * (600_000 // size)
    model_server.script("partner", chunks=chunks, usage={"output_tokens": 3})
    text, call, trouble = await speak()
    assert trouble is None
    assert text == ("flood " * 10**5)[: llm.MOST_CHARACTERS * REQUEST.max_tokens]
    assert call.stop_reason == "max_tokens"
    assert call.usage.is_estimate
    assert call.usage.output_tokens == REQUEST.max_tokens


async def test_an_empty_stream_is_a_break(model_server):
    model_server.script("partner", empty=True)
    assert (await speak())[::2] == ("", Trouble.CUT)


async def test_input_that_was_cached_whole_is_known(model_server):
    usage = {"input_tokens": 0, "cache_read_input_tokens": 500, "output_tokens": 3}
    model_server.script("partner", text="Words.", usage=usage)
    _, call, _ = await speak()
    assert call.usage == CallUsage(500, 3, 0, 500)


async def test_missing_counts_are_unknown(model_server):
    model_server.script("partner", text="Hello.", usage=False)
    text, call, trouble = await speak()
    assert (text, trouble, call.usage) == ("Hello.", None, None)


@pytest.mark.parametrize("reason", ["refusal", "max_tokens"])
async def test_the_stop_reason_is_told(model_server, reason):
    model_server.script("partner", text="I…", stop_reason=reason)
    assert (await speak())[1].stop_reason == reason


async def test_closing_the_text_ends_the_providers_call(model_server):
    model_server.script("partner", chunks=["x "] * 100, delay=0.05)
    call = call_of()
    stream = call.text()
    await anext(stream)
    await stream.aclose()
    async with asyncio.timeout(2):
        while not model_server.requests("partner")[-1]["closed_early"]:
            await asyncio.sleep(0.02)
    assert call.usage.is_estimate


async def test_tokens_are_counted_where_the_server_can(model_server):
    _, call, _ = await speak()
    assert await llm.count_tokens(REQUEST) == call.usage.input_tokens
    model_server.script("count", status=404)
    assert await llm.count_tokens(REQUEST) is None


@pytest.mark.parametrize(
    "body",
    ["[]", "null", "<html>", "[" * 100_000]
    + [f'{{"input_tokens": {count}}}' for count in ("0", "-5000", "null", '"many"', "1e400", "{}")],
    ids=lambda body: body[:25],
)
async def test_a_count_of_tokens_that_is_none_is_as_if_there_were_none(model_server, body):
    model_server.script("count", body=body)
    assert await llm.count_tokens(REQUEST) is None


async def test_no_text_is_counted_as_fewer_tokens_than_it_can_have(model_server):
    model_server.script("count", input_tokens=1)
    assert await llm.count_tokens(REQUEST) == REQUEST.size // 8


async def test_without_a_key_or_a_server_the_understudy_speaks(settings):
    settings.ANTHROPIC_BASE_URL = settings.ANTHROPIC_API_KEY = ""
    text, call, trouble = await speak()
    assert trouble is None
    assert text
    assert call.usage.output_tokens > 0
    assert call.model == "understudy"
    assert call_of().model == "understudy"
