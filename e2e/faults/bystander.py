"""Whether somebody else's stream goes on while one conversation, or one client, is in trouble."""

import itertools
import random
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, Self

from e2e.faults.machines import PATIENCE, Server
from e2e.faults.page import Page
from e2e.faults.test_crashes import speaking
from e2e.faults.world import Room, World

# Seconds that a stream may pause for, whatever others do.
PAUSE: Final = 0.25


class Bystander:
    """A page that is being answered at length."""

    def __init__(self, page: Page) -> None:
        self.page = page
        # How it was before: a machine that is busy by itself is not to blame on anybody.
        self._before = _widest(page.chunk_times[-20:])
        self._begin = len(page.chunk_times)

    @classmethod
    async def enter(cls, world: World, room: Room, server: Server, rng: random.Random) -> Self:
        page = world.page(room, server)
        await world.pages_in_step([page])
        await page.say(room.text(rng))
        await speaking(page)
        return cls(page)

    def from_now(self) -> None:
        """What came until here does not count."""
        self._begin = len(self.page.chunk_times)

    def went_on(self, chunks: int = 1) -> None:
        """Check that at least so many chunks came meanwhile, and none was held up."""
        came = self.page.chunk_times[self._begin :]
        assert len(came) > chunks
        pause = _widest(came)
        assert pause < max(PAUSE, 4 * self._before), f"a stream paused for {pause * 1000:.0f} ms"


def _widest(times: list[float]) -> float:
    return max((b - a for a, b in itertools.pairwise(times)), default=0.0)


@contextmanager
def locked(url: str, rooms: Iterable[Room]) -> Iterator[None]:
    """Keep the rows of conversations locked, as a slow transaction would."""
    ids = ", ".join(str(room.conversation) for room in rooms)
    taken, free = threading.Event(), threading.Event()
    thread = threading.Thread(target=_hold, args=(url, ids, taken, free))
    thread.start()
    try:
        assert taken.wait(PATIENCE)
        yield
    finally:
        free.set()
        thread.join()


def _hold(url: str, ids: str, taken: threading.Event, free: threading.Event) -> None:
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute(
            f"SELECT id FROM conversations_conversationsession WHERE id IN ({ids}) FOR UPDATE"
        )
        taken.set()
        free.wait(30)
