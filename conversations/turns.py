"""What a person does in a conversation, each a short transaction that the database decides.

A step that is not allowed raises `Refused` and changes nothing.
"""

from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from conversations.lanes import Locked, Step, locked
from conversations.models import (
    ConversationSession,
    Kind,
    Message,
    MessageRole,
    SessionStatus,
)

LONGEST_TEXT: Final = 10_000


class Refused(Exception):
    """What was asked is not done, and nothing was changed. `words` are for a person."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(code)
        self.code = code
        self.words = words


def _refuse_if_ended(conversation: ConversationSession) -> None:
    if not conversation.is_active:
        raise Refused("ended", "This conversation has ended. Start a new one to go on.")


def clean_text(text: object) -> str:
    """Return `text` as it is stored. Raises `Refused` for what cannot be a message."""
    if not isinstance(text, str):
        raise Refused("empty", "Write something first.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused("text", "This text has characters that cannot be stored.") from None
    text = text.replace("\r\n", "\n").replace("\x00", "").strip()
    if not text:
        raise Refused("empty", "Write something first.")
    if len(text) > LONGEST_TEXT:
        raise Refused(
            "too_long",
            f"This message has {len(text):,} characters; {LONGEST_TEXT:,} is the most. "
            "Shorten it and send it again.",
        )
    return text


def _refuse_while_partner_speaks(it: Locked) -> None:
    if MessageRole.PARTNER in it.running():
        raise Refused(
            "busy",
            f"{it.conversation.partner_persona} is still speaking. "
            "Wait for the end, or press Stop.",
        )


def _last_said(it: Locked) -> int | None:
    said = it.said()
    return said[-1].pk if said else None


def send(conversation_id: int, client_id: UUID, text: object) -> Step:
    """Store the learner's turn and begin the partner's reply.

    The same `client_id` again gives the first result and begins nothing.
    """
    with locked(conversation_id) as it:
        if first := it.sent(client_id):
            return it.step(Message.objects.get(pk=first))
        _refuse_if_ended(it.conversation)
        text = clean_text(text)
        _refuse_while_partner_speaks(it)
        if any(row.begin_again for row in it.rows):
            it.conversation.messages.filter(begin_again=True).update(begin_again=False)
        message = it.add(
            Message(
                role=MessageRole.USER,
                content=text,
                parent_id=_last_said(it),
                client_id=client_id,
            )
        )
        return it.step(message, (it.partner_reply(message.pk),))


def open_conversation(conversation_id: int) -> Step | None:
    """Begin the partner's first words where the scenario has them speak first, once."""
    with locked(conversation_id) as it:
        begun = any(row.kind == Kind.TURN for row in it.rows)
        if begun or not it.conversation.is_active or not it.conversation.partner_opens:
            return None
        return it.step(None, (it.partner_reply(None),))


def ask(conversation_id: int, client_id: UUID, text: object) -> Step:
    """Store a private question to the coach and begin the answer as soon as the coach is free."""
    with locked(conversation_id) as it:
        if first := it.sent(client_id):
            return it.step(Message.objects.get(pk=first))
        _refuse_if_ended(it.conversation)
        question = it.add(
            Message(
                role=MessageRole.USER,
                kind=Kind.ASIDE,
                content=clean_text(text),
                parent_id=_last_said(it),
                client_id=client_id,
            )
        )
        return it.step(question, it.next_of_coach())


def retry(conversation_id: int, message_id: int) -> Step:
    """Begin a new reply in place of one that failed, as a new row beside it."""
    with locked(conversation_id) as it:
        old = it.conversation.messages.filter(pk=message_id).first()
        if old is None or not old.can_retry:
            raise Refused("nothing_to_retry", "There is nothing to try again here.")
        if old.kind != Kind.DEBRIEF:
            _refuse_if_ended(it.conversation)
        later = [row for row in it.rows if row.pk > old.pk]
        if old.role == MessageRole.PARTNER:
            _refuse_while_partner_speaks(it)
            if any(row.kind == Kind.TURN for row in later):
                raise Refused("nothing_to_retry", "The conversation has moved on since.")
            return it.step(None, (it.partner_reply(old.parent_id),))
        mine = (old.role, old.kind, old.parent_id)
        if mine in [(row.role, row.kind, row.parent_id) for row in later]:
            raise Refused("nothing_to_retry", "This has been tried again already.")
        if MessageRole.COACH in it.running():
            raise Refused("busy", "The coach is still writing. Wait for the end, or press Stop.")
        return it.step(None, (it.coach_reply(Kind(old.kind), old.parent_id),))


def end(conversation_id: int) -> Step:
    """End the conversation and begin the debrief. Ending twice changes nothing."""
    with locked(conversation_id) as it:
        conversation = it.conversation
        if not conversation.is_active:
            return it.step(None)
        now = timezone.now()
        seconds = round((now - conversation.started_at).total_seconds())
        conversation.status = SessionStatus.ENDED
        conversation.ended_at = now
        conversation.duration_seconds = max(0, seconds)
        conversation.save(update_fields=["status", "ended_at", "duration_seconds"])
        speaking = conversation.messages.streaming().filter(role=MessageRole.PARTNER)
        stop = tuple(speaking.values_list("pk", flat=True))
        speaking.update(stop_requested_at=now)
        return it.step(None, it.next_of_coach(), stop)


@transaction.atomic
def request_stop(conversation_id: int, message_id: int) -> Message | None:
    """Ask whoever runs a reply to stop it. Returns the row if it is still running."""
    running = Message.objects.streaming().filter(session=conversation_id, pk=message_id)
    running.filter(stop_requested_at=None).update(stop_requested_at=timezone.now())
    return running.first()
