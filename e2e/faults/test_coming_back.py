"""Pages are in step again soon after whoever serves them is."""

import asyncio
import time

import pytest

from e2e.faults.absence import Absence, Service, is_ready
from e2e.faults.machines import PostgreSQL, crowding, wait_until
from e2e.faults.page import ANSWER_WITHIN, Page
from e2e.faults.shown import Entry
from e2e.faults.world import World

SOON = 10.0
# Long enough for every backoff to be at its longest.
AWAY = 17.0


async def back_within(world: World, pages: list[Page], seconds: float) -> None:
    """Fails unless all are in step so many seconds from now, longer where others compute too."""
    began = time.monotonic()
    await world.pages_in_step(pages, seconds * crowding())
    assert not [page for page in pages if page.problems]
    assert time.monotonic() - began < seconds * crowding()


@pytest.mark.slow
async def test_pages_are_back_soon_after_all_servers_were_away(pair: World) -> None:
    pages = [pair.page(room) for room in pair.rooms(6)]
    await pair.pages_in_step(pages)
    for server in pair.servers:
        server.kill()
    await asyncio.sleep(AWAY)
    for server in pair.servers:
        server.start()
    await wait_until(lambda: any(server.answers() for server in pair.servers), "no server")
    await back_within(pair, pages, SOON)
    await pair.settle()


@pytest.mark.slow
async def test_pages_are_back_soon_after_the_database_was_away(pair: World) -> None:
    pages = [pair.page(room) for room in pair.rooms(6)]
    await pair.pages_in_step(pages)
    assert isinstance(pair.postgresql, PostgreSQL)
    pair.postgresql.crash()
    for page in pages:
        page.cut()
    await asyncio.sleep(AWAY)
    await pair.restore(pair.postgresql)
    await back_within(pair, pages, SOON)
    await pair.settle()


@pytest.mark.slow
async def test_a_server_reaches_its_database_soon_after_it_was_away_for_long(
    services: World,
) -> None:
    assert isinstance(services.postgresql, PostgreSQL)
    port = services.servers[0].port
    services.postgresql.crash()
    began = time.monotonic()
    # Half a minute of people who try, of which the pool's pauses must not grow.
    while time.monotonic() - began < 33:
        await asyncio.to_thread(is_ready, port)
        await asyncio.sleep(0.5)
    await services.restore(services.postgresql)
    back = time.monotonic()
    while not await asyncio.to_thread(is_ready, port):
        assert time.monotonic() - back < 4 * crowding()
        await asyncio.sleep(0.1)
    await services.settle()


@pytest.mark.slow
async def test_pages_leave_a_server_that_hangs_for_one_that_does_not(pair: World) -> None:
    first = pair.servers[0]
    pages = [pair.page(room) for room in pair.rooms(6)]
    await pair.pages_in_step(pages)
    first.pause()
    try:
        # Quiet for 15 s, unanswered for 8, and perhaps once more turned to the one that hangs.
        await asyncio.sleep(25)
        await wait_until(
            lambda: all(page.in_step and page.port != first.port for page in pages),
            "a page stays with a server that hangs",
            25 * crowding(),
        )
    finally:
        first.resume()
    await pair.settle()


def test_a_page_gives_a_new_line_its_time_however_old_what_it_sent_is() -> None:
    page = Page(1, "", list)
    page.outbox["x"] = entry = Entry("x", "send", "Hello?")
    now = 1000.0
    assert page._seems_dead(now) == ""
    entry.at = now - ANSWER_WITHIN - 1
    assert "not answered" in page._seems_dead(now)


def test_only_what_a_site_could_have_served_is_held_against_it() -> None:
    service = Service([])
    service.outages = [(10.0, 20.0), (23.0, 40.0)]
    assert service.blame(Absence(9.0, 42.0, ())) == 3.0
    assert service.blame(Absence(12.0, 25.0, ())) == 3.0
    assert service.blame(Absence(41.0, 48.0, ())) == 7.0
    assert service.blame(Absence(12.0, 18.0, ())) == 0.0
    assert not is_ready(1)
