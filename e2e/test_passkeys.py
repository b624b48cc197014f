"""Passkeys in a real browser, with a device that Chromium plays (WebAuthn's virtual one)."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Page, expect

from e2e.conftest import SIZES
from e2e.room import follow
from e2e.site import Site

PASSWORD = "correct horse battery"
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


class Device:
    """A fingerprint reader, say, in the computer that the page is open on."""

    def __init__(self, page: Page) -> None:
        self._cdp: CDPSession = page.context.new_cdp_session(page)
        self._cdp.send("WebAuthn.enable", {"enableUI": False})
        added = self._cdp.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
        self._id = added["authenticatorId"]

    @property
    def keys(self) -> list[Any]:
        named = {"authenticatorId": self._id}
        return self._cdp.send("WebAuthn.getCredentials", named)["credentials"]

    def refuses(self, refuses: bool = True) -> None:
        """The wrong finger."""
        named = {"authenticatorId": self._id, "isUserVerified": not refuses}
        self._cdp.send("WebAuthn.setUserVerified", named)


@pytest.fixture(scope="module")
def strict_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that asks its staff for a second factor."""
    site = Site(tmp_path_factory.mktemp("strict"), STAFF_SECOND_FACTOR="on")
    yield site
    site.close()


def enter_password(page: Page, site: Site, email: str, password: str = PASSWORD) -> None:
    page.goto(f"{site.url}/accounts/login/")
    page.get_by_role("textbox", name="Email").fill(email)
    page.get_by_role("textbox", name="Password").fill(password)
    follow(page.get_by_role("button", name="Sign in", exact=True))


def confirm(page: Page, password: str = PASSWORD) -> None:
    """Show once more that the account is one's own, if asked."""
    if "reauthenticate" in page.url:
        page.get_by_role("textbox", name="Password").fill(password)
        follow(page.get_by_role("button", name="Confirm"))


def add_passkey(page: Page, site: Site, password: str = PASSWORD) -> None:
    page.goto(f"{site.url}/accounts/2fa/webauthn/add/")
    confirm(page, password)
    page.get_by_role("button", name="Add a passkey").click()


@pytest.mark.parametrize("size", SIZES)
def test_a_learner_adds_a_passkey_and_signs_in_with_it(
    visit: Callable[..., Page], understudy_site: Site, size: str
) -> None:
    site = understudy_site
    email = f"key{size}@example.org"
    site.ask("user", email=email, password=PASSWORD)
    page = visit(**SIZES[size])
    device = Device(page)
    enter_password(page, site, email)
    page.get_by_role("link", name="Account").click()
    follow(page.get_by_role("link", name="Add a passkey"))
    confirm(page)
    page.get_by_role("button", name="Add a passkey").click()
    page.wait_for_url("**/account/")
    expect(page.get_by_role("listitem").filter(has_text="not used yet")).to_be_visible()
    assert len(device.keys) == 1
    follow(page.get_by_role("main").get_by_role("button", name="Sign out", exact=True))
    page.goto(f"{site.url}/accounts/login/?next=/scenarios/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url(f"{site.url}/scenarios/")
    page.goto(f"{site.url}/account/")
    expect(page.get_by_text(email).first).to_be_visible()


def test_a_passkey_that_is_not_confirmed_leaves_words_and_another_way(
    visit: Callable[..., Page], understudy_site: Site
) -> None:
    page = visit()
    device = Device(page)
    understudy_site.ask("user", email="finger@example.org", password=PASSWORD)
    enter_password(page, understudy_site, "finger@example.org")
    device.refuses()
    add_passkey(page, understudy_site)
    expect(page.get_by_text("the passkey was not confirmed")).to_be_visible()
    device.refuses(False)
    page.get_by_role("button", name="Add a passkey").click()
    page.wait_for_url("**/account/")
    add_passkey(page, understudy_site)
    expect(page.get_by_text("has a passkey for your account already")).to_be_visible()


def test_staff_are_led_to_a_second_factor_and_back_and_then_asked_for_it(
    visit: Callable[..., Page], strict_site: Site
) -> None:
    site = strict_site
    page = visit()
    device = Device(page)
    enter_password(page, site, site.staff_email, site.staff_password)
    page.wait_for_url(f"{site.url}/")
    page.goto(f"{site.url}/admin/accounts/user/")
    page.wait_for_url("**/accounts/2fa/")
    expect(page.get_by_text("The admin opens only to those with a second factor")).to_be_visible()
    follow(page.get_by_role("link", name="Add a passkey"))
    confirm(page, site.staff_password)
    page.get_by_role("button", name="Add a passkey").click()
    page.wait_for_url("**/recovery-codes/")
    page.get_by_role("link", name="Go on to the admin").click()
    page.wait_for_url("**/admin/accounts/user/")
    page.goto(f"{site.url}/account/")
    follow(page.get_by_role("main").get_by_role("button", name="Sign out", exact=True))
    enter_password(page, site, site.staff_email, site.staff_password)
    page.wait_for_url("**/accounts/2fa/authenticate/")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(f"{site.url}/")
    page.goto(f"{site.url}/admin/")
    expect(page.get_by_role("heading", name="Staff desk")).to_be_visible()
    assert len(device.keys) == 1


def test_without_scripts_other_ways_stay(visit: Callable[..., Page], understudy_site: Site) -> None:
    page = visit(java_script_enabled=False)
    page.goto(f"{understudy_site.url}/accounts/login/")
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_hidden()
    expect(page.get_by_role("link", name="Email me a sign-in code")).to_be_visible()


def test_somebody_elses_passkey_opens_nothing(
    visit: Callable[..., Page], understudy_site: Site
) -> None:
    """A key of another site, or of an account that is gone."""
    page = visit()
    Device(page)
    understudy_site.ask("user", email="gone@example.org", password=PASSWORD)
    enter_password(page, understudy_site, "gone@example.org")
    add_passkey(page, understudy_site)
    page.wait_for_url("**/account/")
    follow(page.get_by_role("link", name="Remove"))
    confirm(page)
    page.get_by_role("button", name="Remove").click()
    page.wait_for_url("**/account/")
    follow(page.get_by_role("main").get_by_role("button", name="Sign out", exact=True))
    page.goto(f"{understudy_site.url}/accounts/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_text("Incorrect code.")).to_be_visible()
    page.goto(f"{understudy_site.url}/account/")
    page.wait_for_url("**/accounts/login/**")
