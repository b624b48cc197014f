"""Who of the staff may do what in the admin: with each kind of thing, and on pages of our own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from config.tests.access_answers import (
    BOTH,
    DESK,
    ELSEWHERE,
    GONE,
    NOT_FOUND,
    READ,
    REFUSED,
    VISITORS,
    YES,
    Cells,
    Row,
    staff,
)

# --- Django's own pages ------------------------------------------------------------------

NOTHING: Final = "–"
LOOK: Final = "look"
CHANGE: Final = "look add change"
ALL: Final = "look add change delete"
# Each with the word that opens it.
PAGES: Final = (
    ("changelist", BOTH, "look"),
    ("add", BOTH, "add"),
    ("change", READ, "look"),
    ("change", "POST", "change"),
    ("delete", BOTH, "delete"),
    ("history", READ, "look"),
)


def may(words: str, **others: str) -> Cells:
    """As `staff` has it: words for who may look, and so on to the right."""
    return {"bare": NOTHING} | {person: staff(words, **others)[person] for person in [*DESK][1:]}


@dataclass(frozen=True, slots=True)
class Thing:
    """Something in the admin ("app_model"; `which` of them), and what each of the staff may do.

    The first of a kind says for all who may list and add, and which `buttons` go with a word.
    """

    model: str
    may: Cells
    which: str = ""
    buttons: Mapping[str, str] = field(default_factory=dict)

    @property
    def about(self) -> str:
        return f"{self.model} {self.which}".strip()

    def cells(self, page: str, word: str) -> Cells:
        """The answers of one of its pages."""
        of_kind = next(thing for thing in THINGS if thing.model == self.model)
        found = {}
        for person, words in self.may.items():
            if words == GONE and (page != "delete" or word in of_kind.may[person]):
                found[person] = GONE
            else:
                found[person] = YES if word in words else REFUSED
        return staff(REFUSED, **found)

    def offers(self) -> dict[str, frozenset[str]]:
        return {
            person: frozenset(
                " ".join(names for word, names in self.buttons.items() if word in words).split()
            )
            for person, words in self.may.items()
        }

    def rows(self) -> Iterator[Row]:
        is_first = next(thing for thing in THINGS if thing.model == self.model) is self
        for page, methods, word in PAGES:
            of_kind = page in ("changelist", "add")
            if is_first or not of_kind:
                yield Row(
                    f"admin:{self.model}_{page}",
                    methods,
                    self.cells(page, word),
                    "" if of_kind else self.about,
                    buttons=self.offers() if page == "changelist" else None,
                )


RECORD: Final = may(LOOK)
# What opens an account is an administrator's to change.
POWERFUL: Final = may(LOOK, desk=NOTHING, staff=LOOK, admin=ALL)
ACCOUNT: Final = may(LOOK, desk=NOTHING, staff=LOOK, admin=CHANGE)
KEPT: Final = may(LOOK, staff=ALL)
PRIVATE: Final = may(GONE, admin=ALL)
OF_INVITATIONS: Final = may(LOOK, desk=ALL)
NEVER_DELETED: Final = may(LOOK, desk=CHANGE)
ON_INVITATIONS: Final = "send_again extend_week extend_month add_tokens renew revoke"

THINGS: Final = [
    Thing(
        "accounts_user",
        may(LOOK, desk=NOTHING, staff=ALL),
        "a learner",
        {"delete": "erase_later"},
    ),
    Thing("accounts_user", ACCOUNT, "one of the staff"),
    Thing("accounts_user", ACCOUNT, "an administrator"),
    Thing("accounts_user", ACCOUNT, "oneself"),
    Thing("account_emailaddress", POWERFUL, "a learner's", {"change": "make_verified"}),
    Thing("account_emailaddress", POWERFUL, "an administrator's"),
    Thing("socialaccount_socialaccount", POWERFUL),
    Thing("mfa_authenticator", may(LOOK, desk=NOTHING, staff=LOOK, admin="look delete")),
    Thing("auth_group", POWERFUL),
    Thing(
        "scenarios_scenario",
        KEPT,
        "for all",
        {"add": "duplicate", "change": "activate deactivate"},
    ),
    Thing("scenarios_scenario", PRIVATE, "private"),
    Thing("scenarios_scenario", PRIVATE, "an administrator's own"),
    Thing(
        "invitations_invitation",
        may(LOOK, desk=CHANGE, staff=f"{ALL} erase"),
        "with a guest",
        {"change": ON_INVITATIONS, "erase": "erase_guest"},
    ),
    Thing("invitations_invitation", OF_INVITATIONS, "that nobody took up"),
    Thing("invitations_invitation", OF_INVITATIONS, "of one's own"),
    Thing("invitations_quotapreset", OF_INVITATIONS, buttons={"delete": "delete_selected"}),
    Thing("invitations_grouplink", NEVER_DELETED, buttons={"change": "revoke"}),
    Thing("invitations_batch", NEVER_DELETED),
    Thing("invitations_delivery", RECORD),
    Thing("usage_allowance", KEPT, buttons={"delete": "delete_selected"}),
    Thing("usage_personalallowance", KEPT, buttons={"delete": "delete_selected"}),
    Thing("usage_price", KEPT),
    Thing("usage_usagelog", RECORD),
    Thing("usage_hold", RECORD),
    Thing("conversations_conversationsession", may(LOOK, staff="look delete")),
    Thing("conversations_conversationsession", may(GONE, admin="look delete"), "private"),
    Thing("conversations_message", may(NOTHING, reader=LOOK)),
    Thing("conversations_message", may(NOTHING, reader=GONE, admin=LOOK), "private"),
    Thing("conversations_viewing", may(NOTHING, admin=LOOK)),
]

# --- Pages of our own --------------------------------------------------------------------

INVITATION: Final = "admin:invitations_invitation"
CONVERSATION: Final = "admin:conversations_conversationsession"
CHOICES: Final = ("choices of a scenario", "choices of a person")

STAFF: Final = [
    Row("admin:index", READ, staff(YES, bare=YES)),
    Row("admin:app_list", READ, staff(YES, bare=NOT_FOUND), "app of scenarios"),
    Row(
        "admin:app_list",
        READ,
        staff(YES, bare=NOT_FOUND, desk=NOT_FOUND, staff=YES),
        "app of accounts",
    ),
    *(
        Row("admin:login", methods, staff(answer, bare=answer, user=REFUSED, power=REFUSED))
        for methods, answer in (("GET", ELSEWHERE), ("HEAD POST", YES))
    ),
    Row("admin:logout", "POST", staff(YES, bare=YES) | dict.fromkeys(VISITORS, ELSEWHERE)),
    Row("admin:password_change", BOTH, staff(YES, bare=YES)),
    Row("admin:password_change_done", READ, staff(YES, bare=YES)),
    Row("admin:jsi18n", READ, staff(YES, bare=YES)),
    Row("admin:autocomplete", READ, staff(REFUSED)),
    Row("admin:autocomplete", READ, staff(YES), CHOICES[0]),
    Row("admin:autocomplete", READ, staff(YES, desk=REFUSED, staff=YES), CHOICES[1]),
    Row("admin/(?P<url>.*)$", READ, staff(NOT_FOUND, bare=NOT_FOUND), shown="/admin/… (unknown)"),
    *(
        Row(f"{CONVERSATION}_{page}", READ, cells, about, records=True)
        for page in ("transcript", "watch")
        for about, cells in (
            ("conversations_conversationsession", staff(REFUSED, reader=YES)),
            (
                "conversations_conversationsession private",
                staff(REFUSED, reader=NOT_FOUND, admin=YES),
            ),
        )
    ),
    *(
        # The link of one that was taken up opens what was said.
        Row(f"{INVITATION}_{page}", methods, cells, about, records=True)
        for page, methods in (("preview", BOTH), ("preview_html", READ), ("sheet", READ))
        for about, cells in (
            ("invitations_invitation with a guest", staff(REFUSED, reader=YES)),
            ("invitations_invitation that nobody took up", staff(REFUSED, desk=YES)),
        )
    ),
    Row(
        "admin:invitations_grouplink_poster",
        READ,
        staff(NOT_FOUND, bare=NOT_FOUND, desk=YES),
        "invitations_grouplink",
    ),
    Row("admin:usage_usagelog_report", READ, staff(YES)),
    Row("admin:usage_usagelog_export", READ, staff(YES)),
    *(
        Row("admin:auth_user_password_change", BOTH, staff(REFUSED, admin=YES), f"id of {which}")
        for which in ("a learner", "one of the staff", "an administrator", "oneself")
    ),
    *(row for thing in THINGS for row in thing.rows()),
    Row(
        "admin/*/<path:object_id>/",
        READ,
        staff(ELSEWHERE, bare=ELSEWHERE),
        "object",
        "/admin/<app>/<model>/<id>/",
    ),
]
