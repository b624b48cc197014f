"""What was used in a period, by day, model, stream, scenario, invitation or person."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import batched
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import QuerySet, TextChoices

from accounts.models import Role, User
from invitations.models import Invitation
from scenarios.models import Scenario
from usage import sums
from usage.costs import PriceList, fold, nothing, total
from usage.models import StreamType, today
from usage.sums import Period

# Beyond so many days a report by day tells of months.
MOST_DAYS: Final = 100
# Invitations or people on a page.
PAGE: Final = 50

Figures = dict[str, Any]


class By(TextChoices):
    DAY = "day", "Day"
    MODEL = "model", "Model"
    STREAM = "stream", "Kind of reply"
    SCENARIO = "scenario", "Scenario"
    INVITATION = "invitation", "Invitation"
    USER = "user", "Person"


KEYS: Final = {
    By.DAY: "day",
    By.MODEL: "model",
    By.STREAM: "stream_type",
    By.SCENARIO: "scenario_id",
    By.INVITATION: "invitation_id",
    By.USER: "user_id",
}


PAYERS: Final = (By.INVITATION, By.USER)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a report; `query` finds its calls in the list of calls."""

    label: str
    figures: Figures
    query: str = ""

    @property
    def tokens(self) -> int:
        return int(self.figures["input_tokens"] + self.figures["output_tokens"])


@dataclass(frozen=True, slots=True)
class Report:
    """A period's lines in the order in which they are shown, and the sum of all its usage.

    `first` is the first day that there is anything to report of.
    """

    by: By
    since: date
    until: date
    lines: list[Line]
    total: Figures
    first: date
    page: int = 1
    pages: int = 1
    months: bool = False

    @property
    def heading(self) -> str:
        return "Month" if self.months else self.by.label


def report(
    by: By, since: date, until: date, reader: User, *, wanted: int = 1, whole: bool = False
) -> Report:
    """Usage from `since` to `until`, both included, days in UTC; the most tokens first.

    `reader` sees the names of those whom they may list. Invitations and people come in pages,
    of which one is `wanted`, or as a `whole`.
    """
    first = sums.first_day() or today()
    sums.close_days(first)
    period, prices, key = Period(since, until), PriceList.load(), KEYS[by]
    if by in PAYERS:
        return _of_payers(by, period, prices, first, reader, None if whole else wanted)
    rows = period.usage(key, changes=prices.changes)
    if months := by == By.DAY and (until - since).days >= MOST_DAYS:
        rows, key = [{**row, "month": row["day"].replace(day=1)} for row in rows], "month"
    groups = fold(rows, (key,), prices)
    lines = _days(groups, key, since, until) if by == By.DAY else _lines(by, groups, reader)
    return Report(by, since, until, lines, total(groups), first, months=months)


def _of_payers(
    by: By, period: Period, prices: PriceList, first: date, reader: User, wanted: int | None
) -> Report:
    """Those with the most tokens first: the page that is `wanted`, or all."""
    key, tokens = KEYS[by], period.tokens_by(KEYS[by])
    ranking = sorted(tokens, key=lambda key: (-tokens[key], key or ""))
    pages = 1 if wanted is None else max(1, -(-len(ranking) // PAGE))
    page = min(max(wanted or 1, 1), pages)
    shown = None if wanted is None else set(ranking[(page - 1) * PAGE : page * PAGE])
    groups = fold(period.usage(key, changes=prices.changes, only=shown), (key,), prices)
    everything = total(fold(period.usage(changes=prices.changes), ("model",), prices))
    lines = _lines(by, groups, reader)
    return Report(by, period.since, period.until, lines, everything, first, page, pages)


def _lines(by: By, groups: list[Figures], reader: User) -> list[Line]:
    key = KEYS[by]
    name = NAMES[by]([group[key] for group in groups], reader)
    lines = [Line(name(group[key]), group, _query(by, group[key])) for group in groups]
    return sorted(lines, key=lambda line: (-line.tokens, line.label))


def _days(groups: list[Figures], key: str, since: date, until: date) -> list[Line]:
    """Every day of the period, or every month, also those without a call."""
    found = {group[key]: group for group in groups}
    day, last = (since.replace(day=1), until) if key == "month" else (since, until)
    lines = []
    while day <= last:
        label = f"{day:%B %Y}" if key == "month" else f"{day.day} {day:%b %Y}"
        query = "" if key == "month" else _query(By.DAY, day)
        lines.append(Line(label, found.get(day) or nothing(), query))
        step = 32 if key == "month" else 1
        day = day + timedelta(days=step)
        day = day.replace(day=1) if key == "month" else day
    return lines


def _query(by: By, key: Any) -> str:
    """The query by which the list of calls shows those of a line; "" where it cannot."""
    if key is None or by == By.SCENARIO:
        return ""
    names = {By.DAY: "day", By.MODEL: "model", By.STREAM: "stream_type__exact"}
    return urlencode({names.get(by, "q"): key})


# --- Names, for those who may know them ------------------------------------------------------

Name = Callable[[Any], str]


def _models(keys: Sequence[Any], reader: User) -> Name:
    return str


def _streams(keys: Sequence[Any], reader: User) -> Name:
    return lambda key: StreamType(key).label


def _scenarios(keys: Sequence[Any], reader: User) -> Name:
    """What people wrote for themselves is named to administrators alone."""
    readable = Scenario.objects.all() if reader.role == Role.ADMIN else Scenario.objects.shared()
    names = _of(readable, keys)
    return lambda key: str(names.get(key, f"Scenario {key}")) if key else "Not known"


def _invitations(keys: Sequence[Any], reader: User) -> Name:
    may = reader.has_perm("invitations.view_invitation")
    rows = _of(Invitation.objects.all(), keys) if may else {}
    names = {key: row.recipient_name or row.recipient_email for key, row in rows.items()}
    return lambda key: (names.get(key) or f"Invitation {key}") if key else "On an allowance"


def _people(keys: Sequence[Any], reader: User) -> Name:
    names = _of(User.objects.all(), keys) if reader.has_perm("accounts.view_user") else {}
    return lambda key: str(names.get(key, f"Person {key}")) if key else "Guests"


def _of(rows: QuerySet[Any], keys: Sequence[Any]) -> dict[Any, Any]:
    """The rows with these keys; of many keys a thousand at once, as databases have limits."""
    found: dict[Any, Any] = {}
    for some in batched((key for key in keys if key), 1000, strict=False):
        found |= rows.in_bulk(some)
    return found


NAMES: Final[dict[By, Callable[[Sequence[Any], User], Name]]] = {
    By.MODEL: _models,
    By.STREAM: _streams,
    By.SCENARIO: _scenarios,
    By.INVITATION: _invitations,
    By.USER: _people,
}


def first_of(days: int) -> date:
    """The first day of the last `days` days, today included."""
    return today() - timedelta(days=days - 1)
