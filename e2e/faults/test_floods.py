"""Clients that send too much: little memory, a typed error, a close code, and nobody notices."""

import asyncio
import base64
import itertools
import json
import os
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from websockets.frames import Frame, Opcode

from conversations.intake import FLOODED, MOST_WAITING
from e2e.faults.bystander import Bystander, locked
from e2e.faults.machines import Server, wait_until
from e2e.faults.test_crashes import LONG
from e2e.faults.world import Room, World

FRAMES = 10_000
# What a server may grow by, whatever one client sends it.
GROWTH = 16 * 2**20


def handshake(server: Server, room: Room, extensions: str = "") -> bytes:
    """The request of a page for its socket."""
    offered = f"Sec-WebSocket-Extensions: {extensions}\r\n" if extensions else ""
    return (
        f"GET /ws/conversations/{room.conversation}/ HTTP/1.1\r\n"
        f"Host: localhost:{server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n{offered}"
        f"Origin: {server.origin}\r\nCookie: {room.cookie}\r\n\r\n"
    ).encode()


@dataclass
class Rough:
    """A client that writes whatever it likes onto a real websocket, and keeps what comes back."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: str
    answers: list[dict[str, str]] = field(default_factory=list)
    code: int | None = None

    @classmethod
    async def connect(cls, server: Server, room: Room, extensions: str = "") -> "Rough":
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(handshake(server, room, extensions))
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert " 101 " in head, head
        return cls(reader, writer, head)

    async def write(self, parts: Iterator[bytes]) -> None:
        """Write until all is written or the server has had enough."""
        try:
            for part in parts:
                self.writer.write(part)
                await self.writer.drain()
        except ConnectionError:
            pass

    async def read(self) -> None:
        """Keep frames until the line ends."""
        try:
            while True:
                first, length = await self.reader.readexactly(2)
                size = {126: 2, 127: 8}.get(length, 0)
                if size:
                    length = int.from_bytes(await self.reader.readexactly(size))
                payload = await self.reader.readexactly(length)
                if first & 15 == Opcode.CLOSE:
                    self.code = int.from_bytes(payload[:2])
                elif first & 15 == Opcode.TEXT:
                    self.answers.append(json.loads(payload))
        except (ConnectionError, asyncio.IncompleteReadError):
            return

    async def throw(self, parts: Iterator[bytes]) -> None:
        """Write and read at the same time, to the end of the line."""
        reading = asyncio.create_task(self.read())
        await self.write(parts)
        async with asyncio.timeout(30):
            await reading
        self.writer.transport.abort()

    @property
    def errors(self) -> set[str]:
        return {answer["code"] for answer in self.answers if answer["type"] == "error"}


def masked(data: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin=fin).serialize(mask=True)


def compressed(data: bytes) -> bytes:
    """A frame that says its payload is compressed (RFC 7692): the second bit of the first byte."""
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)
    frame = masked(packed[:-4])
    return bytes([frame[0] | 0x40]) + frame[1:]


async def highest(server: Server, peak: list[int]) -> None:
    while True:
        peak.append(server.memory())
        await asyncio.sleep(0.02)


async def throw(server: Server, rough: Rough, parts: Iterator[bytes]) -> None:
    """Have `parts` thrown at `server`, and check that it does not grow by them."""
    peak = [server.memory()]
    watching = asyncio.create_task(highest(server, peak))
    try:
        await rough.throw(parts)
    finally:
        watching.cancel()
    check_growth(max(peak) - peak[0])


def check_growth(grown: int) -> None:
    assert grown < GROWTH, f"memory grew by {grown / 2**20:.0f} MB"


async def test_a_flood_behind_a_slow_database_takes_no_memory_and_holds_nobody_up(
    pair: World, rng: random.Random
) -> None:
    pair.provider.script("partner", default=True, **LONG)
    first = pair.servers[0]
    room, other = pair.rooms(2)
    bystander = await Bystander.enter(pair, other, first, rng)
    rough = await Rough.connect(first, room)
    questions = [(str(uuid4()), room.text(rng, "x" * 4000)) for _ in range(FRAMES)]
    flood = [
        masked(json.dumps({"type": "ask", "id": pk, "text": text}).encode())
        for pk, text in questions
    ]
    assert pair.postgresql
    with locked(pair.postgresql.url, [room]):
        bystander.from_now()
        await throw(first, rough, iter(flood))
        await asyncio.sleep(1)
        bystander.went_on(10)
    assert rough.errors == {"too_fast"}
    assert rough.code == FLOODED
    # What was accepted is carried out though the socket is closed, and nothing else.
    accepted = {pk for pk, _ in questions[:MOST_WAITING]}
    await wait_until(lambda: stored(pair, room) == accepted, "not what was accepted is stored")
    await pair.settle()


async def test_the_smallest_frames_hold_nobody_up(services: World, rng: random.Random) -> None:
    services.provider.script("partner", default=True, **LONG)
    first = services.servers[0]
    room, other = services.rooms(2)
    bystander = await Bystander.enter(services, other, first, rng)
    for _ in range(3):
        rough = await Rough.connect(first, room)
        await throw(first, rough, itertools.repeat(masked(b"{}") * 8192, 200))
        assert (rough.code, "too_fast" in rough.errors) == (FLOODED, True)
    bystander.went_on()
    await services.settle()


BEGUN = masked(b"x" * 1000, fin=False)
FRAGMENT = masked(b"x" * 16_000, Opcode.CONT, fin=False)
# What is cut off before it is whole. daphne drops the line without a code.
CUT_OFF = {
    "one frame": [masked(b"x" * 2**20)] * 50,
    "fragments": [BEGUN, *[FRAGMENT] * 4000],
    "compressed": [compressed(b"0" * 2**20)] * 100,
}


@pytest.mark.parametrize("parts", CUT_OFF.values(), ids=CUT_OFF)
async def test_what_is_too_large_is_cut_off_before_it_is_whole(
    pair: World, parts: list[bytes]
) -> None:
    first = pair.servers[0]
    room = pair.room()
    rough = await Rough.connect(first, room, "permessage-deflate")
    assert "deflate" not in rough.head.lower()
    await throw(first, rough, iter(parts))
    assert rough.code in (None, 1002, 1009)
    await pair.settle()


UNSEEN = {
    "pings": [masked(b"x" * 125, Opcode.PING) * 100] * 5000,
    "empty fragments": [BEGUN, *[masked(b"", Opcode.CONT, fin=False) * 1000] * 5000],
}


@pytest.mark.parametrize("parts", UNSEEN.values(), ids=UNSEEN)
async def test_frames_that_no_page_sends_are_a_flood(services: World, parts: list[bytes]) -> None:
    first = services.servers[0]
    rough = await Rough.connect(first, services.room())
    await throw(first, rough, iter(parts))
    assert rough.code == FLOODED
    await services.settle()


async def test_what_comes_before_a_socket_is_let_in_waits_outside(services: World) -> None:
    first = services.servers[0]
    room = services.room()
    assert services.postgresql
    services.postgresql.pause()
    before = first.memory()
    _, writer = await asyncio.open_connection("127.0.0.1", first.port)
    try:
        writer.write(handshake(first, room))
        for _ in range(300):
            writer.write(masked(b"x" * 100_000))
        await asyncio.sleep(3)
        grown = first.memory() - before
    finally:
        writer.transport.abort()
        services.postgresql.resume()
    check_growth(grown)
    await services.settle()


def stored(world: World, room: Room) -> set[str]:
    """The ids under which the learner's messages were sent."""
    rows = world.database.rows(
        "SELECT client_id FROM conversations_message"
        f" WHERE session_id = {room.conversation} AND client_id IS NOT NULL"
    )
    return {str(row[0]) for row in rows}
