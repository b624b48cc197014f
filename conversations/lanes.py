"""Two lanes of replies, the partner's and the coach's, one reply at a time in each.

The rows are made here, inside a transaction that has locked the conversation, so that ids of
one conversation are given in the order in which they commit, and "is a reply running?" has
one answer, which unique constraints on the table enforce.
"""

from dataclasses import dataclass
from typing import Any, Final

from django.db.models import F
from django.utils import timezone

from accounts.ids import new_id
from conversations.models import (
    HEARD,
    LEASE,
    ConversationSession,
    Kind,
    Message,
    MessageRole,
    MessageStatus,
)

# This process, as leases name it.
PROCESS: Final = new_id()


@dataclass(frozen=True, slots=True)
class Step:
    """What a step did: the row it is about, replies to run, and ids of replies to stop."""

    message: Message | None
    replies: tuple[Message, ...] = ()
    stop: tuple[int, ...] = ()


def locked(conversation_id: int) -> ConversationSession:
    """The conversation, its row locked until the transaction ends.

    Rows that refer to it may be stored meanwhile: a hold is, by a transaction that has locked
    the purse already, which others lock after the conversation.
    """
    return ConversationSession.objects.select_for_update(no_key=True).get(pk=conversation_id)


def create(conversation: ConversationSession, **fields: Any) -> Message:
    """Store a message and count it."""
    message = Message.objects.create(session=conversation, **fields)
    ConversationSession.objects.filter(pk=conversation.pk).update(
        total_messages=F("total_messages") + 1
    )
    return message


def partner_reply(
    conversation: ConversationSession, parent_id: int | None, *, restarts: int = 0
) -> Message:
    """A reply of the partner's about to run in this process."""
    return _reply(conversation, role=MessageRole.PARTNER, parent_id=parent_id, restarts=restarts)


def _reply(conversation: ConversationSession, **fields: Any) -> Message:
    """A reply about to run in this process, under its lease."""
    return create(
        conversation,
        content="",
        status=MessageStatus.STREAMING,
        lease_owner=PROCESS,
        lease_expires_at=timezone.now() + LEASE,
        **fields,
    )


def coach_reply(conversation: ConversationSession, kind: Kind, parent_id: int | None) -> Message:
    """A reply of the coach's about to run, with note of how far the coach has read."""
    heard = conversation.messages.filter(role=MessageRole.PARTNER, status__in=HEARD).last()
    return _reply(
        conversation,
        role=MessageRole.COACH,
        kind=kind,
        parent_id=parent_id,
        heard_through=heard.pk if heard else None,
    )


def next_of_coach(conversation: ConversationSession) -> tuple[Message, ...]:
    """Begin the coach's next reply, if one is due and the coach is free.

    Questions come first. Of several exchanges without a note only the last gets one: a note
    on a line that the learner has left behind helps nobody. The debrief comes last.
    """
    messages = conversation.messages
    if messages.streaming().filter(role=MessageRole.COACH).exists():
        return ()
    asides = messages.filter(kind=Kind.ASIDE)
    question = (
        asides.filter(role=MessageRole.USER)
        .exclude(pk__in=asides.filter(role=MessageRole.COACH).values("parent"))
        .first()
    )
    if question:
        return (coach_reply(conversation, Kind.ASIDE, question.pk),)
    if conversation.is_active:
        line = _line_without_note(conversation)
        return (coach_reply(conversation, Kind.NOTE, line),) if line else ()
    said = messages.conversation().filter(role=MessageRole.USER).exists()
    if (
        said
        and not messages.filter(kind=Kind.DEBRIEF).exists()
        and not (messages.streaming().filter(role=MessageRole.PARTNER).exists())
    ):
        return (coach_reply(conversation, Kind.DEBRIEF, None),)
    return ()


def _line_without_note(conversation: ConversationSession) -> int | None:
    """The learner's line that the newest reply answers, unless a note on it was begun."""
    messages = conversation.messages
    answered = messages.filter(role=MessageRole.PARTNER, status__in=HEARD).exclude(content="")
    reply = answered.last()
    if reply is None or reply.parent_id is None:
        return None
    noted = messages.filter(role=MessageRole.COACH, kind=Kind.NOTE, parent=reply.parent_id)
    return None if noted.exists() else reply.parent_id
