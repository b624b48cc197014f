"""What a server does by itself, however long it runs.

It takes over replies that were lost while nobody listened, erases those whose week is over, goes
on with bulk invitations that were interrupted, and sums up the days that staff will ask for.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Final

from django.conf import settings
from django.db import Error as DatabaseTrouble

from conversations.database import in_thread, in_thread_later
from conversations.erasure import erase_due
from conversations.models import LEASE
from conversations.replies import runner
from invitations import sending
from usage.sums import close_days

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 3600.0
# Seconds after a start until whatever the one before it left has lost its lease, and some more.
LAPSED: Final = LEASE.total_seconds() + 1


class Housekeeper:
    """Looks after one process; of several, each piece of work is carried out by one."""

    def __init__(
        self,
        # After the start, which has other things to do.
        first: float = settings.HOUSEKEEPING_SECONDS,
        every: float = EVERY_SECONDS,
        # A dead sender's lease takes a minute to run out; the progress page promises two.
        mails: float = settings.HOUSEKEEPING_SECONDS,
        lapsed: float = LAPSED,
        lost: float = settings.HOUSEKEEPING_SECONDS,
    ) -> None:
        self._first, self._every, self._mails = first, every, mails
        self._lapsed, self._lost = lapsed, lost
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Look soon, and then again and again, until the loop ends."""
        if not self._tasks:
            # daphne says that it is running shortly before its loop does.
            loop = asyncio.get_event_loop()
            chores = (
                _keep(recover, self._lapsed, self._lost),
                _keep(look, self._first, self._every),
                _keep(sum_up, self._first, self._every),
                _keep(send_on, self._mails, self._mails),
            )
            self._tasks = [loop.create_task(chore, context=Context()) for chore in chores]

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()


async def _keep(work: Callable[[], Awaitable[int]], first: float, every: float) -> None:
    await asyncio.sleep(first)
    while True:
        try:
            await work()
        except DatabaseTrouble as error:
            logger.warning("Housekeeping has to wait: %s", type(error).__name__)
        except Exception:
            logger.exception("Housekeeping failed")
        # Processes that started together do not stay together.
        await asyncio.sleep(every * random.uniform(0.9, 1.1))


async def recover() -> int:
    """Take over lost replies, though no page that shows them is open. Returns how many."""
    return await runner().recover()


async def look() -> int:
    """Erase who is due. Returns how many this process erased."""
    erased: int = await in_thread(erase_due)
    if erased:
        logger.info("Erased accounts: %s", erased)
    return erased


async def sum_up() -> int:
    """Make the sums of days that are over, so that no report waits for them. Returns how many."""
    days: int = await in_thread_later(close_days)
    return days


async def send_on() -> int:
    """Go on with bulk invitations that nobody is at. Returns how many this process took."""
    taken = len(await in_thread_later(sending.resume))
    if taken:
        logger.info("Bulk invitations taken up: %s", taken)
    return taken
