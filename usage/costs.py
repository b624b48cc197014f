"""What calls cost, by the prices of the catalogue."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from django.db.models import Count, QuerySet, Sum

from scenarios.catalogue import CATALOGUE
from usage.models import UsageLog

# The understudy answers in place of a model and costs nothing.
FREE = frozenset({"understudy"})
MILLION = Decimal(1_000_000)
COUNTS = ("input_tokens", "output_tokens", "cache_write_tokens", "cache_read_tokens")


def cost(model: str, tokens: Mapping[str, int]) -> Decimal | None:
    """US dollars for calls of `model` that counted `tokens`; None where the price is unknown.

    `tokens` has the four names of `COUNTS`; input is all of it, cached or not.
    """
    if model in FREE:
        return Decimal(0)
    info = CATALOGUE.get(model)
    if info is None:
        return None
    written, read = tokens["cache_write_tokens"], tokens["cache_read_tokens"]
    plain = max(0, tokens["input_tokens"] - written - read)
    return (
        plain * info.input_price
        + written * info.cache_write_price
        + read * info.cache_read_price
        + tokens["output_tokens"] * info.output_price
    ) / MILLION


def log_cost(log: UsageLog) -> Decimal | None:
    """What one call cost in US dollars, if its model has a price."""
    return cost(log.model, {name: getattr(log, name) for name in COUNTS})


def by_model(logs: QuerySet[UsageLog], *more: str) -> list[dict[str, Any]]:
    """Calls, tokens and cost of `logs` for each model (and each of the fields in `more`)."""
    groups = (
        logs.order_by()
        .values("model", *more)
        .annotate(calls=Count("pk"), **{name: Sum(name) for name in COUNTS})
        .order_by("model", *more)
    )
    return [{**group, "cost": cost(group["model"], group)} for group in groups]


def total(groups: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The sums of `by_model`'s groups; `unpriced` names the models that have no price."""
    groups = list(groups)
    sums: dict[str, Any] = {
        name: sum(group[name] for group in groups) for name in ("calls", *COUNTS)
    }
    sums["cost"] = sum((group["cost"] or Decimal(0) for group in groups), Decimal(0))
    sums["unpriced"] = sorted({group["model"] for group in groups if group["cost"] is None})
    return sums


def dollars(amount: Decimal | None) -> str:
    """An amount in words of money: four decimals below a dollar, two from there."""
    if amount is None:
        return "–"
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${amount:.4f}"
