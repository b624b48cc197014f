"""A guest makes an account in the middle of a conversation, and loses nothing by it."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from e2e.conftest import Watch
from e2e.room import Room, follow
from e2e.site import Site
from e2e.test_sockets_close import in_step, newest_code


def test_a_guest_becomes_an_account_with_place_draft_and_socket(
    visit: Callable[..., Page], watch: Watch, understudy_site: Site, size: dict[str, Any]
) -> None:
    site = understudy_site
    email = f"kept{size['viewport']['width']}@example.org"
    watch.forgive("40[34]")
    page, other = visit(**size), visit()
    made = site.ask("invite")
    room = Room(page, site).enter(made["url"]).settled(turns=1)
    other.goto(made["url"])
    other.get_by_role("button", name="Continue the conversation").click()
    other.wait_for_url(page.url)
    guest = in_step(other, page.url)
    room.say("What worries you most?")
    room.settled(turns=3, notes=1)
    room.box.fill("And what I have not said yet")
    address = page.url
    page.get_by_role("button", name="Keep this: make an account").click()
    expect(page.get_by_text("What you have said as a guest is kept")).to_be_visible()
    page.get_by_role("textbox", name="Email").fill(email)
    follow(page.get_by_role("button", name="Sign up"))
    page.get_by_role("textbox", name="Code").fill(newest_code(site, email))
    page.get_by_role("button", name="Confirm").click()
    page.wait_for_url(address)
    expect(page.get_by_text(f"What you said is kept in your account, {email}.")).to_be_visible()
    expect(room.box).to_have_value("And what I have not said yet")
    expect(page.get_by_role("button", name="Keep this")).to_have_count(0)
    room.settled(turns=3)
    room.same_as_database()
    room.send.click()
    room.settled(turns=5)
    # The other browser is out, and is told where to go.
    expect(other.get_by_text("no longer open to you")).to_be_visible()
    assert guest.socket.is_closed()
    other.reload()
    expect(other.get_by_role("heading", name="Sign in to go on")).to_be_visible()
    expect(other.get_by_text("k…@example.org")).to_be_visible()
