"""In a real browser, what people and models write runs nothing, loads nothing, breaks nothing."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page

from config.tests.hostile import ALL, CORPUS
from e2e.conftest import Watch, enter
from e2e.model_server import ModelServer
from e2e.room import Room
from e2e.site import Site
from e2e.test_journey import sign_in

DESK = "/admin/conversations/conversationsession"


# What makes a page scroll sideways, if it does.
TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
  Array.from(document.querySelectorAll("main *"))
    .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
    .map((element) => element.outerHTML.slice(0, 90))"""
FOREIGN = "iframe, base, main :is(img:not([src^='/static/']), script:not([src], [type*=json]))"


def is_unharmed(page: Page) -> None:
    """Nothing of the corpus has become part of the page, and nothing sticks out of it."""
    assert page.evaluate("window.hacked") is None
    assert page.locator(FOREIGN).count() == 0, page.url
    assert page.evaluate(TOO_WIDE) == [], page.url


def test_hostile_words_stay_words(
    visit: Callable[..., Page],
    scripted_site: Site,
    script: ModelServer,
    watch: Watch,
    size: dict[str, Any],
):
    scripted_site.ask(
        "scenario",
        slug="hostile",
        name=CORPUS["handlers"],
        description=ALL,
        partner_persona="R\u202e",
    )
    page = visit(**size)
    page.context.on("dialog", lambda dialog: watch.problems.append(dialog.message))
    room = enter(page, scripted_site, slug="hostile", recipient_name=CORPUS["script"])
    for voice in ("partner", "coach"):
        script.script(voice, text=ALL, default=True)
    room.say(ALL)
    room.settled(turns=2, notes=1)
    is_unharmed(page)
    page.reload()
    room.settled(turns=2, notes=1)
    is_unharmed(page)
    page.get_by_role("button", name="End conversation").click()
    page.get_by_role("button", name="Yes, end it").click()
    page.get_by_role("heading", name="What the coach saw").wait_for()
    is_unharmed(page)
    look_from_the_desk(visit(**size), room)


def look_from_the_desk(page: Page, room: Room) -> None:
    sign_in(page, room.site)
    number = room.id
    for path in ("/", f"/{number}/change/", f"/{number}/transcript/", f"/{number}/watch/"):
        page.goto(f"{room.site.url}{DESK}{path}")
        is_unharmed(page)
    for path in (
        "/admin/scenarios/scenario/",
        "/admin/invitations/invitation/",
        "/scenarios/",
        "/",
    ):
        page.goto(f"{room.site.url}{path}")
        is_unharmed(page)
