"""Whichever way somebody signs up, they may talk at once."""

import re

import pytest
from allauth.core import context
from django.contrib.auth.models import AnonymousUser
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.sessions.backends.db import SessionStore

from accounts.models import Role, User
from accounts.tests.google import PROVIDERS, come_from_google
from accounts.tests.people import PASSWORD, person
from usage.holds import Purse, available
from usage.models import DEFAULT_ALLOWANCES

pytestmark = pytest.mark.django_db


@pytest.fixture
def by_code(client, mailoutbox):
    client.post("/accounts/signup/", {"email": "new@example.com"})
    confirm(client, mailoutbox, "/accounts/confirm-email/")


@pytest.fixture
def by_password(client, mailoutbox):
    client.post("/accounts/signup/", {"email": "new@example.com", "password1": PASSWORD})
    confirm(client, mailoutbox, "/accounts/confirm-email/")


@pytest.fixture
def by_google(rf, settings):
    settings.SOCIALACCOUNT_PROVIDERS = PROVIDERS
    request = rf.get("/accounts/google/login/callback/")
    request.session = SessionStore()
    request.session.create()
    request.user = AnonymousUser()
    request._messages = FallbackStorage(request)
    with context.request_context(request):
        come_from_google(request)


@pytest.fixture
def by_staff(client, mailoutbox):
    User.objects.create_user("made@example.com")
    client.post("/accounts/login/code/", {"email": "made@example.com"})
    confirm(client, mailoutbox, "/accounts/login/code/confirm/")


def confirm(client, mailoutbox, path):
    code = re.search(r"^ +(\S+)$", mailoutbox[-1].body, re.MULTILINE)[1]
    client.post(path, {"code": code})


@pytest.mark.parametrize("way", ["by_code", "by_password", "by_google", "by_staff"])
def test_every_way_to_sign_up_gets_its_allowance(request, way):
    request.getfixturevalue(way)
    user = User.objects.get()
    assert user.role == Role.USER
    assert available(Purse(None, user.pk)) == DEFAULT_ALLOWANCES[Role.USER]


def test_an_account_whose_address_nobody_proved_gets_none(client):
    client.post("/accounts/signup/", {"email": "new@example.com", "password1": PASSWORD})
    assert available(Purse(None, User.objects.get().pk)) == 0


def test_what_staff_give_a_role_is_what_its_people_get():
    guest, power = person("g@example.com", role=Role.GUEST), person(role=Role.POWER_USER)
    assert available(Purse(None, guest.pk)) == 0
    assert available(Purse(None, power.pk)) == DEFAULT_ALLOWANCES[Role.POWER_USER]
