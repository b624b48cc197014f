"""What was used in a period, by day, model, stream, scenario, invitation or person."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import batched
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import TextChoices

from accounts.models import Role, User
from invitations.models import Invitation
from scenarios.models import Scenario
from usage import sums
from usage.costs import PriceList, fold, nothing, total
from usage.models import StreamType, today
from usage.sums import Period

# Beyond so many days a report by day tells of months.
MOST_DAYS: Final = 400
# Invitations or people on a page.
PAGE: Final = 50

Figures = dict[str, Any]


class By(TextChoices):
    DAY = "day", "Day"
    MODEL = "model", "Model"
    STREAM = "stream", "Stream"
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


def report(by: By, since: date, until: date, reader: User, page: int = 1) -> Report:
    """Usage from `since` to `until`, both included, days in UTC; the most tokens first.

    `reader` sees the names of those whom they may list. Invitations and people come in pages.
    """
    first = sums.first_day() or today()
    sums.close_days(first)
    period, prices = Period(since, until), PriceList.load()
    if by in (By.INVITATION, By.USER):
        everything = total(fold(period.usage(), ("model",), prices))
        keys = ranking(by, period)
        pages = max(1, -(-len(keys) // PAGE))
        page = min(max(page, 1), pages)
        lines = _payers(by, keys[(page - 1) * PAGE : page * PAGE], period, prices, reader)
        return Report(by, since, until, lines, everything, first, page, pages)
    months = by == By.DAY and (until - since).days >= MOST_DAYS
    key = "month" if months else KEYS[by]
    rows = period.usage(*([] if by == By.DAY else [key]))
    if months:
        rows = [{**row, "month": row["day"].replace(day=1)} for row in rows]
    groups = fold(rows, (key,), prices)
    if by == By.DAY:
        lines = _days(groups, key, since, until)
    else:
        name = NAMES[by]([group[key] for group in groups], reader)
        lines = [Line(name(g[key]), g, _query(by, g[key])) for g in groups]
        lines.sort(key=lambda line: (-line.tokens, line.label))
    return Report(by, since, until, lines, total(groups), first, months=months)


def ranking(by: By, period: Period) -> list[str | None]:
    """All invitations or people of a period, those with the most tokens first."""
    tokens = period.tokens_by(KEYS[by])
    return sorted(tokens, key=lambda key: (-tokens[key], key or ""))


def every_line(found: Report, reader: User) -> Iterator[Line]:
    """The lines of all pages of a report, page by page."""
    if found.by not in (By.INVITATION, By.USER):
        yield from found.lines
        return
    period, prices = Period(found.since, found.until), PriceList.load()
    for keys in batched(ranking(found.by, period), 500, strict=False):
        yield from _payers(found.by, keys, period, prices, reader)


def _payers(
    by: By, keys: Sequence[str | None], period: Period, prices: PriceList, reader: User
) -> list[Line]:
    key = KEYS[by]
    rows = period.usage(key, only=set(keys))
    groups = {group[key]: group for group in fold(rows, (key,), prices)}
    name = NAMES[by](keys, reader)
    return [Line(name(k), groups[k], _query(by, k)) for k in keys if k in groups]


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
    names = dict(readable.filter(pk__in=[key for key in keys if key]).values_list("pk", "name"))
    return lambda key: names.get(key, f"Scenario {key}") if key else "Not known"


def _invitations(keys: Sequence[Any], reader: User) -> Name:
    rows = Invitation.objects.none()
    if reader.has_perm("invitations.view_invitation"):
        rows = Invitation.objects.filter(pk__in=[key for key in keys if key])
    names = {row.pk: row.recipient_name or row.recipient_email for row in rows}
    return lambda key: (names.get(key) or f"Invitation {key}") if key else "On an allowance"


def _people(keys: Sequence[Any], reader: User) -> Name:
    names: dict[str, str] = {}
    if reader.has_perm("accounts.view_user"):
        people = User.objects.filter(pk__in=[key for key in keys if key])
        names = {user.pk: str(user) for user in people}
    return lambda key: names.get(key, f"Person {key}") if key else "Guests"


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
