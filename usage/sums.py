"""Usage by day, quick over millions of calls: past days from stored sums, today from the log."""

from collections import Counter
from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any, Final

from django.db import connection, models, transaction
from django.db.models import Case, Count, F, Min, Q, QuerySet, Sum, Value, When
from django.db.models.functions import TruncDate

from usage.costs import COUNTS
from usage.models import DayUsage, PayerUsage, ReportedDay, UsageLog, today

# Days summed in one transaction, which keeps calls from being logged meanwhile.
STRETCH: Final = timedelta(days=7)
A_DAY: Final = timedelta(days=1)
DAY_KEYS: Final = ("stream_type", "scenario_id")
PAYER_KEYS: Final = ("user_id", "invitation_id")
FIGURES: Final = ("calls", *COUNTS)


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def calls_of(since: date, until: date) -> QuerySet[UsageLog]:
    """The calls of these days, both included."""
    # The calendar's last day has none after it.
    begin, end = midnight(since), midnight(min(until, date.max - A_DAY) + A_DAY)
    return UsageLog.objects.filter(timestamp__gte=begin, timestamp__lt=end).order_by()


def first_day() -> date | None:
    """The day of the oldest call; None before any."""
    oldest = UsageLog.objects.aggregate(oldest=Min("timestamp"))["oldest"]
    return oldest.astimezone(UTC).date() if oldest else None


def close_days(first: date | None = None) -> int:
    """Make the sums of past days that have none, from `first_day` on. Returns how many.

    Does no harm at any time and in any number of processes. The first time takes seconds for a
    million calls, then there is yesterday to do.
    """
    first, yesterday = first or first_day(), today() - A_DAY
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
        # Whoever logs a call waits, or has committed it: then it is seen. And one at a time.
        # On SQLite nobody else writes during the transaction.
        with connection.cursor() as cursor:
            cursor.execute(f'LOCK TABLE "{UsageLog._meta.db_table}" IN SHARE ROW EXCLUSIVE MODE')
    days = [since + timedelta(days=number) for number in range((until - since).days + 1)]
    if ReportedDay.objects.filter(day__in=days).exists():
        return 0  # another process was first
    ReportedDay.objects.bulk_create(ReportedDay(day=day) for day in days)
    logs = calls_of(since, until).values("model", day_id=TruncDate("timestamp", tzinfo=UTC))
    for kind, keys in ((DayUsage, DAY_KEYS), (PayerUsage, PAYER_KEYS)):
        rows = logs.values(*keys, "model", "day_id").annotate(calls=Count("pk"), **_sums())
        manager: Any = kind._default_manager
        manager.bulk_create((kind(**row) for row in rows), batch_size=500)
    return len(days)


def _sums() -> dict[str, Sum]:
    return {name: Sum(name) for name in COUNTS}


class Period:
    """What was used from `since` to `until`, both included.

    Call `close_days` before: a day that a late call reopens meanwhile is missing this once.
    """

    def __init__(self, since: date, until: date) -> None:
        self.since, self.until = since, until

    @cached_property
    def _live(self) -> list[dict[str, Any]]:
        """Today, from the log, by everything that anybody asks for."""
        if self.until < today():
            return []
        logs = calls_of(max(self.since, today()), self.until)
        live = logs.values("model", *DAY_KEYS, *PAYER_KEYS, day=TruncDate("timestamp", tzinfo=UTC))
        return list(live.annotate(calls=Count("pk"), **_sums()))

    def _past(self, kind: Any) -> QuerySet[Any]:
        last = min(self.until, today() - A_DAY)
        past: QuerySet[Any] = kind.objects.filter(day__gte=self.since, day__lte=last)
        return past.order_by()

    def tokens_by(self, key: str) -> Counter[str | None]:
        """Tokens in and out for each `key` of `PAYER_KEYS` that has any: quick to rank by."""
        amount = Sum(F("input_tokens") + F("output_tokens"))
        found = Counter(dict(self._past(PayerUsage).values_list(key).annotate(tokens=amount)))
        for row in self._live:
            found[row[key]] += row["input_tokens"] + row["output_tokens"]
        return found

    def usage(
        self,
        *keys: str,
        changes: Collection[date] = (),
        only: Collection[str | None] | None = None,
    ) -> list[dict[str, Any]]:
        """Calls and tokens for each `model` and each of `keys`, some more than once.

        `keys` are "day", fields of `DayUsage`, or one of `PayerUsage`, of which `only` some may
        count. Without "day" among
        them, `day` is the first of a stretch of days; a new one begins with each of `changes`.
        """
        kind: Any = PayerUsage if set(keys) & set(PAYER_KEYS) else DayUsage
        past, live = self._past(kind), self._live
        if only is not None:
            (key,) = keys
            some = Q(**{f"{key}__in": [value for value in only if value is not None]})
            past = past.filter(some | Q(**{key: None}) if None in only else some)
            live = [row for row in live if row[key] in only]
        names = tuple(dict.fromkeys(key for key in ("model", *keys) if key != "day"))
        day = F("day_id") if "day" in keys else self._stretch(changes)
        rows = past.values(*names, stretch=day).annotate(
            **{f"{name}_sum": Sum(name) for name in FIGURES}
        )
        rows = rows.values_list(*names, "stretch", *(f"{name}_sum" for name in FIGURES))
        columns = (*names, "day", *FIGURES)
        return [dict(zip(columns, row, strict=True)) for row in rows] + live

    def _stretch(self, changes: Collection[date]) -> Case | Value:
        """The first day of the stretch that a row's day is in."""
        within = sorted(day for day in changes if self.since < day <= self.until)
        begins = [self.since, *within]
        kind = models.DateField()
        cases = [
            When(day__lt=end, then=Value(begin, kind))
            for begin, end in zip(begins, within, strict=False)
        ]
        final = Value(begins[-1], kind)
        return Case(*cases, default=final, output_field=kind) if cases else final
