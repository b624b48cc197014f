"""Results as a Markdown table, and where they are kept."""

import importlib.metadata
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

README: Final = Path(__file__).with_name("README.md")
BEGIN: Final = "<!-- results -->"
PACKAGES: Final = ("django", "channels", "daphne", "uvicorn", "anthropic", "channels-redis")


def spread(values: Sequence[float], unit: str) -> str:
    """The median, and between which the others lie."""
    median, least, most = statistics.median(values), min(values), max(values)
    digits = 0 if median >= 100 or unit == "" else 1
    text = f"{median:.{digits}f} {unit}".strip()
    return text if len(values) == 1 else f"{text} ({least:.{digits}f} to {most:.{digits}f})"


@dataclass
class Row:
    """One figure: Parley's, the bare relay's, what it comes to, and the goal."""

    figure: str
    parley: str
    bare: str
    result: str
    goal: str
    met: bool | None

    def __str__(self) -> str:
        met = {True: "met", False: "missed", None: ""}[self.met]
        return (
            f"| {self.figure} | {self.parley} | {self.bare} | {self.result} | {self.goal} | {met} |"
        )

    @classmethod
    def ratio(
        cls,
        figure: str,
        unit: str,
        ours: Sequence[float],
        bare: Sequence[float],
        *,
        at_most: float,
        base: str = "",
    ) -> Self:
        """The median of the ratios of each repeat."""
        each = [own / other for own, other in zip(ours, bare, strict=True)]
        result = statistics.median(each)
        beside = spread(bare, unit) + (f" at {base}" if base else "")
        met = result <= at_most
        return cls(figure, spread(ours, unit), beside, f"{result:.2f} ×", f"≤ {at_most} ×", met)

    @classmethod
    def difference(
        cls, figure: str, unit: str, ours: Sequence[float], bare: Sequence[float]
    ) -> Self:
        added = statistics.median(ours) - statistics.median(bare)
        return cls(figure, spread(ours, unit), spread(bare, unit), f"+{added:.1f} {unit}", "", None)

    @classmethod
    def value(
        cls,
        figure: str,
        unit: str,
        ours: Sequence[float],
        bare: Sequence[float] | None,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> Self:
        median = statistics.median(ours)
        met = median <= at_most if at_most is not None else median >= (at_least or 0)
        goal = f"≤ {at_most} {unit}" if at_most is not None else f"≥ {at_least} {unit}"
        result = f"{median:.{0 if unit == '' else 1}f} {unit}".strip()
        beside = spread(bare, unit) if bare else ""
        return cls(figure, spread(ours, unit), beside, result, goal.strip(), met)


def heading() -> str:
    """When, on what, with which versions."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[2]
    return (
        f"{datetime.now(UTC):%d %B %Y}, {os.cpu_count()} cores, {memory:.0f} GiB, load average of "
        f"the last 15 minutes {load:.1f}. Python {platform.python_version()}, {versions}."
    )


def table(rows: Sequence[Row]) -> str:
    head = (
        "| figure | Parley | bare relay | result | goal | |\n| --- | --- | --- | --- | --- | --- |"
    )
    return "\n".join([head, *map(str, rows)])


def keep(text: str) -> None:
    """Replace the results in README.md."""
    before = README.read_text().partition(BEGIN)[0]
    README.write_text(f"{before}{BEGIN}\n\n{text}\n")
