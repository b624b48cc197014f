"""Somebody from staff watches a learner, on two screens at once."""

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from e2e.room import Room
from e2e.test_journey import sign_in
from e2e.test_pages import violations

SHIFTS = """() => {
  window.shifted = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.shifted += entry.value;
  }).observe({ type: "layout-shift" });
}"""


def watch(page: Page, room: Room) -> Page:
    """Go from the staff's desk to the page that watches a room."""
    sign_in(page, room.site)
    page.goto(f"{room.site.url}/admin/conversations/conversationsession/{room.id}/change/")
    page.get_by_role("link", name="Watch live").click()
    page.wait_for_url(re.compile("/watch/$"))
    return page


def test_the_learner_sees_who_watches_while_it_lasts(room: Room, visit: Callable[..., Page]):
    badge = room.page.locator(".watched")
    expect(badge).to_have_role("status")
    room.page.evaluate(SHIFTS)
    page = watch(visit(), room)
    expect(badge).to_have_text(re.compile("from staff is watching"))
    expect(badge).to_be_visible()
    page.close()
    expect(badge).to_have_text("")
    assert room.page.evaluate("window.shifted") <= 0.02


def test_a_watcher_reads_along(
    room: Room, visit: Callable[..., Page], script: Any, size: dict[str, Any]
):
    page = watch(visit(**size), room)
    script.script("partner", chunks=["Well, that ", "is **new**."], pause=1)
    room.say("I am <b>moving</b> out.")
    learner = page.locator("[data-turns=conversation] .turn-user")
    expect(learner).to_contain_text("Learner")
    expect(learner).to_contain_text("I am <b>moving</b> out.")
    expect(page.locator("[data-turns=conversation] [data-status=streaming]")).to_contain_text(
        "Well, that"
    )
    script.release()
    room.settled(turns=3, notes=1)
    expect(page.locator("[data-turns=conversation] > li")).to_have_count(3)
    expect(page.locator("[data-turns=coach] > li")).to_have_count(1)
    expect(page.locator("[data-turns=conversation] strong")).to_have_text("new")
    assert page.get_by_role("textbox").count() == 0
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
