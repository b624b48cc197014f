"""The socket of a conversation: authorise, one small method per message type, no business rules."""

import asyncio
import json
import logging
from collections import deque
from typing import Any, Final
from uuid import UUID

from channels.generic.websocket import AsyncWebsocketConsumer

from conversations import catchup, frames, turns
from conversations.database import in_thread
from conversations.lanes import Step
from conversations.live import hub
from conversations.models import ConversationSession
from conversations.replies import runner
from conversations.turns import Refused
from invitations.claims import held_invitations

logger = logging.getLogger(__name__)

# Bytes of a frame from a page: the longest message, escaped, has room to spare.
LARGEST_FRAME: Final = 128 * 1024


class BadFrame(Exception):
    """A frame that is none of the protocol's."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(code)
        self.code = code
        self.words = words


class ConversationConsumer(AsyncWebsocketConsumer):
    """One page on one conversation."""

    # Frames come from `live`, so Channels need not keep a channel for each socket.
    channel_layer_alias = "none"

    async def connect(self) -> None:
        self.outgoing: deque[str] = deque()
        self.writer: asyncio.Task[None] | None = None
        self.wake = asyncio.Event()
        self.pk: int = self.scope["url_route"]["kwargs"]["pk"]
        if not await in_thread(self.is_visible):
            await self.close()
            return
        await self.accept()
        self.writer = asyncio.create_task(self.write())
        hub().listen(self.pk, self.deliver)
        runner().watch()

    def is_visible(self) -> bool:
        visible = ConversationSession.objects.visible_to(
            self.scope["user"], held_invitations(self.scope["session"])
        )
        return visible.filter(pk=self.pk).exists()

    async def disconnect(self, code: int) -> None:
        hub().leave(self.pk, self.deliver)
        if self.writer is not None:
            self.writer.cancel()

    def deliver(self, text: str) -> None:
        """Queue a frame for the page; never waits."""
        self.outgoing.append(text)
        self.wake.set()

    def answer(self, frame: frames.Frame) -> None:
        self.deliver(json.dumps(frame, ensure_ascii=False))

    async def write(self) -> None:
        while True:
            await self.wake.wait()
            self.wake.clear()
            while self.outgoing:
                await self.send(text_data=self.outgoing.popleft())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        frame: dict[str, Any] = {}
        try:
            frame = parse(text_data)
            await HANDLERS[frame["type"]](self, frame)
        except BadFrame as error:
            self.answer(frames.error(error.code, error.words))
        except Refused as refusal:
            self.answer(frames.refused(frame.get("id"), refusal.code, refusal.words))
        except Exception:
            logger.exception("A frame of conversation %s was not carried out", self.pk)
            self.answer(
                frames.refused(
                    frame.get("id"), "unavailable", "That did not work just now. Try again."
                )
            )

    # --- One method per message type ---

    async def sync(self, frame: dict[str, Any]) -> None:
        await runner().recover(self.pk)
        newest = whole(frame, "newest")
        streaming = frame.get("streaming")
        if not isinstance(streaming, dict) or len(streaming) > 20:
            raise BadFrame("bad_frame", "“streaming” must name replies and what is held of them.")
        held = {whole({"id": key}, "id"): whole(streaming, key) for key in streaming}
        self.catch_up(await in_thread(catchup.since, self.pk, newest, held))

    async def fetch(self, frame: dict[str, Any]) -> None:
        held = {whole(frame, "message"): whole(frame, "index")}
        self.catch_up(await in_thread(catchup.missing, self.pk, held))

    def catch_up(self, missed: list[frames.Frame]) -> None:
        # The database is up to a second behind the replies that run in this process.
        for frame in map(runner().freshen, missed):
            if frame["type"] != "chunk" or frame["text"]:
                self.answer(frame)

    async def send_turn(self, frame: dict[str, Any]) -> None:
        client_id = uuid(frame)
        step = await in_thread(turns.send, self.pk, client_id, frame.get("text"))
        await self.take(client_id, step)

    async def ask(self, frame: dict[str, Any]) -> None:
        client_id = uuid(frame)
        step = await in_thread(turns.ask, self.pk, client_id, frame.get("text"))
        await self.take(client_id, step)

    async def retry(self, frame: dict[str, Any]) -> None:
        client_id = uuid(frame)
        step = await in_thread(turns.retry, self.pk, whole(frame, "message"))
        await self.take(client_id, step)

    async def end(self, frame: dict[str, Any]) -> None:
        client_id = uuid(frame)
        step = await in_thread(turns.end, self.pk)
        await self.take(client_id, step)

    async def stop(self, frame: dict[str, Any]) -> None:
        message = whole(frame, "message")
        if await in_thread(turns.request_stop, self.pk, message):
            hub().request_stop(self.pk, message)

    async def take(self, client_id: UUID, step: Step) -> None:
        """Acknowledge a step once it is stored, then carry it out."""
        stored = step.message.pk if step.message else None
        self.answer(frames.accepted(str(client_id), stored))
        await runner().carry_out(self.pk, step)


HANDLERS: Final = {
    "sync": ConversationConsumer.sync,
    "fetch": ConversationConsumer.fetch,
    "send": ConversationConsumer.send_turn,
    "ask": ConversationConsumer.ask,
    "retry": ConversationConsumer.retry,
    "end": ConversationConsumer.end,
    "stop": ConversationConsumer.stop,
}


def parse(text: str | None) -> dict[str, Any]:
    """A frame from a page as a dict whose type is known. Raises `BadFrame`."""
    if text is None:
        raise BadFrame("binary", "Frames are JSON text.")
    if len(text) > LARGEST_FRAME:
        raise BadFrame("too_large", "That frame is too large.")
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        raise BadFrame("bad_json", "That frame is not JSON.") from None
    if not isinstance(frame, dict):
        raise BadFrame("bad_frame", "A frame is an object with a type.")
    kind = frame.get("type")
    if not isinstance(kind, str) or kind not in HANDLERS:
        raise BadFrame("unknown_type", "There is no frame of that type.")
    return frame


def uuid(frame: dict[str, Any]) -> UUID:
    """The id that the page gave to what it asks for. Raises `BadFrame`."""
    try:
        return UUID(frame["id"])
    except (KeyError, ValueError, TypeError, AttributeError):
        raise BadFrame("bad_id", "“id” must be a UUID.") from None


def whole(frame: dict[str, Any], key: str) -> int:
    """A whole number of zero or more, as JSON number or digits. Raises `BadFrame`."""
    value = frame.get(key)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if type(value) is not int or not 0 <= value < 2**31:
        raise BadFrame("bad_number", f"“{key}” must be a whole number.")
    return value
