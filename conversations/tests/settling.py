"""Waits for the threads that do database work, as one must before tables are emptied."""

import contextlib
from threading import Barrier, BrokenBarrierError

from conversations import database


def settle(seconds: float = 2) -> None:
    """Return once no thread does database work any more, after so many seconds at most."""
    for pool in {database._threads, database._writer}:
        # A thread that still works is late: all of them have to come.
        meeting = Barrier(pool._size + 1)
        for _ in range(pool._size):
            pool._threads.submit(_come, meeting, seconds)
        _come(meeting, seconds)


def _come(meeting: Barrier, seconds: float) -> None:
    with contextlib.suppress(BrokenBarrierError):
        meeting.wait(seconds)
