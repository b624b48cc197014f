"""The stand-in on the wire, reached as the product reaches it: through the SDK."""

import asyncio
import json
import time

import anthropic
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversations import prompts
from conversations.understudy import MODEL, Understudy
from conversations.understudy.partner import OPENING_CUE
from conversations.understudy.wire import persona, tokens
from scenarios.library import read_library

LIBRARY = read_library()
SCRIPTS = {scenario.partner_persona: scenario.understudy for scenario in LIBRARY}
PARTNER = "You play Uncle Ray in a rehearsal.\n\nMore of it."
COACH = "You coach somebody who talks with Uncle Ray.\n\nMore of it."
CUE = "(The conversation begins. You speak first.)"


@pytest.fixture
def client():
    return sdk(Understudy(SCRIPTS, delay=0))


def sdk(transport: Understudy) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(
        api_key="understudy",
        base_url="http://understudy",
        http_client=anthropic.DefaultAsyncHttpxClient(transport=transport),
        max_retries=0,
    )


def ask(text: str = "Hello", **more):
    return {
        "model": "any-model",
        "max_tokens": 400,
        "system": PARTNER,
        "messages": [{"role": "user", "content": text}],
        **more,
    }


async def post(body: object, path: str = "/v1/messages") -> httpx2.Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = httpx2.Request("POST", f"http://understudy{path}", content=raw)
    response = await Understudy(SCRIPTS, delay=0).handle_async_request(request)
    await response.aread()
    return response


async def test_a_message_comes_whole(client):
    message = await client.messages.create(**ask("What was the mill like?"))
    assert message.model == MODEL
    assert message.stop_reason == "end_turn"
    assert message.content[0].text.startswith("The mill?")
    assert message.usage.output_tokens == tokens([message.content[0].text])


async def test_a_stream_has_exactly_the_events_of_the_api(client):
    stream = await client.messages.create(**ask(CUE), stream=True)
    events = [event async for event in stream]
    deltas = [e for e in events if e.type == "content_block_delta"]
    assert [e.type for e in events] == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * len(deltas),
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    text = "".join(e.delta.text for e in deltas)
    assert text == SCRIPTS["Uncle Ray"]["opening"][0]
    assert len(deltas) == len(text.split())
    assert events[0].message.model == MODEL
    assert events[0].message.usage.input_tokens == events[-2].usage.input_tokens
    assert events[-2].delta.stop_reason == "end_turn"
    assert events[-2].usage.output_tokens == tokens([text])


async def test_streamed_and_whole_are_the_same(client):
    async with client.messages.stream(**ask()) as stream:
        streamed = await stream.get_final_message()
    whole = await client.messages.create(**ask())
    assert streamed.content[0].text == whole.content[0].text
    assert streamed.usage.output_tokens == whole.usage.output_tokens


async def test_the_cue_may_stay_in_front(client):
    opening = SCRIPTS["Uncle Ray"]["opening"][0]
    turns = [
        {"role": "user", "content": [{"type": "text", "text": CUE}]},
        {"role": "assistant", "content": opening},
        {"role": "user", "content": "How is Danny?"},
    ]
    message = await client.messages.create(**ask(messages=turns))
    assert message.content[0].text.startswith("Danny.")


async def test_text_blocks_do_as_well_as_strings(client):
    blocks = ask([{"type": "text", "text": "Hello"}], system=[{"type": "text", "text": PARTNER}])
    assert (await client.messages.create(**blocks)).content == (
        await client.messages.create(**ask())
    ).content


async def test_the_coach_speaks_where_the_system_prompt_says_so(client):
    text = "<exchange>\n<learner>You always shout &amp; sulk.</learner>\n</exchange>"
    message = await client.messages.create(**ask(text, system=COACH))
    assert "“You always shout & sulk”" in message.content[0].text


async def test_an_unknown_persona_gets_generic_lines(client):
    message = await client.messages.create(**ask(CUE, system="You play Captain Nobody."))
    assert message.content[0].text == "Good, you're here. You wanted to talk, so let's talk."


@pytest.mark.parametrize(
    ("system", "name"),
    [
        ("You play Uncle Ray.", "Uncle Ray"),
        ("You play Uncle Raymond.", ""),
        ("You play Ray Marcus the elder.", "Ray Marcus"),
        ("You play May.\n\nShe knows Marcus.", ""),
        ("", ""),
    ],
)
def test_the_longest_name_in_the_first_paragraph_counts(system, name):
    assert persona(system, ["Marcus", "Uncle Ray", "Ray Marcus"]) == name


@pytest.mark.parametrize("scenario", LIBRARY, ids=lambda s: s.slug)
def test_it_knows_its_part_from_the_products_own_prompts(scenario):
    name = scenario.partner_persona
    for frame, start, prompt in (
        (prompts.PARTNER_FRAME, "You play ", scenario.partner_system_prompt),
        (prompts.COACH_FRAME, "You coach ", scenario.coach_system_prompt),
    ):
        system = frame.format(persona=name, prompt=prompt)
        assert system.startswith(start)
        assert persona(system, SCRIPTS) == name
    assert prompts.OPENING_CUE == OPENING_CUE


@pytest.mark.parametrize("limit", [1, 3, 10])
async def test_it_keeps_to_max_tokens(client, limit):
    message = await client.messages.create(**ask(CUE, max_tokens=limit))
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens <= limit
    assert SCRIPTS["Uncle Ray"]["opening"][0].startswith(message.content[0].text)


async def test_counting_agrees_with_the_usage(client):
    turns = [{"role": "user", "content": "Où? 😀"}]
    counted = await client.messages.count_tokens(model="m", system=PARTNER, messages=turns)
    message = await client.messages.create(**ask(messages=turns))
    assert counted.input_tokens == message.usage.input_tokens
    assert counted.input_tokens == -(-len((PARTNER + "Où? 😀").encode()) // 4)


async def test_it_lists_itself_as_the_one_model(client):
    page = await client.models.list()
    assert [model.id for model in page.data] == [MODEL]
    assert not page.has_next_page()


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "\\ud800"}]}',
        [],
        ask(model=""),
        ask(max_tokens=0),
        ask(max_tokens=True),
        ask(max_tokens="9"),
        ask(messages=[]),
        ask(messages="Hello"),
        ask(messages=["Hello"]),
        ask(messages=[{"role": "assistant", "content": "Hello"}]),
        ask(messages=[{"role": "system", "content": "Hello"}]),
        ask(messages=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "I"}]),
        ask(messages=[{"role": "user"}]),
        ask(messages=[{"role": "user", "content": [{"type": "image"}]}]),
        ask(system=5),
    ],
    ids=lambda body: repr(body)[:40],
)
async def test_a_bad_request_is_refused_as_the_api_refuses_it(body):
    response = await post(body)
    assert response.status_code == 400
    error = response.json()
    assert error["type"] == "error"
    assert error["error"]["type"] == "invalid_request_error"
    assert error["error"]["message"]


async def test_a_refusal_is_the_sdks_own_error(client):
    with pytest.raises(anthropic.BadRequestError, match="first message must use the user role"):
        await client.messages.create(**ask(messages=[{"role": "assistant", "content": "Hi"}]))


@pytest.mark.parametrize("path", ["/v1/complete", "/", "/v1/messages/batches"])
async def test_an_unknown_path_is_404(path):
    response = await post(ask(), path)
    assert response.status_code == 404
    assert response.json()["error"]["type"] == "not_found_error"


async def test_closing_a_stream_ends_it_at_once():
    stream = await sdk(Understudy(SCRIPTS, delay=60)).messages.create(**ask(), stream=True)
    received = []

    async def relay() -> None:
        async for event in stream:
            received.append(event.type)

    relaying = asyncio.create_task(relay())
    await asyncio.sleep(0.005)
    await stream.close()
    async with asyncio.timeout(0.5):
        await asyncio.gather(relaying, return_exceptions=True)
    assert received == ["message_start", "content_block_start"]


async def test_it_speaks_at_the_given_speed():
    stream = await sdk(Understudy(SCRIPTS, delay=0.001)).messages.create(**ask(), stream=True)
    began = time.monotonic()
    words = [event async for event in stream if event.type == "content_block_delta"]
    assert time.monotonic() - began >= 0.001 * len(words)


@given(st.text(max_size=200), st.sampled_from([PARTNER, COACH, "You play Nobody.", ""]))
@settings(max_examples=40, deadline=None)
def test_any_text_is_answered_counted_and_the_same_each_time(text, system):
    async def twice():
        first = await post(ask(text, system=system))
        counted = await post(ask(text, system=system), "/v1/messages/count_tokens")
        return first.json(), (await post(ask(text, system=system))).json(), counted.json()

    first, again, counted = asyncio.run(twice())
    assert first == again
    assert first["type"] == "message"
    assert first["content"][0]["text"].strip()
    assert first["usage"]["input_tokens"] == counted["input_tokens"]
    assert counted["input_tokens"] <= len((system + text).encode())


@pytest.mark.parametrize(
    "text", ["😀" * 2500, "كيف حالك؟ " * 1000, "<b>x</b>&amp;" * 700, "a" * 10_000, ""]
)
async def test_long_and_strange_messages_are_answered(client, text):
    for system in (PARTNER, COACH):
        message = await client.messages.create(**ask(text, system=system))
        assert message.content[0].text
