"""The last page while the coach writes it, and the line or the server goes away meanwhile."""

import re

import pytest
from playwright.sync_api import Route, expect

from e2e.conftest import Watch
from e2e.model_server import ModelServer
from e2e.room import PATIENCE, Room

# Slow enough for what happens in its middle, in pieces that come before anybody thinks it stalled.
REST = [f"word{number} " for number in range(60)]
SUMMARY = ["## What went well\n- Asking.\n\n", "## What to try next\n- ", *REST, "Wait a little."]


@pytest.fixture
def room(room: Room) -> Room:
    """A conversation that is worth a summary."""
    room.say("Hello?")
    return room.settled(turns=3, notes=1)


def end(room: Room) -> None:
    room.page.get_by_role("button", name="End conversation").click()
    room.page.get_by_role("button", name="Yes, end it").click()
    room.page.wait_for_url("**/debrief/")


def end_and_read_along(room: Room, script: ModelServer) -> None:
    script.script("coach", chunks=SUMMARY, delay=0.08)
    end(room)
    expect(room.page.locator("[data-debrief]")).to_contain_text("word1")


def is_whole(room: Room) -> None:
    page = room.page
    expect(page.get_by_role("heading", name="What to try next")).to_be_visible()
    expect(page.get_by_text("Wait a little.")).to_be_visible()
    expect(page.get_by_text("The coach is writing")).to_have_count(0)
    expect(page.locator("[data-line]")).to_be_empty()


@pytest.mark.parametrize("trouble", ["no line", "a server error"])
def test_a_page_that_does_not_come_is_asked_for_again(
    room: Room, script: ModelServer, watch: Watch, trouble: str
):
    watch.forgive("ERR_FAILED|status of 503")
    tries: list[str] = []

    def fails_twice(route: Route) -> None:
        if route.request.resource_type != "fetch" or len(tries) == 2:
            return route.fallback()
        tries.append(route.request.url)
        return route.abort() if trouble == "no line" else route.fulfill(status=503, body="<p>No.")

    room.page.route(re.compile(r"/debrief/$"), fails_twice)
    script.script("coach", chunks=SUMMARY, delay=0.02)
    end(room)
    is_whole(room)
    assert len(tries) == 2


def test_a_lost_line_is_told_and_the_rest_comes_when_it_is_back(
    room: Room, script: ModelServer, watch: Watch
):
    watch.forgive("ERR_INTERNET_DISCONNECTED|WebSocket")
    end_and_read_along(room, script)
    room.page.context.set_offline(True)
    expect(room.page.locator("[data-line]")).to_contain_text("connection is lost")
    for _ in range(PATIENCE // 100):
        if room.rows[-1]["status"] == "complete":
            break
        room.page.wait_for_timeout(100)
    expect(room.page.get_by_text("Wait a little.")).to_have_count(0)
    room.page.context.set_offline(False)
    is_whole(room)


def test_a_summary_that_was_lost_with_its_server_says_so(
    room: Room, script: ModelServer, watch: Watch
):
    watch.forgive("ERR_CONNECTION|WebSocket|status of 50")
    end_and_read_along(room, script)
    room.site.kill()
    expect(room.page.locator("[data-line]")).to_contain_text("connection is lost")
    room.site.start()
    expect(room.page.get_by_text("lost when a server stopped")).to_be_visible()
    expect(room.page.get_by_text("The coach is writing")).to_have_count(0)
    room.page.get_by_role("button", name="Try again").click()
    room.page.wait_for_url("**/debrief/")
    expect(room.page.get_by_text("lost when a server stopped")).to_have_count(0)
