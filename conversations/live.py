"""Who is listening: frames to the sockets of this process, and to other processes' by the layer.

The channel layer is at most once and may be away; the database is the truth. Frames are JSON
text from here on, encoded once however many listen. Within a process nothing but a function
call stands between a chunk and its sockets. Between processes there is one group for all
conversations: what comes within a moment goes out together, which costs a fraction of a message
for each chunk, and a process passes on what somebody listens to.
"""

import asyncio
import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine
from contextvars import Context
from itertools import count
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

from conversations.models import PROCESS

logger = logging.getLogger(__name__)

StopHandler = Callable[[int], None]
# Seconds between pulses through the layer, and without one until it counts as away.
PULSE: Final = 1.0
AWAY_AFTER: Final = 3.0
# All processes of a site.
GROUP: Final = "live"
# Seconds between two sends to other processes; the first frame after a pause goes out at once.
MOMENT: Final = 0.02
RESYNC: Final = json.dumps({"type": "resync"})


class Listener(Protocol):
    """A socket. Both calls return at once."""

    def deliver(self, text: str) -> None:
        """Pass a frame on to the page."""

    def hang_up(self, code: int) -> None:
        """Close the socket with this code."""


class Hub:
    """The listeners of one event loop, by conversation."""

    def __init__(self) -> None:
        self._listeners: defaultdict[int, set[Listener]] = defaultdict(set)
        self._stop_handlers: set[StopHandler] = set()
        self._process = PROCESS
        self._layer = get_channel_layer()
        self._channel: str | None = None
        self._outgoing: list[dict[str, Any]] = []
        self._sending = self._lost = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard_at = 0.0
        self._heard = 0
        if self._layer is not None:
            self._spawn(self._open())

    def listen(self, conversation: int, listener: Listener) -> None:
        """Pass each frame of `conversation` to `listener`, as JSON text, until `leave`."""
        self._listeners[conversation].add(listener)

    def leave(self, conversation: int, listener: Listener) -> None:
        """Undo `listen`; leaving twice is harmless."""
        listeners = self._listeners.get(conversation)
        if listeners is None:
            return
        listeners.discard(listener)
        if not listeners:
            del self._listeners[conversation]

    @property
    def listeners(self) -> list[Listener]:
        """All sockets of this event loop."""
        return [listener for listeners in self._listeners.values() for listener in listeners]

    def on_stop(self, handler: StopHandler) -> None:
        """Call `handler` with the id of each reply that somebody wants stopped."""
        self._stop_handlers.add(handler)

    def publish(self, conversation: int, frame: dict[str, Any]) -> None:
        """Send a frame to all who listen to `conversation`, in every process."""
        text = json.dumps(frame, ensure_ascii=False)
        self._deliver(conversation, text)
        self._forward(conversation, {"frame": text})

    def request_stop(self, conversation: int, message: int) -> None:
        """Tell whichever process runs the reply to stop it."""
        self._stop(message)
        self._forward(conversation, {"stop": message})

    def _deliver(self, conversation: int, text: str) -> None:
        for listener in tuple(self._listeners.get(conversation, ())):
            listener.deliver(text)

    def _stop(self, message: int) -> None:
        for handler in tuple(self._stop_handlers):
            handler(message)

    # --- Other processes ---

    def _forward(self, conversation: int, body: dict[str, Any]) -> None:
        if self._layer is None:
            return
        self._outgoing.append({"conversation": conversation, **body})
        if not self._sending:
            self._sending = True
            self._spawn(self._send_waiting())

    async def _send_waiting(self) -> None:
        # One sender, so that frames leave in their order.
        while self._outgoing or self._lost:
            waiting, self._outgoing = self._outgoing, []
            event = {"from": self._process, "all": waiting, "lost": self._lost}
            try:
                async with asyncio.timeout(AWAY_AFTER):
                    await self._layer.group_send(GROUP, {"type": "live", **event})
            except Exception as error:  # as in `_receive`
                _log_away(error)
                await asyncio.sleep(PULSE)
                # What waited is lost; once the line is back, pages are told to ask for it.
                self._outgoing.clear()
                self._lost = True
            else:
                self._lost = False
                await asyncio.sleep(MOMENT)
        self._sending = False

    async def _open(self) -> None:
        """Get a channel of this hub's own, and listen to the others for good."""
        while self._channel is None:
            try:
                self._channel = await self._layer.new_channel()
            except Exception as error:  # as in `_receive`
                _log_away(error)
                await asyncio.sleep(PULSE)
        self._spawn(self._receive(self._channel))
        self._spawn(self._mind(self._channel))

    async def _receive(self, channel: str) -> None:
        while True:
            try:
                event = await self._layer.receive(channel)
            except Exception as error:  # whatever the layer's client raises when its server dies
                _log_away(error)
                await asyncio.sleep(PULSE)
                continue
            if "pulse" in event:
                self._felt(event["pulse"])
            elif event["from"] != self._process:
                self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
        for one in event["all"]:
            if "stop" in one:
                self._stop(one["stop"])
            else:
                self._deliver(one["conversation"], one["frame"])
        if event["lost"]:
            self._resync()

    def _felt(self, pulse: int) -> None:
        if self._heard and pulse != self._heard + 1:
            # One got lost, and with it perhaps frames of others.
            self._resync()
        self._heard, self._heard_at = pulse, time.monotonic()

    def _resync(self) -> None:
        for listener in self.listeners:
            listener.deliver(RESYNC)

    async def _mind(self, channel: str) -> None:
        """Send pulses through the layer; while none come back, have pages ask the database."""
        self._heard_at = time.monotonic()
        for pulse in count(1):
            try:
                async with asyncio.timeout(AWAY_AFTER):
                    # Each time: a Redis that starts anew knows of no membership.
                    await self._layer.group_add(GROUP, channel)
                    await self._layer.send(channel, {"type": "live", "pulse": pulse})
            except Exception as error:  # as above
                _log_away(error)
            await asyncio.sleep(PULSE)
            if time.monotonic() - self._heard_at > AWAY_AFTER:
                self._resync()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        # In a context of its own: a request's would bind it to threads that end with it.
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log_away(error)


def _log_away(error: BaseException) -> None:
    logger.warning("Channel layer away: %s", type(error).__name__)


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]
