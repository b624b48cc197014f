"""How a server leaves: replies first, and whatever its database does."""

import logging
import os
from threading import Timer
from typing import Final

from django.conf import settings

from conversations.replies import FAREWELL, runner

logger = logging.getLogger(__name__)

# Seconds for what is left to do once no reply runs any more.
GRACE: Final = 1.5


async def leave() -> None:
    """Drain, and see to it that the process ends even where a thread waits for good.

    A database that hangs keeps the thread that asked it, and Python waits for its threads before
    it ends. What such a thread has asked for, the database carries out or not, as after a crash.
    """
    last = Timer(settings.DRAIN_SECONDS + FAREWELL + GRACE, _end)
    last.daemon = True
    last.start()
    await runner().drain(settings.DRAIN_SECONDS)


def _end() -> None:
    logger.error("Something did not come to its end: the process ends without it")
    logging.shutdown()
    os._exit(1)
