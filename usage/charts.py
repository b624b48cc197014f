"""Tokens as bars: plain figures for an inline SVG, no style and no script."""

import math
from dataclasses import dataclass
from typing import Final

from usage.reports import By, Line, Report

WIDTH: Final = 720
# Columns: where they stand. Room for an amount at the left, for days below.
LEFT, TOP, PLOT = 52, 10, 190
# Rows: a name at the left, an amount at the right, the bar between.
NAME, AMOUNT, ROW = 190, 64, 26
MOST_ROWS: Final = 15
LONGEST_NAME: Final = 26
PARTS: Final = (("cached", "In, from cache"), ("in", "In, the rest"), ("out", "Out"))


@dataclass(frozen=True, slots=True)
class Box:
    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Words at a place, which is their "start", "middle" or "end"; with a line across at `line`."""

    x: float
    y: float
    words: str
    anchor: str = "end"
    line: float | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """`description` says in words what the bars show; the table below has the numbers."""

    width: int
    height: int
    boxes: list[Box]
    marks: list[Mark]
    names: list[Mark]
    title: str
    description: str
    parts: tuple[tuple[str, str], ...] = PARTS
    left: int = LEFT


def chart(report: Report) -> Chart | None:
    """A chart of the report's lines: columns over time, else a bar for each. None without usage."""
    lines = report.lines
    most = max((line.tokens for line in lines), default=0)
    if not most:
        return None
    title = f"Tokens by {report.heading.lower()}"
    top = max(lines, key=lambda line: line.tokens)
    description = f"The most: {top.label} with {top.tokens:,} tokens."
    if report.by == By.DAY:
        return _columns(lines, title, description)
    shown = lines[:MOST_ROWS]
    if len(lines) > len(shown) or report.pages > 1:
        description += f" The first {len(shown)} of this page."
    return _rows(shown, title, description)


def in_short(tokens: int) -> str:
    """An amount in three figures or so: 950, 12k, 1.5M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if tokens >= size:
            digits = 1 if tokens < 10 * size and tokens % size else 0
            return f"{tokens / size:,.{digits}f}{unit}"
    return str(tokens)


def nice(most: int) -> int:
    """The smallest of 1, 2, 5, 10, 20 … four times which reach `most`."""
    least = max(1, math.ceil(most / 4))
    size = 10 ** (len(str(least)) - 1)
    return next(step * size for step in (1, 2, 5, 10) if step * size >= least)


def _parts(line: Line) -> list[tuple[str, int]]:
    cached = line.figures["cache_read_tokens"]
    rest = line.figures["input_tokens"] - cached
    return [("cached", cached), ("in", rest), ("out", line.figures["output_tokens"])]


def _columns(lines: list[Line], title: str, description: str) -> Chart:
    step = nice(max(line.tokens for line in lines))
    scale, slot = PLOT / (4 * step), (WIDTH - LEFT) / len(lines)
    boxes = []
    for number, line in enumerate(lines):
        y = float(TOP + PLOT)
        for kind, tokens in _parts(line):
            y -= tokens * scale
            left = LEFT + number * slot + slot * 0.1
            boxes.append(_box(kind, left, y, slot * 0.8, tokens * scale))
    marks = [
        Mark(LEFT - 6, y + 4, in_short(n * step), line=y)
        for n, y in enumerate(round(TOP + PLOT * (1 - n / 4), 2) for n in range(5))
    ]
    every = math.ceil(len(lines) / 7)
    names = [
        Mark(round(LEFT + (number + 0.5) * slot, 2), TOP + PLOT + 18, lines[number].label, "middle")
        for number in range(every // 2, len(lines), every)
    ]
    return Chart(WIDTH, TOP + PLOT + 26, _seen(boxes), marks, names, title, description)


def _rows(lines: list[Line], title: str, description: str) -> Chart:
    scale = (WIDTH - NAME - AMOUNT) / max(line.tokens for line in lines)
    boxes, marks, names = [], [], []
    for number, line in enumerate(lines):
        x, y = float(NAME), number * ROW + 4
        for kind, tokens in _parts(line):
            boxes.append(_box(kind, x, y, tokens * scale, ROW - 8))
            x += tokens * scale
        marks.append(Mark(round(x + 6, 2), y + 13, in_short(line.tokens), "start"))
        short = line.label[: LONGEST_NAME - 1] + "…"
        name = line.label if len(line.label) <= LONGEST_NAME else short
        names.append(Mark(NAME - 8, y + 13, name))
    return Chart(WIDTH, len(lines) * ROW + 4, _seen(boxes), marks, names, title, description)


def _box(kind: str, x: float, y: float, width: float, height: float) -> Box:
    return Box(kind, *(round(value, 2) for value in (x, y, width, height)))


def _seen(boxes: list[Box]) -> list[Box]:
    return [box for box in boxes if box.width > 0 and box.height > 0]
