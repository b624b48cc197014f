"""What a page without a browser shows: turns, and what it sent that is not answered yet."""

import re
from dataclasses import dataclass
from html import unescape


@dataclass(slots=True)
class Turn:
    """A turn as the page shows it; `text` is what stands in its bubble."""

    message: int
    role: str
    kind: str
    status: str
    client_id: str | None
    text: str
    # What came as chunks while it streamed, and whether all of the reply did.
    grown: str = ""
    asked: int = -1
    can_retry: bool = False


@dataclass(slots=True)
class Entry:
    """What the learner sent and the server has not answered yet."""

    id: str
    type: str
    text: str
    # When it went out on the line there is now, while no answer is overdue.
    at: float | None = None


def shown(html: str) -> str:
    """The text of a turn's bubble; these tests write no Markdown and no line breaks."""
    found = re.search(r"data-text>(.*?)</div>", html, re.DOTALL)
    assert found, html
    return unescape(re.sub(r"<[^>]*>", "", found[1])).strip("\n")
