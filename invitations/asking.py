"""The mail by which a holder asks the inviter for more time or more budget."""

from typing import Final

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse

from invitations.mailing import address, one_line
from invitations.models import Invitation, Wish

NOBODY_KNOWN: Final = "Whoever holds the link"


def ask(invitation: Invitation, wish: Wish) -> None:
    """Mail the inviter that the holder asks for `wish`; harmless when repeated.

    Does nothing where the inviter has left. Raises whatever the mail server raises; then it
    counts as not asked.
    """
    if invitation.created_by.has_left or not invitation.ask(wish):
        return
    try:
        message(invitation, wish).send()
    except BaseException:
        invitation.unask(wish)
        raise


def message(invitation: Invitation, wish: Wish) -> EmailMessage:
    """Return the mail to the inviter; it holds no link to the conversation."""
    inviter, holder = invitation.created_by, invitation.linked_user
    name = holder.name if holder else invitation.recipient_name
    email = holder.email if holder else invitation.recipient_email
    change = reverse("admin:invitations_invitation_change", args=[invitation.pk])
    context = {
        "invitation": invitation,
        "inviter": inviter,
        "who": name or email or NOBODY_KNOWN,
        "email": email,
        "wish": wish,
        "url": settings.SITE_URL.rstrip("/") + change,
    }
    return EmailMessage(
        subject=one_line(render_to_string("invitations/mail/wish_subject.txt", context)),
        body=render_to_string("invitations/mail/wish.txt", context).strip() + "\n",
        to=[address(inviter.name, inviter.email)],
        reply_to=[address(name, email)] if email else None,
        headers={"Auto-Submitted": "auto-generated"},
    )
