"""Whether a model call of a reply may be under way, noted in its row before anything is sent.

Whoever finds the row of a process that died charges its hold if so, and gives it back if not.
Many replies begin in the same moment, so one statement marks all that asked while the last ran.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextvars import Context
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction
from django.utils import timezone

from conversations.database import in_writer_first
from conversations.models import LEASE, PROCESS, Message, MessageStatus

# Seconds that a statement may take before the next one no longer waits for it: a row that
# somebody keeps locked must hold up no other reply.
SLOW: Final = 0.25
SECONDS: Final = LEASE.total_seconds()
# `LEASE` from now on, as each database stores times.
UNTIL: Final = {
    "postgresql": f"STATEMENT_TIMESTAMP() + INTERVAL '{SECONDS} seconds'",
    "sqlite": f"STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW', '+{SECONDS} seconds')",
}


def lease() -> str:
    """The end of a lease that is renewed now, as SQL: by the database's clock, for hosts differ."""
    return UNTIL[connection.vendor]


def begin_calls(replies: Iterable[int]) -> set[int]:
    """Note that calls of these replies may be under way, and renew their leases.

    Returns those still this process's. No other may call: its row was closed, and its hold with it.
    """
    return _mark(replies, None)


def await_calls(replies: Iterable[int]) -> set[int]:
    """Note that no call of these replies is under way. Returns those still this process's."""
    return _mark(replies, timezone.now())


def _mark(replies: Iterable[int], waiting_since: datetime | None) -> set[int]:
    table = connection.ops.quote_name(Message._meta.db_table)
    ids = list(replies)
    ours = f"id IN ({', '.join(['%s'] * len(ids))}) AND status = %s AND lease_owner = %s"
    which: list[Any] = [*ids, MessageStatus.STREAMING, PROCESS]
    # In the order of checkpoints: two who lock the same rows in two orders wait for each other.
    lock = " FOR NO KEY UPDATE" if connection.features.has_select_for_no_key_update else ""
    statement = (
        f"UPDATE {table} SET waiting_since = %s, lease_expires_at = {lease()} WHERE {ours}"
        f" AND id IN (SELECT id FROM {table} WHERE {ours} ORDER BY id{lock}) RETURNING id"
    )
    since = waiting_since and connection.ops.adapt_datetimefield_value(waiting_since)
    # On SQLite a statement outside of a transaction is not stored before all it returns is read.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, [since, *which, *which])
        return {pk for (pk,) in cursor.fetchall()}


class Together:
    """Does something for many replies by one call of `work`, which names those that it did."""

    def __init__(self, work: Callable[[list[int]], set[int]]) -> None:
        self._work = work
        self._asked: list[tuple[int, asyncio.Future[bool]]] = []
        self._running: set[asyncio.Task[Any]] = set()
        self._driver: asyncio.Task[None] | None = None

    async def do(self, reply: int) -> bool:
        """Whether it was done for `reply`. Raises whatever `work` raised."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked.append((reply, done))
        if self._driver is None or self._driver.done():
            self._driver = self._task(self._drive())
        return await done

    async def _drive(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            await asyncio.wait([self._task(self._do(asked))], timeout=SLOW)

    async def _do(self, asked: list[tuple[int, asyncio.Future[bool]]]) -> None:
        # Who has left meanwhile, stopped by the learner, is not asked for.
        waiting = {reply: done for reply, done in asked if not done.done()}
        if not waiting:
            return
        try:
            did = await in_writer_first(self._work, sorted(waiting))
        except Exception as error:
            for done in waiting.values():
                if not done.done():
                    done.set_exception(error)
        else:
            for reply, done in waiting.items():
                if not done.done():
                    done.set_result(reply in did)

    def _task(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work, context=Context())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task
