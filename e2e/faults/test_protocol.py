"""Rubbish on the socket of a running server: a typed error each, and nothing else happens."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import websockets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect

from e2e.faults.conftest import lent
from e2e.faults.machines import Server
from e2e.faults.world import Room, World, tracebacks

TYPES = ["sync", "send", "ask", "stop", "retry", "end", "fetch", "ack", "ping"]
# What only asks; the rest could begin a call, and is sent spoiled.
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
fields = st.sampled_from(["id", "text", "message", "index", "newest", "streaming", "frames", "x"])
# No valid id, so that nothing is stored.
objects = st.builds(
    lambda kind, rest: rest | {"type": kind},
    st.sampled_from(TYPES) | st.text(max_size=12) | values,
    st.dictionaries(fields, values, max_size=5),
)
texts = st.one_of(
    objects.map(json.dumps),
    values.map(json.dumps),
    objects.map(lambda frame: json.dumps(frame)[:-1]),
    st.text(max_size=200),
    st.sampled_from(
        [
            "",
            "NaN",
            '{"type": NaN}',
            '{"type": "send", "id": "\\ud800", "text": "\\ud800"}',
            '{"type": "send", "id": null, "text": "\\u0000"}',
            "[" * 100_000,
            '{"a":' * 50_000,
            '{"type": ' * 3 + "1" + "}" * 3,
            '{"type": "fetch", "message": ' + "9" * 5000 + ', "index": 0}',
            '{"type": "sync", "newest": 1e400, "streaming": {}}',
            '{"type": "sync", "newest": 0, "streaming": {"' + "9" * 40 + '": 1}}',
            '{"type": "sync", "newest": 0, "streaming": {"-1": 1}}',
            '{"type": "stop", "message": 2147483647}',
            json.dumps({"type": "send", "id": "x", "text": "y" * 200_000}),
        ]
    ),
)
frames = st.lists(texts | st.binary(max_size=64), min_size=1, max_size=12)
ANSWERS = {"error", "refused", "synced", "state", "turn", "chunk", "accepted", "watched", "pong"}


async def visit(world: World, room: Room) -> ClientConnection:
    server = world.servers[0]
    return await connect(
        f"ws://127.0.0.1:{server.port}/ws/conversations/{room.conversation}/",
        additional_headers={"Cookie": room.cookie},
        origin=websockets.Origin(server.origin),
        compression=None,
        max_size=None,
    )


async def answers(socket: ClientConnection) -> list[dict[str, Any]]:
    """All that came until the answer to a question of our own."""
    await socket.send('{"type": "sync", "newest": 0, "streaming": {}}')
    found = []
    while True:
        frame = json.loads(await asyncio.wait_for(socket.recv(), 20))
        found.append(frame)
        if frame["type"] == "synced":
            return found
        if frame["type"] == "error" and frame["code"] == "too_fast":
            await asyncio.sleep(1)
            await socket.send('{"type": "sync", "newest": 0, "streaming": {}}')


async def throw(world: World, room: Room, rubbish: list[str | bytes]) -> None:
    socket = await visit(world, room)
    async with socket:
        for frame in rubbish:
            await socket.send(frame)
        for answer in await answers(socket):
            assert answer["type"] in ANSWERS, answer
            if answer["type"] in ("error", "refused"):
                assert answer["code"], answer
                assert answer["text"], answer
                assert answer.get("code") != "unavailable", answer


@pytest.fixture(params=["embedded", pytest.param("uvicorn", marks=pytest.mark.slow)])
def _served(request: pytest.FixtureRequest) -> World:
    return request.getfixturevalue(f"_{request.param}")


@pytest.fixture
async def served(_served: World) -> AsyncIterator[World]:
    """One process under daphne, and then two under uvicorn."""
    async for world in lent(_served):
        yield world


async def test_rubbish_is_answered_with_errors(served: World) -> None:
    room = served.room()

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(frames)
    def rubbish_comes(rubbish: list[str | bytes]) -> None:
        asyncio.run(throw(served, room, rubbish))

    await asyncio.to_thread(rubbish_comes)
    assert served.provider.ledger() == []
    assert tracebacks(served.servers[0].printed()) == []
    assert served.servers[0].runs
    rows = served.database.rows(
        f"SELECT count(*) FROM conversations_message WHERE session_id = {room.conversation}"
    )
    assert rows == [(0,)]


async def test_a_frame_beyond_every_limit_closes_that_socket_alone(served: World) -> None:
    room = served.room()
    other = await visit(served, room)
    socket = await visit(served, room)
    with contextlib.suppress(websockets.ConnectionClosed):
        await socket.send("x" * (20 * 2**20))
    assert await until_closed(socket) in (None, 1009)
    assert (await answers(other))[-1] == {"type": "synced"}
    await other.close()
    assert tracebacks(served.servers[0].printed()) == []


async def until_closed(socket: ClientConnection) -> int | None:
    """Read until the server closes; returns its code, None where it just dropped the line."""
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            await asyncio.wait_for(socket.recv(), 20)
    return socket.protocol.close_rcvd.code if socket.protocol.close_rcvd else None


async def test_a_flood_is_told_off_and_then_closed(embedded: World) -> None:
    room = embedded.room()
    other = await visit(embedded, room)
    socket = await visit(embedded, room)
    with contextlib.suppress(websockets.ConnectionClosed):
        for _ in range(3000):
            await socket.send('{"type": "fetch", "message": 1, "index": 0}')
            await asyncio.sleep(0)
    assert await until_closed(socket) == 4429
    assert (await answers(other))[-1] == {"type": "synced"}
    await other.close()
    assert embedded.provider.ledger() == []


async def test_unknown_paths_and_strangers_are_turned_away(embedded: World) -> None:
    room, foreign = embedded.rooms(2)
    server = embedded.servers[0]
    for path, cookie in [
        ("/ws/nothing/", room.cookie),
        (f"/ws/conversations/{foreign.conversation}/", room.cookie),
        (f"/ws/conversations/{room.conversation}/", ""),
        ("/ws/conversations/999999999999999999999/", room.cookie),
    ]:
        assert await refusal(server, path, cookie) in (None, 400, 403, 404), path
    assert tracebacks(server.printed()) == []


async def refusal(server: Server, path: str, cookie: str) -> int | None:
    """The status that a handshake is refused with, None where the socket is closed after it."""
    try:
        socket = await connect(
            f"ws://127.0.0.1:{server.port}{path}",
            additional_headers={"Cookie": cookie},
            origin=websockets.Origin(server.origin),
        )
    except websockets.InvalidStatus as error:
        return error.response.status_code
    await until_closed(socket)
    return None
