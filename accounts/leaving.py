"""Leaving: an account that asks to be erased has a week to change its mind.

What is erased, and how, `conversations.erasure` knows, which may look into every app.
"""

import logging
from datetime import datetime, timedelta
from smtplib import SMTPException
from typing import Final

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role, User

logger = logging.getLogger(__name__)

TIME_TO_THINK: Final = timedelta(days=7)
# After a failure, until somebody tries again.
PAUSE: Final = timedelta(hours=1)


def ask(user: User) -> datetime:
    """Have `user` erased a week from now, and tell them by mail. Returns when.

    Asking twice keeps the first date and sends no second mail. Where no mail can be sent the
    wish holds all the same: every page of theirs says so.
    """
    when = timezone.now() + TIME_TO_THINK
    asked = User.objects.filter(pk=user.pk, erase_at=None).update(erase_at=when)
    user.refresh_from_db(fields=["erase_at"])
    if asked:
        context = {"user": user, "account_url": _account_url()}
        try:
            mail(user.email, "erasure_asked", context).send()
        except (OSError, SMTPException) as error:
            logger.warning("Somebody was not told of their wish: %s", type(error).__name__)
    return user.erase_at or when


def keep(user: User) -> bool:
    """Take the wish back. Returns whether there was one, and still time."""
    still = User.objects.filter(pk=user.pk, is_active=True, erase_at__gt=timezone.now())
    return bool(still.update(erase_at=None))


def due() -> list[str]:
    """Ids of those whose week is over."""
    over = User.objects.filter(erase_at__lte=timezone.now()).order_by("erase_at")
    return list(over.values_list("pk", flat=True))


def take_up(pk: str) -> bool:
    """Take up the erasure of one that is due. Returns whether this call, and no other, did.

    From here on nobody signs in to the account. If the erasure fails it is due again in an hour.
    """
    now = timezone.now()
    mine = User.objects.filter(pk=pk, erase_at__lte=now)
    return bool(mine.update(erase_at=now + PAUSE, is_active=False))


def begin(pk: str) -> None:
    """Begin to erase an account, due or not; as `take_up`, it is tried again if it fails."""
    User.objects.filter(pk=pk).update(erase_at=timezone.now() + PAUSE, is_active=False)


def is_last_administrator(user: User) -> bool:
    """Whether nobody could run the site without `user`."""
    if user.role != Role.ADMIN or not user.is_active:
        return False
    others = User.objects.filter(role=Role.ADMIN, is_active=True, erase_at=None)
    return not others.exclude(pk=user.pk).exists()


def mail(address: str, name: str, context: dict[str, object]) -> EmailMessage:
    """Return the mail `name` of `templates/accounts/mail`; its first line is the subject."""
    text = render_to_string(f"accounts/mail/{name}.txt", context)
    subject, _, body = text.strip().partition("\n")
    return EmailMessage(
        subject, body.strip() + "\n", to=[address], headers={"Auto-Submitted": "auto-generated"}
    )


def _account_url() -> str:
    return settings.SITE_URL.rstrip("/") + reverse("accounts:account")
