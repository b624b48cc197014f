"""Where database work of sockets and replies runs: in threads of its own.

Django's default would put all of it on one thread, where a slow query of one socket holds up
every other stream. Each thread keeps its connection: PostgreSQL's goes back to the pool after
every piece of work, SQLite's stays open, since opening one costs more than most queries.
"""

import asyncio
import heapq
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Final
from weakref import WeakKeyDictionary

from django.db import InterfaceError, OperationalError, connections

# What is raised while the database is away or busy: the same may work in a moment.
AWAY: Final = (OperationalError, InterfaceError)
# More than the slow queries that one may expect at once; writers queue in the database anyhow.
THREADS: Final = 8
# Seconds that work nobody looks at lets pass before it: what a person waits for goes first.
PATIENCE: Final = 1.0
_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")


class Queue:
    """Who of one event loop may enter a thread next: the most urgent, then the longest waiting.

    Work that has waited for its patience is as urgent as any, so that none waits for ever.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    async def enter(self, patience: float) -> None:
        """Return when it is this caller's turn; `leave` must follow."""
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (time.monotonic() + patience, next(self._order), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """Give the place to the next."""
        while self._waiting:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, Queue] = WeakKeyDictionary()


def _queue() -> Queue:
    loop = asyncio.get_running_loop()
    if loop not in _queues:
        _queues[loop] = Queue(THREADS)
    return _queues[loop]


def _tidy() -> None:
    """Give connections back, and drop those that broke."""
    for connection in connections.all(initialized_only=True):
        if connection.vendor != "sqlite" or connection.errors_occurred:
            connection.close_if_unusable_or_obsolete()


def _call[R](work: Callable[[], R]) -> R:
    try:
        return work()
    finally:
        _tidy()


async def in_thread[**P, R](work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `work`, which uses the database, in a thread for it, and return its result."""
    return await _in_turn(0, partial(work, *args, **kwargs))


async def in_thread_first[**P, R](work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The same for what is short, and all but done once it is: it passes what waits already."""
    return await _in_turn(-PATIENCE, partial(work, *args, **kwargs))


async def in_thread_later[**P, R](work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The same for what nobody waits for at this moment."""
    return await _in_turn(PATIENCE, partial(work, *args, **kwargs))


async def _in_turn[R](patience: float, work: Callable[[], R]) -> R:
    queue = _queue()
    await queue.enter(patience)
    try:
        running = asyncio.get_running_loop().run_in_executor(_threads, _call, work)
        # The thread goes on whatever becomes of the caller, and the place is its until it ends.
        running.add_done_callback(lambda _: queue.leave())
        # Nor need anybody hear of an error then.
        running.add_done_callback(lambda done: done.cancelled() or done.exception())
    except BaseException:
        queue.leave()
        raise
    return await asyncio.shield(running)
