"""Who may do what: one row for each address, the source of the tables in `docs/access.md`.

A new address needs a row here or, in the admin, in `access_desk.py`, found by its view's name
("conversations:show"; `*` stands for any text) or, without one, by its route. The first name that
fits counts. `config/tests/test_access.py` asks every address by every method, and
`python -m config.tests.access_table` writes the tables anew.
"""

from typing import Final

from config.tests.access_answers import (
    BOTH,
    ELSEWHERE,
    NOT_FOUND,
    OUT,
    OWN,
    READ,
    REFUSED,
    SIGN_IN,
    YES,
    Row,
    accounts,
    everybody,
    writers,
)
from config.tests.access_desk import STAFF

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
    Row("accounts:end_everywhere", "POST", accounts(OUT)),
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
    # Steps of signing in, or of proving oneself: nothing of it is under way here.
    *(
        Row(name, BOTH, accounts(ELSEWHERE))
        for name in (
            "account_confirm_login_code",
            "account_email_verification_sent",
            "mfa_authenticate",
            "mfa_login_webauthn",
        )
    ),
    Row("account_request_login_code", BOTH, everybody(ELSEWHERE, anonymous=YES, guest=YES)),
    Row("account_confirm_password_reset_code", BOTH, everybody(SIGN_IN)),
    Row("account_complete_password_reset", BOTH, everybody(ELSEWHERE)),
    Row("socialaccount_signup", BOTH, everybody(SIGN_IN)),
    # Who signed in a moment ago is not asked once more.
    Row("account_reauthenticate", BOTH, accounts(REFUSED)),
    Row("mfa_reauthenticate*", BOTH, accounts(REFUSED), shown="/accounts/2fa/… (once more)"),
    # Without the names in the environment there is no Google.
    Row("google_*", BOTH, everybody(NOT_FOUND), shown="/accounts/google/…"),
    Row("accounts/social/*", BOTH, everybody(ELSEWHERE), shown="/accounts/social/… (old names)"),
    *(Row(f"mfa_{verb}_webauthn", BOTH, accounts(OWN), "passkey") for verb in ("edit", "remove")),
    *(Row(name, READ, accounts(YES)) for name in ("mfa_index", "mfa_list_webauthn")),
    *(
        Row(name, BOTH, accounts(YES))
        for name in ("mfa_activate_totp", "mfa_add_webauthn", "mfa_generate_recovery_codes")
    ),
    # They have none.
    Row("mfa_deactivate_totp", BOTH, accounts(NOT_FOUND)),
    Row("mfa_view_recovery_codes", READ, accounts(NOT_FOUND)),
    Row("mfa_download_recovery_codes", READ, accounts(NOT_FOUND)),
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
