"""Whom a line of a list names: one entry a person, with what is wrong with it.

People paste what they have: one address a line, the To: line of a mail, names before or behind.
What cannot be read becomes an entry with a problem, never an error.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.encoding import punycode

MOST_NAME: Final = 200
MOST_EMAIL: Final = 254
# Of a line that is left out, to know it by.
MOST_TEXT: Final = 200
# A word that has an @ in it is what somebody meant as an address, right or wrong.
_WORD: Final = re.compile(r"[^\s<>,;:\"()\[\]|]+")
# Quoted names keep their commas and semicolons; a quote that never ends is only a quote.
_QUOTED: Final = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"')
# As a mail's heading stands in front of its addresses.
_LABEL: Final = re.compile(r"\A\s*(?:to|cc|bcc):", re.IGNORECASE)


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


# --- Free text -------------------------------------------------------------------------------


def in_line(line: int, text: str) -> Iterator[Entry]:
    """Yield whom one line names.

    Semicolons divide; so do commas, with addresses on both sides.
    """
    for chunk in _split(_LABEL.sub("", text), ";"):
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
            if tidy(chunk).strip(" ,"):
                yield person(line, chunk, "", "")
        elif len(found) == 1:
            start, end = found[0].span()
            yield person(line, chunk, f"{chunk[:start]} {chunk[end:]}", found[0][0])
        else:
            begun = 0
            for match in found:
                text = chunk[begun : match.end()]
                yield person(line, text, chunk[begun : match.start()], match[0])
                begun = match.end()
            if re.search(r"\w", chunk[begun:]):
                yield person(line, chunk[begun:], "", "")


# --- One person ------------------------------------------------------------------------------


def person(line: int, text: str, name: str, email: str) -> Entry:
    """Return whom a line that reads `text` names by a name and an address, tidied and checked."""
    entry = Entry(line, text, _name(name), _address(email))
    if problem := _problem(entry):
        return left_out(line, text, problem)
    return replace(entry, text=tidy(text))


def left_out(line: int, text: str, problem: str) -> Entry:
    """Return the entry of a line that names nobody whom one could invite, and why."""
    text = tidy(text)
    text = text if len(text) <= MOST_TEXT else text[:MOST_TEXT].rstrip() + "…"
    return Entry(line, text, problem=problem)


def tidy(text: str) -> str:
    """Return it as one line, without characters that do not print."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def is_address(text: str) -> bool:
    """Whether this is what somebody meant as one address, and nothing else."""
    return "@" in text and _WORD.fullmatch(_address(text)) is not None


def mailbox(email: str) -> str:
    """Return what the ways of writing one mailbox have in common.

    Case does not matter, nor whether an international domain is in its own letters or as mail
    servers have it.
    """
    name, _, domain = email.rpartition("@")
    try:
        domain = punycode(domain.casefold())
    except UnicodeError:
        domain = domain.casefold()
    return f"{name.casefold()}@{domain}"


def _address(email: str) -> str:
    email = tidy(email).strip("<>()[],;'\"").rstrip(".")
    return re.sub(r"\Amailto:", "", email, flags=re.IGNORECASE)


def _name(text: str) -> str:
    """A name without what stood around it: quotes, brackets, separators."""
    quoted = _QUOTED.search(text)
    if quoted and not re.search(r"\w", text[: quoted.start()] + text[quoted.end() :]):
        return tidy(re.sub(r"\\(.)", r"\1", quoted[0][1:-1]))
    # Only the address's own brackets: a name may have some of its own.
    text = re.sub(r"mailto:", " ", text, flags=re.IGNORECASE)
    text = tidy(re.sub(r"<\s*>|\(\s*\)|\[\s*\]", " ", text)).strip(" ,;:|<>\"'")
    if link := re.fullmatch(r"\[([^\[\]]*)\]", text):
        text = link[1].strip()
    return text if re.search(r"\w", text) else ""


def _problem(entry: Entry) -> str:
    if not entry.email:
        return "There is no email address here."
    if len(entry.email) > MOST_EMAIL:
        return "The address is too long."
    try:
        validate_email(entry.email)
        punycode(entry.email.rpartition("@")[2])
    except (ValidationError, UnicodeError):
        return f"“{entry.email}” is no email address."
    if len(entry.name) > MOST_NAME:
        return f"The name is longer than {MOST_NAME} characters."
    return ""


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
        box = mailbox(entry.email)
        if entry.problem:
            problems.append(entry)
        elif (known := people.get(box)) is None:
            people[box] = entry
        else:
            repeated.append(entry)
            if entry.name and not known.name:
                people[box] = replace(known, name=entry.name)
    return Sorted(list(people.values()), problems, repeated)
