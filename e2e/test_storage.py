"""A browser that keeps nothing, or kept a whole page: what is sent arrives once all the same."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from e2e import chromium
from e2e.conftest import DESKTOP, Watch, enter
from e2e.room import PATIENCE, Room
from e2e.site import Site

FORBIDDEN = """
for (const name of ["sessionStorage", "localStorage"]) {
  Object.defineProperty(window, name, { get() { throw new DOMException("no", "SecurityError"); } });
}
"""
# In ever smaller pieces, until not one character fits.
FULL = """
() => {
  for (let piece = "x".repeat(2 ** 22), n = 0; piece; piece = piece.slice(piece.length / 2 + 0.5)) {
    try { for (;;) sessionStorage.setItem(`full${n++}`, piece); } catch { /* smaller, then */ }
  }
}
"""
REFUSES = "() => { try { sessionStorage.more = 'x' } catch (error) { return error.name } }"
NOTES_COMING_BACK = "addEventListener('pageshow', (event) => (window.cameBack = event.persisted))"


def test_where_storage_is_forbidden_a_conversation_works(
    visit: Callable[..., Page], scripted_site: Site
):
    page = visit()
    page.context.add_init_script(FORBIDDEN)
    room = enter(page, scripted_site).settled(turns=1)
    page.get_by_role("button", name="Hide the coach").click()
    room.say("Hello?")
    room.settled(turns=3, notes=1).same_as_database()
    page.get_by_role("button", name="End conversation").click()
    page.get_by_role("button", name="Yes, end it").click()
    page.wait_for_url("**/debrief/")


def test_where_storage_is_full_a_conversation_works(room: Room):
    room.page.evaluate(FULL)
    assert room.page.evaluate(
        "() => { try { sessionStorage.z = 'x' } catch (e) { return e.name } }"
    )
    room.box.fill("Hello?")
    room.send.click()
    room.settled(turns=3, notes=1).same_as_database()
    # What was sent is not sent again by a page that could not forget it.
    room.page.reload()
    room.settled(turns=3, notes=1).same_as_database()
    expect(room.box).to_have_value("")


def test_a_page_that_is_shown_again_takes_a_new_line_at_once(room: Room, watch: Watch):
    # The old line may only have been about to open.
    watch.forgive("closed before the connection is established")
    lines: list[WebSocketRoute] = []
    page = room.page.context.new_page()

    def joined(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        lines.append(socket)

    page.route_web_socket(re.compile("/ws/"), joined)
    page.goto(room.page.url)
    again = Room(page, room.site).settled(turns=1)
    expect(page.locator("[data-connection]")).to_be_empty()
    # Some browsers leave it the old one, dead.
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    room.say("Are you there?")
    again.settled(turns=3, notes=1).same_as_database()
    assert len(lines) == 2


@pytest.fixture
def kept_whole(browser: Browser, watch: Watch) -> Iterator[Page]:
    """A page of a browser that keeps pages whole for *Back*, which Playwright turns off."""
    caching = browser.browser_type.launch(
        executable_path=chromium.find(),
        args=["--disable-gpu", "--enable-features=BackForwardCache"],
        ignore_default_args=["--disable-back-forward-cache"],
    )
    context = caching.new_context(**DESKTOP)
    context.set_default_timeout(PATIENCE)
    context.add_init_script(NOTES_COMING_BACK)
    watch.forgive("Back-Forward Cache")
    watch.over(context)
    yield context.new_page()
    caching.close()


def go_back(page: Page) -> None:
    page.go_back(wait_until="commit")
    page.wait_for_function("() => window.cameBack", timeout=PATIENCE)


def test_a_page_that_comes_back_whole_goes_on(kept_whole: Page, scripted_site: Site):
    page = kept_whole
    room = enter(page, scripted_site).settled(turns=1)
    room.box.fill("a draft")
    page.goto(scripted_site.url + "/scenarios/")
    go_back(page)
    expect(room.box).to_have_value("a draft")
    room.send.click()
    room.settled(turns=3, notes=1).same_as_database()


def test_back_from_its_end_a_conversation_is_over(kept_whole: Page, scripted_site: Site):
    page = kept_whole
    room = enter(page, scripted_site).settled(turns=1)
    page.get_by_role("button", name="End conversation").click()
    page.get_by_role("button", name="Yes, end it").click()
    page.wait_for_url("**/debrief/")
    expect(page.get_by_role("heading", name="The conversation")).to_be_visible()
    go_back(page)
    expect(page.get_by_text("This conversation has ended. Read")).to_be_visible()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(room.box).to_be_hidden()
