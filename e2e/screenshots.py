"""Takes the README's screenshots: `python -m e2e.screenshots`, on the understudy."""

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from e2e import chromium
from e2e.conftest import DESKTOP, PHONE
from e2e.room import Room
from e2e.site import ROOT, Site

FOLDER = ROOT / "docs/screenshots"
LINES = (
    "Hi Uncle Ray. What bothers you most about the turbines?",
    "I feel cornered when my job turns into a joke. What was it like the day the mill closed?",
)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as var, sync_playwright() as playwright:
        site = Site(Path(var), UNDERSTUDY_DELAY="0")
        browser = playwright.chromium.launch(executable_path=chromium.find())
        try:
            for width, size in (("1440", DESKTOP), ("390", PHONE)):
                page = browser.new_context(**size).new_page()
                room = Room(page, site).enter(site.ask("invite", tokens=50_000)["url"])
                room.settled(turns=1)
                for number, line in enumerate(LINES, start=1):
                    room.say(line)
                    room.settled(turns=1 + 2 * number, notes=number)
                page.evaluate("document.activeElement.blur()")
                page.screenshot(path=FOLDER / f"conversation-{width}.png")
        finally:
            browser.close()
            site.close()


if __name__ == "__main__":
    main()
