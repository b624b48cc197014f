"""Two people at one browser, one after the other: the second finds nothing of the first."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from e2e.conftest import Watch
from e2e.room import Room, follow
from e2e.site import Site


def test_the_next_person_joins_as_somebody_else_and_leaves_the_browser(
    visit: Callable[..., Page], watch: Watch, understudy_site: Site, size: dict[str, Any]
) -> None:
    watch.forgive("status of 404")
    group = understudy_site.ask("group_link", places=5)
    page = visit(**size)
    first = Room(page, understudy_site).enter(group["url"]).settled(turns=1)
    first.box.fill("What only the first may read")
    conversation = page.url

    tab = page.context.new_page()
    tab.goto(group["url"])
    follow(tab.get_by_role("link", name="Not you? Join as somebody else"))
    tab.get_by_label("Your name").fill("Second Student")
    follow(tab.get_by_role("button", name="Start the conversation"))
    Room(tab, understudy_site).settled(turns=1)
    assert tab.url != conversation
    # The first one's page is closed out, and the draft is gone from its tab.
    expect(page.get_by_text("This browser was left")).to_be_visible()
    assert "first may read" not in page.evaluate("JSON.stringify(sessionStorage)")
    answer = page.goto(conversation)
    assert answer
    assert answer.status == 404

    follow(tab.get_by_role("link", name="leave this browser"))
    follow(tab.get_by_role("button", name="Leave this browser"))
    expect(tab.get_by_text("This browser has forgotten your invitations.")).to_be_visible()
    tab.goto(group["url"])
    expect(tab.get_by_role("button", name="Start the conversation")).to_be_visible()
