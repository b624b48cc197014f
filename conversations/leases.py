"""The life of a reply's row: renewed under a lease, ended once, taken over when its process died.

Conditional UPDATEs decide who may write; a row that has ended is never written again.
"""

from dataclasses import dataclass
from typing import Final

from django.db import transaction
from django.utils import timezone

from conversations.lanes import PROCESS, Step, locked, next_of_coach, partner_reply
from conversations.models import LEASE, Message, MessageQuerySet, MessageRole, MessageStatus
from usage.holds import CallRecord, release, settle

# A partner's reply that was lost with its process is started again this often by itself.
RESTARTS: Final = 1


@dataclass(frozen=True, slots=True)
class Pulse:
    """The answer to a checkpoint: is the reply still ours, does somebody want it stopped."""

    ours: bool
    stop: bool


def _ours(message_id: int) -> MessageQuerySet:
    return Message.objects.streaming().filter(pk=message_id, lease_owner=PROCESS)


def checkpoint(message_id: int, content: str) -> Pulse:
    """Store what has arrived and renew the lease, if the reply is still this process's."""
    ours = _ours(message_id)
    if not ours.update(content=content, lease_expires_at=timezone.now() + LEASE):
        return Pulse(ours=False, stop=False)
    stop = ours.exclude(stop_requested_at=None).exists()
    return Pulse(ours=True, stop=stop)


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


def expired(conversation_id: int | None = None) -> list[int]:
    """Ids of replies whose process has died: of one conversation, or of all."""
    rows = Message.objects.lease_expired()
    if conversation_id is not None:
        rows = rows.filter(session=conversation_id)
    return list(rows.values_list("pk", flat=True))


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
    now = timezone.now()
    taken = (
        Message.objects.lease_expired()
        .filter(pk=message_id)
        .update(
            status=MessageStatus.INTERRUPTED,
            failure="lost",
            finished_at=now,
            lease_expires_at=None,
            lease_owner="",
        )
    )
    if not taken:
        return None
    found.refresh_from_db()
    if found.hold:
        settle(found.hold, CallRecord(found.hold.model, None), user_id=conversation.user_id)
    replies: tuple[Message, ...] = ()
    if (
        found.role == MessageRole.PARTNER
        and found.restarts < RESTARTS
        and conversation.is_active
        and not found.stop_requested_at
    ):
        again = partner_reply(conversation, found.parent_id, restarts=found.restarts + 1)
        replies = (again,)
    return Step(found, replies + next_of_coach(conversation))
