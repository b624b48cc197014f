import pytest
from hypothesis import given
from hypothesis import strategies as st

from invitations.quota import MOST_TOKENS, exchanges, in_words


@pytest.mark.parametrize(("tokens", "count"), [(1, 1), (10_000, 4), (25_000, 8), (50_000, 13)])
def test_a_budget_is_good_for_about_so_many_exchanges(tokens, count):
    assert exchanges(tokens) == count


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
