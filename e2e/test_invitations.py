"""A link's life in a browser: scanners, wishes, a new link, and staff's pages with it."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from e2e.conftest import DESKTOP, PHONE, Watch
from e2e.room import Room, follow
from e2e.site import Site
from e2e.test_journey import sign_in
from e2e.test_pages import LOOKS, violations

EXPIRED = "2026-11-01T10:00:00Z"


def scan(context: BrowserContext, url: str) -> None:
    """Look at a link as mail scanners do."""
    for _ in range(5):
        context.request.get(url)
        context.request.head(url)


# What a scanner's script does to a page to see all of it, short of pressing a button.
PRETENCE = """async () => {
  const button = document.querySelector("main form button");
  for (const [Kind, types] of [
    [PointerEvent, ["pointerdown", "pointermove", "pointerup", "click"]],
    [KeyboardEvent, ["keydown", "keyup"]],
    [WheelEvent, ["wheel"]],
    [Event, ["touchstart", "scroll", "focus"]],
  ]) for (const type of types) {
    const options = { bubbles: true, cancelable: true, movementX: 9, movementY: 9 };
    const event = new Kind(type, options);
    if (type !== "click") button.dispatchEvent(event);
    else document.querySelector("h1").dispatchEvent(event);
  }
  button.focus();
  scrollTo(0, document.body.scrollHeight);
  scrollTo(0, 0);
  await new Promise((done) => setTimeout(done, 300));
}"""


def test_a_scanner_that_scripts_the_page_does_not_open_it(
    visit: Callable[..., Page], scripted_site: Site, size: dict[str, Any], watch: Watch
):
    invitation = scripted_site.ask("invite", sent_at=EXPIRED)
    scanner = visit(**size)
    scan(scanner.context, invitation["url"])
    # A page that is too low to be scrolled would prove nothing.
    scanner.set_viewport_size({"width": size["viewport"]["width"], "height": 300})
    for _ in range(2):
        scanner.goto(invitation["url"])
        scanner.evaluate(PRETENCE)
    found = scripted_site.ask("invitation", pk=invitation["id"])
    assert (found["status"], found["opened"]) == ("sent", False)
    assert watch.problems == []


GESTURES: dict[str, Callable[[Page], None]] = {
    "click": lambda page: page.locator("h1").click(),
    "move": lambda page: (page.mouse.move(50, 50), page.mouse.move(90, 120))[0],
    "key": lambda page: page.keyboard.press("Tab"),
    "scroll": lambda page: page.mouse.wheel(0, 120),
    "tap": lambda page: page.locator("h1").tap(),
}


@pytest.mark.parametrize("gesture", GESTURES)
def test_whatever_a_person_does_first_opens_it_once(
    visit: Callable[..., Page], scripted_site: Site, gesture: str, watch: Watch
):
    invitation = scripted_site.ask("invite", sent_at=EXPIRED)
    page = visit(**(PHONE if gesture == "tap" else DESKTOP))
    page.goto(invitation["url"])
    with page.expect_response(lambda answer: answer.request.method == "POST") as told:
        GESTURES[gesture](page)
    assert told.value.status == 204
    assert scripted_site.ask("invitation", pk=invitation["id"])["status"] == "opened"
    posts: list[str] = []
    page.on("request", lambda request: request.method == "POST" and posts.append(request.url))
    for act in ("click", "key", "scroll"):
        GESTURES[act](page)
    page.goto(invitation["url"])
    GESTURES["click"](page)
    page.wait_for_timeout(300)
    assert posts == []
    assert watch.problems == []
    Room(page, scripted_site).enter(invitation["url"])
    assert scripted_site.ask("invitation", pk=invitation["id"])["status"] == "claimed"


def test_a_scanner_changes_nothing_and_one_that_presses_buttons_leaves_the_way_in(
    visit: Callable[..., Page], scripted_site: Site
):
    invitation = scripted_site.ask("invite")
    scanner = visit()
    scan(scanner.context, invitation["url"])
    assert scripted_site.ask("invitation", pk=invitation["id"])["status"] == "draft"
    scanner.goto(invitation["url"])
    scanner.evaluate("document.querySelector('main form').requestSubmit()")
    scanner.wait_for_url(re.compile(r"/conversations/\d+/$"))

    recipient = Room(visit(**PHONE), scripted_site)
    recipient.page.goto(invitation["url"])
    recipient.page.get_by_role("button", name="Continue the conversation").click()
    recipient.page.wait_for_url(re.compile(r"/conversations/\d+/$"))
    recipient.settled(turns=1)
    recipient.say("Here I am, for the first time.")
    recipient.settled(turns=3, notes=1).same_as_database()


def test_nothing_outside_sees_the_link(visit: Callable[..., Page], scripted_site: Site):
    invitation = scripted_site.ask("invite")
    page = visit()
    told: list[str] = []
    page.on("request", lambda request: told.append(request.headers.get("referer", "")))
    room = Room(page, scripted_site).enter(invitation["url"]).settled(turns=1)
    page.get_by_role("navigation", name="Site").get_by_role("link", name="Conversations").click()
    page.wait_for_url(scripted_site.url + "/conversations/")
    token = invitation["path"].split("/")[2].split(":")[0]
    assert len(told) > 3
    assert not any(token in referrer for referrer in told)
    assert token not in page.url
    assert token not in str(page.context.cookies())
    assert token not in page.evaluate("JSON.stringify([localStorage, sessionStorage])")
    assert room.site.log.read_text().count(token) == 0


def test_more_time_is_asked_for_and_given(
    visit: Callable[..., Page], scripted_site: Site, size: dict[str, Any], watch: Watch
):
    watch.forgive("status of 410")
    name = f"Rita {size['viewport']['width']}"
    invitation = scripted_site.ask("invite", expires_at=EXPIRED, recipient_name=name)
    page = visit(**size)
    page.goto(invitation["url"])
    page.get_by_role("button", name="Ask for more time").click()
    expect(page.get_by_text("You asked Demo staff for more time on")).to_be_visible()
    expect(page.get_by_role("button", name="Ask for more time")).to_have_count(0)
    mails = [
        mail for mail in scripted_site.mail(scripted_site.staff_email) if name in mail["Subject"]
    ]
    assert len(mails) == 1
    answer = re.search(rf"{scripted_site.url}/admin/\S+", mails[0].get_content())

    desk = visit()
    sign_in(desk, scripted_site)
    assert answer
    desk.goto(answer[0])
    desk.get_by_label("Action:").select_option(label="Extend by a week")
    desk.get_by_role("button", name="Run").click()
    expect(desk.get_by_text("good until")).to_be_visible()

    Room(page, scripted_site).enter(invitation["url"]).settled(turns=1)


def test_an_open_page_goes_on_when_staff_add_tokens(
    visit: Callable[..., Page], scripted_site: Site, size: dict[str, Any]
):
    invitation = scripted_site.ask("invite", tokens=6_000, usage={"input_tokens": 5_990})
    page = visit(**size)
    room = Room(page, scripted_site).enter(invitation["url"])
    page.get_by_role("link", name="Ask for more").click()
    page.get_by_role("button", name="Ask for more budget").click()
    expect(page.get_by_text("You asked Demo staff for more budget on")).to_be_visible()
    page.get_by_role("button", name="Read your conversation").click()
    expect(page.get_by_text("no exchanges left")).to_be_visible()
    expect(room.box).to_be_hidden()

    scripted_site.ask("add_tokens", pk=invitation["id"], count=25_000)

    room.box.fill("Good evening.")
    room.send.click()
    expect(room.turns("You")).to_have_count(1)


def test_an_open_page_comes_back_when_staff_put_off_the_end(
    visit: Callable[..., Page], scripted_site: Site, size: dict[str, Any], watch: Watch
):
    watch.forgive("4(03|04|10)")
    invitation = scripted_site.ask("invite")
    page = visit(**size)
    room = Room(page, scripted_site).enter(invitation["url"]).settled(turns=1)
    room.box.fill("What I was about to say")
    scripted_site.ask("change_invitation", pk=invitation["id"], expires_at=EXPIRED)
    expect(page.get_by_role("link", name="See why, and what you can do")).to_be_visible()
    # Hidden, too, where the page has been told of the budget meanwhile.
    expect(page.locator("[data-send]")).to_be_disabled()

    scripted_site.ask("change_invitation", pk=invitation["id"], expires_at="2099-01-01T00:00Z")
    expect(page.locator("[data-connection]")).to_be_empty(timeout=40_000)
    expect(room.box).to_have_value("What I was about to say")
    room.send.click()
    room.settled(turns=3).same_as_database()


def test_an_invitation_that_ends_while_the_line_is_down_says_why(
    visit: Callable[..., Page], scripted_site: Site, watch: Watch
):
    watch.forgive("4(03|10)|ERR_INTERNET_DISCONNECTED|WebSocket")
    invitation = scripted_site.ask("invite")
    page = visit()
    Room(page, scripted_site).enter(invitation["url"]).settled(turns=1)
    page.context.set_offline(True)
    scripted_site.ask("change_invitation", pk=invitation["id"], expires_at=EXPIRED)
    page.context.set_offline(False)
    follow(page.get_by_role("link", name="See why, and what you can do"))
    expect(page.get_by_role("button", name="Ask for more time")).to_be_visible()


def test_a_new_link_ends_what_the_old_one_opened(
    visit: Callable[..., Page], scripted_site: Site, watch: Watch
):
    watch.forgive("status of 404")
    invitation = scripted_site.ask("invite")
    room = Room(visit(), scripted_site).enter(invitation["url"]).settled(turns=1)
    conversation = room.page.url
    url = scripted_site.ask("new_link", pk=invitation["id"])
    begun = time.monotonic()
    expect(room.page.locator("[data-connection]")).not_to_be_empty(timeout=2_500)
    assert time.monotonic() - begun < 2.5
    answer = room.page.goto(conversation)
    assert answer
    assert answer.status == 404
    other = Room(visit(), scripted_site)
    other.page.goto(url)
    other.page.get_by_role("button", name="Continue the conversation").click()
    other.settled(turns=1)
    assert other.page.url == conversation


def test_enter_on_a_new_invitation_sends_nothing(visit: Callable[..., Page], scripted_site: Site):
    page = visit()
    sign_in(page, scripted_site)
    page.goto(scripted_site.url + "/admin/invitations/invitation/add/")
    box = page.get_by_role("textbox", name="Recipient:")
    box.fill("by-accident@example.org")
    box.press("Enter")
    expect(page.get_by_text("was added successfully")).to_be_visible()
    expect(page.get_by_role("heading", name="Change invitation")).to_be_visible()
    assert scripted_site.mail("by-accident@example.org") == []


def test_staff_invite_without_scripts(visit: Callable[..., Page], scripted_site: Site):
    page = visit(java_script_enabled=False)
    sign_in(page, scripted_site)
    page.goto(scripted_site.url + "/admin/invitations/invitation/add/")
    page.get_by_role("textbox", name="Recipient:").fill("no-scripts@example.org")
    page.get_by_label("Scenario:").select_option(label="The uncle with strong opinions")
    page.get_by_role("button", name="Save and send").click()
    expect(page.get_by_text("Sent to no-scripts@example.org.")).to_be_visible()
    (mail,) = scripted_site.mail("no-scripts@example.org")
    assert "The uncle with strong opinions" in mail["Subject"]


@pytest.mark.parametrize("look", LOOKS)
def test_the_mail_is_seen_and_the_sheet_printed(
    visit: Callable[..., Page], scripted_site: Site, look: dict[str, Any], watch: Watch
):
    long = "Wolfeschlegelsteinhausenbergerdorff" * 4
    invitation = scripted_site.ask("invite", recipient_email="r@example.org", recipient_name=long)
    page = visit(**look)
    sign_in(page, scripted_site)
    desk = f"{scripted_site.url}/admin/invitations/invitation/{invitation['id']}"
    found = {}
    for name in ("preview", "sheet"):
        page.goto(f"{desk}/{name}/")
        page.wait_for_load_state("networkidle")
        found[name] = violations(page)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, name
    page.goto(f"{desk}/change/")
    found["form"] = violations(page)
    assert {name: problems for name, problems in found.items() if problems} == {}
    page.goto(f"{desk}/preview/")
    mail = page.frame_locator("iframe")
    expect(mail.get_by_role("link", name="Open the invitation")).to_be_visible()
    assert mail.locator("body").evaluate("body => body.scrollWidth - body.clientWidth") <= 0
    assert watch.problems == []


def test_the_sheet_is_one_page(visit: Callable[..., Page], scripted_site: Site):
    invitation = scripted_site.ask("invite", personal_note="Good luck!")
    page = visit(**DESKTOP)
    sign_in(page, scripted_site)
    page.goto(f"{scripted_site.url}/admin/invitations/invitation/{invitation['id']}/sheet/")
    printed = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1


@pytest.mark.parametrize("look", LOOKS)
def test_pages_of_closed_links_are_accessible(
    visit: Callable[..., Page], scripted_site: Site, look: dict[str, Any], watch: Watch
):
    watch.forgive("status of 410")
    page = visit(**look)
    found = {}
    expired = scripted_site.ask("invite", expires_at=EXPIRED)["url"]
    used = scripted_site.ask("invite", tokens=5, usage={"input_tokens": 5})["url"]
    for name, url in (("time", expired), ("budget", used)):
        page.goto(url)
        found[name] = violations(page)
        page.get_by_role("button", name=f"Ask for more {name}").click()
        expect(page.get_by_text("You asked")).to_be_visible()
        found[f"{name}, asked"] = violations(page)
    assert {name: problems for name, problems in found.items() if problems} == {}
