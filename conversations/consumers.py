"""The socket of a conversation: authorise, one small method per message type, no business rules."""

import asyncio
import json
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from uuid import UUID

from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import Error as DatabaseTrouble
from django.db.models.functions import Coalesce

from conversations import catchup, frames, pace, turns
from conversations.audit import Pass, auditor, terms_of
from conversations.database import in_thread
from conversations.incoming import BadFrame, Bucket, parse, uuid, whole
from conversations.lanes import Step
from conversations.live import RESYNC, hub
from conversations.models import ConversationSession
from conversations.outgoing import Outgoing
from conversations.replies import RESTART, runner
from conversations.turns import Refused
from conversations.visitors import Visitor, visitor_of
from invitations.claims import held_invitations

logger = logging.getLogger(__name__)

FLOODING: Final = 4429


class ConversationConsumer(AsyncWebsocketConsumer):
    """One page on one conversation."""

    # Frames come from `live`, so Channels need not keep a channel for each socket.
    channel_layer_alias = "none"
    outgoing: Outgoing | None = None

    # Channels closes old database connections before each frame, and so sends each through the
    # one thread that serves all sockets. Here database work has threads of its own, which tidy up.
    async def dispatch(self, message: dict[str, Any]) -> None:
        await getattr(self, get_handler_name(message))(message)

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        await self.disconnect(message["code"])
        raise StopConsumer

    async def connect(self) -> None:
        self.bucket = Bucket()
        try:
            by, in_time = await in_thread(self.enter)
        except DatabaseTrouble as error:
            # Refused as a stranger would be; a page comes back by itself.
            logger.warning("A socket was not let in: %s", type(error).__name__)
            by, in_time = None, False
        if by is None:
            await self.close()
            return
        self.pk = by.conversation
        if not in_time:
            await self.accept()  # only after it can a page be told why
            await self.close(FLOODING)
            return
        await self.accept()
        self.outgoing = Outgoing(self.send, self.close)
        if runner().is_leaving:
            self.outgoing.hang_up(RESTART)
            return
        hub().listen(self.pk, self.outgoing)
        auditor().admit(self.outgoing, by)
        runner().watch()

    def enter(self) -> tuple[Pass | None, bool]:
        """What lets the visitor in, if anything does, and whether they do not come too often."""
        visitor = visitor_of(self.scope)
        self.who = pace.name(visitor.user, visitor.session)
        by = self.admission(visitor)
        return by, by is None or pace.may_connect(self.who, self.scope)

    def admission(self, visitor: Visitor) -> Pass | None:
        """What lets the visitor in, or None."""
        pk: int = self.scope["url_route"]["kwargs"]["pk"]
        held = held_invitations(visitor.session)
        visible = ConversationSession.objects.visible_to(visitor.user, held).filter(pk=pk)
        # An account keeps what it said on an invitation that was withdrawn.
        until = Coalesce("invitation__revoked_at", "invitation__expires_at")
        given = visible.values_list("invitation__quota", until).first()
        if given is None:
            return None
        role = getattr(visitor.user, "role", None)  # guests have none
        return Pass(
            pk, visitor.session.session_key, visitor.account, role=role, terms=terms_of(*given)
        )

    async def disconnect(self, code: int) -> None:
        if self.outgoing is not None:
            hub().leave(self.pk, self.outgoing)
            auditor().dismiss(self.outgoing)
            self.outgoing.end()

    def answer(self, frame: frames.Frame) -> None:
        assert self.outgoing is not None
        self.outgoing.deliver(json.dumps(frame, ensure_ascii=False))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        frame: dict[str, Any] = {}
        try:
            if self.bucket.is_flooded:
                await self.close(FLOODING)
                return
            self.bucket.take()
            frame = parse(text_data, HANDLERS)
            await self.carry_out(frame)
        except BadFrame as error:
            self.answer(frames.error(error.code, error.words))
        except Refused as refusal:
            self.answer(frames.refused(frame.get("id"), refusal.code, refusal.words))
        except (DatabaseTrouble, TimeoutError, ConversationSession.DoesNotExist) as error:
            logger.warning("A frame was not carried out: %s", type(error).__name__)
            if frame.get("type") in ("sync", "fetch") and self.outgoing is not None:
                # Nothing that a person asked for: let the page ask again in a moment.
                asyncio.get_running_loop().call_later(1, self.outgoing.deliver, RESYNC)
                return
            words = "That did not work just now. Try again."
            self.answer(frames.refused(frame.get("id"), "unavailable", words))

    async def carry_out(self, frame: dict[str, Any]) -> None:
        await HANDLERS[frame["type"]](self, frame)

    # --- One method per message type ---

    async def sync(self, frame: dict[str, Any]) -> None:
        newest = whole(frame, "newest")
        streaming = frame.get("streaming")
        if not isinstance(streaming, dict) or len(streaming) > 20:
            raise BadFrame("bad_frame", "“streaming” must name replies and what is held of them.")
        held = {whole({"id": key}, "id"): whole(streaming, key) for key in streaming}
        await runner().recover(self.pk)
        self.catch_up(await in_thread(catchup.since, self.pk, newest, held))

    async def fetch(self, frame: dict[str, Any]) -> None:
        held = {whole(frame, "message"): whole(frame, "index")}
        self.catch_up(await in_thread(catchup.missing, self.pk, held))

    def catch_up(self, missed: list[frames.Frame]) -> None:
        # The database is up to a second behind the replies that run in this process.
        for frame in map(runner().freshen, missed):
            if frame["type"] != "chunk" or frame["text"]:
                self.answer(frame)

    async def ack(self, frame: dict[str, Any]) -> None:
        if self.outgoing is not None:
            self.outgoing.acknowledge(whole(frame, "frames"))

    async def send_turn(self, frame: dict[str, Any]) -> None:
        client_id = uuid(frame)
        await self.take(client_id, self.paced(turns.send), client_id, frame.get("text"))

    async def ask(self, frame: dict[str, Any]) -> None:
        client_id = uuid(frame)
        await self.take(client_id, self.paced(turns.ask), client_id, frame.get("text"))

    async def retry(self, frame: dict[str, Any]) -> None:
        await self.take(uuid(frame), self.paced(turns.retry), whole(frame, "message"))

    async def end(self, frame: dict[str, Any]) -> None:
        await self.take(uuid(frame), turns.end)

    async def stop(self, frame: dict[str, Any]) -> None:
        message = whole(frame, "message")
        if await in_thread(turns.request_stop, self.pk, message):
            hub().request_stop(self.pk, message)

    def paced(self, work: Callable[..., Step]) -> Callable[..., Step]:
        """A step that costs a model call, refused to whoever takes too many."""

        def step(conversation: int, *args: Any) -> Step:
            pace.check(conversation, self.who)
            return work(conversation, *args)

        return step

    async def take(self, client_id: UUID, work: Callable[..., Step], *args: Any) -> None:
        """Take a step, acknowledge it once it is stored, and carry it out."""

        def stored(done: Step | None) -> None:
            message = done.message.pk if done and done.message else None
            self.answer(frames.accepted(str(client_id), message))

        await runner().act(partial(work, self.pk, *args), stored)


HANDLERS: Final = {
    "sync": ConversationConsumer.sync,
    "fetch": ConversationConsumer.fetch,
    "ack": ConversationConsumer.ack,
    "send": ConversationConsumer.send_turn,
    "ask": ConversationConsumer.ask,
    "retry": ConversationConsumer.retry,
    "end": ConversationConsumer.end,
    "stop": ConversationConsumer.stop,
}
