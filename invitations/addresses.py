"""Whom a pasted list or a CSV file names: one entry a person, with what is wrong with it.

People paste what they have: one address a line, columns from a spreadsheet, the To: line of a
mail. What cannot be read becomes an entry with a problem, never an error.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from io import StringIO
from typing import Final

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

MOST_NAME: Final = 200
MOST_EMAIL: Final = 254
# A word that has an @ in it is what somebody meant as an address, right or wrong.
_WORD: Final = re.compile(r"[^\s<>,;:\"()\[\]|]+")
# Quoted names keep their commas and semicolons; a quote that never ends is only a quote.
_QUOTED: Final = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"')
_HEADS: Final = {
    head: kind
    for kind, heads in {
        "email": ("email", "mail", "emailaddress", "mailaddress", "address"),
        "name": ("name", "fullname", "displayname", "recipient", "person"),
        "first": ("firstname", "givenname", "forename"),
        "last": ("lastname", "surname", "familyname"),
    }.items()
    for head in heads
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One person of a list. `problem` is a sentence for staff, "" where all is well."""

    line: int
    text: str
    name: str = ""
    email: str = ""
    problem: str = ""

    def __str__(self) -> str:
        """As it may stand in a list again; a bad one as it stood."""
        if self.problem:
            return self.text
        if not self.name:
            return self.email
        plain = not re.search(r"[^\w .\'’-]", self.name)
        name = self.name if plain else '"' + re.sub(r'(["\\])', r"\\\1", self.name) + '"'
        return f"{name} <{self.email}>"


def read(text: str) -> list[Entry]:
    """Return the entries of a pasted list, a table with a heading included, in its order."""
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    if _columns(_cells(first, _delimiter(first))):
        return read_table(text)
    return [entry for number, line in enumerate(lines, 1) for entry in _free(number, line)]


def read_file(content: bytes) -> list[Entry]:
    """Return the entries of a file: CSV with or without a heading, or a plain list."""
    text = decoded(content)
    first = next((line for line in text.splitlines() if line.strip()), "")
    if _columns(_cells(first, _delimiter(first))):
        return read_table(text)
    if all(line.count("@") < 2 for line in text.splitlines()):
        return read_table(text, has_head=False)
    return read(text)


def decoded(content: bytes) -> str:
    """Return a file's text: by its byte order mark, else UTF-8, else as Excel writes it."""
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if content.startswith(mark):
            return content.decode(encoding, errors="replace").lstrip("\ufeff").replace("\0", "")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    return text.replace("\0", "")


# --- Tables --------------------------------------------------------------------------------


def read_table(text: str, *, has_head: bool = True) -> list[Entry]:
    """Return the entries of CSV whose columns its heading names, in any order.

    Without a heading the cell with an @ is the address, and the others are the name.
    """
    rows = csv.reader(StringIO(text, newline=""), delimiter=_delimiter(text))
    columns: dict[str, int] | None = None
    entries = []
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if has_head and columns is None:
                columns = _columns(cells) or {}
                continue
            entries.append(_row(rows.line_num, cells, columns or {}))
    except csv.Error:
        entries.append(Entry(rows.line_num, "", problem="The file cannot be read from here on."))
    return entries


def _delimiter(text: str) -> str:
    """The separator by which most cells of the first lines are whole addresses or headings."""
    lines = [line for line in text.splitlines() if line.strip()][:20]
    return max(",;\t", key=lambda mark: sum(_known_cells(_cells(line, mark)) for line in lines))


def _known_cells(cells: list[str]) -> int:
    return sum(
        _head(cell) in _HEADS or ("@" in cell and _WORD.fullmatch(cell.strip()) is not None)
        for cell in cells
    )


def _head(cell: str) -> str:
    return re.sub(r"[\W_]", "", cell.lower())


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _columns(cells: list[str]) -> dict[str, int]:
    """Which column holds what, by a heading; empty if this is none (it names no address)."""
    found: dict[str, int] = {}
    for index, cell in enumerate(cells):
        if kind := _HEADS.get(_head(cell)):
            found.setdefault(kind, index)
    return found if "email" in found else {}


def _row(line: int, cells: list[str], columns: dict[str, int]) -> Entry:
    def at(kind: str) -> str:
        index = columns.get(kind, len(cells))
        return cells[index] if index < len(cells) else ""

    text = ", ".join(cell for cell in cells if cell)
    if columns:
        name = at("name") or f"{at('first')} {at('last')}"
        return _entry(line, text, name, at("email"))
    email = next((cell for cell in cells if "@" in cell), "")
    return _entry(line, text, " ".join(cell for cell in cells if cell != email), email)


# --- Free text -------------------------------------------------------------------------------


def _free(line: int, text: str) -> Iterator[Entry]:
    """The entries of one line: semicolons divide; so do commas, with addresses on both sides."""
    for chunk in _split(text, ";"):
        yield from _people(line, _joined(_split(chunk, ",")))


def _split(text: str, separator: str) -> list[str]:
    """Split outside quotes."""
    parts, begun = [], 0
    for match in re.finditer(re.escape(separator), _without_quoted(text)):
        parts.append(text[begun : match.start()])
        begun = match.end()
    return [*parts, text[begun:]]


def _without_quoted(text: str) -> str:
    """As long as `text`, with spaces in place of what is quoted."""
    return _QUOTED.sub(lambda quoted: " " * len(quoted[0]), text)


def _addresses(text: str) -> list[re.Match[str]]:
    return [word for word in _WORD.finditer(text) if "@" in word[0]]


def _joined(parts: list[str]) -> list[str]:
    """Put a name's halves together again: `Lee, Kim <kim@…>` is one person."""
    people: list[str] = []
    waiting: list[str] = []
    for part in parts:
        waiting.append(part)
        if "@" in part:
            people.append(",".join(waiting))
            waiting = []
    if waiting and people:
        people[-1] = ",".join([people[-1], *waiting])
    elif waiting:
        people = [",".join(waiting)]
    return people


def _people(line: int, chunks: Iterable[str]) -> Iterator[Entry]:
    for chunk in chunks:
        found = _addresses(_without_quoted(chunk)) or _addresses(chunk)
        if not found:
            if chunk.strip(" \t,"):
                yield _entry(line, chunk, "", "")
        elif len(found) == 1:
            start, end = found[0].span()
            yield _entry(line, chunk, f"{chunk[:start]} {chunk[end:]}", found[0][0])
        else:
            begun = 0
            for match in found:
                text = chunk[begun : match.end()]
                yield _entry(line, text, chunk[begun : match.start()], match[0])
                begun = match.end()
            if re.search(r"\w", chunk[begun:]):
                yield _entry(line, chunk[begun:], "", "")


# --- One person ------------------------------------------------------------------------------


def _entry(line: int, text: str, name: str, email: str) -> Entry:
    entry = Entry(line, _tidy(text), _name(name), _address(email))
    problem = _problem(entry)
    return replace(entry, name="", email="", problem=problem) if problem else entry


def _address(email: str) -> str:
    email = _tidy(email).strip("<>()[],;'\"").rstrip(".")
    return email.removeprefix("mailto:").removeprefix("MAILTO:")


def _name(text: str) -> str:
    """A name without what stood around it: quotes, brackets, separators."""
    quoted = _QUOTED.search(text)
    if quoted and not re.search(r"\w", text[: quoted.start()] + text[quoted.end() :]):
        return _tidy(re.sub(r"\\(.)", r"\1", quoted[0][1:-1]))
    # Only the address's own brackets: a name may have some of its own.
    text = re.sub(r"<\s*>|\(\s*\)|\[\s*\]|mailto:|MAILTO:", " ", text)
    return _tidy(text).strip(" ,;:|<>\"'")


def _problem(entry: Entry) -> str:
    if not entry.email:
        return "There is no email address here."
    if len(entry.email) > MOST_EMAIL:
        return "The address is too long."
    try:
        validate_email(entry.email)
    except ValidationError:
        return f"“{entry.email}” is no email address."
    if len(entry.name) > MOST_NAME:
        return f"The name is longer than {MOST_NAME} characters."
    return ""


def _tidy(text: str) -> str:
    """One line, without characters that do not print."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


# --- The whole list --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sorted:
    """A list, sorted: whom to invite, what is wrong, and how many were named twice."""

    people: list[Entry]
    problems: list[Entry]
    repeated: list[Entry]


def sort(entries: Iterable[Entry]) -> Sorted:
    """Fold those of one address: the first stays, with the first name that any of them has."""
    people: dict[str, Entry] = {}
    problems, repeated = [], []
    for entry in entries:
        if entry.problem:
            problems.append(entry)
        elif (known := people.get(entry.email.casefold())) is None:
            people[entry.email.casefold()] = entry
        else:
            repeated.append(entry)
            if entry.name and not known.name:
                people[entry.email.casefold()] = replace(known, name=entry.name)
    return Sorted(list(people.values()), problems, repeated)
