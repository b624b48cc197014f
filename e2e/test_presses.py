"""An impatient hand: two clicks on one button, in a browser that sends both."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from e2e.conftest import DESKTOP, PHONE, Watch
from e2e.room import follow
from e2e.site import Site
from e2e.test_journey import sign_in


def click_twice(button: Locator) -> None:
    """Two clicks, 40 milliseconds apart, on the page as it stands."""
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    assert box
    mouse, at = button.page.mouse, (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    mouse.move(*at)
    for pause in (0.04, 0):
        mouse.down()
        mouse.up()
        time.sleep(pause)


def mails(site: Site, address: str, expected: int) -> int:
    """How many have come, once so many are there and one too many has had the time to come."""
    until = time.monotonic() + 10
    while len(site.mail(address)) < expected and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(1)
    return len(site.mail(address))


@pytest.mark.parametrize("form", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_one_invitation_and_one_mail(
    visit: Callable[..., Page], understudy_site: Site, form: dict[str, Any], watch: Watch
):
    site, address = understudy_site, f"kim{form['viewport']['width']}@example.org"
    page = visit(**form)
    sign_in(page, site)
    page.goto(f"{site.url}/admin/invitations/invitation/add/")
    page.get_by_label("Recipient", exact=False).first.fill(address)
    click_twice(page.get_by_role("button", name="Save and send"))
    expect(page).to_have_url(re.compile(r"/invitation/\w+/change/$"))
    assert mails(site, address, 1) == 1

    page.reload()
    click_twice(page.get_by_role("button", name="Save and send"))
    assert mails(site, address, 2) == 2

    page.goto(f"{site.url}/admin/invitations/invitation/?q={address}")
    expect(page.get_by_role("row").filter(has_text=address)).to_have_count(1)
    assert watch.problems == []


def test_a_guest_gets_one_mail_with_their_link(
    visit: Callable[..., Page], understudy_site: Site, watch: Watch
):
    invitation = understudy_site.ask("invite")
    page = visit(**PHONE)
    page.goto(invitation["url"])
    follow(page.get_by_role("button", name="Start the conversation"))
    page.goto(f"{understudy_site.url}/invite/own/{invitation['id']}/")
    page.get_by_label("Your email address").fill("guest@example.org")
    click_twice(page.get_by_role("button", name="Send me the link"))
    assert mails(understudy_site, "guest@example.org", 1) == 1
    assert watch.problems == []
