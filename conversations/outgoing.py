"""What goes out on one socket, bounded however slowly its page reads.

daphne takes whatever it is given and buffers it without end, so a page acknowledges what it
has rendered. One that falls too far behind gets nothing more until it has caught up; then it
is told to ask the database for the rest. One that stays behind is closed, and may come back.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from conversations.live import RESYNC

# What may be under way to a page: frames, and characters of text.
MOST_FRAMES: Final = 500
MOST_TEXT: Final = 512 * 1024
# A page that is behind has caught up when it has this share of the most outstanding.
CAUGHT_UP: Final = 0.2
# Seconds that a page may stay behind.
PATIENCE: Final = 20.0
TOO_SLOW: Final = 4408
# What a close without a code is called.
GONE: Final = 1006

logger = logging.getLogger(__name__)

Send = Callable[..., Awaitable[None]]


class Outgoing:
    """The outgoing side of one socket; a `live.Listener`. Small, for most sockets are idle."""

    __slots__ = (
        "_acknowledged",
        "_behind",
        "_close",
        "_code",
        "_send",
        "_sizes",
        "_timer",
        "_under_way",
        "_waiting",
        "_writer",
    )

    def __init__(self, send: Send, close: Send) -> None:
        self._send = send
        self._close = close
        self._waiting: list[str] = []
        self._sizes: list[int] = []  # of frames not acknowledged yet
        self._under_way = 0
        self._acknowledged = 0
        self._behind = False
        self._timer: asyncio.TimerHandle | None = None
        self._code: int | None = None
        # Only while there is something to write.
        self._writer: asyncio.Task[None] | None = None

    def deliver(self, text: str) -> None:
        """Queue a frame, unless the page is too far behind."""
        if self._behind or self._code is not None:
            return
        if len(self._sizes) >= MOST_FRAMES or self._under_way + len(text) > MOST_TEXT:
            self._behind = bool(self._sizes)
            if self._behind:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(PATIENCE, self.hang_up, TOO_SLOW)
                return
        self._sizes.append(len(text))
        self._under_way += len(text)
        self._waiting.append(text)
        self._go_on()

    def acknowledge(self, frames: int) -> None:
        """The page has rendered so many frames since it connected."""
        new = max(0, min(frames - self._acknowledged, len(self._sizes)))
        self._acknowledged += new
        self._under_way -= sum(self._sizes[:new])
        del self._sizes[:new]
        if (
            self._behind
            and len(self._sizes) <= MOST_FRAMES * CAUGHT_UP
            and self._under_way <= MOST_TEXT * CAUGHT_UP
        ):
            self._behind = False
            if self._timer is not None:
                self._timer.cancel()
            self.deliver(RESYNC)

    def hang_up(self, code: int) -> None:
        """Close the socket with `code` after what is queued; a slow one at once."""
        if self._code == GONE:
            return
        if code == TOO_SLOW:
            self._waiting.clear()
        self._code = code
        self._go_on()

    @property
    def is_over(self) -> bool:
        """Whether nothing more reaches the page."""
        return self._code is not None

    def end(self) -> None:
        """The socket is closed: stop writing, and take nothing more."""
        self._code = GONE
        self._waiting.clear()
        if self._writer is not None:
            self._writer.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def _go_on(self) -> None:
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._waiting:
                await self._send(text_data=self._waiting.pop(0))
            self._writer = None
            if self._code is not None:
                await self._close(code=self._code)
        except Exception as error:  # each server has its own for a socket that is gone
            logger.debug("A socket is gone: %s", type(error).__name__)
            self._code = GONE
            self._waiting.clear()
