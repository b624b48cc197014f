"""The mail that carries an invitation's link."""

import unicodedata
from email.utils import formataddr
from typing import TYPE_CHECKING, Final

from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils.encoding import punycode

if TYPE_CHECKING:
    from invitations.models import Invitation

# By its id, which opens nothing, mail in a folder is found when the person is erased.
ABOUT: Final = "X-Parley-Invitation"
# Who invites, where they have given no name: their address is not for everybody to read.
INVITER: Final = "the person who invited you"
# Whom to ask where that person has left.
SENDERS: Final = "the people who sent you to this site"
# A name in a header; longer ones are cut, in the text of the mail they stand in full.
HEADER_NAME: Final = 80


def message(invitation: "Invitation") -> EmailMultiAlternatives:
    """Return the mail for `invitation`'s recipient, as text and HTML; nothing is sent.

    Whatever people typed is one line in headers, escaped in HTML and plain in text.
    """
    inviter = invitation.created_by
    context = {
        "invitation": invitation,
        "inviter": inviter,
        "scenario": invitation.offered_scenario,
        "url": invitation.url,
    }
    mail = EmailMultiAlternatives(
        subject=one_line(render_to_string("invitations/mail/subject.txt", context)),
        body=render_to_string("invitations/mail/invitation.txt", context).strip() + "\n",
        to=[address(invitation.recipient_name, invitation.recipient_email)],
        reply_to=None if inviter.has_left else [address(inviter.name, inviter.email)],
        headers={"Auto-Submitted": "auto-generated", ABOUT: invitation.pk},
    )
    mail.attach_alternative(
        render_to_string("invitations/mail/invitation.html", context), "text/html"
    )
    return mail


def one_line(text: str) -> str:
    """Return `text` on one line, without control characters."""
    printable = "".join(
        " " if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} else char for char in text
    )
    return " ".join(printable.split())


def address(name: str, email: str) -> str:
    """Return a header's address: `name` in front where there is one.

    A domain in other letters than ASCII's stands in its form for machines (RFC 5891).
    """
    mailbox, at, domain = email.rpartition("@")
    return formataddr((one_line(name)[:HEADER_NAME].strip(), f"{mailbox}{at}{punycode(domain)}"))
