"""What a killed process had on hold: charged if a call may have been under way, else returned."""

import asyncio
import random
from typing import Any

from e2e.faults.machines import wait_until
from e2e.faults.page import Page
from e2e.faults.watch import Auditor
from e2e.faults.world import LEASE, Room, World

TEXT = "one two three four five"


async def said(world: World, rng: random.Random) -> tuple[Room, Page]:
    """A conversation in which something was just said on the first server."""
    room = world.room()
    page = world.page(room, world.servers[0])
    await world.pages_in_step([page])
    await page.say(room.text(rng))
    return room, page


async def reply_waits(world: World, room: Room, waits: bool = True) -> None:
    """Return once the partner's row says whether no call of it is under way."""

    def is_so() -> bool:
        found = world.database.rows(
            "SELECT waiting_since FROM conversations_message WHERE status = 'streaming'"
            f" AND role = 'partner' AND session_id = {room.conversation}"
        )
        return len(found) == 1 and (found[0][0] is not None) == waits

    await wait_until(is_so, "the row does not say so", 10)


async def killed(world: World, page: Page) -> Auditor:
    """Kill the server, and count what came of it once all is quiet."""
    world.servers[0].kill()
    page.ports = world.ports
    await asyncio.sleep(1)
    await world.heal()
    await wait_until(
        lambda: page.last_reply is not None and page.last_reply.status == "complete",
        "the reply did not begin again",
        LEASE + 20,
    )
    return await world.settle()


def partner(auditor: Auditor) -> tuple[list[tuple[str, str]], list[dict[str, Any]]]:
    replies = [row for row in auditor.messages.values() if row["role"] == "partner"]
    logs = [log for log in auditor.logs if log["stream_type"] == "partner"]
    return [(row["status"], row["failure"]) for row in replies], logs


AGAIN = [("interrupted", "lost"), ("complete", "")]


async def test_a_server_killed_while_a_busy_model_is_let_be_owes_nothing_for_it(
    services: World, rng: random.Random
) -> None:
    services.provider.script("partner", status=429, retry_after=4)
    room, page = await said(services, rng)
    await reply_waits(services, room)
    while not await services.calls():
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)
    await reply_waits(services, room)
    ends, logs = partner(await killed(services, page))
    assert ends == AGAIN
    assert [log["is_estimate"] for log in logs] == [False]


async def test_a_server_killed_while_the_model_refuses_connections_owes_nothing(
    embedded: World, rng: random.Random
) -> None:
    embedded.provider.stop()
    room, page = await said(embedded, rng)
    await asyncio.sleep(0.5)
    await reply_waits(embedded, room)
    embedded.servers[0].kill()
    embedded.provider.start()
    ends, logs = partner(await killed(embedded, page))
    assert ends == AGAIN
    assert [log["is_estimate"] for log in logs] == [False]


async def test_a_server_killed_while_a_call_is_under_way_owes_the_whole_hold_once(
    services: World, rng: random.Random
) -> None:
    services.provider.script("partner", text=TEXT, header_delay=4)
    room, page = await said(services, rng)
    while not await services.calls():
        await asyncio.sleep(0.02)
    await reply_waits(services, room, waits=False)
    ends, logs = partner(await killed(services, page))
    assert ends == AGAIN
    (unknown,) = [log for log in logs if log["is_estimate"]]
    held = services.database.rows(
        f"SELECT tokens FROM usage_hold WHERE id = '{unknown['hold_id']}' AND state = 'settled'"
    )
    assert [(unknown["input_tokens"] + unknown["output_tokens"],)] == held
    assert len(logs) == 2
