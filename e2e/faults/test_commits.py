"""The database goes away in the moment in which it commits: nobody hears, and nothing is lost."""

import asyncio
import random
from collections.abc import Iterator

import pytest

from e2e.faults.conftest import opened
from e2e.faults.cutting import CuttingLine
from e2e.faults.machines import wait_until
from e2e.faults.world import World

TURNS = 5
SHARE = 0.12  # of all that is committed


@pytest.fixture(scope="module")
def behind() -> Iterator[tuple[World, CuttingLine]]:
    """One server, whose line to its database can be cut."""
    world = World(services=True, kinds=["serve"])
    assert world.postgresql
    line = CuttingLine(world.postgresql.port)
    (server,) = world.servers
    server.environment["DATABASE_URL"] = world.postgresql.url.replace(
        f":{world.postgresql.port}/", f":{line.port}/"
    )
    for opened_world in opened(world):
        yield opened_world, line
    line.stop()


async def test_what_was_committed_unheard_runs_at_once(
    behind: tuple[World, CuttingLine], rng: random.Random
) -> None:
    world, line = behind
    rooms = world.rooms(6)
    pages = [world.page(room) for room in rooms]
    await world.pages_in_step(pages)
    line.cuts = lambda: rng.random() < SHARE
    for _ in range(TURNS):
        for page, room in zip(pages, rooms, strict=True):
            await page.say(room.text(rng))
            await page.say(room.text(rng), kind="ask")
        await wait_until(
            lambda: not any(page.outbox or page.streaming for page in pages),
            "what was sent is not answered",
            60,
        )
        # A note begins when the partner has ended.
        await asyncio.sleep(0.5)
    line.cuts = lambda: False
    await world.settle()
    assert line.count > 10
    # Of all replies none waited for its lease to run out.
    lost = "SELECT count(*) FROM conversations_message WHERE failure = 'lost'"
    assert world.database.rows(lost) == [(0,)]
    notes = "SELECT count(*) FROM conversations_message WHERE role = 'coach' AND kind = 'aside'"
    assert world.database.rows(notes) == [(TURNS * len(rooms),)]
