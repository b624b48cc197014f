"""Two lanes of replies, the partner's and the coach's, one reply at a time in each.

Rows are made here, while the conversation is locked, so that the ids of one conversation are
given in the order in which they commit, and "is a reply running?" has one answer, which unique
constraints on the table enforce. A reply's row is born with the hold for what it may cost.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from config.prepared import PreparedModels, PreparedSelect, PreparedUpdate, given_number, insert
from conversations.frames import Frame
from conversations.marks import lease
from conversations.models import (
    HEARD,
    LEASE,
    PROCESS,
    ConversationSession,
    Kind,
    Message,
    MessageRole,
    MessageStatus,
)
from conversations.prompts import Request, Row, coach_request, partner_request
from conversations.reservations import bound, last_call, measure, reserve
from conversations.window import fitted
from usage.models import Hold


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply to run: its row, what to ask, and the hold for it, None where it did not fit.

    `since` is the row that the request begins at, 0 for the beginning of the conversation.
    """

    message: Message
    request: Request
    since: int
    hold: Hold | None


@dataclass(slots=True)
class Step:
    """What a step did: the row it is about, replies to run, and ids of replies to stop."""

    conversation: ConversationSession
    message: Message | None
    replies: tuple[Reply, ...] = ()
    stop: tuple[int, ...] = ()
    # Who is replying now, by role, and for each new row the id of the one before it.
    running: dict[str, int] = field(default_factory=dict)
    after: dict[int, int] = field(default_factory=dict)
    # What pages are told of it, once it is stored.
    news: list[Frame] = field(default_factory=list)


def said(rows: Iterable[Row]) -> list[Row]:
    """The turns of learner and partner that count as said."""
    return [row for row in rows if row.kind == Kind.TURN and row.status in HEARD and row.content]


class Locked:
    """A conversation and its rows, its own row locked until the transaction ends.

    Rows that refer to it may be stored meanwhile, but no other step is taken.
    """

    def __init__(self, conversation_id: int) -> None:
        found = _lock(pk=conversation_id)
        if not found:
            raise ConversationSession.DoesNotExist
        (self.conversation,) = found
        self._after: dict[int, int] = {}

    @cached_property
    def rows(self) -> list[Row]:
        """All rows, oldest first, as they stand when they are first asked for."""
        return [Row._make(row) for row in _rows(session=self.conversation.pk)]

    def sent(self, client_id: UUID) -> int | None:
        """The row that was sent under this id before."""
        return next((row.pk for row in self.rows if row.client_id == client_id), None)

    def said(self) -> list[Row]:
        """The turns of learner and partner that count as said."""
        return said(self.rows)

    def running(self) -> dict[str, int]:
        """The replies that run, by role."""
        return {row.role: row.pk for row in self.rows if row.status == MessageStatus.STREAMING}

    def step(
        self, message: Message | None, replies: tuple[Reply, ...] = (), stop: tuple[int, ...] = ()
    ) -> Step:
        """What was done, for whoever carries it out."""
        running = self.running()
        if message is not None:
            message.session = self.conversation
            if not message.is_streaming and running.get(message.role) == message.pk:
                del running[message.role]
        return Step(self.conversation, message, replies, stop, running, self._after)

    # --- New rows ---

    def add(self, message: Message) -> Message:
        """Store a row of this conversation and count it."""
        before = self.rows[-1].pk if self.rows else 0
        message.session = self.conversation
        # A lease by the database's clock, as whoever renews and judges it has it.
        insert(message, **({"lease_expires_at": lease()} if message.is_streaming else {}))
        self._after[message.pk] = before
        self.rows.append(Row(*(getattr(message, name) for name in Row._fields)))
        self.conversation.total_messages += 1
        return message

    def count(self) -> None:
        """Store how many rows there are."""
        if self._after:
            _count(pk=self.conversation.pk, new=len(self._after))

    def partner_reply(self, parent_id: int | None, *, restarts: int = 0) -> Reply:
        """A reply of the partner's about to run in this process."""
        return self._begin(
            Message(role=MessageRole.PARTNER, parent_id=parent_id, restarts=restarts)
        )

    def coach_reply(self, kind: Kind, parent_id: int | None) -> Reply:
        """A reply of the coach's about to run, with note of how far the coach has read."""
        partner = (row for row in self.rows if row.role == MessageRole.PARTNER)
        heard = [row.pk for row in partner if row.status in HEARD]
        reply = Message(
            role=MessageRole.COACH,
            kind=kind,
            parent_id=parent_id,
            heard_through=heard[-1] if heard else None,
        )
        return self._begin(reply)

    def resume(self, reply: Message) -> Reply:
        """A reply that is stored and was never asked for: it asks what it was to ask."""
        before = [row for row in self.rows if row.pk < reply.pk]
        reply.session = self.conversation
        request, since = self._request(reply, before, last_call(reply.role, before))
        return Reply(reply, request, since, reply.hold)

    def _request(
        self, reply: Message, before: list[Row], last: Mapping[str, Any]
    ) -> tuple[Request, int]:
        """What `reply` asks, and the row that it begins at, by the rows before it."""
        build: Callable[[int], Request]
        if reply.role == MessageRole.PARTNER:
            starts = [row.pk for row in said(before) if row.role == MessageRole.USER]
            build = partial(partner_request, self.conversation, before)
        else:
            heard = (row for row in before if row.role == MessageRole.PARTNER)
            starts = [row.pk for row in heard if row.status in HEARD]
            starts = [pk for pk in starts if pk <= (reply.heard_through or 0)]
            build = partial(coach_request, self.conversation, before, reply)
        return fitted(build, starts, last)

    def _begin(self, reply: Message) -> Reply:
        last = last_call(reply.role, self.rows)
        request, since = self._request(reply, self.rows, last)
        most = bound(request, since, last)
        reply.hold = reserve(self.conversation, request, reply.stream_type, most)
        reply.metadata = measure(request, since) if reply.hold else None
        reply.status = MessageStatus.STREAMING
        now = timezone.now()
        reply.lease_owner, reply.lease_expires_at = PROCESS, now + LEASE
        reply.waiting_since = now
        return Reply(self.add(reply), request, since, reply.hold)

    # --- What the coach does next ---

    def next_of_coach(self) -> tuple[Reply, ...]:
        """Begin the coach's next reply, if one is due and the coach is free.

        Questions come first. Of several exchanges without a note only the last gets one: a note
        on a line that the learner has left behind helps nobody. The debrief comes last.
        """
        running = self.running()
        if MessageRole.COACH in running:
            return ()
        if question := self._open_question():
            return (self.coach_reply(Kind.ASIDE, question),)
        if self.conversation.is_active:
            line = self._line_without_note()
            return (self.coach_reply(Kind.NOTE, line),) if line else ()
        spoke = any(row.kind == Kind.TURN and row.role == MessageRole.USER for row in self.rows)
        written = any(row.kind == Kind.DEBRIEF for row in self.rows)
        if spoke and not written and MessageRole.PARTNER not in running:
            return (self.coach_reply(Kind.DEBRIEF, None),)
        return ()

    def _open_question(self) -> int | None:
        asides = [row for row in self.rows if row.kind == Kind.ASIDE]
        answered = {row.parent_id for row in asides if row.role == MessageRole.COACH}
        questions = (row.pk for row in asides if row.role == MessageRole.USER)
        return next((pk for pk in questions if pk not in answered), None)

    def _line_without_note(self) -> int | None:
        """The learner's line that the newest reply answers, unless a note on it was begun."""
        answers = [row for row in self.said() if row.role == MessageRole.PARTNER]
        if not answers or answers[-1].parent_id is None:
            return None
        line = answers[-1].parent_id
        coach = (row for row in self.rows if row.role == MessageRole.COACH)
        noted = any(row.kind == Kind.NOTE and row.parent_id == line for row in coach)
        return None if noted else line


_lock: Final = PreparedModels(
    ConversationSession,
    lambda: ConversationSession.objects.select_for_update(no_key=True).filter(
        pk=given_number("pk")
    ),
)
_rows: Final = PreparedSelect(
    lambda: Message.objects.filter(session=given_number("session")).values_list(*Row._fields)
)
_count: Final = PreparedUpdate(
    lambda: ConversationSession.objects.filter(pk=given_number("pk")),
    lambda: {"total_messages": F("total_messages") + given_number("new")},
)


@contextmanager
def locked(conversation_id: int) -> Iterator[Locked]:
    """One transaction in which nobody else takes a step of this conversation."""
    with transaction.atomic():
        conversation = Locked(conversation_id)
        yield conversation
        conversation.count()
