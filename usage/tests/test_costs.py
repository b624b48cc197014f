from datetime import date, datetime
from decimal import Decimal
from importlib import import_module

import pytest
from django.apps import apps
from django.db import IntegrityError
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from config.tests.desk import make_log, make_price
from conversations.understudy import MODEL as UNDERSTUDY
from usage import costs
from usage.costs import COUNTS, PriceList
from usage.models import Price, UsageLog

SEED = import_module("usage.migrations.0003_first_prices")
TOKENS = {
    "input_tokens": 1_000_000,
    "cache_write_tokens": 200_000,
    "cache_read_tokens": 500_000,
    "output_tokens": 100_000,
}


def price(model="m", since=(2026, 1, 1), **fields):
    values = dict.fromkeys(SEED.FIELDS, Decimal(1)) | fields
    return Price(model=model, valid_from=date(*since), **values)


def test_the_cost_of_a_call_tells_cached_input_apart():
    # 300k at 2, 200k at 2.50, 500k at 0.10, 100k out at 10
    sonnet = dict(zip(SEED.FIELDS, map(Decimal, SEED.PRICES["claude-sonnet-5-5"]), strict=True))

    assert costs.cost(price(**sonnet), TOKENS) == Decimal("2.15")


@given(st.lists(st.tuples(*[st.integers(0, 10**7)] * 4)))
def test_the_cost_of_a_sum_is_the_sum_of_the_costs(calls):
    rate = price(input_price=Decimal("0.1"), cache_write_price=Decimal("0.125"))
    rows = [dict(zip(COUNTS, call, strict=True)) for call in calls]
    together = {name: sum(row[name] for row in rows) for name in COUNTS}

    assert costs.cost(rate, together) == sum(costs.cost(rate, row) for row in rows)


def test_a_day_has_the_newest_price_that_had_begun():
    old, new = price(), price(since=(2026, 3, 1))
    prices = PriceList({"m": [old, new]})

    assert prices.at("m", date(2026, 2, 28)) is old
    assert prices.at("m", date(2026, 3, 1)) is new
    assert prices.at("m", date(2027, 3, 1)) is new
    assert prices.at("m", date(2025, 12, 31)) is None
    assert prices.at("other", date(2026, 3, 1)) is None


def test_a_version_costs_what_its_model_costs_unless_it_has_a_price_of_its_own():
    general, special = price("claude-x"), price("claude-x-20260901")

    day = date(2026, 9, 2)
    assert PriceList({"claude-x": [general]}).at("claude-x-20260901", day) is general
    both = PriceList({"claude-x": [general], "claude-x-20260901": [special]})
    assert both.at("claude-x-20260901", day) is special
    assert PriceList({"claude-x": [general]}).at("claude-x-large", day) is None


@pytest.mark.django_db
def test_a_later_price_leaves_the_past_as_it_was():
    make_price()
    moment = datetime(2026, 11, 10, 23, 59, tzinfo=timezone.get_default_timezone())
    make_log(timestamp=moment)
    make_log(timestamp=moment.replace(day=20))
    before = costs.total(costs.by_model(UsageLog.objects.all()))["cost"]

    make_price(valid_from=date(2026, 11, 15), input_price=4, output_price=20)

    assert before == Decimal("0.006")
    assert costs.total(costs.by_model(UsageLog.objects.all()))["cost"] == Decimal("0.009")
    assert [PriceList.load().of(log) for log in UsageLog.objects.order_by("timestamp")] == [
        Decimal("0.003"),
        Decimal("0.006"),
    ]


@pytest.mark.django_db
def test_a_model_without_a_price_is_named_and_not_free():
    make_price()
    make_log()
    make_log(model="llama")

    groups = costs.by_model(UsageLog.objects.all())
    total = costs.total(groups)

    assert [(group["model"], group["cost"]) for group in groups] == [
        ("claude-sonnet-5-5", Decimal("0.003")),
        ("llama", None),
    ]
    assert (total["calls"], total["cost"], total["unpriced"]) == (2, Decimal("0.003"), ["llama"])
    assert costs.total(groups[1:])["cost"] is None
    assert costs.total([])["cost"] == 0


@pytest.mark.django_db
def test_the_first_prices_are_those_of_the_provider_and_the_understudy_is_free():
    Price.objects.all().delete()
    kept = make_price(input_price=7)

    SEED.add_prices(apps, None)
    SEED.add_prices(apps, None)

    assert Price.objects.count() == 5
    kept.refresh_from_db()
    assert kept.input_price == 7
    prices, day = PriceList.load(), date(2026, 11, 24)
    assert prices.cost("claude-haiku-4-5", day, TOKENS) == Decimal("1.10")
    assert prices.cost("claude-haiku-5-5", day, TOKENS) == Decimal("0.11")
    assert prices.cost(UNDERSTUDY, day, TOKENS) == 0


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", [{"input_price": -1}, {"valid_from": date(2026, 1, 1)}])
def test_the_table_refuses_what_is_no_price(wrong):
    make_price("m")
    values = dict.fromkeys(SEED.FIELDS, 1) | {"valid_from": date(2026, 2, 2)} | wrong
    with pytest.raises(IntegrityError):
        Price.objects.create(model="m", **values)


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (None, "no price"),
        (Decimal(0), "$0.00"),
        (Decimal("0.0123"), "$0.0123"),
        (Decimal(1234), "$1,234.00"),
    ],
)
def test_amounts_in_words(amount, words):
    assert costs.dollars(amount) == words
