"""Where database work of sockets and replies runs: in a thread, connections returned after it."""

import asyncio
from collections.abc import Callable
from typing import Any

from asgiref.sync import SyncToAsync
from django.db import connections


class _InThread(SyncToAsync[..., Any]):
    """Like Channels' `database_sync_to_async`, but a transaction under way stays open."""

    def thread_handler(self, loop: asyncio.AbstractEventLoop, *args: Any, **kwargs: Any) -> Any:
        _close_old()
        try:
            return super().thread_handler(loop, *args, **kwargs)  # type: ignore[no-untyped-call]
        finally:
            _close_old()


def _close_old() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


async def in_thread[**P, R](work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `work`, which uses the database, in the thread for it, and return its result."""
    return await _InThread(work, thread_sensitive=True)(*args, **kwargs)
