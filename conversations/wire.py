"""The line to the model: one SDK client per event loop, and word of what goes out on it.

Without a key or a server of one's own the understudy answers through the same SDK.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

import anthropic
import httpx2
from django.conf import settings

from conversations.understudy import Understudy
from scenarios.library import scripts


def is_understudy() -> bool:
    """Whether the stand-in speaks: neither a key nor a server is configured."""
    return not (settings.ANTHROPIC_API_KEY or settings.ANTHROPIC_BASE_URL)


_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, anthropic.AsyncAnthropic] = (
    WeakKeyDictionary()
)


def client() -> anthropic.AsyncAnthropic:
    """The client of the running event loop: one that is used in a second loop fails."""
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        _clients[loop] = _new_client()
    return _clients[loop]


def _new_client() -> anthropic.AsyncAnthropic:
    # Retries are ours, so that they can be shown and end by our deadline.
    options: dict[str, Any] = {
        "max_retries": 0,
        "timeout": httpx2.Timeout(settings.REPLY_SECONDS, connect=10, pool=10),
        "open_telemetry": False,
    }
    if is_understudy():
        return anthropic.AsyncAnthropic(
            api_key="understudy",
            base_url="http://understudy",
            http_client=httpx2.AsyncClient(
                transport=Understudy(scripts(), delay=settings.UNDERSTUDY_DELAY)
            ),
            **options,
        )
    return anthropic.AsyncAnthropic(
        api_key=settings.ANTHROPIC_API_KEY or "none",
        base_url=settings.ANTHROPIC_BASE_URL or None,
        http_client=httpx2.AsyncClient(
            limits=httpx2.Limits(max_connections=1000, max_keepalive_connections=100),
            event_hooks={"request": [_watch]},
        ),
        **options,
    )


_told: ContextVar[Callable[[], None] | None] = ContextVar("told", default=None)


@contextmanager
def watched(told: Callable[[], None]) -> Iterator[None]:
    """Call `told` in the moment in which a request that is made within begins to go out.

    Not while a connection is waited for or made: what was not sent cost nothing. The understudy
    has no wire and tells nothing.
    """
    token = _told.set(told)
    try:
        yield
    finally:
        _told.reset(token)


async def _watch(request: httpx2.Request) -> None:
    told = _told.get()
    if told is None:
        return

    async def trace(event: str, info: Mapping[str, Any]) -> None:
        # A proxy is first asked for a line.
        if event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
            told()

    # As httpcore takes it.
    request.extensions["trace"] = trace
