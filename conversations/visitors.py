"""Who opens a socket: the session and the account of the browser that asks.

In place of Channels' own middleware, which asks the database three times, each time on the one
thread that serves all sockets, and keeps what it found for as long as the socket is open.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import SimpleNamespace
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, parse_cookie

from accounts.models import User


@dataclass(frozen=True, slots=True)
class Visitor:
    """A browser at the door; `session` is empty, and without a key, where it showed none."""

    session: SessionBase
    user: User | AnonymousUser

    @property
    def account(self) -> str | None:
        """The id of the account that is signed in."""
        return self.user.pk if self.user.is_authenticated else None

    @property
    def role(self) -> str | None:
        """The role of that account; a guest's browser has none."""
        return self.user.role if self.user.is_authenticated else None


def visitor_of(scope: Mapping[str, Any]) -> Visitor:
    """The visitor who opens the socket of `scope`, as the database knows them now."""
    headers = (value for name, value in scope.get("headers", ()) if name.lower() == b"cookie")
    cookies = parse_cookie("; ".join(value.decode("latin-1") for value in headers))
    store = import_module(settings.SESSION_ENGINE).SessionStore
    session = store(cookies.get(settings.SESSION_COOKIE_NAME))
    # All that Django's own rule for who is signed in asks of a request.
    request = cast(HttpRequest, SimpleNamespace(session=session))
    return Visitor(session, get_user(request))
