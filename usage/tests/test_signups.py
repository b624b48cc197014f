"""Every way to come by an account comes with its role's allowance, from the first turn on."""

import pytest
from django.core.cache import cache
from django.urls import reverse

from accounts.models import Role, User
from accounts.tests import test_google
from accounts.tests.people import PASSWORD
from accounts.tests.test_google import come_from_google
from accounts.tests.test_sign_in import code_in, sign_up
from usage.holds import UNLIMITED, Purse, available
from usage.models import DEFAULT_ALLOWANCES
from usage.tests.purses import hold

pytestmark = pytest.mark.django_db
google, request_ = test_google.google, test_google.request_
EVERY_USER = DEFAULT_ALLOWANCES[Role.USER]


@pytest.fixture(autouse=True)
def _no_limits_of_other_tests():
    cache.clear()


def left(email="new@example.com"):
    """What the account may hold, having taken a first turn's tokens from it."""
    purse = Purse(None, User.objects.get(email=email).pk)
    before = available(purse)
    assert (hold(purse, 2_000) is not None) == (before >= 2_000)
    return before


def confirm(client, mailoutbox):
    client.post("/accounts/confirm-email/", {"code": code_in(mailoutbox)})


def test_signing_up_by_code(client, mailoutbox):
    sign_up(client)
    assert left() == 0
    confirm(client, mailoutbox)
    assert left() == EVERY_USER


def test_signing_up_with_a_password(client, mailoutbox):
    sign_up(client, password1=PASSWORD)
    confirm(client, mailoutbox)
    assert left() == EVERY_USER


def test_signing_up_through_google(google, request_):
    come_from_google(request_)
    assert left("gina@example.com") == EVERY_USER


def test_an_address_that_google_does_not_vouch_for_counts_once_it_is_proven(
    google, request_, client, mailoutbox
):
    come_from_google(request_, email_verified=False)
    assert left("gina@example.com") == 0


def test_an_account_that_staff_made_for_somebody(client, mailoutbox):
    administrator = User.objects.create_superuser("ada@example.com")
    client.force_login(administrator, backend="accounts.backends.RoleBackend")
    for email, role in (("new@example.com", Role.USER), ("power@example.com", Role.POWER_USER)):
        client.post(
            reverse("admin:accounts_user_add"),
            {"email": email, "role": role, "usable_password": "false"},
        )
        assert left(email) == DEFAULT_ALLOWANCES[role]


def test_a_guest_account_that_staff_made_grows_with_its_first_sign_in(client, mailoutbox):
    User.objects.create_user("new@example.com")
    assert left() == 0
    client.post("/accounts/login/code/", {"email": "new@example.com"})
    client.post("/accounts/login/code/confirm/", {"code": code_in(mailoutbox)})
    assert left() == EVERY_USER


def test_an_administrator_named_in_the_settings(client, mailoutbox, settings):
    settings.ADMIN_EMAILS = ["new@example.com"]
    sign_up(client)
    confirm(client, mailoutbox)
    assert left() == UNLIMITED


def test_no_role_is_without_an_allowance():
    assert set(DEFAULT_ALLOWANCES) == set(Role.values)
