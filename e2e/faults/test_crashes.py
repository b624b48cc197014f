"""Servers that die, stand still or are asked to go, while replies are being written."""

import asyncio
import random
import time

import pytest
import websockets
from websockets.asyncio.client import connect

from e2e.faults.machines import Server, wait_until
from e2e.faults.page import Page
from e2e.faults.world import LEASE, World

LONG = {"text": " ".join(f"word{n}" for n in range(80)), "delay": 0.05}


async def speaking(page: Page, points: int = 20) -> int:
    """The id of the partner's reply, once so much of it is on the page."""

    def speaks() -> bool:
        reply = page.last_reply
        return reply is not None and reply.status == "streaming" and len(reply.grown) >= points

    await wait_until(speaks, "the partner does not speak", 20)
    assert page.last_reply
    return page.last_reply.message


async def begun(world: World, rng: random.Random, server: Server) -> tuple[Page, Page]:
    """Two pages on one conversation, one on each server, and something just said on `server`."""
    room = world.room()
    here = world.page(room, server)
    there = world.page(room)
    await world.pages_in_step([here, there])
    await here.say(room.text(rng))
    return here, there


@pytest.mark.parametrize(
    "points",
    [pytest.param(0, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.slow), 150],
)
async def test_a_killed_servers_reply_begins_again_by_itself(
    services: World, rng: random.Random, points: int
) -> None:
    services.provider.script("partner", **LONG, first_delay=0.5 if points == 0 else 0)
    first, _ = services.servers
    room = services.room()
    pages = [services.page(room) for _ in range(4)]
    writer = services.page(room, first)
    await services.pages_in_step([*pages, writer])
    await writer.say(room.text(rng))
    lost = await speaking(writer, points)
    writer.ports = services.ports
    first.kill()
    await wait_until(
        lambda: pages[0].last_reply is not None and pages[0].last_reply.message > lost,
        "the reply did not begin again",
        LEASE + 15,
    )
    auditor = await services.settle()
    first, second = [m for m in auditor.messages.values() if m["role"] == "partner"]
    assert (first["status"], first["failure"]) == ("interrupted", "lost")
    assert (second["status"], second["restarts"]) == ("complete", 1)
    # At most a second's text was lost with the process.
    assert len(first["content"]) >= points - len(LONG["text"]) * 0.3


@pytest.mark.slow
async def test_a_reply_that_is_lost_twice_is_not_begun_a_third_time(
    services: World, rng: random.Random
) -> None:
    services.provider.script("partner", **LONG, times=2)
    first, second = services.servers
    page, _ = await begun(services, rng, first)
    page.ports = services.ports
    lost = await speaking(page)
    first.kill()

    def speaks_again() -> bool:
        reply = page.last_reply
        return reply is not None and reply.message > lost and len(reply.grown) > 20

    await wait_until(speaks_again, "the reply did not begin again", LEASE + 15)
    second.kill()
    await services.heal()
    await asyncio.sleep(LEASE + 3)
    auditor = await services.settle()
    replies = [m for m in auditor.messages.values() if m["role"] == "partner"]
    assert [m["status"] for m in replies] == ["interrupted", "interrupted"]
    assert len(await services.calls()) == 2


@pytest.mark.slow
async def test_a_server_that_stood_still_past_its_lease_writes_nothing_more(
    services: World, rng: random.Random
) -> None:
    services.provider.script("partner", **LONG)
    first, second = services.servers
    page, other = await begun(services, rng, first)
    other.ports = lambda: [second.port]
    other.cut()
    lost = await speaking(page)
    first.pause()
    await wait_until(
        lambda: other.turns[lost].status == "interrupted",
        "nobody took over",
        LEASE + 10,
    )
    await asyncio.sleep(1)
    first.resume()
    auditor = await services.settle()
    assert auditor.figures.restarted == 1


async def test_fifty_sockets_go_elsewhere_when_a_server_is_asked_to_end(
    pair: World, rng: random.Random
) -> None:
    world = pair
    world.provider.script("partner", default=True, **LONG)
    first, second = world.servers
    rooms = world.rooms(10)
    pages = [world.page(rooms[n % 10], first) for n in range(50)]
    await world.pages_in_step(pages)
    for page, room in zip(pages[:10], rooms, strict=True):
        await page.say(room.text(rng))
    await speaking(pages[0])
    for page in pages:
        page.ports = world.ports
    # One has only just been let in, another is about to ask.
    upgraded = await connect(
        f"ws://127.0.0.1:{first.port}/ws/conversations/{rooms[0].conversation}/",
        additional_headers={"Cookie": rooms[0].cookie},
        origin=websockets.Origin(first.origin),
    )
    _, writer = await asyncio.open_connection("127.0.0.1", first.port)
    writer.write(b"GET /ws/conversations/1/ HTTP/1.1\r\n")
    first.terminate()
    took = await first.gone(25)
    assert took < 15, f"it took {took:.1f} s"
    writer.close()
    if upgraded.transport is not None:
        upgraded.transport.abort()
    began = time.monotonic()
    await world.pages_in_step(pages, 20)
    assert time.monotonic() - began < 15
    assert all(page.port == second.port for page in pages)
    await world.settle()


async def test_what_was_lost_is_taken_over_though_nobody_looks(
    embedded: World, rng: random.Random
) -> None:
    embedded.provider.script("partner", **LONG)
    (server,) = embedded.servers
    room = embedded.room()
    (page,) = await embedded.enter(room)
    await page.say(room.text(rng))
    await speaking(page)
    await embedded.leave()
    server.kill()
    await embedded.restore(server)
    held = "SELECT count(*) FROM usage_hold WHERE state = 'held'"
    await wait_until(
        lambda: not embedded.running() and embedded.database.rows(held) == [(0,)],
        "a reply that nobody looked at stayed lost",
        LEASE + 20,
    )
    (page,) = await embedded.enter(room)
    assert page.last_reply
    assert page.last_reply.status == "complete"
    auditor = await embedded.settle()
    assert auditor.figures.restarted == 1


async def test_a_server_whose_database_hangs_ends_when_asked_to(
    services: World, rng: random.Random
) -> None:
    services.provider.script("partner", **LONG)
    server, _ = services.servers
    room = services.room()
    page = services.page(room, server)
    await services.pages_in_step([page])
    await page.say(room.text(rng))
    await speaking(page)
    page.ports = services.ports
    assert services.postgresql
    services.postgresql.pause()
    await asyncio.sleep(1.5)  # until the next checkpoint waits for an answer
    server.terminate()
    assert await server.gone(15) < 15
    await services.settle()
