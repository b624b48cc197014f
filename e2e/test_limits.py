"""Limits through a real server: several processes count together, where there are several."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from http.cookiejar import CookieJar
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin

from e2e.site import Site
from e2e.test_sockets_close import site as several_site

CLAIMS, CALLS, CONNECTS = 120, 60, 120  # in a minute: `conversations/doors.py` and `pace.py`
TOO_OFTEN = 4429
ANSWERS = {"pong", "accepted", "refused"}
# Two processes on PostgreSQL and Redis, else one; a proxy of ours before it.
site = several_site


class Browser:
    """A visitor without a browser, who says where they come from."""

    def __init__(self, site: Site, address: str) -> None:
        self._site = site
        self._address = address
        self._jar = CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._jar))
        self._opener.addheaders = [("X-Forwarded-For", address), ("Connection", "close")]

    def get(self, path: str) -> str:
        with self._opener.open(self._site.url + path, timeout=20) as answer:
            return answer.read().decode()

    def form(self, path: str, **fields: str) -> dict[str, str]:
        """What the form at `path` sends, with `fields`."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(path))
        assert token
        return {"csrfmiddlewaretoken": token[1], **fields}

    def send(self, path: str, data: dict[str, str]) -> tuple[int, str]:
        url = self._site.url + path
        try:
            with self._opener.open(url, urlencode(data).encode(), timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def post(self, path: str, **fields: str) -> tuple[int, str]:
        return self.send(path, self.form(path, **fields))

    def begin(self) -> str:
        """Take up an invitation; returns the conversation's path."""
        path = self._site.ask("invite")["path"]
        data = urlencode(self.form(path)).encode()
        with self._opener.open(self._site.url + path, data, timeout=20) as answer:
            return urlsplit(answer.url).path

    def over_a_line_of_its_own(self, path: str, **frame: object) -> dict[str, object] | None:
        """The answer to a frame, on a new socket of a conversation; None where it is closed."""
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._jar)
        headers = {"Cookie": cookies, "X-Forwarded-For": self._address}
        url = f"ws://localhost:{self._site.port}/ws{path}"
        with connect(url, additional_headers=headers, origin=Origin(self._site.url)) as socket:
            try:
                socket.send(json.dumps(frame))
                while (answer := json.loads(socket.recv(timeout=20)))["type"] not in ANSWERS:
                    pass
            except ConnectionClosed as closed:
                if closed.rcvd is None or closed.rcvd.code != TOO_OFTEN:
                    raise
                return None
            return answer


Talk = tuple[Browser, str]


@pytest.fixture
def browsers(site: Site) -> list[Browser]:
    return [Browser(site, f"203.0.113.{number}") for number in range(8)]


@pytest.fixture(scope="module", autouse=True)
def begun(site: Site) -> list[Talk]:
    """Conversations that were begun before any test, each by a visitor of its own."""
    visitors = [Browser(site, "198.51.100.20") for _ in range(2)]
    return [(visitor, visitor.begin()) for visitor in visitors]


def test_guesses_at_one_account_are_counted_over_all_processes(site: Site, browsers: list[Browser]):
    site.ask("user", email="guessed@example.org", password="correct horse battery")
    said = [
        browser.post("/accounts/login/", login="guessed@example.org", password="wrong")[1]
        for browser in browsers
    ]
    refused = ["Too many failed login attempts" in page for page in said]
    assert refused == [False] * 5 + [True] * 3


def tries(passes: Callable[[], bool], limit: int) -> int:
    """How many pass before the first that does not.

    Beyond the limit some may: where a minute ends meanwhile, what was before it counts less. Far
    fewer than where each of two processes counted for itself.
    """
    return next(count for count in range(limit * 3 // 2) if not passes())


def test_claims_from_one_network_are_counted_over_all_processes(site: Site, begun: list[Talk]):
    visitor = Browser(site, "198.51.100.20")
    data = visitor.form(site.ask("invite")["path"])
    count = tries(lambda: visitor.send("/invite/unknown/", data)[0] == 404, CLAIMS)
    assert count >= CLAIMS - len(begun)


def test_sends_in_a_conversation_are_counted_over_all_processes(begun: list[Talk]):
    visitor, path = begun[0]

    def passes() -> bool:
        # While the partner speaks the next one is refused for that; it counts as well.
        frame = {"type": "send", "id": str(uuid4()), "text": "Hello"}
        answer = visitor.over_a_line_of_its_own(path, **frame)
        return answer is not None and answer.get("code") != "too_often"

    assert tries(passes, CALLS) >= CALLS


def test_sockets_of_a_visitor_are_counted_over_all_processes(begun: list[Talk]):
    visitor, path = begun[1]

    def passes() -> bool:
        return visitor.over_a_line_of_its_own(path, type="ping") is not None

    assert tries(passes, CONNECTS) >= CONNECTS
