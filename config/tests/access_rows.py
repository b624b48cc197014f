"""Who may do what: one row for each address, the source of the table in `docs/access.md`.

`python -m config.tests.access_rows` writes the table anew. A new address needs a row here, found by
its view's name ("conversations:show"; `*` stands for any text) or, without one, by its route.
The first row that fits counts. `config/tests/test_access.py` asks every address by every method.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

PEOPLE: Final = {
    "anonymous": "Nobody in particular",
    "guest": "Guest",
    "user": "User",
    "power": "Power user",
    "bare": "Staff without permissions",
    "staff": "Staff, all but transcripts",
    "reader": "Staff, transcripts too",
    "admin": "Administrator",
}

# --- Answers -----------------------------------------------------------------------------

YES: Final = "yes"
OWN: Final = "own"  # one's own answers, anybody else's is not found
NOT_FOUND: Final = "404"
SIGN_IN: Final = "sign in"  # sent to sign in, whatever the address holds
REFUSED: Final = "403"  # no, to everything there alike: 403, or sent to sign in
STEP: Final = "step"  # of signing in, or of proving oneself: elsewhere unless it is under way
DESK: Final = "as permitted"  # as the permissions for the kind of object say: yes, or 403

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


def desk(staff: str = DESK, reader: str = "", admin: str = "", bare: str = REFUSED) -> Cells:
    """For staff, each with their permissions; what is not said is as for `staff`."""
    found = everybody(REFUSED, bare=bare, staff=staff)
    return found | {"reader": reader or staff, "admin": admin or reader or staff}


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

    def fits(self, name: str) -> bool:
        return fnmatchcase(name, self.name)


PAGES: Final = [
    Row("home", READ, everybody(YES)),
    Row("healthz", READ, everybody(YES)),
    Row("readyz", READ, everybody(YES)),
    Row("invitations:show", BOTH, everybody(YES), "link"),
    Row("invitations:show", BOTH, everybody(NOT_FOUND), "unknown link"),
    Row("invitations:opened", BOTH, everybody(NOT_FOUND)),
    Row("invitations:leave", BOTH, everybody(YES)),
    Row("invitations:own_link", BOTH, everybody(OWN), "invitation that one holds"),
    Row("join:show", BOTH, everybody(YES), "group link"),
    Row("join:show", BOTH, everybody(NOT_FOUND), "unknown link"),
    Row("join:opened", BOTH, everybody(NOT_FOUND)),
    Row("scenarios:list", READ, everybody(YES)),
    Row("scenarios:detail", READ, everybody(YES), "scenario"),
    Row("scenarios:detail", "POST", everybody(YES, anonymous=REFUSED), "scenario"),
    Row("scenarios:detail", BOTH, writers(OWN, NOT_FOUND), "private scenario"),
    Row("my_scenarios:list", READ, accounts(NOT_FOUND, power=YES, admin=YES)),
    Row("my_scenarios:new", BOTH, accounts(NOT_FOUND, power=YES, admin=YES)),
    Row("my_scenarios:edit", BOTH, writers(OWN, NOT_FOUND), "private scenario"),
    Row("conversations:list", READ, everybody(YES)),
    Row("conversations:show", BOTH, everybody(OWN), "conversation"),
    Row("conversations:debrief", BOTH, everybody(OWN), "conversation"),
    Row("conversations:transcript", READ, everybody(OWN), "conversation"),
    Row("conversations:keep", "POST", everybody(OWN), "conversation"),
    Row("conversations:more", BOTH, everybody(OWN), "conversation with an inviter"),
    Row("accounts:account", BOTH, accounts(YES)),
    Row("accounts:end_device", "POST", accounts(OWN), "device"),
    Row("accounts:end_everywhere", "POST", accounts(STEP)),
    Row("privacy:export", "POST", accounts(YES)),
    Row("privacy:erase", BOTH, accounts(YES)),
    Row("privacy:keep", "POST", accounts(YES)),
]
SIGNING_IN: Final = [
    *(
        Row(name, BOTH, everybody(YES))
        for name in ("account_login", "account_logout", "account_signup", "account_reset_password")
    ),
    *(
        Row(name, BOTH, accounts(YES))
        for name in (
            "account_email",
            "account_change_password",
            "account_set_password",
            "socialaccount_connections",
        )
    ),
    *(
        Row(name, READ, everybody(YES))
        for name in (
            "account_inactive",
            "account_password_reset_completed",
            "socialaccount_login_cancelled",
            "socialaccount_login_error",
        )
    ),
    *(
        Row(name, BOTH, everybody(STEP))
        for name in (
            "account_confirm_login_code",
            "account_confirm_password_reset_code",
            "account_complete_password_reset",
            "account_request_login_code",
            "socialaccount_signup",
            "account_reauthenticate",
            "account_email_verification_sent",
        )
    ),
    Row("google_*", BOTH, everybody(STEP), shown="/accounts/google/…"),
    Row("accounts/social/*", BOTH, everybody(STEP), shown="/accounts/social/… (old names)"),
    *(
        Row(name, BOTH, everybody(STEP), shown=f"/accounts/2fa/… ({words})")
        for name, words in (
            ("mfa_authenticate", "while signing in"),
            ("mfa_login_webauthn", "a passkey to sign in"),
            ("mfa_reauthenticate*", "once more"),
        )
    ),
    *(Row(f"mfa_{verb}_webauthn", BOTH, accounts(OWN), "passkey") for verb in ("edit", "remove")),
    *(
        Row(name, READ, accounts(STEP), shown=f"/accounts/2fa/… ({words})")
        for name, words in (
            ("mfa_index", "what there is"),
            ("mfa_list_webauthn", "passkeys"),
            ("mfa_view_*", "recovery codes"),
            ("mfa_download_*", "the same as a file"),
        )
    ),
    Row("mfa_*", BOTH, accounts(STEP), shown="/accounts/2fa/… (to change)"),
]
STAFF: Final = [
    Row("admin:index", READ, desk(YES, bare=YES)),
    Row("admin:app_list", READ, desk(DESK, bare=NOT_FOUND), "app", "/admin/<app>/"),
    Row("admin:login", BOTH, desk(YES, bare=YES) | {"anonymous": SIGN_IN, "guest": SIGN_IN}),
    Row("admin:logout", "POST", everybody(YES, anonymous=STEP, guest=STEP)),
    Row("admin:password_change", BOTH, desk(YES, bare=YES)),
    Row("admin:password_change_done", READ, desk(YES, bare=YES)),
    Row("admin:jsi18n", READ, desk(YES, bare=YES)),
    Row("admin:autocomplete", READ, desk(), "autocomplete"),
    Row("admin/(?P<url>.*)$", READ, desk(NOT_FOUND, bare=NOT_FOUND), shown="/admin/… (unknown)"),
    *(
        Row(
            f"admin:conversations_conversationsession_{page}",
            READ,
            desk(REFUSED, reader=YES),
            "object",
            records=True,
        )
        for page in ("transcript", "watch")
    ),
    Row(
        "admin:conversations_message_changelist",
        READ,
        desk(REFUSED, reader=YES),
    ),
    Row(
        "admin:conversations_message_*",
        BOTH,
        desk(REFUSED, reader=DESK),
        "object",
        "/admin/conversations/message/… (one of them)",
    ),
    Row("admin:conversations_viewing_changelist", READ, desk(REFUSED, admin=YES)),
    Row(
        "admin:conversations_viewing_*",
        BOTH,
        desk(REFUSED, admin=DESK),
        "object",
        "/admin/conversations/viewing/… (one of them)",
    ),
    *(
        # One that was taken up: its link opens what was said.
        Row(
            f"admin:invitations_invitation_{page}",
            methods,
            desk(REFUSED, reader=YES),
            "object",
            records=True,
        )
        for page, methods in (("preview", BOTH), ("preview_html", READ), ("sheet", READ))
    ),
    Row("admin:invitations_grouplink_poster", READ, desk(YES, bare=NOT_FOUND), "object"),
    Row("admin:usage_usagelog_report", READ, desk(YES)),
    Row("admin:usage_usagelog_export", READ, desk(YES)),
    Row("admin:auth_user_password_change", BOTH, desk(), "user id"),
    Row("admin:*_changelist", BOTH, desk(YES), "kind", "/admin/<app>/<model>/"),
    Row("admin:*_add", BOTH, desk(), "kind", "/admin/<app>/<model>/add/"),
    *(
        Row(f"admin:*_{page}", BOTH, desk(), "object", f"/admin/<app>/<model>/<id>/{page}/")
        for page in ("change", "delete", "history")
    ),
    Row("admin/*/<path:object_id>/", READ, desk(bare=YES), "object", "/admin/<app>/<model>/<id>/"),
]
ROWS: Final = [*PAGES, *SIGNING_IN, *STAFF]
SOCKETS: Final = [
    Row("ws/conversations/<int:pk>/", "", everybody(OWN), "conversation"),
    Row(
        "ws/watch/<str:viewing>/",
        "",
        everybody(NOT_FOUND, reader=OWN, admin=OWN),
        "viewing",
    ),
    Row("", "", everybody(NOT_FOUND), "unknown", "any other socket"),
]


def rows_of(name: str) -> list[Row]:
    """The rows of an address: those of the first name that fits."""
    first = next((row.name for row in ROWS if row.fits(name)), None)
    return [row for row in ROWS if row.name == first]


# --- The table ---------------------------------------------------------------------------

BEGIN: Final = "<!-- The table: python -m config.tests.access_rows writes it. -->\n"
END: Final = "<!-- The end of the table. -->\n"
DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs/access.md"


def table(addresses: dict[str, str]) -> str:
    """The rows in Markdown; `addresses` gives the route of each view by its name."""
    lines = [
        f"| address | methods | {' | '.join(PEOPLE.values())} |",
        "| --- " * (len(PEOPLE) + 2) + "|",
    ]
    for row in [*ROWS, *SOCKETS]:
        shown = row.shown or f"/{addresses.get(row.name, row.name)}"
        about = f" ({row.about})" if row.about and not row.shown else ""
        cells = " | ".join(row.cells[person] for person in PEOPLE)
        lines.append(f"| `{shown}`{about} | {row.methods or 'socket'} | {cells} |")
    return "\n".join(lines) + "\n"


def written(text: str, fresh: str) -> str:
    """`text` with `fresh` in the place of its table."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + fresh + "\n" + END + after


if __name__ == "__main__":
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from config.tests.access_walk import addresses

    DOCUMENT.write_text(written(DOCUMENT.read_text(), table(addresses())))
