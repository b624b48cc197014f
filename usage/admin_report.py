"""The report on usage in the admin: a period, by what, a chart, the numbers, and as CSV."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.http import urlencode

from accounts.models import User
from usage.charts import chart
from usage.costs import COUNTS
from usage.exports import csv_response
from usage.models import UsageLog, today
from usage.reports import By, Report, first_of, report

DAYS: Final = 30
PERIODS: Final = ((7, "7 days"), (DAYS, "30 days"), (90, "90 days"), (365, "12 months"))
# A line for each month of it, and a column in the chart.
LONGEST: Final = timedelta(days=3653)
HEAD: Final = ("calls", *COUNTS, "cost_usd", "without_a_price")


def day_input() -> forms.DateInput:
    return forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})


class ReportForm(forms.Form):
    """What to report on, from the address; whatever is missing has a default."""

    by = forms.ChoiceField(choices=By.choices, required=False, label="By")
    since = forms.DateField(required=False, label="From", widget=day_input())
    until = forms.DateField(required=False, label="to", widget=day_input())

    def clean_by(self) -> By:
        return By(self.cleaned_data["by"] or By.DAY)

    def clean_until(self) -> date:
        # Nothing is used on days to come.
        return min(self.cleaned_data["until"] or today(), today())

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        data["since"] = data.get("since") or first_of(DAYS)
        if "until" in data and data["since"] > data["until"]:
            raise forms.ValidationError("The period ends before it begins. Turn the days round.")
        if "until" in data and data["until"] - data["since"] > LONGEST:
            raise forms.ValidationError("A report is of ten years at most. Begin it later.")
        return data


def report_view(request: HttpRequest, reader: User, site: admin.AdminSite) -> HttpResponseBase:
    """The page, or with `format=csv` its numbers; for whom is decided by the caller."""
    form = ReportForm(request.GET)
    shown = form.cleaned_data if form.is_valid() else {}
    by, since, until = shown.get("by", By.DAY), shown.get("since"), shown.get("until")
    as_file = request.GET.get("format") == "csv" and bool(shown)
    days = since or first_of(DAYS), until or today()
    found = report(by, *days, reader, wanted=_page(request), whole=as_file)
    if as_file:
        return csv_response(request, lambda: _rows(found), f"usage-by-{found.by}.csv")
    period = {"since": found.since, "until": found.until}
    context = {
        **site.each_context(request),
        "title": "Usage report",
        "opts": UsageLog._meta,
        "form": ReportForm(initial=period) if shown else form,
        "report": found,
        "lines": found.lines[::-1] if found.by == By.DAY else found.lines,
        "chart": chart(found),
        "periods": _periods(found),
        "choices": [(by.label, _query(found, by=by), by == found.by) for by in By],
        "csv": _query(found, format="csv"),
        "earlier": _query(found, page=found.page - 1) if found.page > 1 else "",
        "later": _query(found, page=found.page + 1) if found.page < found.pages else "",
    }
    return TemplateResponse(request, "admin/usage/report.html", context)


def _page(request: HttpRequest) -> int:
    text = request.GET.get("page", "1")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 1


def _query(found: Report, **changes: Any) -> str:
    values = {"by": found.by, "since": found.since, "until": found.until} | changes
    return urlencode({name: str(value) for name, value in values.items()})


def _periods(found: Report) -> list[tuple[str, str, bool]]:
    """Links to periods that end today: words, query, whether it is the one shown."""
    spans = [(words, first_of(days)) for days, words in PERIODS]
    spans.append(("All", max(found.first, today() - LONGEST)))
    return [
        (
            words,
            _query(found, since=since, until=today()),
            (found.since, found.until) == (since, today()),
        )
        for words, since in spans
    ]


def _rows(found: Report) -> Iterator[Iterable[object]]:
    yield (found.heading.lower(), *HEAD)
    for line in found.lines:
        cost, unpriced = line.figures["cost"], line.figures["unpriced"]
        yield (
            line.label,
            *(line.figures[name] for name in ("calls", *COUNTS)),
            None if cost is None else f"{cost:.6f}",
            " ".join(sorted(unpriced)),
        )
