"""What a link is made of: random bits that only their signed form opens, for so long."""

import secrets
from datetime import datetime, timedelta

from django.core.signing import BadSignature, Signer
from django.utils import timezone

# Of personal links; a group link has one of its own.
signer = Signer(salt="invitation")


def new_token() -> str:
    """Return 256 random bits; only its signed form opens anything."""
    return secrets.token_urlsafe(32)


def default_expiry() -> datetime:
    return timezone.now() + timedelta(days=14)


def unsigned(link: str, signer: Signer) -> str:
    """Return the token of a signed link, "" for a forged one.

    The "" is to be asked for all the same, so that a forged link takes as long as a true one.
    """
    try:
        return signer.unsign(link)
    except BadSignature:
        return ""
