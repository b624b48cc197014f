"""What a person does in a conversation, each a short transaction that the database decides.

A step that is not allowed raises `Refused` and changes nothing.
"""

from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from conversations.lanes import Step, coach_reply, create, locked, next_of_coach, partner_reply
from conversations.models import (
    HEARD,
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


def _repeated(conversation_id: int, client_id: UUID) -> Message | None:
    return Message.objects.filter(session=conversation_id, client_id=client_id).first()


def _last_said(conversation: ConversationSession) -> Message | None:
    said = conversation.messages.conversation().filter(status__in=HEARD)
    return said.exclude(content="").last()


def _refuse_while_partner_speaks(conversation: ConversationSession) -> None:
    if conversation.messages.streaming().filter(role=MessageRole.PARTNER).exists():
        raise Refused(
            "busy",
            f"{conversation.partner_persona} is still speaking. Wait for the end, or press Stop.",
        )


@transaction.atomic
def send(conversation_id: int, client_id: UUID, text: object) -> Step:
    """Store the learner's turn and begin the partner's reply.

    The same `client_id` again gives the first result and begins nothing.
    """
    conversation = locked(conversation_id)
    if first := _repeated(conversation_id, client_id):
        return Step(first)
    _refuse_if_ended(conversation)
    text = clean_text(text)
    _refuse_while_partner_speaks(conversation)
    conversation.messages.filter(begin_again=True).update(begin_again=False)
    message = create(
        conversation,
        role=MessageRole.USER,
        content=text,
        parent=_last_said(conversation),
        client_id=client_id,
    )
    return Step(message, (partner_reply(conversation, message.pk),))


@transaction.atomic
def open_conversation(conversation_id: int) -> Step | None:
    """Begin the partner's first words where the scenario has them speak first, once."""
    conversation = locked(conversation_id)
    if (
        not conversation.is_active
        or not conversation.partner_opens
        or conversation.messages.conversation().exists()
    ):
        return None
    return Step(None, (partner_reply(conversation, None),))


@transaction.atomic
def ask(conversation_id: int, client_id: UUID, text: object) -> Step:
    """Store a private question to the coach and begin the answer as soon as the coach is free."""
    conversation = locked(conversation_id)
    if first := _repeated(conversation_id, client_id):
        return Step(first)
    _refuse_if_ended(conversation)
    question = create(
        conversation,
        role=MessageRole.USER,
        kind=Kind.ASIDE,
        content=clean_text(text),
        parent=_last_said(conversation),
        client_id=client_id,
    )
    return Step(question, next_of_coach(conversation))


@transaction.atomic
def retry(conversation_id: int, message_id: int) -> Step:
    """Begin a new reply in place of one that failed, as a new row beside it."""
    conversation = locked(conversation_id)
    old = conversation.messages.filter(pk=message_id).first()
    if old is None or not old.can_retry:
        raise Refused("nothing_to_retry", "There is nothing to try again here.")
    if old.kind != Kind.DEBRIEF:
        _refuse_if_ended(conversation)
    if old.role == MessageRole.PARTNER:
        _refuse_while_partner_speaks(conversation)
        if conversation.messages.conversation().filter(pk__gt=old.pk).exists():
            raise Refused("nothing_to_retry", "The conversation has moved on since.")
        return Step(None, (partner_reply(conversation, old.parent_id),))
    newer = conversation.messages.filter(role=old.role, pk__gt=old.pk)
    if newer.filter(parent_id=old.parent_id, kind=old.kind).exists():
        raise Refused("nothing_to_retry", "This has been tried again already.")
    if conversation.messages.streaming().filter(role=MessageRole.COACH).exists():
        raise Refused("busy", "The coach is still writing. Wait for the end, or press Stop.")
    return Step(None, (coach_reply(conversation, Kind(old.kind), old.parent_id),))


@transaction.atomic
def end(conversation_id: int) -> Step:
    """End the conversation and begin the debrief. Ending twice changes nothing."""
    conversation = locked(conversation_id)
    if not conversation.is_active:
        return Step(None)
    now = timezone.now()
    conversation.status = SessionStatus.ENDED
    conversation.ended_at = now
    conversation.duration_seconds = max(0, round((now - conversation.started_at).total_seconds()))
    conversation.save(update_fields=["status", "ended_at", "duration_seconds"])
    speaking = conversation.messages.streaming().filter(role=MessageRole.PARTNER)
    stop = tuple(speaking.values_list("pk", flat=True))
    speaking.update(stop_requested_at=now)
    return Step(None, next_of_coach(conversation), stop)


@transaction.atomic
def request_stop(conversation_id: int, message_id: int) -> Message | None:
    """Ask whoever runs a reply to stop it. Returns the row if it is still running."""
    running = Message.objects.streaming().filter(session=conversation_id, pk=message_id)
    running.filter(stop_requested_at=None).update(stop_requested_at=timezone.now())
    return running.first()
