"""The life of a reply's row: renewed under a lease, ended once, taken over when its process died.

Conditional UPDATEs decide who may write; a row that has ended is never written again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection, transaction
from django.utils import timezone

from conversations.lanes import PROCESS, Step, locked, next_of_coach, partner_reply
from conversations.models import (
    LEASE,
    ConversationSession,
    Message,
    MessageQuerySet,
    MessageRole,
    MessageStatus,
)
from usage.holds import CallRecord, release, settle

# A partner's reply that was lost with its process is started again this often by itself.
RESTARTS: Final = 1


@dataclass(frozen=True, slots=True)
class Pulse:
    """The answer to a checkpoint: is the reply still ours, does somebody want it stopped."""

    ours: bool
    stop: bool


class Lost(Exception):
    """The reply is not this process's any more: another one has closed it."""


def _ours(message_id: int) -> MessageQuerySet:
    return Message.objects.streaming().filter(pk=message_id, lease_owner=PROCESS)


def checkpoint(texts: Mapping[int, str]) -> dict[int, Pulse]:
    """Store what has arrived of running replies and renew their leases, those still ours.

    For all of a process at once, every second: one prepared statement and one query.
    """
    table = connection.ops.quote_name(Message._meta.db_table)
    until = connection.ops.adapt_datetimefield_value(timezone.now() + LEASE)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {table} SET content = %s, lease_expires_at = %s"
            " WHERE id = %s AND status = %s AND lease_owner = %s",
            [(text, until, pk, MessageStatus.STREAMING, PROCESS) for pk, text in texts.items()],
        )
    ours = Message.objects.streaming().filter(pk__in=texts, lease_owner=PROCESS)
    stops = dict(ours.values_list("pk", "stop_requested_at"))
    return {pk: Pulse(ours=pk in stops, stop=stops.get(pk) is not None) for pk in texts}


@transaction.atomic
def finish(
    message_id: int,
    *,
    status: MessageStatus,
    content: str,
    failure: str = "",
    record: CallRecord | None = None,
) -> Step | None:
    """Store a reply's end, settle its hold and begin what follows from it, in one transaction.

    Returns None, having changed nothing, if the reply was not this process's any more. A
    reply without a `record` made no call.
    """
    found = Message.objects.filter(pk=message_id).select_related("session", "hold").first()
    if found is None:
        return None
    conversation = locked(found.session_id)
    now = timezone.now()
    changed = _ours(message_id).update(
        status=status,
        content=content,
        failure=failure,
        finished_at=now,
        lease_expires_at=None,
        lease_owner="",
    )
    if not changed:
        return None
    if found.hold and record:
        settle(found.hold, record, user_id=conversation.user_id)
    elif found.hold:
        release(found.hold)
    found.refresh_from_db()
    return Step(found, next_of_coach(conversation))


def keep_hold(message_id: int, **fields: Any) -> None:
    """Note a reply's hold in its row. Raises `Lost` if another process has closed the reply."""
    if not _ours(message_id).update(**fields):
        raise Lost


def lost(conversation_id: int | None = None) -> list[int]:
    """Ids of replies whose process has died or shut down: of one conversation, or of all."""
    rows = Message.objects.lost()
    if conversation_id is not None:
        rows = rows.filter(session=conversation_id)
    return list(rows.values_list("pk", flat=True))


@transaction.atomic
def hand_over(message_id: int, content: str, record: CallRecord | None) -> Step | None:
    """Close a reply of this process, which is shutting down, for another to begin it again.

    Returns None, having changed nothing, if the reply was not this process's any more.
    """
    found = Message.objects.filter(pk=message_id).select_related("hold").first()
    if found is None:
        return None
    conversation = locked(found.session_id)
    ours = _ours(message_id)
    begin_again = _may_begin_again(found, conversation)
    if not ours.update(content=content, begin_again=begin_again, **_interrupted()):
        return None
    if found.hold and record:
        settle(found.hold, record, user_id=conversation.user_id)
    elif found.hold:
        release(found.hold)
    found.refresh_from_db()
    return Step(found)


@transaction.atomic
def take_over(message_id: int) -> Step | None:
    """Close a reply whose process has died, and begin the partner's again, once by itself.

    One conditional UPDATE decides; None means that somebody else was first. The call's usage
    is unknown, so its whole hold is charged.
    """
    found = Message.objects.filter(pk=message_id).select_related("hold").first()
    if found is None:
        return None
    conversation = locked(found.session_id)
    if Message.objects.filter(pk=message_id, begin_again=True).update(begin_again=False):
        begin_again = _may_begin_again(found, conversation)
    elif Message.objects.lease_expired().filter(pk=message_id).update(**_interrupted()):
        begin_again = _may_begin_again(found, conversation)
        # Only now: its process may have taken the hold a moment ago.
        found.refresh_from_db()
        if found.hold:
            settle(found.hold, CallRecord(found.hold.model, None), user_id=conversation.user_id)
    else:
        return None
    found.refresh_from_db()
    replies: tuple[Message, ...] = ()
    if begin_again:
        replies = (partner_reply(conversation, found.parent_id, restarts=found.restarts + 1),)
    return Step(found, replies + next_of_coach(conversation))


def _may_begin_again(reply: Message, conversation: ConversationSession) -> bool:
    return (
        reply.role == MessageRole.PARTNER
        and reply.restarts < RESTARTS
        and reply.stop_requested_at is None
        and conversation.is_active
        and not conversation.messages.conversation().filter(pk__gt=reply.pk).exists()
    )


def _interrupted() -> dict[str, Any]:
    return {
        "status": MessageStatus.INTERRUPTED,
        "failure": "lost",
        "finished_at": timezone.now(),
        "lease_expires_at": None,
        "lease_owner": "",
    }
