"""Pages without a browser: sockets that send, take chunks with their times, and acknowledge."""

import asyncio
import contextlib
import json
from typing import Any, Final
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchmarks.model import now

# Frames between acknowledgements.
ACK_EVERY: Final = 50
PATIENCE: Final = 120


class Room:
    """One socket on one conversation."""

    def __init__(self, socket: ClientConnection, *, is_bare: bool) -> None:
        self._socket = socket
        self._is_bare = is_bare
        self.frames: list[tuple[int, str]] = []  # chunks: when each came, and its frame
        self.received = 0
        loop = asyncio.get_running_loop()
        self.first: asyncio.Future[int] = loop.create_future()
        self.quiet: asyncio.Future[None] = loop.create_future()
        self.synced: asyncio.Future[None] = loop.create_future()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        spoke = False
        async for raw in self._socket:
            assert isinstance(raw, str)
            self.received += 1
            if '"chunk"' in raw[:20]:
                self.frames.append((now(), raw))
                spoke = True
                if not self.first.done():
                    self.first.set_result(self.frames[-1][0])
            else:
                frame = json.loads(raw)
                if frame["type"] == "synced":
                    self.synced.set_result(None)
                elif frame["type"] in ("refused", "error"):
                    self._fail(RuntimeError(raw))
                elif is_quiet(frame) and spoke:
                    spoke = False
                    if not self.quiet.done():
                        self.quiet.set_result(None)
            if not self._is_bare and self.received % ACK_EVERY == 0:
                with contextlib.suppress(ConnectionClosed):
                    await self._send(type="ack", frames=self.received)
        self._fail(ConnectionError("the socket was closed"))

    def _fail(self, error: Exception) -> None:
        for future in (self.first, self.quiet, self.synced):
            if not future.done():
                future.set_exception(error)
                future.exception()  # whoever waits sees it; nobody has to

    async def _send(self, **frame: Any) -> None:
        await self._socket.send(json.dumps(frame))

    def expect(self) -> None:
        """Look out for the next reply, whoever asks for it."""
        loop = asyncio.get_running_loop()
        self.first, self.quiet = loop.create_future(), loop.create_future()

    async def say(self, text: str) -> int:
        """Send a turn; returns when that was."""
        self.expect()
        sent = now()
        await self._send(type="send", id=str(uuid4()), text=text)
        return sent

    async def sync(self) -> None:
        await self._send(type="sync", newest=0, streaming={})
        await asyncio.wait_for(asyncio.shield(self.synced), PATIENCE)

    async def rest(self) -> None:
        """Wait until nobody replies any more: neither partner nor coach."""
        await asyncio.wait_for(asyncio.shield(self.quiet), PATIENCE)

    async def close(self) -> None:
        await self._socket.close()
        await self._reader


def is_quiet(frame: dict[str, Any]) -> bool:
    """Whether the frame says that nobody replies any more."""
    return frame["type"] == "state" and frame["partner"] is None and frame["coach"] is None


async def bare_room(port: int) -> Room:
    """A socket on the bare relay."""
    socket = await connect(
        f"ws://127.0.0.1:{port}/ws/bare/", compression=None, open_timeout=PATIENCE, proxy=None
    )
    return Room(socket, is_bare=True)


async def parley_room(port: int, conversation: int, session: str) -> Room:
    """A socket on a conversation, as its page would have it: connected and in sync."""
    origin = f"http://127.0.0.1:{port}"
    socket = await connect(
        f"ws://127.0.0.1:{port}/ws/conversations/{conversation}/",
        origin=origin,  # type: ignore[arg-type]
        additional_headers={"Cookie": f"sessionid={session}"},
        compression=None,
        open_timeout=PATIENCE,
        proxy=None,
    )
    room = Room(socket, is_bare=False)
    await room.sync()
    return room


def stamps(frames: list[tuple[int, str]], since: int, until: int) -> list[int]:
    """Delay, in microseconds, of each chunk of text that came between two times.

    A frame may carry several chunks; each is the time at which the model sent it.
    """
    return [
        came - int(stamp)
        for came, raw in frames
        if since <= came < until
        for stamp in json.loads(raw)["text"].split()
    ]
