"""Limits through a real server: several processes count together, where there are several."""

import re
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from urllib.parse import urlencode

import pytest

from e2e.site import Site
from e2e.test_sockets_close import site as several_site

CLAIMS = 120  # in a minute: `conversations/doors.py`
# Two processes on PostgreSQL and Redis, else one; a proxy of ours before it.
site = several_site


class Browser:
    """A visitor without a browser, who says where they come from."""

    def __init__(self, site: Site, address: str) -> None:
        self._site = site
        self._cookies = urllib.request.HTTPCookieProcessor(CookieJar())
        self._opener = urllib.request.build_opener(self._cookies)
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


@pytest.fixture
def browsers(site: Site) -> list[Browser]:
    return [Browser(site, f"203.0.113.{number}") for number in range(8)]


def test_guesses_at_one_account_are_counted_over_all_processes(site: Site, browsers: list[Browser]):
    site.ask("user", email="guessed@example.org", password="correct horse battery")
    said = [
        browser.post("/accounts/login/", login="guessed@example.org", password="wrong")[1]
        for browser in browsers
    ]
    refused = ["Too many failed login attempts" in page for page in said]
    assert refused == [False] * 5 + [True] * 3


def test_claims_from_one_network_are_counted_over_all_processes(site: Site):
    visitor = Browser(site, "198.51.100.20")
    data = visitor.form(site.ask("invite")["path"])
    statuses = [visitor.send("/invite/unknown/", data)[0] for _ in range(CLAIMS + 8)]
    assert statuses[:CLAIMS] == [404] * CLAIMS
    assert 429 in statuses
