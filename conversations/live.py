"""Who is listening: frames to the sockets of this process, and to other processes' by the layer.

The channel layer is at most once and may be away; the database is the truth. Frames are JSON
text from here on, encoded once however many listen. Within a process nothing but a function
call stands between a chunk and its sockets.
"""

import asyncio
import json
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

from conversations.models import PROCESS

logger = logging.getLogger(__name__)

StopHandler = Callable[[int], None]
# Seconds between pulses through the layer, and without one until it counts as away.
PULSE: Final = 1.0
AWAY_AFTER: Final = 3.0
# Seconds after which groups are joined anew: Redis forgets a membership after a day.
REJOIN: Final = 3600.0
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
        self._opening = asyncio.Lock()
        self._outgoing: deque[tuple[str, dict[str, Any]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard_at = 0.0

    def listen(self, conversation: int, listener: Listener) -> None:
        """Pass each frame of `conversation` to `listener`, as JSON text, until `leave`."""
        self._listeners[conversation].add(listener)
        if self._layer is not None and len(self._listeners[conversation]) == 1:
            self._spawn(self._join(conversation))

    def leave(self, conversation: int, listener: Listener) -> None:
        """Undo `listen`; leaving twice is harmless."""
        listeners = self._listeners.get(conversation)
        if listeners is None:
            return
        listeners.discard(listener)
        if not listeners:
            del self._listeners[conversation]
            if self._layer is not None:
                self._spawn(self._part(conversation))

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
        event = {"type": "live", "from": self._process, "conversation": conversation, **body}
        self._outgoing.append((_group(conversation), event))
        if len(self._outgoing) == 1:
            self._spawn(self._send_waiting())

    async def _send_waiting(self) -> None:
        # One sender, so that frames leave in their order.
        try:
            while self._outgoing:
                await self._layer.group_send(*self._outgoing[0])
                self._outgoing.popleft()
        finally:
            # After an error what waited is dropped: pages fetch what they miss.
            self._outgoing.clear()

    async def _join(self, conversation: int) -> None:
        await self._layer.group_add(_group(conversation), await self._own_channel())

    async def _part(self, conversation: int) -> None:
        if conversation not in self._listeners:
            await self._layer.group_discard(_group(conversation), await self._own_channel())

    async def _own_channel(self) -> str:
        async with self._opening:
            if self._channel is None:
                self._channel = await self._layer.new_channel()
                self._spawn(self._receive(self._channel))
                self._spawn(self._mind(self._channel))
            return self._channel

    async def _receive(self, channel: str) -> None:
        while True:
            try:
                event = await self._layer.receive(channel)
            except Exception as error:  # whatever the layer's client raises when its server dies
                _log_away(error)
                await asyncio.sleep(PULSE)
                continue
            if "pulse" in event:
                self._heard_at = time.monotonic()
            elif event["from"] != self._process:
                if "stop" in event:
                    self._stop(event["stop"])
                else:
                    self._deliver(event["conversation"], event["frame"])

    async def _mind(self, channel: str) -> None:
        """Send pulses through the layer; while none come back, have pages ask the database."""
        self._heard_at = joined_at = time.monotonic()
        was_away = False
        while True:
            try:
                async with asyncio.timeout(AWAY_AFTER):
                    await self._layer.send(channel, {"type": "live", "pulse": True})
            except Exception as error:  # as above
                _log_away(error)
            await asyncio.sleep(PULSE)
            away = time.monotonic() - self._heard_at > AWAY_AFTER
            if (was_away and not away) or time.monotonic() - joined_at > REJOIN:
                joined_at = time.monotonic()
                for conversation in list(self._listeners):
                    self._spawn(self._join(conversation))
            if away or was_away:
                for listener in self.listeners:
                    listener.deliver(RESYNC)
            was_away = away

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


def _group(conversation: int) -> str:
    return f"conversation.{conversation}"


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]
