"""The page's line: one that died is noticed, and a server that breaks is let be."""

import itertools
import json
import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, WebSocketRoute

from e2e.conftest import enter
from e2e.room import Room
from e2e.site import Site


def test_a_line_that_died_without_a_word_is_noticed_and_replaced(
    visit: Callable[..., Page], scripted_site: Site
):
    first = enter(visit(), scripted_site).settled(turns=1)
    page = first.page.context.new_page()
    page.clock.install()
    lines: list[bool] = []  # of each, whether it carries anything
    answers: list[str] = []
    pings: list[int] = []

    def joined(socket: WebSocketRoute) -> None:
        number = len(lines)
        lines.append(True)
        server = socket.connect_to_server()

        def leaves(text: str | bytes) -> None:
            if json.loads(text)["type"] == "ping":
                pings.append(number)
            if lines[number]:
                server.send(text)

        def arrives(text: str | bytes) -> None:
            if lines[number]:
                socket.send(text)
                answers.append(json.loads(text)["type"])

        socket.on_message(leaves)
        server.on_message(arrives)

    def until(true: Callable[[], bool]) -> None:
        for _ in range(200):
            page.wait_for_timeout(50)
            if true():
                return page.wait_for_timeout(500)
        raise AssertionError((lines, answers, pings))

    page.route_web_socket(re.compile("/ws/"), joined)
    second = Room(page, first.site)
    page.goto(first.page.url)
    until(lambda: "synced" in answers)
    # Quiet, but answered.
    for number in (1, 2):
        page.clock.fast_forward(20_000)
        until(lambda number=number: answers.count("pong") == number)
    assert lines == [True]
    lines[0] = False
    first.say("Can you hear me?")
    first.settled(turns=3, notes=1)
    page.clock.fast_forward(20_000)
    until(lambda: len(pings) == 3)
    page.clock.fast_forward(10_000)
    second.settled(turns=3, notes=1).same_as_database()
    assert lines == [False, True]


@pytest.mark.parametrize(("code", "grows"), [(1011, True), (1012, False)])
def test_a_page_leaves_a_server_alone_that_breaks_on_it_and_comes_back_soon_from_a_restart(
    room: Room, code: int, grows: bool
):
    """Each line is in step before it is closed, as where what is sent then breaks the server."""
    opened: list[float] = []

    def closes(socket: WebSocketRoute) -> None:
        opened.append(time.monotonic())

        def answer(text: str | bytes) -> None:
            if json.loads(text)["type"] == "sync":
                socket.send(json.dumps({"type": "synced"}))
                socket.close(code=code)

        socket.on_message(answer)

    room.page.route_web_socket("**/ws/**", closes)
    room.page.reload()
    room.page.wait_for_timeout(3_500)
    while not grows and len(opened) < 7:
        room.page.wait_for_timeout(50)
    pauses = [after - before for before, after in itertools.pairwise(opened)]
    assert (len(pauses) < 6) == grows, pauses
    if not grows:
        # By chance: pages that were sent away together do not come back in one moment.
        assert max(pauses) - min(pauses) > 0.03
