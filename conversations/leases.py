"""The life of a reply's row: renewed under a lease, ended once, taken over when its process died.

Conditional UPDATEs decide who may write; a row that has ended is never written again.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection, transaction
from django.db.models.expressions import RawSQL
from django.utils import timezone

from conversations.failures import ASKED_AGAIN, DROPPED
from conversations.lanes import Locked, Reply, Step, locked
from conversations.marks import lease
from conversations.models import (
    PROCESS,
    Kind,
    Message,
    MessageQuerySet,
    MessageRole,
    MessageStatus,
)
from usage.holds import CallRecord, release, settle

# A partner's reply that was lost with its process is started again this often by itself.
RESTARTS: Final = 1
INTERRUPTED: Final = {"status": MessageStatus.INTERRUPTED, "failure": "lost"}
LOST: Final = ("lost", ASKED_AGAIN)


@dataclass(frozen=True, slots=True)
class Pulse:
    """The answer to a checkpoint: is the reply still ours, does somebody want it stopped."""

    ours: bool
    stop: bool


def checkpoint(texts: Mapping[int, str]) -> dict[int, Pulse]:
    """Store what has arrived of running replies and renew their leases, those still ours.

    For all of a process at once, every second: one prepared statement and one query.
    """
    table = connection.ops.quote_name(Message._meta.db_table)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {table} SET content = %s, lease_expires_at = {lease()}"
            " WHERE id = %s AND status = %s AND lease_owner = %s",
            # In the order of marks: two who lock the same rows in two orders wait for each other.
            [(texts[pk], pk, MessageStatus.STREAMING, PROCESS) for pk in sorted(texts)],
        )
    ours = Message.objects.ours().filter(pk__in=texts)
    stops = dict(ours.values_list("pk", "stop_requested_at"))
    return {pk: Pulse(ours=pk in stops, stop=stops.get(pk) is not None) for pk in texts}


def finish(
    message_id: int,
    *,
    status: MessageStatus,
    content: str,
    failure: str = "",
    record: CallRecord | None = None,
    leaving: bool = False,
) -> Step | None:
    """Store a reply's end, settle its hold and begin what follows from it, in one transaction.

    Returns None, having changed nothing, if the reply was not this process's any more. A
    reply without a `record` made no call. The partner's whose connection was dropped before
    an answer is begun again, once. A process that is `leaving` begins nothing: the row is marked
    for another, which will.
    """
    reply = _found(message_id)
    if reply is None:
        return None
    with locked(reply.session_id) as it:
        again = failure == DROPPED and _may_begin_again(reply, it)
        failure = ASKED_AGAIN if again else failure
        ended = {"status": status, "content": content, "failure": failure, "begin_again": leaving}
        if not _close(reply, record, ended):
            return None
        _settle(reply, record, it)
        if leaving:
            return it.step(reply)
        replies = _begin_again(reply, it) if again else ()
        return it.step(reply, replies + it.next_of_coach())


def lost(conversation_id: int | None = None, *, expired: bool = True) -> list[int]:
    """Ids of replies whose process has died or shut down: of one conversation, or of all.

    Without those whose lease has `expired`, only what a process that shut down left behind.
    """
    rows = Message.objects.lost() if expired else Message.objects.filter(begin_again=True)
    if conversation_id is not None:
        rows = rows.filter(session=conversation_id)
    return list(rows.values_list("pk", flat=True))


def hand_over(message_id: int, content: str, record: CallRecord | None) -> Step | None:
    """Close a reply of this process, which is shutting down, for another to begin it again.

    Returns None, having changed nothing, if the reply was not this process's any more.
    """
    reply = _found(message_id)
    if reply is None:
        return None
    with locked(reply.session_id) as it:
        # Of the coach's, too: what comes after it is due.
        ended = {"content": content, "begin_again": True, **INTERRUPTED}
        if not _close(reply, record, ended):
            return None
        _settle(reply, record, it)
        return it.step(reply)


def take_over(message_id: int) -> Step | None:
    """Close a reply whose process has died, and begin the partner's again, once by itself.

    One conditional UPDATE decides; None means that somebody else was first. A call that may have
    been under way is of unknown usage, so its whole hold is charged; that of a reply which
    waited is given back. What a process that left had no time for is begun too.
    """
    reply = _found(message_id)
    if reply is None:
        return None
    with locked(reply.session_id) as it:
        rows = Message.objects.filter(pk=message_id)
        if rows.filter(begin_again=True).update(begin_again=False):
            reply.refresh_from_db()
        elif not _give_up(reply, rows.lease_expired(), it):
            return None
        return _go_on_from(reply, it)


def strays(known: Container[int]) -> list[int]:
    """Ids of replies that run in this process by their rows, other than those it knows of."""
    return [pk for pk in Message.objects.ours().values_list("pk", flat=True) if pk not in known]


def adopt(message_id: int) -> Step | None:
    """Have a reply run that this process began without hearing of it.

    None means that it has ended, or that somebody else has taken it over. One that a call may
    have been made for is lost, as if its process had died.
    """
    reply = _found(message_id)
    if reply is None:
        return None
    with locked(reply.session_id) as it:
        ours = Message.objects.ours().filter(pk=message_id)
        never_called = ours.exclude(waiting_since=None)
        if never_called.update(lease_expires_at=RawSQL(lease(), ())):
            # Only now: what was asked of it, a stop perhaps, may be newer.
            reply.refresh_from_db()
            return it.step(None, (it.resume(reply),))
        return _go_on_from(reply, it) if _give_up(reply, ours, it) else None


def _give_up(reply: Message, whose: MessageQuerySet, it: Locked) -> bool:
    """Close a reply as lost, if it is among `whose` still, and settle its hold."""
    if not whose.update(**INTERRUPTED, **_now()):
        return False
    # Only now: its process may have taken the hold, or made the call, a moment ago.
    reply.refresh_from_db()
    if reply.hold:
        waited = reply.waiting_since is not None
        _settle(reply, None if waited else CallRecord(reply.hold.model, None), it)
    return True


def _go_on_from(reply: Message, it: Locked) -> Step:
    """What follows from a reply that was lost."""
    replies = _begin_again(reply, it) if _may_begin_again(reply, it) else ()
    return it.step(reply, replies + it.next_of_coach())


def _found(message_id: int) -> Message | None:
    return Message.objects.filter(pk=message_id).select_related("hold").first()


def _now() -> dict[str, Any]:
    """What is set whenever a reply ends."""
    return {"finished_at": timezone.now(), "lease_expires_at": None, "lease_owner": ""}


def _close(reply: Message, record: CallRecord | None, ended: Mapping[str, Any]) -> bool:
    """End a reply of this process, in the database and as it is at hand; False if it was lost."""
    fields: dict[str, Any] = {**ended, **_now()}
    if reply.metadata and record and record.usage and not record.usage.is_estimate:
        fields["metadata"] = {**reply.metadata, "input_tokens": record.usage.input_tokens}
    if not Message.objects.ours().filter(pk=reply.pk).update(**fields):
        return False
    for name, value in fields.items():
        setattr(reply, name, value)
    return True


def _settle(reply: Message, record: CallRecord | None, it: Locked) -> None:
    if reply.hold and record:
        settle(reply.hold, record, user_id=it.conversation.user_id)
    elif reply.hold:
        release(reply.hold)


def _begin_again(reply: Message, it: Locked) -> tuple[Reply, ...]:
    return (it.partner_reply(reply.parent_id, restarts=reply.restarts + 1),)


def _may_begin_again(reply: Message, it: Locked) -> bool:
    """Whether a reply that was lost begins again by itself; what broke off after words does not."""
    return (
        reply.role == MessageRole.PARTNER
        and (reply.is_streaming or reply.failure in LOST)
        and reply.restarts < RESTARTS
        and reply.stop_requested_at is None
        and it.conversation.is_active
        and not any(row.kind == Kind.TURN and row.pk > reply.pk for row in it.rows)
    )
