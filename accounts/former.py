"""Addresses that people had: what was sent there is still theirs, to be told and to be erased."""

from datetime import datetime
from typing import Any

from allauth.account.models import EmailAddress
from django.db import transaction
from django.utils import timezone

from accounts.models import FormerAddress, User


@transaction.atomic
def remember(sender: object, email_address: EmailAddress, **extra: Any) -> None:
    """Receive allauth's `email_confirmed`: the account's other addresses are about to go.

    One that an administrator takes off an account is not remembered: it was not theirs.
    """
    user, now = email_address.user, timezone.now()
    user.former_addresses.filter(email=email_address.email.lower()).delete()
    others = EmailAddress.objects.filter(user=user, verified=True).exclude(pk=email_address.pk)
    gone = [FormerAddress(user=user, email=one.email.lower(), until=now) for one in others]
    FormerAddress.objects.bulk_create(
        gone, update_conflicts=True, unique_fields=["user", "email"], update_fields=["until"]
    )


def proven_by(user: User) -> set[str]:
    """The addresses, in lower case, that `user` has shown to be theirs."""
    proven = EmailAddress.objects.filter(user=user, verified=True)
    return {email.lower() for email in proven.values_list("email", flat=True)}


def given_up_by(user: User) -> dict[str, datetime | None]:
    """The addresses that `user` had, and until when; None while nobody else has had it since."""
    had = dict(user.former_addresses.values_list("email", "until"))
    taken = _taken_since(user, had)
    return {email: until if email in taken else None for email, until in had.items()}


def _taken_since(user: User, had: dict[str, datetime]) -> set[str]:
    """Those of the addresses in `had` that another account has proven after `user` gave them up."""
    have = EmailAddress.objects.filter(email__in=had, verified=True).exclude(user=user)
    former = FormerAddress.objects.filter(email__in=had).exclude(user=user)
    later = former.values_list("email", "until")
    return {*have.values_list("email", flat=True)} | {
        email for email, until in later if until > had[email]
    }
