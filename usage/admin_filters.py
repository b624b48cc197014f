"""Filters of the lists of calls, each answered by an index."""

from datetime import date, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from usage.models import DayUsage, Price, UsageLog, today
from usage.sums import calls_of

SPANS = {"today": (0, "Today"), "yesterday": (1, "Yesterday"), "7": (6, "Past 7 days")}
SPANS |= {"30": (29, "Past 30 days"), "90": (89, "Past 90 days")}


class DayFilter(admin.SimpleListFilter):
    """The last days, or one day in ISO 8601, as the report links to it. Days are in UTC."""

    title = "day"
    parameter_name = "day"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        choices = [(value, words) for value, (_, words) in SPANS.items()]
        chosen = self.day
        return choices + ([(str(chosen), f"{chosen.day} {chosen:%b %Y}")] if chosen else [])

    @property
    def day(self) -> date | None:
        """The one day that the address names."""
        try:
            return date.fromisoformat(self.used_parameters.get(self.parameter_name, ""))
        except ValueError:
            return None

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageLog]) -> QuerySet[UsageLog]:
        value = self.value()
        if self.day:
            return queryset & calls_of(self.day, self.day)
        if value not in SPANS:
            return queryset
        since = today() - timedelta(days=SPANS[value][0])
        return queryset & calls_of(since, since if value == "yesterday" else today())


class ModelFilter(admin.SimpleListFilter):
    """Models that have answered, by the sums of past days, or have a price."""

    title = "model"
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        known = set(DayUsage.objects.values_list("model", flat=True).distinct())
        known |= set(Price.objects.values_list("model", flat=True))
        known |= {self.used_parameters[self.parameter_name]} if self.used_parameters else set()
        return [(name, name) for name in sorted(known)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageLog]) -> QuerySet[UsageLog]:
        return queryset.filter(model=self.value()) if self.value() else queryset
