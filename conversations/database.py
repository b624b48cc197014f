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

from django.db import InterfaceError, OperationalError, connection, connections

# What is raised while the database is away or busy: the same may work in a moment.
AWAY: Final = (OperationalError, InterfaceError)
# More than the slow queries that one may expect at once; writers queue in the database anyhow.
THREADS: Final = 8
# Seconds that work nobody looks at lets pass before it: what a person waits for goes first.
PATIENCE: Final = 1.0


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


def _tidy() -> None:
    """Give connections back, and drop those that broke."""
    for held in connections.all(initialized_only=True):
        if held.vendor != "sqlite" or held.errors_occurred:
            held.close_if_unusable_or_obsolete()


def _call[R](work: Callable[[], R]) -> R:
    try:
        return work()
    finally:
        _tidy()


class Pool:
    """Threads that do database work, for which each event loop waits in a queue of its own."""

    def __init__(self, threads: int, name: str) -> None:
        self._size = threads
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, Queue] = WeakKeyDictionary()

    async def run[R](self, patience: float, work: Callable[[], R]) -> R:
        """The result of `work`, once it is its turn."""
        loop = asyncio.get_running_loop()
        queue = self._queues.setdefault(loop, Queue(self._size))
        await queue.enter(patience)
        try:
            running = loop.run_in_executor(self._threads, _call, work)
            # The thread goes on whatever becomes of the caller, and the place is its until it ends.
            running.add_done_callback(lambda _: queue.leave())
            # Nor need anybody hear of an error then.
            running.add_done_callback(lambda done: done.cancelled() or done.exception())
        except BaseException:
            queue.leave()
            raise
        return await asyncio.shield(running)


_threads: Final = Pool(THREADS, "database")
# SQLite writes one transaction at a time. A thread, and so a connection, that does nothing else
# finds its pages in its cache, where others must read again what it has changed.
_writer: Final = Pool(1, "writer") if connection.vendor == "sqlite" else _threads


async def in_thread[**P, R](work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `work`, which uses the database, in a thread for it, and return its result."""
    return await _threads.run(0, partial(work, *args, **kwargs))


async def in_thread_later[**P, R](work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The same for what nobody waits for at this moment."""
    return await _threads.run(PATIENCE, partial(work, *args, **kwargs))


async def in_writer[**P, R](work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The same for a short transaction that writes."""
    return await _writer.run(0, partial(work, *args, **kwargs))


async def in_writer_first[**P, R](work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The same for what is short, and all but done once it is: it passes what waits already."""
    return await _writer.run(-PATIENCE, partial(work, *args, **kwargs))


async def in_writer_later[**P, R](work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The same for what nobody waits for at this moment."""
    return await _writer.run(PATIENCE, partial(work, *args, **kwargs))
