"""Usage as CSV, safe to open in a spreadsheet, written as it is read."""

import csv
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from io import StringIO
from itertools import batched
from typing import Final

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse

from accounts.models import User
from config.cells import safe_cell
from usage.costs import COUNTS, PriceList
from usage.models import UsageLog

# Lines for each piece that is sent.
PIECE: Final = 500
# Whom a call was for stands in the file for those alone who may list them.
WHOSE: Final = {"user_id": "accounts.view_user", "invitation_id": "invitations.view_invitation"}
FIELDS: Final = ("stream_type", "model", *WHOSE, "session_id", *COUNTS)
HEAD: Final = (
    "timestamp",
    *FIELDS,
    "is_estimate",
    "stop_reason",
    "first_token_ms",
    "duration_ms",
    "cost_usd",
)


def rows_of_calls(logs: QuerySet[UsageLog], reader: User) -> Iterator[Iterable[object]]:
    """A heading, then each call: times in ISO 8601, cost in US dollars, empty without a price."""
    yield HEAD
    prices = PriceList.load()
    hidden = {name for name, permission in WHOSE.items() if not reader.has_perm(permission)}
    for log in logs.iterator(chunk_size=2000):
        cost = prices.of(log)
        yield (
            log.timestamp.isoformat(timespec="seconds"),
            *(None if name in hidden else getattr(log, name) for name in FIELDS),
            "yes" if log.is_estimate else "",
            log.stop_reason,
            log.first_token_ms,
            log.duration_ms,
            None if cost is None else f"{cost:.6f}",
        )


def csv_response(
    request: HttpRequest, rows: Callable[[], Iterator[Iterable[object]]], name: str
) -> StreamingHttpResponse:
    """A download called `name` of `rows`, made safe, sent piece by piece as they are read."""
    pieces = _pieces(rows())
    # An ASGI server would collect the whole of a synchronous iterator before it sends any.
    content = _from_thread(pieces) if hasattr(request, "scope") else pieces
    response = StreamingHttpResponse(content, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _pieces(rows: Iterator[Iterable[object]]) -> Iterator[str]:
    for piece in batched(rows, PIECE, strict=False):
        out = StringIO()
        # Quoted all, so that a spreadsheet that splits at semicolons splits none of them.
        write = csv.writer(out, quoting=csv.QUOTE_ALL).writerows
        write([safe_cell(value) for value in row] for row in piece)
        yield out.getvalue()


async def _from_thread(pieces: Iterator[str]) -> AsyncIterator[str]:
    # One hop to the request's thread for each piece; the connection lives there.
    while piece := await sync_to_async(_next)(pieces):
        yield piece


def _next(pieces: Iterator[str]) -> str:
    return next(pieces, "")
