"""A bulk invitation as CSV, safe to open in a spreadsheet: whom, and what became of it."""

import csv
from io import StringIO

from config.cells import safe_cell
from invitations.bulk import Batch, Delivery

HEAD = ("name", "email", "mail", "attempts", "sent at", "invitation")


def deliveries_csv(batch: Batch) -> str:
    """One line for each person, with a heading; times in ISO 8601. No links."""
    out = StringIO()
    write = csv.writer(out, quoting=csv.QUOTE_ALL).writerow
    write(HEAD)
    for delivery in batch.deliveries.select_related("invitation"):
        write(safe_cell(value) for value in _row(delivery))
    return out.getvalue()


def _row(delivery: Delivery) -> tuple[object, ...]:
    invitation = delivery.invitation
    return (
        invitation.recipient_name,
        invitation.recipient_email,
        delivery.standing.label,
        delivery.attempts,
        invitation.sent_at and invitation.sent_at.isoformat(timespec="seconds"),
        invitation.status.label,
    )
