"""Something to try at once on a laptop: a staff account and an invitation."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from allauth.account.models import EmailAddress
from django.conf import settings
from django.urls import reverse

from accounts.models import User
from invitations.models import Invitation, QuotaPreset, Status
from scenarios.models import Scenario

STAFF_EMAIL: Final = "staff@parley.localhost"
STAFF_NAME: Final = "Demo staff"
LEARNER_NAME: Final = "Demo learner"
CHANGED: Final = "(the password you chose)"


class NotLocal(Exception):
    """A demo account was asked for on a site that others can reach."""


@dataclass(frozen=True, slots=True)
class DemoAccess:
    """How to come in: the learner's link, the admin's, and the staff account."""

    learner_link: str
    staff_link: str
    email: str
    password: str

    def __str__(self) -> str:
        return (
            f"Learner:  {self.learner_link}\n"
            f"Staff:    {self.staff_link}  {self.email}  {self.password}"
        )


def prepare(site_url: str = "", *, anywhere: bool = False) -> DemoAccess:
    """Make sure that the demo's staff account and an unused invitation exist; return both.

    Raises `NotLocal` where `SITE_URL` names another machine, unless `anywhere` is set.
    """
    refuse_elsewhere(anywhere)
    site = (site_url or settings.SITE_URL).rstrip("/")
    staff, password = staff_account()
    mine = Invitation.objects.sent_by(staff)
    waiting = mine.in_status(Status.DRAFT) | mine.in_status(Status.OPENED)
    invitation = waiting.filter(recipient_name=LEARNER_NAME).first() or new_invitation(staff)
    return DemoAccess(
        learner_link=site + invitation.get_absolute_url(),
        staff_link=site + reverse("admin:index"),
        email=staff.email,
        password=password,
    )


def fresh_link(site_url: str = "", *, anywhere: bool = False) -> str:
    """Make one more demo invitation and return its address. Raises `NotLocal` as `prepare`."""
    refuse_elsewhere(anywhere)
    staff, _ = staff_account()
    return (site_url or settings.SITE_URL).rstrip("/") + new_invitation(staff).get_absolute_url()


def refuse_elsewhere(anywhere: bool) -> None:
    host = urlsplit(settings.SITE_URL).hostname or ""
    if not (anywhere or host in {"localhost", "127.0.0.1", "::1"} or host.endswith(".localhost")):
        raise NotLocal(
            f"SITE_URL names {host}: a demo account with a known address has no place there."
        )


def staff_account() -> tuple[User, str]:
    """Return the demo's administrator and the password, made once and kept in `VAR_DIR`."""
    path = settings.VAR_DIR / "staff-password"
    kept = path.read_text().strip() if path.exists() else ""
    password = kept or keep_password(path)
    staff = User.objects.filter(email=STAFF_EMAIL).first()
    if staff is None:
        staff = User.objects.create_superuser(STAFF_EMAIL, password, name=STAFF_NAME)
    elif not kept:
        staff.set_password(password)
        staff.save(update_fields=["password"])
    elif not staff.check_password(kept):
        password = CHANGED
    EmailAddress.objects.update_or_create(
        user=staff, email=STAFF_EMAIL, defaults={"verified": True, "primary": True}
    )
    return staff, password


def keep_password(path: Path) -> str:
    """Write a new password to `path`, for its owner's eyes only, and return it."""
    password = secrets.token_urlsafe(12)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(password + "\n")
    return password


def new_invitation(staff: User) -> Invitation:
    """Make an invitation to the first library scenario, with the default budget."""
    scenarios = Scenario.objects.active().order_by("id")
    preset = QuotaPreset.objects.order_by("-is_default", "sort_order").first()
    return Invitation.objects.create(
        scenario=scenarios.exclude(library_digest=None).first() or scenarios.first(),
        recipient_name=LEARNER_NAME,
        quota=preset.quota if preset else {"tokens": 25_000},
        created_by=staff,
    )
