"""The tables of `docs/access.md`, written by `python -m config.tests.access_table`."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import django

from config.tests.access_answers import DESK, DESK_ALONE, PEOPLE, Row
from config.tests.access_desk import STAFF, THINGS
from config.tests.access_rows import PAGES, SIGNING_IN, SOCKETS

COMMAND: Final = "python -m config.tests.access_table writes"
DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs/access.md"
LEARNERS: Final = {key: name for key, name in PEOPLE.items() if key not in DESK_ALONE}


def lines(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    heads = list(heads)
    ruled = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in ruled)


def of_rows(rows: Iterable[Row], people: dict[str, str], addresses: dict[str, str]) -> str:
    """`addresses` gives the route of each view by its name."""
    cells = []
    for row in rows:
        shown = row.shown or f"/{addresses.get(row.name, row.name)}"
        about = f" ({row.about})" if row.about and not row.shown else ""
        answers = (row.cells[person] for person in people)
        cells.append([f"`{shown}`{about}", row.methods or "socket", *answers])
    return lines(["address", "methods", *people.values()], cells)


def of_things() -> str:
    return lines(
        ["in the admin", *DESK.values()],
        (
            [
                f"`/admin/{thing.model.replace('_', '/')}/` {thing.which}".strip(),
                *(thing.may[person].replace(" ", ", ") for person in DESK),
            ]
            for thing in THINGS
        ),
    )


def tables(addresses: dict[str, str]) -> dict[str, str]:
    own = {row.name for thing in THINGS for row in thing.rows()}
    return {
        "pages": of_rows([*PAGES, *SIGNING_IN, *SOCKETS], LEARNERS, addresses),
        "desk": of_rows([row for row in STAFF if row.name not in own], DESK, addresses),
        "things": of_things(),
    }


def written(text: str, addresses: dict[str, str]) -> str:
    """`text` with fresh tables in the place of those that it has."""
    for name, table in tables(addresses).items():
        before, begin, rest = text.partition(f"<!-- Table of {name}: {COMMAND} it. -->\n")
        _, end, after = rest.partition("<!-- Its end. -->\n")
        text = f"{before}{begin}\n{table}\n{end}{after}"
    return text


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from config.tests.access_walk import addresses

    DOCUMENT.write_text(written(DOCUMENT.read_text(), addresses()))
