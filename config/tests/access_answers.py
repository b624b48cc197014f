"""What the access matrix is written in: the people, the answers, and rows of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

VISITORS: Final = {
    "anonymous": "Nobody in particular",
    "guest": "Guest",
    "user": "User",
    "power": "Power user",
}
DESK: Final = {
    "bare": "Staff without permissions",
    "looks": "Staff who may look",
    "desk": "Staff who invite",
    "staff": "Staff, all but transcripts",
    "reader": "Staff, transcripts too",
    "admin": "Administrator",
}
PEOPLE: Final = VISITORS | DESK
# Of whom learners' pages take no notice beside other staff: they are asked for in the admin alone.
DESK_ALONE: Final = ("looks", "desk")

# --- Answers -----------------------------------------------------------------------------

YES: Final = "yes"
OWN: Final = "own"  # one's own answers, anybody else's is not found
NOT_FOUND: Final = "404"
GONE: Final = "not there"  # as the admin says it of its own pages: by way of its start page
SIGN_IN: Final = "sign in"  # sent to sign in, whatever the address holds
OUT: Final = "signed out"  # and sent to sign in
REFUSED: Final = "403"  # no, to everything there alike
ELSEWHERE: Final = "elsewhere"  # sent to another page than one to sign in

READ: Final = "GET HEAD"
BOTH: Final = "GET HEAD POST"
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

Cells = dict[str, str]


def everybody(answer: str, **others: str) -> Cells:
    return dict.fromkeys(PEOPLE, answer) | others


def accounts(answer: str, **others: str) -> Cells:
    """For those who are signed in; others are sent to do so."""
    return everybody(answer, anonymous=SIGN_IN, guest=SIGN_IN) | others


def writers(answer: str, otherwise: str) -> Cells:
    """For those who may write private scenarios."""
    return everybody(otherwise, power=answer, admin=answer)


def staff(answer: str, **others: str) -> Cells:
    """For staff: to those with more permissions what those with fewer get, unless it is said.

    Nothing is said of those without any: they are refused. Who is no staff is sent to sign in.
    """
    cells = dict.fromkeys(VISITORS, SIGN_IN) | {"bare": REFUSED}
    for person in ("looks", "desk", "staff", "reader", "admin"):
        cells[person] = answer = others.get(person, answer)
    return cells | others


@dataclass(frozen=True, slots=True)
class Row:
    """What each kind of person gets at an address, by some methods.

    `about` names what stands there (`access_world.World.subjects`), where it is not one page for
    all; `shown` is the address in the table where it stands for several.
    """

    name: str
    methods: str
    cells: Cells
    about: str = ""
    shown: str = ""
    # Addresses on which a GET leaves a record of itself.
    records: bool = False
    # Where it is a list in the admin: the buttons that it offers to whom, by their names.
    buttons: Mapping[str, frozenset[str]] | None = None

    def fits(self, name: str) -> bool:
        return fnmatchcase(name, self.name)
