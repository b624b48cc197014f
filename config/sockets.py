"""Websockets under daphne that cost little, however their client behaves.

autobahn works through all that one read brings before anything else gets its turn, and reads on
while a socket opens or closes: a client that floods would hold up every stream for as long.
"""

import asyncio
from contextlib import suppress
from typing import Any, Final

from daphne.ws_protocol import WebSocketProtocol

from conversations.incoming import LARGEST_FRAME, BadFrame, Bucket
from conversations.intake import FLOODED

# Bytes of a message; a character takes up to four.
MOST_BYTES: Final = 4 * LARGEST_FRAME
# Bytes that are read at a time, in place of 64 KB: some hundred of the smallest frames, which
# take a few milliseconds.
AT_A_TIME: Final = 4096
# Kinds of frames (RFC 6455, section 5.2).
CONTINUATION: Final = 0
PING: Final = 9
PONG: Final = 10


class Protocol(WebSocketProtocol):
    """One connection: read in small bites, and not at all before it opens or after a flood."""

    def __init__(self) -> None:
        super().__init__()
        self.bucket = Bucket()

    def onConnect(self, request: Any) -> Any:
        # What a client sends before it is let in would be kept without a bound. Soon, for daphne
        # has the transport read on once this returns.
        asyncio.get_event_loop().call_soon(self.wait_to_be_let_in)
        return super().onConnect(request)

    def wait_to_be_let_in(self) -> None:
        """Read nothing more until the socket is open."""
        if self.state == self.STATE_CONNECTING:
            self.transport.pauseProducing()

    def onOpen(self) -> None:
        super().onOpen()
        self.transport.bufferSize = AT_A_TIME
        self.transport.resumeProducing()

    def onFrameBegin(self) -> None:
        super().onFrameBegin()
        # Messages are counted by the application. Pings, pongs and fragments are not its to see:
        # no page sends more than a few, and each takes memory or an answer that may go unread.
        if self.current_frame.opcode in (CONTINUATION, PING, PONG):
            with suppress(BadFrame):
                self.bucket.take()
            if self.bucket.is_flooded:
                self.serverClose(FLOODED)

    def serverClose(self, code: int | None = None) -> None:
        super().serverClose(code)
        if code == FLOODED:
            # autobahn drops the line a second later, by when the code has arrived.
            self.transport.pauseProducing()
