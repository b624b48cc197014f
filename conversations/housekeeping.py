"""What a server does by itself, however long it runs: erase those whose week is over."""

import asyncio
import logging
import random
from contextvars import Context
from typing import Final

from django.db import DatabaseError

from conversations.database import in_thread
from conversations.erasure import erase_due

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 3600.0
# After the start, which has other things to do.
FIRST_SECONDS: Final = 30.0


class Housekeeper:
    """Looks after one process; of several, each erasure is carried out by one."""

    def __init__(self, first: float = FIRST_SECONDS, every: float = EVERY_SECONDS) -> None:
        self._first, self._every = first, every
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look soon, and then every hour, until the loop ends."""
        if self._task is None:
            # daphne says that it is running shortly before its loop does.
            loop = asyncio.get_event_loop()
            self._task = loop.create_task(self._keep(), context=Context())

    def end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _keep(self) -> None:
        await asyncio.sleep(self._first)
        while True:
            await look()
            # Processes that started together do not stay together.
            await asyncio.sleep(self._every * random.uniform(0.9, 1.1))


async def look() -> int:
    """Erase who is due. Returns how many this process erased."""
    try:
        erased: int = await in_thread(erase_due)
    except DatabaseError as error:
        logger.warning("Looking for erasures failed: %s", type(error).__name__)
        return 0
    if erased:
        logger.info("Erased accounts: %s", erased)
    return erased
