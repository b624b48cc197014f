"""How each figure is taken, on Parley and on the bare relay."""

import asyncio
import itertools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.model import now
from benchmarks.processes import Process
from benchmarks.sockets import Room, stamps
from benchmarks.stack import Model, Server

RATE: Final = 20.0  # chunks a second
_words = itertools.count()


def words() -> str:
    """Words that no other request ends in."""
    return f"Words number {next(_words)}."


def percentile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def stream(rooms: Sequence[Room], model: Model, seconds: float) -> None:
    """Have a reply of so many seconds begun in each room, not all in the same moment."""
    model.set(chunks=round(seconds * RATE), rate=RATE)
    for room in rooms:
        room.frames.clear()
        await room.say(words())
        await asyncio.sleep(2 / len(rooms))


async def rest(rooms: Iterable[Room]) -> None:
    await asyncio.gather(*(room.rest() for room in rooms))


@dataclass
class Relay:
    """Processes that bring chunks to `listeners`; `speakers` ask for them."""

    processes: Sequence[Process]
    listeners: Sequence[Room]
    speakers: Sequence[Room]

    def cpu(self) -> float:
        return sum(process.cpu() for process in self.processes)


async def cpu_per_chunk(
    relays: Sequence[Relay], model: Model, *, seconds: float = 10
) -> list[float]:
    """Microseconds of processor time for each chunk, in the middle of many replies.

    All relays work at the same time on the same core: what slows one slows the others.
    """
    for relay in relays:
        for room in relay.listeners:
            room.expect()
    speakers = [room for relay in relays for room in relay.speakers]
    order = [room for turn in itertools.zip_longest(*(r.speakers for r in relays)) for room in turn]
    await stream([room for room in order if room], model, seconds + 6)
    await asyncio.sleep(1)
    for relay in relays:
        if relay.speakers is not relay.listeners:
            await asyncio.gather(*(room.close() for room in relay.speakers))
            speakers = [room for room in speakers if room not in relay.speakers]
    await asyncio.sleep(1)
    cpu, since = [relay.cpu() for relay in relays], now()
    await asyncio.sleep(seconds)
    used = [relay.cpu() - before for relay, before in zip(relays, cpu, strict=True)]
    until = now()
    for relay in relays:
        await rest(relay.listeners)
    chunks = [sum(len(stamps(room.frames, since, until)) for room in r.listeners) for r in relays]
    for relay in relays:
        for room in relay.listeners:
            room.frames.clear()
    return [spent / count * 1e6 for spent, count in zip(used, chunks, strict=True)]


async def first_token(room: Room, model: Model) -> tuple[str, int, float]:
    """Send one turn: its words, when it was sent, and milliseconds to the first token."""
    model.set(chunks=2, rate=0)
    text = words()
    sent = await room.say(text)
    first = await room.first
    await room.rest()
    return text, sent, (first - sent) / 1000


async def first_tokens_at_once(rooms: Sequence[Room], model: Model) -> list[float]:
    """Milliseconds to the first token where all rooms send in the same moment."""
    model.set(chunks=2, rate=0)
    sent = [await room.say(words()) for room in rooms]
    waits = [((await room.first) - at) / 1000 for room, at in zip(rooms, sent, strict=True)]
    await rest(rooms)
    return waits


async def delay(rooms: Sequence[Room], model: Model, *, seconds: float = 4) -> float:
    """Milliseconds from the model to the page while all rooms stream, 95th percentile."""
    await stream(rooms, model, seconds + 5)
    await asyncio.sleep(1)
    since = now()
    await asyncio.sleep(seconds)
    until = now()
    await rest(rooms)
    found = [delay / 1000 for room in rooms for delay in stamps(room.frames, since, until)]
    return percentile(found, 0.95)


async def memory_per_socket(server: Server, first: int, then: int) -> float:
    """Bytes that each further idle socket takes, once `first` are open."""
    await server.open(first)
    await asyncio.sleep(2)
    before = server.process.memory()
    await server.open(then)
    await asyncio.sleep(2)
    return (server.process.memory() - before) / (then - first)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
