"""Redis or PostgreSQL away for a while, and queries that take their time."""

import asyncio
import random

import pytest

from e2e.faults.bystander import Bystander, locked
from e2e.faults.machines import PostgreSQL, wait_until
from e2e.faults.test_crashes import speaking
from e2e.faults.world import World

AWAY = 5.0
# Longer than an outage, so that it begins and ends in mid-stream.
LONG = {"text": " ".join(f"word{n}" for n in range(200)), "delay": 0.05}


@pytest.mark.parametrize("how", ["killed", "paused"])
async def test_the_text_is_whole_though_redis_was_away(
    services: World, rng: random.Random, how: str
) -> None:
    services.provider.script("partner", **LONG)
    room = services.room()
    pages = [services.page(room, server) for server in services.servers * 3]
    await services.pages_in_step(pages)
    await pages[0].say(room.text(rng))
    for page in pages:
        await speaking(page)
    assert services.redis
    if how == "killed":
        services.redis.kill()
    else:
        services.redis.pause()
    await asyncio.sleep(AWAY)
    await services.restore(services.redis)
    await wait_until(
        lambda: all(p.last_reply and p.last_reply.text == LONG["text"] for p in pages),
        "a page lacks text without a reload",
        30,
    )
    assert all(len(page.closes) == 0 for page in pages)
    await services.settle()


async def test_other_processes_hear_of_chunks_again_once_redis_is_back(
    services: World, rng: random.Random
) -> None:
    first, second = services.servers
    room = services.room()
    writer, reader = services.page(room, first), services.page(room, second)
    await services.pages_in_step([writer, reader])
    assert services.redis
    services.redis.kill()
    await asyncio.sleep(1)
    await services.restore(services.redis)
    await asyncio.sleep(3)
    services.provider.script("partner", **LONG)
    await writer.say(room.text(rng))
    await speaking(reader, 100)
    await services.settle()


async def test_a_page_that_missed_a_turn_gets_it_with_the_next_one(
    services: World, rng: random.Random
) -> None:
    first, second = services.servers
    room = services.room()
    writer, reader = services.page(room, first), services.page(room, second)
    await services.pages_in_step([writer, reader])
    assert services.redis
    # Too short for anybody to notice, but what is published meanwhile is gone.
    services.redis.kill()
    missed = await writer.say(room.text(rng), kind="ask")
    await wait_until(lambda: missed in writer.accepted and not writer.streaming, "no answer")
    await services.restore(services.redis)
    await asyncio.sleep(1)
    await writer.say(room.text(rng))
    await wait_until(
        lambda: reader.mine(missed) is not None, "the turn that was missed never comes", 30
    )
    await services.settle()


async def test_the_text_is_whole_though_the_database_was_away(
    services: World, rng: random.Random
) -> None:
    services.provider.script("partner", **LONG)
    rooms = services.rooms(2)
    pages = [services.page(rooms[0], server) for server in services.servers * 2]
    others = [services.page(rooms[1], server) for server in services.servers]
    await services.pages_in_step([*pages, *others])
    await pages[0].say(rooms[0].text(rng))
    for page in pages:
        await speaking(page)
    assert services.postgresql
    services.postgresql.crash()
    refused = [await page.say(rooms[1].text(rng)) for page in others]
    await asyncio.sleep(AWAY)
    await services.restore(services.postgresql)
    await wait_until(
        lambda: all(p.last_reply and p.last_reply.text == LONG["text"] for p in pages),
        "a page lacks text without a reload",
        40,
    )
    await services.quiet()
    for page, client_id in zip(others, refused, strict=True):
        # Only one of the two can have been first; the outbox sent both again afterwards.
        assert page.withdrawn.get(client_id) == "busy" or client_id in page.accepted
    await services.settle()


async def test_a_row_that_is_locked_holds_up_no_other_conversation(
    services: World, rng: random.Random
) -> None:
    services.provider.script("partner", default=True, **LONG)
    first = services.servers[0]
    room, *stuck = services.rooms(6)
    bystander = await Bystander.enter(services, room, first, rng)
    pages = [services.page(room, first) for room in stuck]
    await services.pages_in_step(pages)
    assert isinstance(services.postgresql, PostgreSQL)
    with locked(services.postgresql.url, stuck):
        bystander.from_now()
        for page, room in zip(pages, stuck, strict=True):
            await page.say(room.text(rng))
        await asyncio.sleep(3)
        bystander.went_on(20)
    await services.settle()
