"""How long pages are out of step, and how much of that a site that could serve is to blame for."""

import asyncio
import time
import urllib.request
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

# Seconds between two looks at whether a server could serve.
LOOK_EVERY: Final = 0.25
# Seconds without an answer that count as an outage; the looks are not always in time.
NOTABLE: Final = 1.0
# Steps of a page's way back that are kept.
STEPS: Final = 40


@dataclass(frozen=True, slots=True)
class Absence:
    """A time during which a page was out of step, and what it tried meanwhile."""

    since: float
    until: float
    steps: tuple[tuple[float, str], ...]

    @property
    def seconds(self) -> float:
        return self.until - self.since

    def told(self) -> str:
        return "\n".join(f"  {at - self.since:+7.2f} s  {what}" for at, what in self.steps)


class Presence:
    """Keeps the times of one page: `lost` and `back` as they happen, `note` what it tries."""

    def __init__(self) -> None:
        # A page that was never in step has lost nothing yet.
        self._since: float | None = None
        self._steps: deque[tuple[float, str]] = deque(maxlen=STEPS)
        self.absences: list[Absence] = []

    def lost(self, how: str) -> None:
        if self._since is None:
            self._since = time.monotonic()
            self._steps.clear()
        self.note(how)

    def note(self, what: str) -> None:
        if self._since is not None:
            self._steps.append((time.monotonic(), what))

    def back(self) -> None:
        self.note("in step")
        if self._since is not None:
            self.absences.append(Absence(self._since, time.monotonic(), tuple(self._steps)))
        self._since = None


class Service:
    """Looks several times a second whether any of the servers reaches its database."""

    def __init__(self, ports: Iterable[int]) -> None:
        self._ports = tuple(ports)
        self._tasks: list[asyncio.Task[None]] = []
        self._served = 0.0
        # Times at which nobody could serve, from the last look before to the first one after.
        self.outages: list[tuple[float, float]] = []

    def watch(self) -> None:
        self._served = time.monotonic()
        self._tasks = [asyncio.create_task(self._watch(port)) for port in self._ports]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, port: int) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if await asyncio.to_thread(is_ready, port):
                now = time.monotonic()
                if now - self._served > NOTABLE:
                    self.outages.append((self._served, now))
                self._served = now

    def blame(self, absence: Absence) -> float:
        """The longest stretch of `absence` in seconds during which somebody could have served."""
        longest, since = 0.0, absence.since
        for begin, end in self.outages:
            if end <= since or begin >= absence.until:
                continue
            longest = max(longest, begin - since)
            since = end
        return max(longest, absence.until - since)


def is_ready(port: int) -> bool:
    """Whether the server on `port` answers and reaches its database."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as page:
            return bool(page.status == 200)
    except OSError:
        return False
