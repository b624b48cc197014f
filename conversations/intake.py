"""What comes in on one socket: checked as it arrives, carried out one frame after the other.

A server hands frames over as quickly as a client sends them, and while a consumer is busy it
keeps them without a bound (daphne) or stops to read, pongs included (uvicorn). So nothing here
waits: a frame is refused at once or joins a short queue, and a task carries out what waits for
as long as something does. What was accepted is carried out though the socket closes meanwhile.
"""

import asyncio
import logging
from collections.abc import Container
from contextvars import Context
from typing import Any, Final, Protocol

from conversations.incoming import LARGEST_FRAME, BadFrame, Bucket, parse

# What may wait of one socket, with the frame that is being carried out, in frames and in
# characters: a page that comes back while the database is slow sends a handful.
MOST_WAITING: Final = 20
MOST_TEXT: Final = 2 * LARGEST_FRAME
# Close codes: frames went on in spite of errors; a frame broke what carries it out.
FLOODED: Final = 4429
BROKEN: Final = 1011

logger = logging.getLogger(__name__)

Frame = dict[str, Any]
# Held here, since the socket of a worker may be gone before it ends.
_workers: set[asyncio.Task[None]] = set()


class Socket(Protocol):
    """What an intake needs of the socket whose frames it takes. Only `carry_out` may wait."""

    types: Container[str]

    def carry_out_at_once(self, frame: Frame) -> bool:
        """Do what needs no database and may overtake what does; False for all other frames."""

    async def carry_out(self, frame: Frame) -> None:
        """Do what a frame asks for, and tell the page of whatever goes wrong with it."""

    def refuse(self, error: BadFrame) -> None:
        """Tell the page that a frame is not carried out."""

    def hang_up(self, code: int) -> None:
        """Close with a code once the page was told what it was to be told."""


class Intake:
    """The incoming side of one socket. Small, for most sockets are idle."""

    __slots__ = ("_bucket", "_size", "_socket", "_waiting", "_worker")

    def __init__(self, socket: Socket) -> None:
        self._socket: Socket | None = socket
        self._bucket = Bucket()
        self._waiting: list[tuple[Frame, int]] = []
        self._size = 0
        # Only while something waits.
        self._worker: asyncio.Task[None] | None = None

    def take(self, text: str | None) -> None:
        """A frame has come: None stands for a binary one."""
        socket = self._socket
        if socket is None:
            return
        try:
            self._bucket.take()
            frame = parse(text, socket.types)
            if not socket.carry_out_at_once(frame):
                self._queue(socket, frame, len(text or ""))
        except BadFrame as error:
            socket.refuse(error)
            if self._bucket.is_flooded:
                self.end()
                socket.hang_up(FLOODED)

    def end(self) -> None:
        """Take no more; what was accepted is still carried out."""
        self._socket = None

    def _queue(self, socket: Socket, frame: Frame, size: int) -> None:
        if len(self._waiting) >= MOST_WAITING or self._size + size > MOST_TEXT:
            self._bucket.run_dry()
        self._waiting.append((frame, size))
        self._size += size
        if self._worker is None:
            # In a context of its own: a request's would bind it to threads that end with it.
            work = self._work(socket)
            self._worker = asyncio.get_running_loop().create_task(work, context=Context())
            _workers.add(self._worker)
            self._worker.add_done_callback(_workers.discard)

    async def _work(self, socket: Socket) -> None:
        while self._waiting:
            frame, size = self._waiting[0]
            try:
                await socket.carry_out(frame)
            except Exception:
                logger.exception("A frame of type %s broke", frame["type"])
                self.end()
                socket.hang_up(BROKEN)
            # Only now: what is being carried out takes up room, too.
            del self._waiting[0]
            self._size -= size
        self._worker = None
