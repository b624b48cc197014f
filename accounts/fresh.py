"""Views that only somebody who is really there may use: whoever finds a screen open may not."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from allauth.account import app_settings
from allauth.account.internal.flows.reauthentication import (
    did_recently_reauthenticate,
    get_reauthentication_flows,
)
from allauth.core.exceptions import ReauthenticationRequired
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode

SIGNED_IN_AT: Final = "signed_in_at"
View = Callable[..., HttpResponseBase]


def fresh_sign_in_required(back: str, *, to_look: bool = False) -> Callable[[View], View]:
    """Have people show again who they are before a POST, unless they just did.

    With `to_look` before a GET too, where what comes between would be lost by it.

    By password, passkey or second factor where they have one; else they sign in again, by code
    or Google, and come back to the page named `back`.
    """

    def decorator(view: View) -> View:
        @wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            is_free = request.method != "POST" and not to_look
            if is_free or not request.user.is_authenticated or _just_signed_in(request):
                return view(request, *args, **kwargs)
            if get_reauthentication_flows(request.user):
                if did_recently_reauthenticate(request):
                    return view(request, *args, **kwargs)
                raise ReauthenticationRequired
            return _sign_in_again(request, reverse(back))

        return wrapped

    return decorator


def note_sign_in(sender: object, request: HttpRequest, **extra: Any) -> None:
    """Receive Django's `user_logged_in`: allauth keeps no record of a sign-up."""
    request.session[SIGNED_IN_AT] = time.time()


def _just_signed_in(request: HttpRequest) -> bool:
    return (
        time.time() - request.session.get(SIGNED_IN_AT, 0) < app_settings.REAUTHENTICATION_TIMEOUT
    )


def _sign_in_again(request: HttpRequest, path: str) -> HttpResponse:
    logout(request)
    messages.info(request, "Please sign in again first, so that nobody else can do this for you.")
    query = urlencode({"next": path})
    return HttpResponseRedirect(f"{reverse('account_login')}?{query}", status=303)
