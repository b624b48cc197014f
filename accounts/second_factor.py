"""Passkeys and the second factor: of whom one is asked, and whether it has been shown."""

import base64
import hashlib
import io
import secrets
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, Final, cast

import segno
from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm, EditWebAuthnForm
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django import forms
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from accounts.devices import name_of
from accounts.models import User

NAME_LENGTH: Final = 100
# Where somebody was going when they were asked for a second factor.
AFTERWARDS: Final = "after_second_factor"


class MFAAdapter(DefaultMFAAdapter):
    """Allauth's second factor with secrets that a leaked database does not give away."""

    def is_mfa_enabled(self, user: Any, types: Iterable[str] | None = None) -> bool:
        """Whether a second factor of `types` (any, where None) is asked of somebody.

        A passkey is one for staff. For learners it is another way in beside the emailed code,
        which they keep for the day when the device with the passkey is lost.
        """
        if user.is_authenticated and not user.is_staff and not uses_app(user):
            return False
        return bool(super().is_mfa_enabled(user, types))

    def build_totp_svg(self, url: str) -> str:
        picture = io.BytesIO()
        segno.make(url, micro=False).save(picture, kind="svg", scale=5, light="white", border=3)
        return picture.getvalue().decode()

    def encrypt(self, text: str) -> str:
        return _cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """A new `SECRET_KEY` ends second factors, as it does links: then no code is right."""
        try:
            return _cipher().decrypt(encrypted_text.encode()).decode()
        except InvalidToken:
            return base64.b32encode(secrets.token_bytes(20)).decode()

    def generate_authenticator_name(self, user: Any, type: Any) -> str:
        return name_of(context.request.headers.get("user-agent", ""))

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return super().get_public_key_credential_rp_entity() | {"name": "Parley"}


class AppForm(ActivateTOTPForm):
    """Whoever types the first code of an app has shown the second factor by it."""

    def clean_code(self) -> str:
        code: str = super().clean_code()
        record_authentication(context.request, self.user, "mfa", type="totp", reauthenticated=True)
        return code


class PasskeyForm(AddWebAuthnForm):
    """A passkey always opens by itself: the device asks for a finger, a face or a PIN."""

    passwordless = None
    # Too long a name is cut, not refused: the device has made the key by then.
    name = forms.CharField(
        required=False,
        help_text="So that you know it from others later on.",
        widget=forms.TextInput(attrs={"maxlength": NAME_LENGTH}),
    )

    def clean(self) -> dict[str, Any]:
        self.cleaned_data["passwordless"] = True
        cleaned: dict[str, Any] = super().clean()
        if cleaned.get("credential") and not self.errors:
            record_authentication(
                context.request, self.user, "mfa", type="webauthn", reauthenticated=True
            )
        return cleaned

    def clean_name(self) -> str:
        return str(super().clean_name())[:NAME_LENGTH]


class RenameForm(EditWebAuthnForm):
    name = forms.CharField(max_length=NAME_LENGTH)


def uses_app(user: User) -> bool:
    """Whether codes of an app are set up for the account."""
    return Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists()


def is_missing(request: HttpRequest) -> bool:
    """Whether a visitor may not do staff's work yet, since their second factor is not shown.

    Having one is not enough: it must have been shown in this very session.
    """
    return is_missing_in(request.session, request.user)


def is_missing_in(session: Mapping[str, Any], user: Any) -> bool:
    """The same of a session and whom it signs in, where there is no request."""
    if not (settings.STAFF_SECOND_FACTOR and user.is_authenticated and user.is_staff):
        return False
    # All that allauth asks of a request.
    request = cast(HttpRequest, SimpleNamespace(session=session))
    records = get_authentication_records(request, user)
    return not (any(record.get("method") == "mfa" for record in records) and _has_one(user))


def way_to_show(request: HttpRequest) -> str:
    """Where to send somebody whose second factor is missing; they come back to where they were."""
    came_for = request.get_full_path() if request.method == "GET" else reverse("admin:index")
    request.session[AFTERWARDS] = came_for
    if not _has_one(request.user):
        return reverse("mfa_index")
    methods = get_account_adapter().get_reauthentication_methods(request.user)
    url = next(one["url"] for one in methods if one["id"].startswith("mfa_reauthenticate"))
    return f"{url}?{urlencode({'next': came_for})}"


def _has_one(user: Any) -> bool:
    """Recovery codes alone are none: they stand in for one."""
    kinds = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]
    return Authenticator.objects.filter(user_id=user.pk, type__in=kinds).exists()


def _cipher() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = (hashlib.sha256(b"second factor " + key.encode()).digest() for key in keys)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])
