"""Every page: accessible, strict, light; in light and dark, at every width."""

import gzip
import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Response, expect

from e2e.conftest import DESKTOP, PHONE, Watch, enter
from e2e.room import Room
from e2e.site import Site
from e2e.test_journey import sign_in

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
WIDTHS = (320, 390, 768, 1024, 1440)
LOOKS = [
    pytest.param({"color_scheme": scheme} | size, id=f"{scheme}-{width}")
    for scheme in ("light", "dark")
    for width, size in (("390", PHONE), ("1440", DESKTOP))
]
STRANGERS_PAGES = {
    "home": "/",
    "scenarios": "/scenarios/",
    "scenario": "/scenarios/holiday-dinner/",
    "conversations": "/conversations/",
    "sign-in": "/accounts/login/",
    "sign-in by code": "/accounts/login/code/",
    "sign-up": "/accounts/signup/",
    "password": "/accounts/password/reset/",
    "unknown invitation": "/invite/unknown:link/",
    "unknown group": "/join/unknown:link/",
    "unknown page": "/nowhere/",
    "unknown conversation": "/conversations/4711/",
}
ADMIN_PAGES = [
    "/admin/",
    "/admin/accounts/user/",
    "/admin/scenarios/scenario/",
    "/admin/scenarios/scenario/add/",
    "/admin/invitations/invitation/",
    "/admin/invitations/invitation/add/",
    "/admin/invitations/quotapreset/",
    "/admin/invitations/grouplink/",
    "/admin/invitations/grouplink/add/",
    "/admin/invitations/batch/",
    "/admin/invitations/batch/add/",
    "/admin/conversations/conversationsession/",
    "/admin/usage/usagelog/",
]


ADMIN_FORMS = [
    "/admin/accounts/user/add/",
    "/admin/scenarios/scenario/add/",
    "/admin/invitations/invitation/add/",
    "/admin/invitations/quotapreset/add/",
    "/admin/invitations/grouplink/add/",
    "/admin/invitations/batch/add/",
]


def violations(page: Page) -> list[str]:
    """What axe finds, one line each, on a page that is there."""
    page.get_by_role("main").first.wait_for()
    found = Axe().run(page, options=RULES).response["violations"]
    return [
        f"{problem['id']}: {node['html'][:200]} ({node['failureSummary']})"
        for problem in found
        for node in problem["nodes"]
    ]


def test_axe_sees_what_is_wrong(visit: Callable[..., Page], scripted_site: Site):
    page = visit()
    page.goto(scripted_site.url)
    page.evaluate("document.querySelector('main').innerHTML += '<button></button>'")
    assert any(problem.startswith("button-name") for problem in violations(page))


def forgive_not_found(watch: Watch) -> None:
    watch.forgive(r"status of 4(04|10)")


@pytest.fixture
def ended(visit: Callable[..., Page], scripted_site: Site) -> Room:
    """A conversation that is over, on its last page."""
    room = enter(visit(), scripted_site).settled(turns=1)
    room.say("Good evening.")
    room.settled(turns=3, notes=1)
    room.page.get_by_role("button", name="End conversation").click()
    room.page.get_by_role("button", name="Yes, end it").click()
    room.page.wait_for_url(re.compile(r"/debrief/$"))
    expect(room.page.locator("[data-status=streaming]")).to_have_count(0)
    return room


@pytest.mark.parametrize("look", LOOKS)
def test_strangers_pages_are_accessible(
    visit: Callable[..., Page], scripted_site: Site, look: dict[str, Any], watch: Watch
):
    forgive_not_found(watch)
    page = visit(**look)
    found = {}
    invitation = {"invitation": scripted_site.ask("invite")["path"]}
    for name, path in (STRANGERS_PAGES | invitation).items():
        page.goto(scripted_site.url + path)
        expect(page.locator("h1")).to_have_count(1)
        expect(page.get_by_role("main")).to_have_count(1)
        found[name] = violations(page)
    assert {name: problems for name, problems in found.items() if problems} == {}


@pytest.mark.parametrize("look", LOOKS)
def test_learners_pages_are_accessible(
    visit: Callable[..., Page], scripted_site: Site, script: Any, look: dict[str, Any]
):
    page = visit(**look)
    found = {}
    room = enter(page, scripted_site).settled(turns=1)
    script.script("partner", status=400)
    room.say("Good evening.")
    room.settled(turns=3)
    found["a failure"] = violations(page)
    script.script("coach", text="One two three four.", pause=3)
    page.get_by_role("button", name="Try again").click()
    expect(room.notes()).to_contain_text(["two"])
    found["a note on its way"] = violations(page)
    room.show("Coach")
    found["the coach"] = violations(page)
    script.release()
    room.settled(turns=4, notes=1)
    room.show("Conversation")
    page.get_by_role("button", name="End conversation").click()
    expect(page.get_by_role("button", name="Yes, end it")).to_be_visible()
    found["the question before the end"] = violations(page)
    page.get_by_role("button", name="Yes, end it").click()
    page.wait_for_url(re.compile(r"/debrief/$"))
    expect(page.locator("[data-status=streaming]")).to_have_count(0)
    found["the debrief"] = violations(page)
    for path in ("/", "/conversations/", "/scenarios/holiday-dinner/"):
        page.goto(scripted_site.url + path)
        found[path] = violations(page)
    assert {name: problems for name, problems in found.items() if problems} == {}


@pytest.mark.parametrize("look", LOOKS[:1] + LOOKS[-1:])
def test_pages_of_an_account_are_accessible(
    visit: Callable[..., Page], scripted_site: Site, look: dict[str, Any]
):
    page = visit(**look)
    sign_in(page, scripted_site)
    found = {}
    paths = [
        "/account/",
        "/account/data/erase/",
        "/accounts/2fa/",
        "/accounts/2fa/webauthn/add/",
        "/accounts/email/",
        "/accounts/password/change/",
        "/scenarios/",
    ]
    for path in paths:
        page.goto(scripted_site.url + path)
        found[path] = violations(page)
    assert {name: problems for name, problems in found.items() if problems} == {}


def test_the_admin_breaks_no_policy(visit: Callable[..., Page], ended: Room, watch: Watch):
    page = visit()
    sign_in(page, ended.site)
    pages = [*ADMIN_PAGES, f"/admin/conversations/conversationsession/{ended.id}/change/"]
    for path in pages:
        answer = page.goto(ended.site.url + path)
        assert answer
        assert answer.status == 200, path
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
    assert watch.problems == []


def test_the_admin_is_accessible(visit: Callable[..., Page], ended: Room, watch: Watch):
    page = visit()
    sign_in(page, ended.site)
    page.goto(ended.site.url + "/admin/")
    links = page.locator("#content-main th a[href^='/admin/']")
    lists = [str(link.get_attribute("href")) for link in links.all()]
    assert set(ADMIN_PAGES) - set(ADMIN_FORMS) <= {"/admin/", *lists}
    found = {}
    for width in (390, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        for path in ["/admin/", *lists, *ADMIN_FORMS]:
            page.goto(ended.site.url + path)
            found[f"{path} at {width}"] = violations(page)
    assert {name: problems for name, problems in found.items() if problems} == {}
    assert watch.problems == []


def test_an_invitations_scenario_is_found_by_typing(
    visit: Callable[..., Page], scripted_site: Site, watch: Watch
):
    page = visit()
    sign_in(page, scripted_site)
    page.goto(scripted_site.url + "/admin/invitations/invitation/add/")
    page.get_by_role("combobox", name="Scenario").click()
    page.get_by_role("searchbox", name="Search: Scenario").fill("uncle")
    page.get_by_role("option", name="The uncle with strong opinions").click()
    expect(page.get_by_role("combobox", name="Scenario: The uncle")).to_be_visible()
    assert violations(page) == []
    assert watch.problems == []


def test_no_page_scrolls_sideways(ended: Room, visit: Callable[..., Page]):
    site = ended.site
    conversation = enter(ended.page.context.new_page(), site).settled(turns=1)
    paths = ["/", "/scenarios/", f"/conversations/{ended.id}/debrief/", "/accounts/login/"]
    paths.append(f"/conversations/{conversation.id}/")
    page = conversation.page
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        for path in paths:
            page.goto(site.url + path)
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, f"{path} at {width}"


def test_the_coach_is_reachable_at_every_width(room: Room):
    room.say("Good evening.")
    room.settled(turns=3, notes=1)
    for width in WIDTHS:
        room.page.set_viewport_size({"width": width, "height": 800})
        room.show("Coach")
        expect(room.notes().first).to_be_in_viewport()
        room.show("Conversation")
        expect(room.turns().last).to_be_visible()
        expect(room.box).to_be_in_viewport()


def test_a_phone_counts_unread_notes_in_words(visit: Callable[..., Page], scripted_site: Site):
    room = enter(visit(**PHONE), scripted_site).settled(turns=1)
    room.box.fill("a draft")
    switch = room.page.get_by_role("group", name="Show").get_by_role("button", name="Coach")
    room.say("Good evening.")
    room.settled(turns=3, notes=1)
    expect(switch).to_contain_text("1 unread note")
    room.box.fill("another draft")
    room.show("Coach")
    expect(switch).not_to_contain_text("unread")
    room.show("Conversation")
    expect(room.box).to_have_value("another draft")


class Weight:
    """What a page costs: bytes over the wire, bytes of compressed JavaScript, requests."""

    def __init__(self, page: Page) -> None:
        self.responses: list[Response] = []
        page.on("response", lambda response: self.responses.append(response))

    def measure(self, site: Site) -> tuple[int, int, int]:
        transferred = scripts = 0
        for response in self.responses:
            assert response.url.startswith((site.url, "data:"))
            if response.url.startswith("data:"):
                continue
            sizes = response.request.sizes()
            transferred += sizes["responseBodySize"] + sizes["responseHeadersSize"]
            if response.url.endswith(".js"):
                scripts += len(gzip.compress(response.body()))
        requests = sum(1 for r in self.responses if not r.url.startswith("data:"))
        return transferred, scripts, requests


def weigh(page: Page, site: Site, path: str) -> tuple[int, int, int]:
    weight = Weight(page)
    page.goto(site.url + path)
    page.wait_for_load_state("networkidle")
    return weight.measure(site)


def test_the_conversation_page_is_light(visit: Callable[..., Page], scripted_site: Site):
    page = visit()
    path = enter(page, scripted_site).settled(turns=1).page.url.removeprefix(scripted_site.url)
    state = page.context.storage_state()
    transferred, scripts, requests = weigh(visit(storage_state=state), scripted_site, path)
    print(f"{path}: {transferred} bytes, {scripts} of scripts, {requests} requests")
    assert transferred <= 60 * 1024
    assert scripts <= 20 * 1024
    assert requests <= 10


@pytest.mark.parametrize("path", ["/", "/scenarios/", "/accounts/login/", "/accounts/signup/"])
def test_other_pages_are_lighter(visit: Callable[..., Page], scripted_site: Site, path: str):
    transferred, scripts, requests = weigh(visit(), scripted_site, path)
    print(f"{path}: {transferred} bytes, {scripts} of scripts, {requests} requests")
    assert transferred <= 40 * 1024
    assert scripts <= 5 * 1024
    assert requests <= 10


def test_the_invitation_is_discreet(visit: Callable[..., Page], scripted_site: Site):
    page = visit()
    invitation = scripted_site.ask("invite")
    answer = page.goto(invitation["url"])
    assert answer
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "noindex" in answer.headers["x-robots-tag"]
    assert not scripted_site.ask("invitation", pk=invitation["id"])["claimed"]
    token = invitation["path"].split("/")[2]
    page.get_by_role("button", name="Start the conversation").click()
    page.wait_for_url(re.compile(r"/conversations/\d+/$"))
    assert token not in page.content()
    assert token not in scripted_site.log.read_text()


def test_layout_stays_put_while_a_reply_arrives(room: Room, script: Any):
    shifted = """
        window.shift = 0;
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) if (!entry.hadRecentInput) shift += entry.value;
        }).observe({ type: "layout-shift", buffered: true });
    """
    room.page.evaluate(shifted)
    script.script("partner", text="word " * 40, delay=0.01)
    room.say("Go on.")
    room.settled(turns=3, notes=1)
    assert room.page.evaluate("window.shift") <= 0.02


def test_a_whole_last_page_is_light(ended: Room):
    path = f"/conversations/{ended.id}/debrief/"
    transferred, scripts, requests = weigh(ended.page, ended.site, path)
    print(f"{path}: {transferred} bytes, {scripts} of scripts, {requests} requests")
    assert transferred <= 40 * 1024
    assert scripts <= 5 * 1024
    assert requests <= 10
