"""Forged requests, on a page that tells nobody where the visitor comes from.

Under `Referrer-Policy: no-referrer` a browser sends `Origin: null` with the page's own form
(https://fetch.spec.whatwg.org/#append-a-request-origin-header), which Django refuses. What the
browser says in `Sec-Fetch-Site` is as good, and the token is checked as everywhere.
"""

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware


class NoReferrerCsrfMiddleware(CsrfViewMiddleware):
    """Takes `Origin: null` for the page's own where the browser calls the request same-origin.

    A browser says nothing of it over plain HTTP to another machine, and before Safari 16.4;
    then the token alone decides.
    """

    def _origin_verified(self, request: HttpRequest) -> bool:
        if request.META["HTTP_ORIGIN"] == "null":
            return request.headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"
        return bool(super()._origin_verified(request))  # type: ignore[misc]


def _nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


_check = NoReferrerCsrfMiddleware(_nothing)


def refuse_forgery(request: HttpRequest) -> HttpResponse | None:
    """Return the refusal of a forged request, None for any other.

    For views that `csrf_exempt` takes out of the site-wide check.
    """
    return _check.process_view(request, _nothing, (), {})
