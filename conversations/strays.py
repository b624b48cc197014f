"""Replies that this process began without hearing of it.

Where the database goes away in the moment in which it commits, nobody is told whether it did. If
so, rows of replies stand in it under this process's name, and nothing runs them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from django.core.exceptions import ObjectDoesNotExist
from django.db import Error as DatabaseTrouble

from conversations import leases
from conversations.database import AWAY, in_thread_later

logger = logging.getLogger(__name__)

AGAIN_AFTER: Final = 1.0


class Strays:
    """Looks after the steps of one runner, for which it has `adopt` called for each stray."""

    def __init__(
        self,
        known: Callable[[], Collection[int]],
        adopt: Callable[[int], Awaitable[object]],
        doubted: Callable[[], object],
    ) -> None:
        """`known` gives the replies that run; `doubted` is told that `find` is due."""
        self._known, self._adopt, self._doubted = known, adopt, doubted
        self._under_way: set[asyncio.Future[None]] = set()
        self._doubtful = self._finding = False

    @contextmanager
    def step(self) -> Iterator[None]:
        """Within, a step is taken, whose replies are `known` before anybody else has a turn."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way.add(done)
        try:
            yield
        except DatabaseTrouble:
            self.doubt()
            raise
        finally:
            self._under_way.discard(done)
            done.set_result(None)

    def doubt(self) -> None:
        """There may be strays: have them found."""
        self._doubtful = True
        if not self._finding:
            self._finding = True
            self._doubted()

    async def find(self) -> None:
        """Look until the database has answered, and have each stray adopted."""
        try:
            while self._doubtful:
                try:
                    await self._look()
                except AWAY:
                    await asyncio.sleep(AGAIN_AFTER)
        except Exception:
            logger.exception("Looking for replies that nobody runs failed")
        finally:
            self._finding = False

    async def _look(self) -> None:
        # Before it is looked: what is doubted meanwhile needs another look.
        self._doubtful = False
        try:
            found = await in_thread_later(leases.strays, self._known())
        except AWAY:
            self._doubtful = True
            raise
        # What was stored by then may be of a step that is still on its way back to its runner.
        if self._under_way:
            await asyncio.wait(self._under_way)
        for message in found:
            if message not in self._known():
                logger.warning("Reply %s was begun unheard", message)
                with suppress(ObjectDoesNotExist):  # erased meanwhile
                    await self._adopt(message)
