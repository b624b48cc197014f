"""Usage by day, quick over millions of calls: past days from stored sums, today from the log."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from django.db import connection, models, transaction
from django.db.models import Count, F, Min, QuerySet, Sum
from django.db.models.functions import TruncDate

from usage.costs import COUNTS
from usage.models import DayUsage, PayerUsage, ReportedDay, UsageLog, today

# Days summed in one transaction, which keeps calls from being logged meanwhile.
STRETCH: Final = timedelta(days=7)
A_DAY: Final = timedelta(days=1)
DAY_KEYS: Final = ("stream_type", "scenario_id")
PAYER_KEYS: Final = ("user_id", "invitation_id")


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def calls_of(since: date, until: date) -> QuerySet[UsageLog]:
    """The calls of these days, both included."""
    begin, end = midnight(since), midnight(until + A_DAY)
    return UsageLog.objects.filter(timestamp__gte=begin, timestamp__lt=end).order_by()


def first_day() -> date | None:
    """The day of the oldest call; None before any."""
    oldest = UsageLog.objects.aggregate(oldest=Min("timestamp"))["oldest"]
    return oldest.astimezone(UTC).date() if oldest else None


def close_days() -> int:
    """Make the sums of past days that have none. Returns how many days these were.

    Does no harm at any time and in any number of processes. The first time takes seconds for a
    million calls, then there is yesterday to do.
    """
    first, yesterday = first_day(), today() - A_DAY
    if first is None or first > yesterday:
        return 0
    known = ReportedDay.objects.filter(day__gte=first, day__lte=yesterday)
    if known.count() == (yesterday - first).days + 1:
        return 0
    reported = set(known.values_list("day", flat=True))
    return sum(_sum_up(*stretch) for stretch in _stretches(first, yesterday, reported))


def _stretches(first: date, last: date, reported: set[date]) -> Iterator[tuple[date, date]]:
    """Runs of days that are not in `reported`, none longer than `STRETCH`."""
    begin = None
    for number in range((last - first).days + 2):
        day = first + timedelta(days=number)
        if begin and (day in reported or day > last or day - begin >= STRETCH):
            yield begin, day - A_DAY
            begin = None
        if begin is None and day not in reported and day <= last:
            begin = day


@transaction.atomic
def _sum_up(since: date, until: date) -> int:
    if connection.vendor == "postgresql":
        # Whoever logs a call waits, or has committed it: then it is seen. On SQLite nobody
        # else writes during the transaction.
        with connection.cursor() as cursor:
            cursor.execute(f'LOCK TABLE "{UsageLog._meta.db_table}" IN SHARE MODE')
    days = [since + timedelta(days=number) for number in range((until - since).days + 1)]
    if ReportedDay.objects.filter(day__in=days).exists():
        return 0  # another process was first
    ReportedDay.objects.bulk_create(ReportedDay(day=day) for day in days)
    logs = calls_of(since, until).values("model", day_id=TruncDate("timestamp", tzinfo=UTC))
    for kind, keys in ((DayUsage, DAY_KEYS), (PayerUsage, PAYER_KEYS)):
        rows = logs.values(*keys, "model", "day_id").annotate(calls=Count("pk"), **_sums())
        kind._default_manager.bulk_create((kind(**row) for row in rows), batch_size=500)
    return len(days)


def _sums() -> dict[str, Sum]:
    return {name: Sum(name) for name in COUNTS}


def usage(since: date, until: date, *keys: str, **wanted: Any) -> list[dict[str, Any]]:
    """Calls and tokens from `since` to `until` for each `model`, `day` and each of `keys`.

    `keys` and `wanted`, which filters, name fields of `DayUsage`, or else of `PayerUsage`.
    Call `close_days` before: a day that a late call reopens meanwhile is missing this once.
    """
    kind = DayUsage if {*keys, *wanted} <= {*DAY_KEYS, "model"} else PayerUsage
    names = ("model", *(key for key in keys if key != "model"))
    past = (
        kind._default_manager.filter(day__gte=since, day__lte=min(until, today() - A_DAY), **wanted)
        .values(*names, date=F("day_id"))
        .annotate(calls_sum=Sum("calls"), **{f"{name}_sum": Sum(name) for name in COUNTS})
    )
    rows = [_plain(row) for row in past]
    if until >= today():
        logs = calls_of(max(since, today()), until).filter(**wanted)
        live = logs.values(*names, day=TruncDate("timestamp", tzinfo=UTC))
        rows += live.annotate(calls=Count("pk"), **_sums())
    return rows


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "day" if name == "date" else name.removesuffix("_sum"): value for name, value in row.items()
    }


def tokens_by(since: date, until: date, key: str) -> dict[Any, int]:
    """Tokens in and out for each `key` of `PAYER_KEYS` that has any."""
    amount = Sum(F("input_tokens") + F("output_tokens"))
    past: models.QuerySet[Any] = PayerUsage.objects.filter(
        day__gte=since, day__lte=min(until, today() - A_DAY)
    )
    found: dict[Any, int] = dict(past.values_list(key).annotate(tokens=amount))
    if until >= today():
        live = calls_of(max(since, today()), until).values_list(key).annotate(tokens=amount)
        for value, tokens in live:
            found[value] = found.get(value, 0) + tokens
    return found
