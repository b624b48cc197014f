"""Lists that are tables: CSV, or the rows of a spreadsheet, with a heading or without."""

import csv
import re
from collections import Counter
from dataclasses import dataclass
from io import StringIO
from typing import Final

from invitations.addresses import Entry, is_address, left_out, person, tidy
from invitations.headings import columns

MARKS: Final = ",;\t"
# The first line by which Excel is told what separates the cells.
_SEP: Final = re.compile(r'"?sep=([,;\t|])["\s,;|]*?(?=[\r\n]|\Z)', re.IGNORECASE)
# `Kim Lee <kim@example.org>` in the column of the addresses.
_MAILBOX: Final = re.compile(r"([^<>@]*)<([^<>]*)>")
# Above a heading there may be a title, and who made the list.
_HEAD_WITHIN: Final = 5

type Rows = list[tuple[int, list[str]]]


@dataclass(frozen=True, slots=True)
class Table:
    """A text that is a table: its rows with their line, and which column holds what.

    `heads` rows stand above the people, a heading with them. Without a heading only the column of
    the addresses is known.
    """

    rows: Rows
    columns: dict[str, int]
    heads: int = 0
    is_whole: bool = True

    @property
    def entries(self) -> list[Entry]:
        """One for each row that is not blank; a title above the heading names nobody either."""
        titles = self.rows[: self.heads - 1] if self.heads else []
        entries = [person(line, _words(cells), "", "") for line, cells in titles]
        read = self._by_heading if self.heads else self._by_column
        entries += [read(line, cells) for line, cells in self.rows[self.heads :]]
        if not self.is_whole:
            last = self.rows[-1][0] if self.rows else 0
            words = "The file cannot be read from here on."
            entries.append(left_out(last + 1, "The rest of the file", words))
        return entries

    def _by_heading(self, line: int, cells: list[str]) -> Entry:
        found = {kind: cells[index] for kind, index in self.columns.items() if index < len(cells)}
        return _entry(line, cells, _name(found), found.get("email", ""))

    def _by_column(self, line: int, cells: list[str]) -> Entry:
        """What is no address is the name; a second address is somebody whom nobody has named."""
        column = self.columns["email"]
        email = cells[column] if column < len(cells) else ""
        others = [cell for index, cell in enumerate(cells) if index != column]
        if email and any("@" in cell for cell in others):
            return left_out(line, _words(cells), "There is more than one email address here.")
        names = [cell for cell in others if any(char.isalpha() for char in cell)]
        return _entry(line, cells, " ".join(names), email)


def find(text: str, least: int = 1) -> Table | None:
    """Return `text` as a table; None if it is none.

    It is one by its heading, by a line `sep=;`, or where most lines have something beside an
    address that is in the same column of all, and `least` of them or more do.
    """
    said = _SEP.match(text)
    if said:
        text = text[said.end() :]  # Its line break stays, and so the others' numbers.
    tables = [_table(*_read(text, mark)) for mark in (said[1] if said else MARKS)]
    headed = [table for table in tables if table.heads]
    if headed:
        return max(headed, key=lambda table: (len(table.columns), _alike(table)))
    best = max(tables, key=_alike)
    is_table = said or (_alike(best) >= least and 2 * _alike(best) > _addressed(best))
    return best if is_table else None


def _read(text: str, mark: str) -> tuple[Rows, bool]:
    """The rows that are not blank, and whether the text could be read to its end."""
    reader = csv.reader(StringIO(text, newline=""), delimiter=mark)
    rows: Rows = []
    try:
        for row in reader:
            cells = [tidy(cell) for cell in row]
            if any(cells):
                rows.append((reader.line_num, cells))
    except csv.Error:
        return rows, False
    return rows, True


def _table(rows: Rows, is_whole: bool) -> Table:
    """The rows under the best of headings, or with the column that has most of the addresses."""
    for count, (_, cells) in enumerate(rows[:_HEAD_WITHIN], start=1):
        if named := columns(cells):
            return Table(rows, named, count, is_whole)
        if any("@" in cell for cell in cells):
            break
    found = (_column(cells) for _, cells in rows)
    most = Counter(column for column in found if column is not None)
    return Table(rows, {"email": max(most, key=lambda c: most[c], default=0)}, 0, is_whole)


def _column(cells: list[str]) -> int | None:
    """In which column the address of a table's row is; None if this is no such row."""
    found = [index for index, cell in enumerate(cells) if "@" in cell]
    has_more = any(cell and "@" not in cell for cell in cells)
    is_row = found and has_more and all(is_address(cells[index]) for index in found)
    return found[0] if is_row else None


def _alike(table: Table) -> int:
    """How many rows have their address where most have it."""
    return sum(_column(cells) == table.columns["email"] for _, cells in table.rows)


def _addressed(table: Table) -> int:
    """How many rows tell of the list's shape: not those that are an address and nothing else."""
    filled = ([cell for cell in cells if cell] for _, cells in table.rows)
    return sum(
        any("@" in cell for cell in cells) and not (len(cells) == 1 and is_address(cells[0]))
        for cells in filled
    )


# --- One row ---------------------------------------------------------------------------------


def _entry(line: int, cells: list[str], name: str, email: str) -> Entry:
    text = _words(cells)
    if "@" not in email and "@" in text:
        return left_out(line, text, "There is no email address in its column.")
    if email.count("@") > 1 and not is_address(email):
        return left_out(line, text, "There is more than one email address here.")
    if both := _MAILBOX.fullmatch(email):
        name, email = name.strip() or both[1], both[2]
    return person(line, text, name, email)


def _name(found: dict[str, str]) -> str:
    """The name by what a heading calls its parts.

    With *Vorname* beside it, *Name* is a surname; with *Apellidos*, *Nombre* is a first name.
    """
    whole, first, last = (found.get(part, "") for part in ("name", "first", "last"))
    if first and last:
        return whole or f"{first} {last}"
    is_whole = {*f"{first}{last}".casefold().split()} <= {*whole.casefold().split()}
    return whole if whole and is_whole else f"{first} {whole} {last}"


def _words(cells: list[str]) -> str:
    return ", ".join(cell for cell in cells if cell)
