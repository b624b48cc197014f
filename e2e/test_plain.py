"""Without JavaScript: plain forms hold a whole conversation."""

import contextlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Error, Page, Route, expect

from e2e.conftest import Watch
from e2e.model_server import ModelServer
from e2e.room import Room
from e2e.site import Site


@pytest.fixture
def plain(visit: Callable[..., Page], scripted_site: Site, size: dict[str, Any]) -> Room:
    page = visit(**size, java_script_enabled=False)
    return Room(page, scripted_site).enter(scripted_site.ask("invite")["url"])


def reload_until(room: Room, turns: int) -> None:
    """Load the page again, as its reader would, until the reply is there."""
    for _ in range(50):
        # While a reply is written the page loads itself again, perhaps at this very moment.
        with contextlib.suppress(Error):
            room.page.reload()
        whole = room.page.locator("[data-status=streaming]").count() == 0
        if whole and room.turns().count() >= turns:
            break
        room.page.wait_for_timeout(100)
    expect(room.turns()).to_have_count(turns)


def test_a_whole_conversation(plain: Room):
    reload_until(plain, 1)
    plain.box.fill("Good evening.")
    plain.send.click()
    expect(plain.turns().nth(1)).to_contain_text("Good evening.")
    reload_until(plain, 3)
    plain.question.fill("Was that cold?")
    plain.coach.get_by_role("button", name="Ask the coach").click()
    reload_until(plain, 3)
    expect(plain.notes("You")).to_contain_text("Was that cold?")
    # Every hidden id is new: saying it again is a second message.
    plain.box.fill("Good evening.")
    plain.send.click()
    reload_until(plain, 5)
    plain.same_as_database()
    plain.page.get_by_role("button", name="End conversation").click()
    plain.page.wait_for_url(re.compile(r"/debrief/$"))
    expect(plain.page.get_by_role("link", name="Download as text")).to_be_visible()
    assert [row["content"] for row in plain.rows if row["role"] == "user"] == [
        "Good evening.",
        "Was that cold?",
        "Good evening.",
    ]


def test_nothing_that_needs_scripts_is_offered(plain: Room):
    reload_until(plain, 1)
    for name in ("Hide the coach", "Jump to latest", "Retry"):
        expect(plain.page.get_by_role("button", name=name)).to_have_count(0)
    expect(plain.box).to_be_visible()
    expect(plain.coach).to_be_visible()


def test_a_failure_can_be_retried(plain: Room, script: ModelServer):
    reload_until(plain, 1)
    script.script("partner", status=400)
    plain.box.fill("Hello.")
    plain.send.click()
    reload_until(plain, 3)
    plain.page.get_by_role("button", name="Try again").click()
    reload_until(plain, 4)
    assert [row["status"] for row in plain.rows if row["role"] == "partner"] == [
        "complete",
        "failed",
        "complete",
    ]


def test_a_form_sent_twice_is_one_message(plain: Room):
    reload_until(plain, 1)
    plain.box.fill("Once.")
    with plain.page.expect_request(
        lambda request: request.method == "POST" and "/conversations/" in request.url
    ) as sent:
        plain.send.click()
    expect(plain.turns().nth(1)).to_contain_text("Once.")
    form = sent.value.post_data
    again = plain.page.request.post(
        plain.page.url.split("#")[0],
        data=form,
        headers={"content-type": "application/x-www-form-urlencoded", "origin": plain.site.url},
    )
    assert again.ok
    reload_until(plain, 3)
    assert [row["content"] for row in plain.rows if row["role"] == "user"] == ["Once."]


def test_back_from_a_line_that_broke_the_words_are_there(plain: Room, watch: Watch):
    watch.forgive("ERR_FAILED")
    reload_until(plain, 1)
    plain.page.route(re.compile(r"/conversations/\d+/$"), abort_posts)
    ask = plain.coach.get_by_role("button", name="Ask the coach")
    for box, button in ((plain.box, plain.send), (plain.question, ask)):
        box.fill("Plain words.")
        # Chromium notes what a page has in its fields once a second, and nobody types as quickly.
        plain.page.wait_for_timeout(1_500)
        button.click()
        plain.page.wait_for_url("chrome-error://**")
        plain.page.go_back()
        expect(box).to_have_value("Plain words.")


def abort_posts(route: Route) -> None:
    route.abort() if route.request.method == "POST" else route.fallback()


def test_what_the_server_could_not_store_comes_back_to_be_sent_again(plain: Room, watch: Watch):
    watch.forgive("status of 503")
    reload_until(plain, 1)
    plain.box.fill("Plain words.\n\nAnd more.")
    plain.site.ask("lose_messages", lost=True)
    try:
        plain.send.click()
        expect(plain.page.get_by_role("heading", name="Not sent yet")).to_be_visible()
    finally:
        plain.site.ask("lose_messages", lost=False)
    expect(plain.page.get_by_role("textbox")).to_have_value("Plain words.\n\nAnd more.")
    plain.page.get_by_role("button", name="Send again").click()
    expect(plain.turns().nth(1)).to_contain_text("And more.")
    reload_until(plain, 3)
    assert len([row for row in plain.rows if row["role"] == "user"]) == 1
