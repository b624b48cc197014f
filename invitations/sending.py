"""Sending a batch in the background: a thread of this process, which survives no restart.

It need not: whoever looks next (the next start, a server's housekeeping, *Go on sending*,
`manage.py sweep`) goes on with what is waiting. A mail is taken once, so that nothing is sent
twice; one whose sender died in the middle is left to a person.
"""

import logging
import threading
from collections.abc import Iterable
from smtplib import SMTPException, SMTPResponseException, SMTPServerDisconnected
from typing import Any, Final

from django.contrib.admin.models import ADDITION, LogEntry
from django.core.exceptions import ValidationError
from django.core.mail import mailers
from django.db import connection, transaction
from django.utils import timezone

from accounts.ids import new_id
from invitations.addresses import Entry
from invitations.bulk import Batch, Delivery, Halt, State
from invitations.mailing import message
from invitations.models import Invitation

logger = logging.getLogger(__name__)

THREAD: Final = "batch-"
# Threads of a process above which it takes up nothing that others have left.
MOST_RESUMED: Final = 4


def begin(offer: Batch, people: Iterable[Entry]) -> tuple[Batch, bool]:
    """Store `offer` with an invitation for each of `people`, and send them once that is done.

    Returns the batch and whether it is new: an `offer` whose key is known is the same form sent
    twice, and gets the batch of the first time.
    """
    with transaction.atomic():
        values = {**offer.for_each, "expires_at": offer.expires_at}
        batch, is_new = Batch.objects.get_or_create(key=offer.key, defaults=values)
        if is_new:
            _invite(batch, people)
            transaction.on_commit(lambda: start(batch))
    return batch, is_new


def _invite(batch: Batch, people: Iterable[Entry]) -> None:
    invitations = Invitation.objects.bulk_create(
        Invitation(
            recipient_email=entry.email,
            recipient_name=entry.name,
            expires_at=batch.expires_at,
            **batch.for_each,
        )
        for entry in people
    )
    Delivery.objects.bulk_create(
        Delivery(batch=batch, invitation=invitation, position=position)
        for position, invitation in enumerate(invitations, start=1)
    )
    LogEntry.objects.log_actions(
        batch.created_by.pk, invitations, ADDITION, "Invited with many others."
    )


# --- Threads -------------------------------------------------------------------------------


def start(batch: Batch) -> threading.Thread | None:
    """Send what waits in `batch` on a thread of its own, unless somebody is at it already."""
    owner = new_id()
    if not batch.lease(owner):
        return None
    thread = threading.Thread(target=_run, args=(batch, owner), name=f"{THREAD}{batch.pk}")
    thread.start()
    return thread


def resume() -> list[threading.Thread]:
    """Go on with batches that nobody is at, as many as have room. Returns the threads that do.

    Each needs a connection to the database and one to the mail server, so that a server which
    finds a hundred of them takes up a few, and the next ones when it looks again.
    """
    Delivery.objects.give_up_lost()
    room = MOST_RESUMED - sum(thread.name.startswith(THREAD) for thread in threading.enumerate())
    found = Batch.objects.unfinished().order_by("created_at")
    return [thread for batch in found[: max(0, room)] if (thread := start(batch))]


def _run(batch: Batch, owner: str) -> None:
    """Send, and give this thread's database connection back."""
    try:
        send_waiting(batch, owner)
    except Exception:
        logger.exception("A batch of invitations was not sent to its end")
    finally:
        connection.close()


# --- One mail after the other ----------------------------------------------------------------


def send_waiting(batch: Batch, owner: str) -> None:
    """Send the waiting mails of `batch`, which `owner` has leased, until none is left.

    It ends early when staff halt it, when the mail server cannot be reached, and when the
    process ends: what waits then goes on waiting.
    """
    mailer = mailers.default
    halted = Halt.NONE
    try:
        while _may_go_on() and batch.lease(owner):
            if not _reached(mailer):
                halted = Halt.UNREACHABLE
                break
            delivery = batch.deliveries.claim_next()
            if delivery is None:
                break
            _send(delivery, mailer)
    finally:
        batch.release(owner, halted)
        _close(mailer)


def _may_go_on() -> bool:
    # A process that is told to end waits for this thread, and so for one mail at most.
    return threading.main_thread().is_alive()


def _reached(mailer: Any) -> bool:
    """Connect before a mail is taken: then it is certain that nothing of it has gone out."""
    try:
        mailer.open()
    except (OSError, SMTPException) as error:
        logger.warning("The mail server cannot be reached (%s)", error.__class__.__name__)
        return False
    return True


def _send(delivery: Delivery, mailer: Any) -> None:
    found = Invitation.objects.select_related("scenario", "created_by")
    invitation = found.filter(pk=delivery.invitation_id).first()
    if invitation is None:  # Deleted since, and the delivery with it.
        return
    state, failure = attempt(invitation, mailer)
    if state != State.SENT:
        _close(mailer)  # Whatever state it is in, the next mail gets a fresh one.
    delivery.finish(state, failure)


def attempt(invitation: Invitation, mailer: Any) -> tuple[State, str]:
    """Mail one invitation. Returns how that ended, and the key of `bulk.FAILURES` if not well."""
    if invitation.why_not_sendable:
        return State.FAILED, "closed"
    try:
        mail = message(invitation)
        mail.message()
    except (ValueError, ValidationError):
        return State.FAILED, "address"
    except Exception:
        logger.exception("The mail of an invitation could not be written")
        return State.FAILED, "error"
    try:
        mailer.send_messages([mail])
    except (SMTPException, ValueError, OSError) as error:
        logger.warning("A mail was not sent (%s)", error.__class__.__name__)
        return _what_happened(error)
    now = timezone.now()
    # Not where the link was replaced meanwhile: the new one has not been sent.
    Invitation.objects.filter(pk=invitation.pk, token=invitation.token).update(sent_at=now)
    return State.SENT, ""


def _what_happened(error: Exception) -> tuple[State, str]:
    """Tell a mail that the server refused from one of which nobody knows."""
    if isinstance(error, SMTPServerDisconnected):
        return State.UNCLEAR, "cut"
    if isinstance(error, SMTPResponseException):
        return State.FAILED, "refused"
    if isinstance(error, SMTPException | ValueError):
        return State.FAILED, "address"
    return State.UNCLEAR, "cut"


def _close(mailer: Any) -> None:
    try:
        mailer.close()
    except (OSError, SMTPException):
        logger.info("The line to the mail server was already down")
