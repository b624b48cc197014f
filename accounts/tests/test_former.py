"""An address that was given up is remembered with the account, and so is until when."""

from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.utils import timezone

from accounts import former
from accounts.models import FormerAddress
from accounts.tests.people import PASSWORD, person, staff
from accounts.tests.test_sign_in import code_in

pytestmark = pytest.mark.django_db

DANA, DORA = "dana@example.com", "dora@example.com"


def moves(client, mailoutbox, user, email):
    """Change the address on the site's own pages; the session stays signed in."""
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    client.post("/accounts/email/", {"action_add": "", "email": email})
    client.post("/accounts/confirm-email/", {"code": code_in(mailoutbox)})
    user.refresh_from_db()
    assert user.email == email


def test_the_address_that_a_new_one_takes_the_place_of_is_remembered(client, mailoutbox):
    user = person(DANA)
    moves(client, mailoutbox, user, DORA)
    (row,) = user.former_addresses.all()
    assert row.email == DANA
    assert timezone.now() - row.until < timedelta(minutes=1)
    assert former.given_up_by(user) == {DANA: None}
    assert former.proven_by(user) == {DORA}


def test_who_comes_back_to_an_address_has_it_and_nothing_more(client, mailoutbox, settings):
    settings.ACCOUNT_RATE_LIMITS = False
    user = person(DANA)
    moves(client, mailoutbox, user, DORA)
    moves(client, mailoutbox, user, DANA)
    assert set(former.given_up_by(user)) == {DORA}
    assert former.proven_by(user) == {DANA}


def test_an_address_that_was_never_proven_is_not_remembered(client, mailoutbox):
    user = person(DANA)
    EmailAddress.objects.create(user=user, email="typo@example.com", verified=False)
    moves(client, mailoutbox, user, DORA)
    assert set(former.given_up_by(user)) == {DANA}


def test_one_that_an_administrator_takes_off_is_not_theirs(client):
    user = person(DANA)
    client.force_login(staff(), backend="accounts.backends.RoleBackend")
    address = EmailAddress.objects.get(user=user)
    url = f"/admin/account/emailaddress/{address.pk}/delete/"
    assert client.post(url, {"post": "yes"}).status_code == 302
    assert not EmailAddress.objects.filter(user=user).exists()
    assert not FormerAddress.objects.exists()


def test_whoever_proves_it_later_ends_its_time():
    user, later = person(DORA), person("later@example.com")
    gone = FormerAddress.objects.create(user=user, email=DANA)
    assert former.given_up_by(user) == {DANA: None}
    FormerAddress.objects.create(user=later, email=DANA, until=gone.until + timedelta(days=1))
    assert former.given_up_by(user) == {DANA: gone.until}
    assert former.given_up_by(later) == {DANA: None}
    person(DANA)
    assert former.given_up_by(later) == {DANA: gone.until + timedelta(days=1)}


def test_the_page_of_the_address_says_that_it_is_kept(client, mailoutbox):
    user = person(DANA)
    client.force_login(user, backend="accounts.backends.RoleBackend")
    assert "until your account is erased" in client.get("/accounts/email/").content.decode()
