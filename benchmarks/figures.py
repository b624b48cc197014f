"""The figures, each measured in turn on Parley and on the bare relay."""

import asyncio
import itertools
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from benchmarks.model import now
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


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, least and most."""
    return statistics.median(values), min(values), max(values)


async def stream(rooms: Sequence[Room], model: Model, seconds: float) -> None:
    """Have a reply of so many seconds begun in each room, not all in the same moment."""
    model.set(chunks=round(seconds * RATE), rate=RATE)
    for room in rooms:
        room.frames.clear()
        await room.say(words())
        await asyncio.sleep(2 / len(rooms))


async def rest(rooms: Iterable[Room]) -> None:
    await asyncio.gather(*(room.rest() for room in rooms))


async def cpu_per_chunk(
    rooms: Sequence[Room], cpu: Callable[[], float], model: Model, *, seconds: float = 4
) -> float:
    """Microseconds of processor time for each chunk, in the middle of many replies."""
    await stream(rooms, model, seconds + 5)
    await asyncio.sleep(1)
    cpu_before, since = cpu(), now()
    await asyncio.sleep(seconds)
    cpu_after, until = cpu(), now()
    await rest(rooms)
    chunks = sum(len(stamps(room.frames, since, until)) for room in rooms)
    return (cpu_after - cpu_before) / chunks * 1e6


async def first_token(room: Room, model: Model) -> tuple[str, int, int]:
    """Send one turn: its words, when it was sent, and microseconds to the first token."""
    model.set(chunks=2, rate=0)
    text = words()
    sent = await room.say(text)
    first = await room.first
    await room.rest()
    return text, sent, first - sent


async def first_tokens_at_once(rooms: Sequence[Room], model: Model) -> list[float]:
    """Milliseconds to the first token where all rooms send in the same moment."""
    model.set(chunks=2, rate=0)
    sent = [await room.say(words()) for room in rooms]
    waits = [
        ((await room.first) - at) / 1000 for room, at in zip(rooms, sent, strict=True)
    ]
    await rest(rooms)
    return waits


async def delays(rooms: Sequence[Room], model: Model, *, seconds: float = 4) -> tuple[float, float]:
    """Milliseconds from the model to the page while all rooms stream: median and 95th percent."""
    await stream(rooms, model, seconds + 5)
    await asyncio.sleep(1)
    since = now()
    await asyncio.sleep(seconds)
    until = now()
    await rest(rooms)
    found = [delay / 1000 for room in rooms for delay in stamps(room.frames, since, until)]
    return statistics.median(found), percentile(found, 0.95)


async def memory_per_socket(server: Server, first: int, then: int) -> float:
    """Bytes that each further idle socket takes, once `first` are open."""
    await server.open(first)
    await asyncio.sleep(2)
    before = server.process.memory()
    await server.open(then)
    await asyncio.sleep(2)
    return (server.process.memory() - before) / (then - first)
