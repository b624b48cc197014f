"""Who is listening: frames to the sockets of this process, and to other processes' by the layer.

The channel layer is at most once and may be away; the database is the truth. Frames are JSON
text from here on, encoded once however many listen. Within a process nothing but a function
call stands between a chunk and its sockets.
"""

import asyncio
import json
import logging
from collections import defaultdict, deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

from conversations.lanes import PROCESS

logger = logging.getLogger(__name__)

Listener = Callable[[str], None]
StopHandler = Callable[[int], None]
# Seconds before a broken connection to the layer is tried again.
PAUSE: Final = 1.0


class Hub:
    """The listeners of one event loop, by conversation."""

    def __init__(self) -> None:
        self._listeners: defaultdict[int, set[Listener]] = defaultdict(set)
        self._stop_handlers: set[StopHandler] = set()
        self._layer = get_channel_layer()
        self._channel: str | None = None
        self._outgoing: deque[tuple[str, dict[str, Any]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self, conversation: int, listener: Listener) -> None:
        """Call `listener` with each frame of `conversation`, as JSON text, until `leave`."""
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
    def has_listeners(self) -> bool:
        return bool(self._listeners)

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
        for handler in tuple(self._stop_handlers):
            handler(message)
        self._forward(conversation, {"stop": message})

    def _deliver(self, conversation: int, text: str) -> None:
        for listener in tuple(self._listeners.get(conversation, ())):
            listener(text)

    # --- Other processes ---

    def _forward(self, conversation: int, body: dict[str, Any]) -> None:
        if self._layer is None:
            return
        event = {"type": "live", "from": PROCESS, "conversation": conversation, **body}
        self._outgoing.append((_group(conversation), event))
        if len(self._outgoing) == 1:
            self._spawn(self._send_waiting())

    async def _send_waiting(self) -> None:
        # One sender, so that frames leave in their order.
        assert self._layer is not None
        try:
            while self._outgoing:
                await self._layer.group_send(*self._outgoing[0])
                self._outgoing.popleft()
        except Exception:
            # What was waiting is dropped: pages fetch from the database what they miss.
            self._outgoing.clear()
            raise

    async def _join(self, conversation: int) -> None:
        assert self._layer is not None
        if self._channel is None:
            self._channel = await self._layer.new_channel()
            self._spawn(self._receive(self._channel))
        await self._layer.group_add(_group(conversation), self._channel)

    async def _part(self, conversation: int) -> None:
        assert self._layer is not None
        if self._channel is not None and conversation not in self._listeners:
            await self._layer.group_discard(_group(conversation), self._channel)

    async def _receive(self, channel: str) -> None:
        assert self._layer is not None
        while True:
            try:
                event = await self._layer.receive(channel)
            except Exception as error:  # whatever the layer's client raises when its server dies
                logger.warning("Channel layer away: %s", type(error).__name__)
                await asyncio.sleep(PAUSE)
                continue
            if event["from"] == PROCESS:
                continue
            if "stop" in event:
                for handler in tuple(self._stop_handlers):
                    handler(event["stop"])
            else:
                self._deliver(event["conversation"], event["frame"])

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
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
