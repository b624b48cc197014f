"""The socket of a conversation: authorise, one small method per message type, no business rules."""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final
from uuid import UUID

from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import Error as DatabaseTrouble

from conversations import catchup, frames, pace, turns
from conversations.audit import Pass, auditor, terms_of
from conversations.database import in_thread, in_writer
from conversations.incoming import BadFrame, uuid, whole
from conversations.intake import FLOODED, Intake
from conversations.lanes import Step
from conversations.live import RESYNC, hub
from conversations.models import ConversationSession
from conversations.outgoing import Outgoing
from conversations.replies import RESTART, runner
from conversations.turns import Refused
from conversations.visitors import Visitor, visitor_of
from invitations.claims import held_invitations

logger = logging.getLogger(__name__)

# Frames that only ask for what a page is to show.
READING: Final = frozenset({"sync", "fetch"})


class ConversationConsumer(AsyncWebsocketConsumer):
    """One page on one conversation."""

    outgoing: Outgoing | None = None
    intake: Intake | None = None
    types = frozenset({"ack", "ping", "sync", "fetch", "send", "ask", "retry", "end", "stop"})

    # Channels would have a task for each frame, several rounds of the event loop long, in which a
    # server reads on. Here no frame waits for anything, so what has come is taken in one go.
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope, self.base_send = scope, send
        with suppress(StopConsumer):
            while True:
                await self.dispatch(await receive())

    # Channels closes old database connections before each frame, and so sends each through the
    # one thread that serves all sockets. Here database work has threads of its own, which tidy up.
    async def dispatch(self, message: dict[str, Any]) -> None:
        await getattr(self, get_handler_name(message))(message)

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        await self.disconnect(message["code"])
        raise StopConsumer

    async def connect(self) -> None:
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
            await self.close(FLOODED)
            return
        await self.accept()
        self.outgoing = Outgoing(self.send, self.close)
        self.intake = Intake(self)
        if runner().is_leaving:
            self.outgoing.hang_up(RESTART)
            return
        hub().listen(self.pk, self.outgoing)
        auditor().admit(self.outgoing, by)
        runner().watch()

    def enter(self) -> tuple[Pass | None, bool]:
        """What lets the visitor in, if anything does, and whether they do not come too often."""
        if not pace.may_come_from(self.scope):
            # Refused as a stranger would be, before anything is looked up; a page comes back.
            return None, False
        visitor = visitor_of(self.scope)
        self.who = pace.name(visitor.user, visitor.session)
        by = self.admission(visitor)
        return by, by is None or pace.may_connect(self.who)

    def admission(self, visitor: Visitor) -> Pass | None:
        """What lets the visitor in, or None."""
        pk: int = self.scope["url_route"]["kwargs"]["pk"]
        held = held_invitations(visitor.session)
        visible = ConversationSession.objects.visible_to(visitor.user, held).filter(pk=pk)
        fields = ("invitation__revoked_at", "invitation__quota", "invitation__expires_at")
        given = visible.values_list(*fields).first()
        if given is None:
            return None
        revoked_at, quota, expires_at = given
        return Pass(
            pk,
            visitor.session.session_key,
            visitor.account,
            role=visitor.role,
            # An account keeps what it said on such a one.
            withdrawn=revoked_at is not None,
            terms=terms_of(quota, expires_at),
        )

    async def disconnect(self, code: int) -> None:
        if self.outgoing is not None:
            hub().leave(self.pk, self.outgoing)
            auditor().dismiss(self.outgoing)
            self.outgoing.end()
        if self.intake is not None:
            self.intake.end()

    def answer(self, frame: frames.Frame) -> None:
        assert self.outgoing is not None
        self.outgoing.deliver(json.dumps(frame, ensure_ascii=False))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.intake is not None:
            self.intake.take(text_data)

    def refuse(self, error: BadFrame) -> None:
        self.answer(frames.error(error.code, error.words))

    def hang_up(self, code: int) -> None:
        if self.outgoing is not None:
            self.outgoing.hang_up(code)

    def carry_out_at_once(self, frame: dict[str, Any]) -> bool:
        at_once = AT_ONCE.get(frame["type"])
        if at_once is not None:
            at_once(self, frame)
        return at_once is not None

    async def carry_out(self, frame: dict[str, Any]) -> None:
        try:
            await self.perform(frame)
        except BadFrame as error:
            self.refuse(error)
        except Refused as refusal:
            self.answer(frames.refused(frame.get("id"), refusal.code, refusal.words))
        except (DatabaseTrouble, TimeoutError, ConversationSession.DoesNotExist) as error:
            logger.warning("A frame was not carried out: %s", type(error).__name__)
            if frame["type"] in READING and self.outgoing is not None:
                # Nothing that a person asked for: let the page ask again in a moment.
                asyncio.get_running_loop().call_later(1, self.outgoing.deliver, RESYNC)
                return
            words = "That did not work just now. Try again."
            self.answer(frames.refused(frame.get("id"), "unavailable", words))

    async def perform(self, frame: dict[str, Any]) -> None:
        if frame["type"] in READING and self.outgoing is not None and self.outgoing.is_over:
            return  # nobody is left to read the answer
        await IN_ORDER[frame["type"]](self, frame)

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

    def ack(self, frame: dict[str, Any]) -> None:
        if self.outgoing is not None:
            self.outgoing.acknowledge(whole(frame, "frames"))

    def ping(self, frame: dict[str, Any]) -> None:
        self.answer(frames.pong())

    async def send_turn(self, frame: dict[str, Any]) -> None:
        client_id = uuid(frame)
        await self.take(client_id, pace.paced(turns.send, self.who), client_id, frame.get("text"))

    async def ask(self, frame: dict[str, Any]) -> None:
        client_id = uuid(frame)
        await self.take(client_id, pace.paced(turns.ask, self.who), client_id, frame.get("text"))

    async def retry(self, frame: dict[str, Any]) -> None:
        work = pace.paced(turns.retry, self.who)
        await self.take(uuid(frame), work, whole(frame, "message"))

    async def end(self, frame: dict[str, Any]) -> None:
        await self.take(uuid(frame), turns.end)

    async def stop(self, frame: dict[str, Any]) -> None:
        message = whole(frame, "message")
        if await in_writer(turns.request_stop, self.pk, message):
            hub().request_stop(self.pk, message)

    async def take(self, client_id: UUID, work: Callable[..., Step], *args: Any) -> None:
        """Take a step, acknowledge it once it is stored, and carry it out."""

        def stored(done: Step | None) -> None:
            message = done.message.pk if done and done.message else None
            self.answer(frames.accepted(str(client_id), message))

        await runner().act(partial(work, self.pk, *args), stored)


# What needs no database overtakes what does: an acknowledgement that waited for a slow send
# would make its page seem slow, and a ping would make the line seem dead.
AT_ONCE: Final = {"ack": ConversationConsumer.ack, "ping": ConversationConsumer.ping}
IN_ORDER: Final = {
    "sync": ConversationConsumer.sync,
    "fetch": ConversationConsumer.fetch,
    "send": ConversationConsumer.send_turn,
    "ask": ConversationConsumer.ask,
    "retry": ConversationConsumer.retry,
    "end": ConversationConsumer.end,
    "stop": ConversationConsumer.stop,
}
