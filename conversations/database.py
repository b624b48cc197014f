"""Where database work of sockets and replies runs: in threads of its own.

Django's default would put all of it on one thread, where a slow query of one socket holds up
every other stream. Each thread keeps its connection: PostgreSQL's goes back to the pool after
every piece of work, SQLite's stays open, since opening one costs more than most queries.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from asgiref.sync import SyncToAsync
from django.db import connections

# More than the slow queries that one may expect at once; writers queue in the database anyhow.
THREADS: Final = 8
_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")


class _InThread(SyncToAsync[..., Any]):
    def thread_handler(self, loop: asyncio.AbstractEventLoop, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().thread_handler(loop, *args, **kwargs)  # type: ignore[no-untyped-call]
        finally:
            _tidy()


def _tidy() -> None:
    """Give connections back, and drop those that broke."""
    for connection in connections.all(initialized_only=True):
        if connection.vendor != "sqlite" or connection.errors_occurred:
            connection.close_if_unusable_or_obsolete()


async def in_thread[**P, R](work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `work`, which uses the database, in a thread for it, and return its result."""
    call = _InThread(work, thread_sensitive=False, executor=_threads)
    result: R = await call(*args, **kwargs)
    return result
