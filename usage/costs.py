"""What calls cost, by the prices that staff keep."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal
from typing import Any, Final, Self

from django.db.models import QuerySet

from usage.models import Price, UsageLog

MILLION: Final = Decimal(1_000_000)
COUNTS: Final = ("input_tokens", "output_tokens", "cache_write_tokens", "cache_read_tokens")
# The day that ends the name of a fixed version of a model.
VERSION: Final = re.compile(r"-\d{8}$")


def cost(price: Price, tokens: Mapping[str, int]) -> Decimal:
    """US dollars for calls at `price` that counted `tokens`, which has the names of `COUNTS`.

    Input is all of it, cached or not. The cost of a sum is the sum of the costs, exactly.
    """
    written, read = tokens["cache_write_tokens"], tokens["cache_read_tokens"]
    return (
        (tokens["input_tokens"] - written - read) * price.input_price
        + written * price.cache_write_price
        + read * price.cache_read_price
        + tokens["output_tokens"] * price.output_price
    ) / MILLION


@dataclass(frozen=True, slots=True)
class PriceList:
    """All prices, read once; for each model oldest first."""

    by_model: Mapping[str, list[Price]]

    @classmethod
    def load(cls) -> Self:
        by_model: dict[str, list[Price]] = {}
        for price in Price.objects.order_by("valid_from"):
            by_model.setdefault(price.model, []).append(price)
        return cls(by_model)

    @property
    def changes(self) -> set[date]:
        """The days on which a price begins."""
        return {price.valid_from for prices in self.by_model.values() for price in prices}

    def at(self, model: str, day: date) -> Price | None:
        """The price of `model` on `day`, in UTC; None where there is none."""
        prices = self.by_model.get(model) or self.by_model.get(VERSION.sub("", model), [])
        place = bisect_right(prices, day, key=lambda price: price.valid_from)
        return prices[place - 1] if place else None

    def cost(self, model: str, day: date, tokens: Mapping[str, int]) -> Decimal | None:
        """US dollars for calls of `model` on `day`; None where there is no price."""
        price = self.at(model, day)
        return None if price is None else cost(price, tokens)

    def of(self, log: UsageLog) -> Decimal | None:
        """What one call cost, if its model had a price that day."""
        tokens = {name: getattr(log, name) for name in COUNTS}
        return self.cost(log.model, log.timestamp.astimezone(UTC).date(), tokens)


def by_model(logs: QuerySet[UsageLog], *more: str) -> list[dict[str, Any]]:
    """Calls, tokens and cost of `logs` for each model (and each of the fields in `more`).

    Not for a million rows: each is read, since grouping might lead a database to an index that
    groups well and finds badly.
    """
    columns = ("model", *more, "timestamp", *COUNTS)
    rows = (dict(zip(columns, row, strict=True)) for row in logs.order_by().values_list(*columns))
    calls = ({**row, "calls": 1, "day": row["timestamp"].astimezone(UTC).date()} for row in rows)
    groups = fold(calls, ("model", *more), PriceList.load())
    return sorted(groups, key=lambda group: [str(group[name]) for name in ("model", *more)])


def fold(
    rows: Iterable[Mapping[str, Any]], keys: tuple[str, ...], prices: PriceList
) -> list[dict[str, Any]]:
    """Sums of calls, tokens and cost over `rows` with the same `keys`, in the order they came.

    Each row has `model`, `day`, `calls` and `COUNTS`. `unpriced` names the models of a group
    that had no price; `cost` leaves them out, and is None where nothing had one.
    """
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = tuple(row[name] for name in keys)
        group = groups.setdefault(key, dict(zip(keys, key, strict=True)) | nothing())
        for name in ("calls", *COUNTS):
            group[name] += row[name]
        price = prices.cost(row["model"], row["day"], row)
        if price is None:
            group["unpriced"].add(row["model"])
        else:
            group["cost"] = (group["cost"] or Decimal(0)) + price
    return list(groups.values())


def nothing() -> dict[str, Any]:
    return dict.fromkeys(("calls", *COUNTS), 0) | {"cost": None, "unpriced": set()}


def total(groups: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The sums of groups; `unpriced` names the models without a price, in order."""
    sums = nothing()
    groups = list(groups)
    if not groups:
        sums["cost"] = Decimal(0)
    for group in groups:
        for name in ("calls", *COUNTS):
            sums[name] += group[name]
        sums["unpriced"] |= group["unpriced"]
        if group["cost"] is not None:
            sums["cost"] = (sums["cost"] or Decimal(0)) + group["cost"]
    return sums | {"unpriced": sorted(sums["unpriced"])}


def dollars(amount: Decimal | None) -> str:
    """An amount in words of money: four decimals below a dollar, two from there."""
    if amount is None:
        return "no price"
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${amount:.4f}"
