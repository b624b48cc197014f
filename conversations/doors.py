"""The doors by which guests come in: who is counted, who is refused, what no cache may keep."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt

from config import addresses
from config.limits import Limit
from invitations.csrf import refuse_forgery

# Room for a class that opens its links at once; a link itself is too long to be guessed. What is
# refused counts in neither: who comes last would never come in while others try again.
CLAIMS: Final = Limit("claims", 120, 60)
# Counted apart, so that reading a page takes nothing from pressing its button.
SIGNS: Final = Limit("signs", 120, 60)
# What static/js/opened.js says of a person at the page.
SIGN: Final = "opened"
# Of a form that was refused, what the next press sends again.
CARRIED: Final = frozenset({"action", "another", "key", "name", "visitor"})

View = Callable[..., Coroutine[Any, Any, HttpResponse]]
# What a POST is counted by: a limit, and a key in it.
Counter = Callable[..., tuple[Limit, object]]
RETRY_SECONDS: Final = 10

HEADERS: Final = {
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "no-store",
}


def network_of(request: HttpRequest) -> str:
    """Where the visitor comes from, as limits count it."""
    return addresses.network(addresses.of_request(request))


def by_network(request: HttpRequest, **_: str) -> tuple[Limit, object]:
    """Count signs and claims of everybody behind one address."""
    return (SIGNS if is_sign(request) else CLAIMS), network_of(request)


def door(view: View, counted: Counter = by_network) -> View:
    """Let people in by GET and POST, and keep the address from referrers, robots and caches."""

    @csrf_exempt
    @wraps(view)
    async def wrapped(request: HttpRequest, **kwargs: str) -> HttpResponse:
        if request.method in ("GET", "HEAD", "POST"):
            refusal = await sync_to_async(refused)(request, counted, **kwargs)
            response = refusal or await view(request, **kwargs)
        else:
            response = HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        for name, value in HEADERS.items():
            response[name] = value
        return response

    return wrapped


def refused(request: HttpRequest, counted: Counter, **kwargs: str) -> HttpResponse | None:
    """The answer to a forged claim, or to one too many at this moment."""
    if forged := refuse_forgery(request):
        return forged
    if request.method != "POST":
        return None
    limit, key = counted(request, **kwargs)
    return None if limit.admit(key) else too_many(request)


def too_many(request: HttpRequest) -> HttpResponse:
    """Ask who pressed to press again in a moment; what they typed is in the page's form."""
    posted = {name: value for name, value in request.POST.items() if name in CARRIED}
    response = render(request, "invitations/busy.html", {"posted": posted}, status=429)
    response["Retry-After"] = str(RETRY_SECONDS)
    return response


def is_sign(request: HttpRequest) -> bool:
    """Whether it says that a person is at an invitation's page, and nothing else."""
    return request.POST.get("action") == SIGN
