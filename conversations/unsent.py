"""What a plain form brought and could not be done: it is given back, for a page without scripts has
no other place for it."""

import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Final

from django.db import Error as DatabaseTrouble
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import get_token
from django.template.loader import render_to_string

View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]

# The fields of the plain forms; under the same `client_id` nothing is done twice.
FIELDS: Final = ("action", "client_id", "message")

logger = logging.getLogger(__name__)


def gives_back(view: View) -> View:
    """Answer a POST that fails with the database by a 503 that has all of it in a form."""

    @wraps(view)
    async def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return await view(request, *args, **kwargs)
        except (DatabaseTrouble, TimeoutError) as error:
            if request.method != "POST":
                raise
            logger.warning("A form was not carried out: %s", type(error).__name__)
            return _given_back(request)

    return wrapped


def _given_back(request: HttpRequest) -> HttpResponse:
    context = {
        "path": request.path,
        "fields": [(name, request.POST[name]) for name in FIELDS if name in request.POST],
        "text": request.POST.get("text", ""),
        "to_coach": request.POST.get("action") == "ask",
        "csrf_token": get_token(request),
    }
    # Without the request: who is signed in stands in the database, too.
    html = render_to_string("conversations/unsent.html", context)
    return HttpResponse(html, status=503, headers={"Retry-After": "5"})
