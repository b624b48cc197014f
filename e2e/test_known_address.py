"""A guest signs up with an address that has an account already, and is not led in a circle."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from e2e.room import Room, follow
from e2e.site import Site
from e2e.test_sockets_close import newest_code

PASSWORD = "correct-horse-battery"


@pytest.fixture
def site(understudy_site: Site) -> Site:
    return understudy_site


def waits_for_a_code(page: Page, site: Site, email: str) -> str:
    """Have a guest sign up with `email`; returns the address of their conversation."""
    Room(page, site).enter(site.ask("invite")["url"]).settled(turns=1)
    place = page.url
    page.get_by_role("button", name="Keep this: make an account").click()
    page.get_by_role("textbox", name="Email").fill(email)
    follow(page.get_by_role("button", name="Sign up"))
    expect(page.get_by_role("heading", name="Confirm your email address")).to_be_visible()
    return place


def test_the_page_offers_to_sign_in_and_leads_back(
    visit: Callable[..., Page], site: Site, size: dict[str, Any]
) -> None:
    email = f"known{size['viewport']['width']}@example.org"
    site.ask("user", email=email, password=PASSWORD)
    page = visit(**size)
    place = waits_for_a_code(page, site, email)
    follow(page.get_by_role("link", name="Sign in to it"))
    page.get_by_role("textbox", name="Email").fill(email)
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(place)
    expect(page.get_by_text(f"What you said is kept in your account, {email}.")).to_be_visible()


def test_the_advice_of_the_mail_works_in_the_same_browser(
    visit: Callable[..., Page], site: Site
) -> None:
    email = "known@example.org"
    site.ask("user", email=email, password=PASSWORD)
    page = visit()
    place = waits_for_a_code(page, site, email)
    text = site.mail(email)[-1].get_content()
    page.goto(re.search(r"http\S+", text)[0])
    page.get_by_role("textbox", name="Email").fill(email)
    follow(page.get_by_role("button", name="Send the code"))
    page.get_by_role("textbox", name="Code").fill(newest_code(site, email))
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text(f"What you said is kept in your account, {email}.")).to_be_visible()
    page.goto(place)
    expect(page.get_by_role("textbox", name="Your message")).to_be_enabled()
