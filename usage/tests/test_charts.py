import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage.charts import LEFT, PLOT, TOP, WIDTH, chart, in_short, nice
from usage.costs import nothing
from usage.models import today
from usage.reports import By, Line, Report

amounts = st.integers(0, 10**9)
figures = st.tuples(amounts, amounts, amounts)


def report(by, rows):
    lines = [
        Line(
            f"Line {number}",
            nothing()
            | {"cache_read_tokens": cached, "input_tokens": cached + rest, "output_tokens": out},
        )
        for number, (cached, rest, out) in enumerate(rows)
    ]
    return Report(by, today(), today(), lines, nothing(), today())


@given(st.lists(figures, min_size=1, max_size=40), st.sampled_from([By.DAY, By.MODEL]))
def test_every_bar_is_in_the_picture(rows, by):
    found = chart(report(by, rows))
    if found is None:
        assert sum(map(sum, rows)) == 0
        return
    for box in found.boxes:
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.width <= WIDTH + 0.1
        assert box.y + box.height <= found.height + 0.1


def test_columns_are_as_high_as_their_tokens():
    found = chart(report(By.DAY, [(100, 200, 100), (0, 400, 0), (0, 0, 0)]))
    heights = {}
    for box in found.boxes:
        heights[box.x] = heights.get(box.x, 0) + box.height
    assert len(heights) == 2
    assert len(set(heights.values())) == 1
    assert [box.kind for box in found.boxes] == ["cached", "in", "out", "in"]
    assert min(box.x for box in found.boxes) > LEFT
    assert max(box.y + box.height for box in found.boxes) == TOP + PLOT


def test_it_says_in_words_which_is_the_most():
    found = chart(report(By.MODEL, [(0, 1500, 0), (0, 500, 0)]))
    assert found.title == "Tokens by model"
    assert found.description == "The most: Line 0 with 1,500 tokens."


def test_without_usage_there_is_no_chart():
    assert chart(report(By.DAY, [(0, 0, 0)])) is None


def test_long_names_are_cut_in_the_chart_alone():
    long = report(By.MODEL, [(0, 5, 5)])
    long.lines[0] = Line("x" * 60, long.lines[0].figures)
    assert chart(long).names[0].words == "x" * 25 + "…"


@pytest.mark.parametrize(
    ("tokens", "words"),
    [(0, "0"), (950, "950"), (1500, "1.5k"), (12_345, "12k"), (2_000_000, "2M"), (10**9, "1,000M")],
)
def test_amounts_are_short(tokens, words):
    assert in_short(tokens) == words


@given(st.integers(1, 10**12))
def test_the_scale_reaches_the_highest_and_is_round(most):
    step = nice(most)
    assert 4 * step >= most
    assert str(step).rstrip("0") in ("1", "2", "5")
