"""Which of many conversations lack budget: the same sum as `usage.budgets.budget`, in one query."""

from collections.abc import Mapping, Sequence

from django.db.models import Window
from django.db.models.functions import RowNumber

from usage.budgets import RECENT, VOICES, expected, to_begin
from usage.models import UsageLog

Calls = dict[str, list[Sequence[int]]]


def exhausted(left: Mapping[int, int], *, longest_reply: int = 0) -> set[int]:
    """Of conversations, by what each has left to spend, those that have no exchange left."""
    calls = _recent_calls(left)
    return {
        key for key, tokens in left.items() if tokens < _needed(calls.get(key, {}), longest_reply)
    }


def _needed(calls: Calls, longest_reply: int) -> int:
    cost, _, spoken = expected(calls)
    return cost + to_begin(spoken, longest_reply)


def _recent_calls(conversations: Mapping[int, int]) -> dict[int, Calls]:
    """The last calls of each voice, newest first, by conversation."""
    if not conversations:
        return {}
    telling = UsageLog.objects.filter(
        session__in=conversations, stream_type__in=VOICES, is_estimate=False, output_tokens__gt=0
    )
    each = ["session", "stream_type"]
    place = Window(RowNumber(), partition_by=each, order_by="-timestamp")
    rows = telling.annotate(place=place).filter(place__lte=RECENT).order_by("place")
    found: dict[int, Calls] = {}
    for session, stream, *tokens in rows.values_list(*each, "input_tokens", "output_tokens"):
        found.setdefault(session, {}).setdefault(stream, []).append(tokens)
    return found
