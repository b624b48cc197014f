"""Where somebody is signed in: one row for each browser, kept up to date as it is used."""

import hashlib
from typing import Any, Final

from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.deprecation import MiddlewareMixin

from accounts.devices import name_of
from accounts.models import Device, User
from config import addresses

# Seconds: how exact “last seen” is, and how seldom that costs a write.
EXACTNESS: Final = 300
# What may be another the next time.
CHANGING: Final = ("user", "name", "network", "last_seen_at")


class DeviceMiddleware(MiddlewareMixin):
    """Notes that a browser was used, at most once in `EXACTNESS` seconds."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if hasattr(request, "session") and request.session.session_key:
            note(request, request.user)
        return response


def note(request: HttpRequest, user: Any) -> None:
    """Record that `user`, if somebody, uses the browser that `request` comes from."""
    key = request.session.session_key
    if not (user.is_authenticated and key):
        return
    digest = hashlib.sha256(key.encode()).hexdigest()
    if not cache.add(f"seen:{digest}", 1, EXACTNESS):
        return
    device = Device(
        session_key=key,
        user=user,
        name=name_of(request.headers.get("user-agent", "")),
        network=addresses.roughly(addresses.of_request(request)),
        last_seen_at=timezone.now(),
    )
    try:
        # One statement, whether it is known or not, and whoever else notes it at this moment.
        Device.objects.bulk_create(
            [device], update_conflicts=True, unique_fields=["session_key"], update_fields=CHANGING
        )
    except IntegrityError:
        return  # the account was erased meanwhile


def note_sign_in(sender: object, request: HttpRequest, user: User, **extra: Any) -> None:
    """Receive Django's `user_logged_in`."""
    note(request, user)


def devices_of(user: User) -> list[Device]:
    """The browsers that `user` is signed in with, the latest first; others are forgotten."""
    rows = {device.session_key: device for device in user.devices.order_by("-last_seen_at")}
    sessions = Session.objects.filter(session_key__in=rows, expire_date__gt=timezone.now())
    living = {one.session_key for one in sessions if is_of(one.get_decoded(), user)}
    user.devices.filter(session_key__in=rows.keys() - living).delete()
    return [device for key, device in rows.items() if key in living]


def is_of(session: dict[str, Any], user: User) -> bool:
    """Whether a session's contents still sign `user` in: no new password since, for one."""
    return constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())


@transaction.atomic
def sign_out(device: Device) -> None:
    """End what one browser is signed in with; its sockets close within two seconds."""
    Session.objects.filter(session_key=device.session_key).delete()
    device.delete()


@transaction.atomic
def sign_out_everywhere(user: User) -> None:
    """End every session of `user`, those too that no row tells of."""
    user.end_sessions()
    Session.objects.filter(session_key__in=user.devices.values("session_key")).delete()
    user.devices.all().delete()
