"""Browser tests: real servers, a real Chromium, and an eye on everything that goes wrong in it."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

from e2e import chromium
from e2e.model_server import ModelServer
from e2e.room import PATIENCE, Room
from e2e.site import Site

DESKTOP = {"viewport": {"width": 1440, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SIZES = {"390": PHONE, "1440": DESKTOP}
# Quick failures, so that a test of one need not wait for a person's patience.
DEADLINES = {
    "REPLY_FIRST_TOKEN_SECONDS": "4",
    "REPLY_CHUNK_SECONDS": "2",
    "REPLY_SECONDS": "30",
}

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium.find(),
            args=["--disable-gpu", "--disable-quic", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def understudy_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site without a key: the understudy speaks, quickly."""
    site = Site(tmp_path_factory.mktemp("understudy"), UNDERSTUDY_DELAY="0.01")
    yield site
    site.close()


@pytest.fixture(scope="session")
def script() -> Iterator[ModelServer]:
    """The model server that the scripted site asks, for the whole run."""
    server = ModelServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _scripted_site(tmp_path_factory: pytest.TempPathFactory, script: ModelServer) -> Iterator[Site]:
    site = Site(
        tmp_path_factory.mktemp("scripted"),
        ANTHROPIC_BASE_URL=script.url,
        ANTHROPIC_API_KEY="sk-secret-key",
        **DEADLINES,
    )
    yield site
    site.close()


@pytest.fixture
def scripted_site(_scripted_site: Site, script: ModelServer) -> Site:
    """A site whose model does what the test says (`script`); its script begins empty.

    What an earlier test left running asks for nothing of it.
    """
    _scripted_site.ask("hush")
    if script.process is None:
        script.start()
    script.reset()
    return _scripted_site


@pytest.fixture(params=["understudy", "scripted"])
def site(request: pytest.FixtureRequest) -> Site:
    """Each of the two sites in turn."""
    return request.getfixturevalue(f"{request.param}_site")


@pytest.fixture(params=list(SIZES))
def size(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A phone and a desktop in turn."""
    return SIZES[request.param]


class Watch:
    """Notes what must not happen on any page: errors, policy violations, foreign requests."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.frames: list[str] = []
        self._forgiven: list[str] = []

    def forgive(self, pattern: str) -> None:
        """Expect errors that match, as where the line is cut on purpose."""
        self._forgiven.append(pattern)

    def over(self, context: BrowserContext) -> None:
        context.on("console", self._console)
        context.on("weberror", lambda error: self.problems.append(str(error.error)))
        context.on("request", self._request)
        context.on("page", self._page)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.type}: {message.text} ({message.location['url']})")

    def _request(self, request: Request) -> None:
        self.requests.append(request.url)
        if not re.match(r"(http://localhost:|data:|blob:)", request.url):
            self.problems.append(f"a foreign request: {request.url}")

    def _page(self, page: Page) -> None:
        def opened(socket: Any) -> None:
            socket.on("framereceived", lambda payload: self.frames.append(str(payload)))

        page.on("websocket", opened)

    @property
    def unforgiven(self) -> list[str]:
        return [
            problem
            for problem in self.problems
            if not any(re.search(pattern, problem) for pattern in self._forgiven)
        ]


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    assert watch.unforgiven == []


@pytest.fixture
def visit(browser: Browser, watch: Watch) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a browser of a new visitor's, with an empty page."""
    contexts: list[BrowserContext] = []

    def opened(**options: Any) -> Page:
        context = browser.new_context(**(DESKTOP | options))
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        watch.over(context)
        return context.new_page()

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def room(visit: Callable[..., Page], scripted_site: Site) -> Room:
    """A conversation under way on the scripted site, at a desktop; the partner has opened."""
    return enter(visit(), scripted_site).settled(turns=1)


def enter(page: Page, site: Site, **invitation: Any) -> Room:
    """Have somebody take up a new invitation."""
    return Room(page, site).enter(site.ask("invite", **invitation)["url"])
