import pytest
from hypothesis import given
from hypothesis import strategies as st

from invitations.quota import MOST_TOKENS, exchanges, exchanges_from, in_words


@pytest.mark.parametrize(("tokens", "count"), [(1, 1), (10_000, 4), (25_000, 8), (50_000, 13)])
def test_a_budget_is_good_for_about_so_many_exchanges(tokens, count):
    assert exchanges(tokens) == count


def one_by_one(tokens: int, cost: int, growth: int, to_begin: int) -> int:
    count = 0
    while tokens >= cost + to_begin:
        count, tokens, cost = count + 1, tokens - cost, cost + growth
    return count


@given(st.integers(0, 50_000), st.integers(100, 9_000), st.integers(0, 900), st.integers(0, 4_000))
def test_exchanges_left_are_as_many_as_fit_one_by_one(tokens, cost, growth, to_begin):
    assert exchanges_from(tokens, cost, growth, to_begin) == one_by_one(
        tokens, cost, growth, to_begin
    )


def test_exchanges_without_a_limit_are_counted_at_once():
    assert exchanges_from(2**63, 1, 0) == 2**63


@given(st.integers(1, 1_000_000))
def test_more_tokens_are_never_fewer_exchanges(tokens):
    assert 1 <= exchanges(tokens) <= exchanges(tokens + 1_000)


def test_the_largest_budget_is_counted_quickly():
    assert exchanges(MOST_TOKENS) > 1_000


@pytest.mark.parametrize(
    ("quota", "words"),
    [
        (
            {"tokens": 25_000, "label": "Short"},
            "Short, about 8 exchanges",
        ),
        ({"tokens": 100, "label": " "}, "about one exchange"),
        ({"tokens": 10_000}, "about 4 exchanges"),
    ],
)
def test_it_is_said_in_words(quota, words):
    assert in_words(quota) == words
