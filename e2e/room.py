"""The conversation page as a person uses it: by roles, names and words."""

import contextlib
import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

from e2e.site import Site

# Generous: a loaded machine is slow, and a real failure is not a matter of seconds.
PATIENCE = 15_000


def follow(link: Locator) -> None:
    """Click on what leads to another page, and wait until that is there."""
    with link.page.expect_navigation():
        link.click()


class Room:
    """One open conversation page."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page = page
        self.site = site
        self.box = page.get_by_role("textbox", name="Your message")
        self.send = page.get_by_role("button", name="Send", exact=True)
        self.stop = page.get_by_role("button", name="Stop", exact=True)
        # On a phone one of them is out of sight.
        self.conversation = page.get_by_role("region", name="Conversation", include_hidden=True)
        self.coach = page.get_by_role("region", name="Coach", include_hidden=True)
        self.question = self.coach.get_by_role("textbox")

    @property
    def id(self) -> int:
        found = re.search(r"/conversations/(\d+)/", self.page.url)
        assert found, self.page.url
        return int(found[1])

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What the database holds."""
        return self.site.ask("messages", conversation=self.id)

    @property
    def is_narrow(self) -> bool:
        size = self.page.viewport_size
        return bool(size and size["width"] < 1024)

    def enter(self, link: str) -> "Room":
        """Open an invitation and start."""
        self.page.goto(link)
        self.page.get_by_role("button", name="Start the conversation").click()
        self.page.wait_for_url(re.compile(r"/conversations/\d+/$"))
        return self

    def turns(self, speaker: str | None = None) -> Locator:
        """The turns of the conversation, or of one speaker in it."""
        return said_by(self.conversation, speaker)

    def notes(self, speaker: str | None = "Coach") -> Locator:
        return said_by(self.coach, speaker)

    def show(self, pane: str) -> None:
        """On a narrow page, switch to a pane; on a wide one both are in sight."""
        if self.is_narrow:
            group = self.page.get_by_role("group", name="Show")
            group.get_by_role("button", name=re.compile(f"^{pane}")).click()

    def say(self, text: str) -> None:
        """Write and send, as soon as the partner has finished."""
        expect(self.send).to_be_enabled(timeout=PATIENCE)
        self.box.fill(text)
        self.send.click()

    def settled(self, turns: int, notes: int | None = None) -> "Room":
        """Wait until there are so many turns (and notes) and nothing streams any more."""
        expect(self.turns()).to_have_count(turns, timeout=PATIENCE)
        if notes is not None:
            self.page.wait_for_function(
                "n => document.querySelectorAll('[data-turns=coach] [data-role=coach]').length"
                " === n",
                arg=notes,
                timeout=PATIENCE,
            )
        expect(self.page.locator("[data-status=streaming]")).to_have_count(0, timeout=PATIENCE)
        return self

    def shown(self, message: int) -> str:
        """The text of one turn as it stands on the page."""
        return self.page.locator(f"#turn-{message} .turn-text").inner_text()

    def same_as_database(self) -> None:
        """Every row is on the page once, in order, with its text; and nothing else is.

        A note may begin, or go on, between a look at the one and a look at the other.
        """
        for _ in range(PATIENCE // 100):
            with contextlib.suppress(AssertionError):
                self._is_same_as_database()
                return
            self.page.wait_for_timeout(100)
        self._is_same_as_database()

    def _is_same_as_database(self) -> None:
        rows = [row for row in self.rows if row["kind"] != "debrief"]
        for pane, kinds in (("conversation", ("turn",)), ("coach", ("note", "aside"))):
            items = self.page.locator(f"[data-turns={pane}] > li")
            ids = items.evaluate_all("all => all.map(item => Number(item.dataset.message))")
            assert ids == [row["id"] for row in rows if row["kind"] in kinds]
        for row in rows:
            shown = self.page.locator(f"#turn-{row['id']} .turn-text").text_content() or ""
            assert "".join(shown.split()) == "".join(row["content"].split())


def said_by(region: Locator, speaker: str | None) -> Locator:
    """The list items of a region, those that begin with a speaker's name."""
    # By selector, not by role: the pane may be out of sight on a phone.
    items = region.locator("[data-turns] > li")
    if speaker is None:
        return items
    return items.filter(has_text=re.compile(rf"^\s*{re.escape(speaker)}"))
