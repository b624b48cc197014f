"""A list of people: how it is read, and how it stands on a page until it is sent.

The page shows a list as lines that a person may correct. What each of them was read as goes with
it, signed, so that a line that nobody touched means what it meant when somebody looked: written
out, `Lee;;ask kim@example.org` would name Kim if it were read as a line again.
"""

from collections import defaultdict, deque
from collections.abc import Iterable
from itertools import groupby
from typing import Final

from django.core import signing

from invitations import tables
from invitations.addresses import Entry, in_line

_SALT: Final = "invitations.lists"


def read(text: str) -> list[Entry]:
    """Return the entries of a pasted list, in its order; a table is read as one."""
    text = text.lstrip("\ufeff")
    # A line or two may be `Ann; ann@example.org` by chance, and are read without columns, too.
    if table := tables.find(text, least=2):
        return table.entries
    lines = enumerate(text.splitlines(), start=1)
    return [entry for number, line in lines for entry in in_line(number, line)]


def read_file(content: bytes) -> list[Entry]:
    """Return the entries of a file: CSV with or without a heading, or a plain list."""
    text = decoded(content)
    table = tables.find(text)
    return table.entries if table else read(text)


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


# --- From one page to the next ---------------------------------------------------------------


def written(entries: Iterable[Entry]) -> str:
    """Return the list as it stands in the text box: an entry a line, a bad one as it stood."""
    return "\n".join(str(entry) for entry in entries)


def sealed(entries: Iterable[Entry]) -> str:
    """Return what the lines of `written` were read as, signed, for the page that shows them."""
    rows = [(str(entry), entry.name, entry.email, entry.problem) for entry in entries]
    return signing.dumps(rows, salt=_SALT, compress=True)


def read_on(text: str, seal: str) -> list[Entry]:
    """Return the entries of a list that came back from a page.

    A line that stands as it was written is what `seal` says of it; the others are read anew. Of
    lines that read the same each is what the one in its turn was. A seal that is not ours counts
    for nothing.
    """
    known = _opened(seal)
    found: list[Entry] = []
    lines = ((line, _next(known, line)) for line in text.splitlines())
    for is_new, group in groupby(lines, key=lambda pair: pair[1] is None):
        if is_new:
            found += read("\n".join(line for line, _ in group))
        else:
            found += [entry for _, entry in group if entry]
    return found


def _opened(seal: str) -> dict[str, deque[Entry]]:
    known: dict[str, deque[Entry]] = defaultdict(deque)
    try:
        rows: Iterable[list[str]] = signing.loads(seal, salt=_SALT) if seal else []
    except signing.BadSignature:
        return known
    for line, name, email, problem in rows:
        known[line].append(Entry(0, line, name, email, problem))
    return known


def _next(known: dict[str, deque[Entry]], line: str) -> Entry | None:
    waiting = known.get(line.strip())
    return waiting.popleft() if waiting else None
