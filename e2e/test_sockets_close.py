"""What ends somebody's access ends it on every open page, within two seconds, in every process."""

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import BrowserContext, Page, WebSocket, expect

from e2e.conftest import Watch
from e2e.room import PATIENCE, Room, follow
from e2e.site import Site
from e2e.test_passkeys import PASSWORD, confirm, enter_password

WITHIN = 2.0
SCENARIO = "/scenarios/holiday-dinner/"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two processes, where there are the services that they need between them."""
    several = os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL")
    environment = {"UNDERSTUDY_DELAY": "0.01", "PROCESSES": "2" if several else "1"}
    site = Site(tmp_path_factory.mktemp("people"), **environment)
    yield site
    site.stop()  # asked to end, it ends its processes too
    site.close()


@pytest.fixture(autouse=True)
def _refusals(watch: Watch) -> None:
    # A page that was closed out asks whether it may come back, and is told no.
    watch.forgive("40[34]")


@dataclass
class Open:
    """A conversation page, and its socket."""

    page: Page
    socket: WebSocket

    def closes_within(self, begun: float) -> None:
        while not self.socket.is_closed():
            assert time.monotonic() - begun < WITHIN, "the socket is still open"
            self.page.wait_for_timeout(20)


def in_step(page: Page, address: str) -> Open:
    """Open a conversation's page and wait until its socket has caught up."""
    found: list[WebSocket] = []

    def opened(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: '"synced"' in str(frame) and found.append(socket))

    page.goto("about:blank")  # which leaves behind what an earlier page still opens
    page.on("websocket", opened)
    page.goto(address)
    deadline = time.monotonic() + PATIENCE / 1000
    while not found:
        assert time.monotonic() < deadline, "the page is not in step"
        page.wait_for_timeout(20)
    return Open(page, found[0])


@pytest.fixture
def someone(site: Site, visit: Callable[..., Page]) -> Callable[[str], tuple[Page, str]]:
    """Return a function that signs somebody in and starts a conversation: the page, its address."""

    def enter(email: str) -> tuple[Page, str]:
        site.ask("user", email=email, password=PASSWORD, role="USER")
        page = visit()
        enter_password(page, site, email)
        page.wait_for_url(f"{site.url}/")
        page.goto(site.url + SCENARIO)
        page.get_by_role("button", name="Start the conversation").click()
        page.wait_for_url(re.compile(r"/conversations/\d+/$"))
        return page, page.url

    return enter


def another_tab(context: BrowserContext, address: str) -> Page:
    page = context.new_page()
    page.goto(address)
    return page


def test_signing_out_in_one_tab_closes_the_socket_of_the_other(site, someone):
    page, address = someone("tabs@example.org")
    room = in_step(page, address)
    other = another_tab(page.context, f"{site.url}/account/")
    other.get_by_role("main").get_by_role("button", name="Sign out", exact=True).click()
    room.closes_within(time.monotonic())
    expect(page.get_by_text("You are signed out.")).to_be_visible()


def test_signing_out_everywhere_closes_other_devices(site, someone, visit):
    page, address = someone("everywhere@example.org")
    elsewhere = visit()
    enter_password(elsewhere, site, "everywhere@example.org")
    elsewhere.wait_for_url(f"{site.url}/")
    rooms = [in_step(page, address), in_step(elsewhere, address)]
    desk = another_tab(page.context, f"{site.url}/account/")
    desk.get_by_role("button", name="Sign out everywhere").click()
    begun = time.monotonic()
    for room in rooms:
        room.closes_within(begun)
    desk.wait_for_url(f"{site.url}/accounts/login/")
    expect(desk.get_by_text("You are signed out on every device.")).to_be_visible()
    elsewhere.goto(f"{site.url}/account/")
    elsewhere.wait_for_url("**/accounts/login/**")


def test_one_device_is_signed_out_and_the_other_stays(site, someone, visit):
    page, address = someone("one@example.org")
    phone = visit(user_agent="Mozilla/5.0 (iPhone; CPU iPhone OS 18_5) Safari/604.1")
    enter_password(phone, site, "one@example.org")
    phone.wait_for_url(f"{site.url}/")
    here, there = in_step(page, address), in_step(phone, address)
    desk = another_tab(page.context, f"{site.url}/account/")
    desk.get_by_role("listitem").filter(has_text="Safari on iPhone").get_by_role("button").click()
    there.closes_within(time.monotonic())
    expect(desk.get_by_text("Safari on iPhone is signed out.")).to_be_visible()
    page.wait_for_timeout(1500)
    assert not here.socket.is_closed()


def test_a_new_password_closes_other_devices_and_not_ones_own(site, someone, visit):
    page, address = someone("password@example.org")
    elsewhere = visit()
    enter_password(elsewhere, site, "password@example.org")
    elsewhere.wait_for_url(f"{site.url}/")
    there = in_step(elsewhere, address)
    in_step(page, address)
    desk = another_tab(page.context, f"{site.url}/accounts/password/change/")
    confirm(desk)
    for field, text in (("old", PASSWORD), ("1", "quite another"), ("2", "quite another")):
        desk.locator(f"#id_{'oldpassword' if field == 'old' else f'password{field}'}").fill(text)
    desk.get_by_role("button", name="Change password").click()
    there.closes_within(time.monotonic())
    expect(desk.get_by_text("Your password is changed.")).to_be_visible()
    # The key of one's own session is new, so its page comes back by itself.
    room = Room(page, site)
    room.say("Still here?")
    expect(room.turns("You")).to_have_count(1)


@pytest.mark.parametrize("change", [{"is_active": False}, {"role": "POWER_USER"}])
def test_what_staff_change_closes_what_it_concerns(site, someone, change):
    email = f"{'-'.join(change)}@example.org".replace("_", "-")
    page, address = someone(email)
    room = in_step(page, address)
    site.ask("change_user", email=email, **change)
    room.closes_within(time.monotonic())
    if "role" in change:
        # It is still their conversation: the page comes back as what they are now.
        Room(page, site).say("Hello?")
        expect(Room(page, site).turns("You")).to_have_count(1)
    else:
        expect(page.get_by_text("You are signed out.")).to_be_visible()


def test_a_revoked_invitation_closes_its_guests(site, visit):
    page = visit()
    made = site.ask("invite")
    Room(page, site).enter(made["url"])
    room = in_step(page, page.url)
    site.ask("revoke", pk=made["id"])
    room.closes_within(time.monotonic())
    expect(page.get_by_text("no longer open to you")).to_be_visible()


def test_a_revoked_invitation_closes_the_account_that_took_it_over_which_may_read_on(
    site, someone, size, watch
):
    page, _ = someone(f"linked-{size['viewport']['width']}@example.org")
    page.set_viewport_size(size["viewport"])
    made = site.ask("invite")
    page.goto(made["url"])
    follow(page.get_by_role("button", name="Start the conversation"))
    room = Room(page, site).settled(turns=1)
    open_room = in_step(page, page.url)
    opened: list[WebSocket] = []
    page.on("websocket", lambda socket: opened.append(socket))
    room.box.fill("What I have been meaning to say")
    site.ask("revoke", pk=made["id"])
    open_room.closes_within(time.monotonic())
    expect(page.get_by_text("This invitation was withdrawn.").first).to_be_visible()
    expect(page.get_by_role("link", name="Ask for more")).to_have_count(0)
    expect(room.send).to_be_hidden()
    expect(room.box).to_be_visible()  # to copy the draft from
    expect(room.box).to_have_value("What I have been meaning to say")
    expect(page.locator("[data-connection]")).to_have_text("")
    page.wait_for_timeout(2_500)
    assert len(opened) == 1, "it came back once, and stays"
    assert not opened[0].is_closed()
    page.reload()
    expect(room.box).to_have_value("What I have been meaning to say")
    expect(room.turns()).to_have_count(1)


def test_who_watches_and_loses_the_role_for_it_is_out(site, someone, visit):
    _, address = someone("watched@example.org")
    number = address.rstrip("/").rpartition("/")[2]
    site.ask("user", email="reader@example.org", password=PASSWORD, role="ADMIN", is_staff=True)
    desk = visit()
    enter_password(desk, site, "reader@example.org")
    desk.wait_for_url(f"{site.url}/")
    watching = in_step(desk, f"{site.url}/admin/conversations/conversationsession/{number}/watch/")
    site.ask("change_user", email="reader@example.org", role="USER")
    watching.closes_within(time.monotonic())
    expect(desk.get_by_text("no longer open to you")).to_be_visible()


@pytest.mark.parametrize("way", ["code", "password"])
def test_a_session_that_runs_out_while_typing_keeps_the_draft(site, someone, way):
    email = f"typing-{way}@example.org"
    page, address = someone(email)
    in_step(page, address)
    room = Room(page, site)
    room.box.fill("What I have been meaning to say for a long time is")
    assert site.ask("end_sessions", email=email) == 1
    page.get_by_role("link", name="Sign in again").click()
    if way == "password":
        page.get_by_role("textbox", name="Email").fill(email)
        page.get_by_role("textbox", name="Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
    else:
        page.get_by_role("link", name="Email me a sign-in code").click()
        page.get_by_role("textbox", name="Email").fill(email)
        follow(page.get_by_role("button", name="Send the code"))
        page.get_by_role("textbox", name="Code").fill(newest_code(site, email))
        page.get_by_role("button", name="Confirm").click()
    page.wait_for_url(address)
    expect(room.box).to_have_value("What I have been meaning to say for a long time is")
    room.settled(turns=1)
    room.send.click()
    expect(room.turns("You")).to_have_count(1)
    room.settled(turns=3)
    assert [row["role"] for row in room.rows if row["role"] == "user"] == ["user"]


def test_a_guest_whose_session_runs_out_comes_back_by_the_link_to_the_draft(site, visit):
    page = visit()
    made = site.ask("invite")
    room = Room(page, site).enter(made["url"])
    in_step(page, page.url)
    room.box.fill("What I have been meaning to say")
    assert site.ask("end_sessions") >= 1
    expect(page.get_by_text("Open your invitation again in this tab")).to_be_visible()
    expect(page.get_by_role("link", name="Sign in again")).to_have_count(0)
    page.goto(made["url"])
    page.get_by_role("button", name="Continue the conversation").click()
    expect(room.box).to_have_value("What I have been meaning to say")


def newest_code(site: Site, email: str) -> str:
    """The code of the newest mail to somebody: alone on its line."""
    text = site.mail(email)[-1].get_content()
    found = re.search(r"^ +(\S+)$", text, re.MULTILINE)
    assert found, text
    return found[1]


def test_who_is_signed_out_while_the_line_is_down_reads_so_and_keeps_the_draft(
    site, someone, watch
):
    """A line that is refused looks to a page like one that is dead."""
    watch.forgive("ERR_INTERNET_DISCONNECTED")
    page, address = someone("asleep@example.org")
    in_step(page, address)
    page.get_by_role("textbox", name="Your message").fill("Where were we")
    page.context.set_offline(True)
    expect(page.locator("[data-connection]")).to_contain_text("You are offline")
    site.ask("end_sessions", email="asleep@example.org")
    page.context.set_offline(False)
    expect(page.locator("[data-connection]")).to_contain_text("signed out", timeout=30_000)
    expect(page.get_by_role("textbox", name="Your message")).to_have_value("Where were we")
