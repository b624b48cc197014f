"""How far back a model is told of a long conversation, so that its context is never overrun.

Once what was said no longer fits `CONTEXT_TOKENS`, about half of it is left out at once, the
oldest first; the system prompt always stays. In large steps, since each of them makes the
provider read the whole request anew, where all other requests only grow at their end.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from django.conf import settings

from conversations.prompts import BLOCK_OVERHEAD, Request

# Tokens for each byte of text where no call has told: more than English needs, about what
# Chinese does.
TOKENS_PER_BYTE: Final = 0.4


def fitted(
    build: Callable[[int], Request], starts: Sequence[int], last: Mapping[str, Any]
) -> tuple[Request, int]:
    """The request that fits, and the row that it begins at, 0 for the beginning.

    `build` makes the request that begins at a row, `starts` are the rows at which one may begin,
    oldest first, and `last` is what was measured of the last call of its stream.
    """
    since = int(last.get("since", 0))
    request = build(since)
    rate = _rate(request, last)
    most = settings.CONTEXT_TOKENS
    if _fits(request, rate, most):
        return request, since
    later = [start for start in starts if start > since]
    # Sizes shrink from one start to the next.
    found = bisect_left(later, True, key=lambda start: _fits(build(start), rate, most // 2))
    for start in later[found:] or later[-1:]:
        return build(start), start
    return request, since


def _rate(request: Request, last: Mapping[str, Any]) -> float:
    known = last.get("input_tokens")
    if known and last.get("size") and last.get("model") == request.model:
        return float(known / last["size"])
    return TOKENS_PER_BYTE


def _fits(request: Request, rate: float, most: int) -> bool:
    tokens = request.size * rate + BLOCK_OVERHEAD * request.blocks
    return tokens + request.max_tokens <= most
