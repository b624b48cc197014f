"""What Google tells us, and what it cannot do: join itself to somebody's account."""

import pytest
from allauth.account.internal.flows.login import record_authentication
from allauth.account.models import EmailAddress
from allauth.core import context
from allauth.socialaccount.models import SocialAccount, SocialApp
from django.contrib.auth.models import AnonymousUser
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.sessions.backends.db import SessionStore

from accounts.models import Role, User
from accounts.tests.google import CLAIMS, PROVIDERS, come_from_google
from accounts.tests.people import PASSWORD, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def google(settings):
    settings.GOOGLE_CLIENT_ID = "client"
    settings.SOCIALACCOUNT_PROVIDERS = PROVIDERS


@pytest.fixture
def request_(rf):
    request = rf.get("/accounts/google/login/callback/")
    request.session = SessionStore()
    request.session.create()
    request.user = AnonymousUser()
    request._messages = FallbackStorage(request)
    with context.request_context(request):
        yield request


def test_a_sign_up_through_google_is_a_user_with_name_and_picture(google, request_):
    come_from_google(request_)
    user = User.objects.get()
    assert (user.role, user.email, user.name) == (Role.USER, "gina@example.com", "Gina Google")
    assert (user.google_id, user.avatar_url) == ("1089", CLAIMS["picture"])
    assert not user.has_usable_password()


def test_a_later_sign_in_brings_the_new_picture_and_keeps_the_name(google, request_):
    come_from_google(request_)
    User.objects.update(name="Gina G.", avatar_url=None)
    come_from_google(request_, picture="https://lh3.googleusercontent.com/a/new", name="Other")
    user = User.objects.get()
    assert (user.name, user.avatar_url) == ("Gina G.", "https://lh3.googleusercontent.com/a/new")


def test_a_picture_that_is_no_https_address_is_left_out(google, request_):
    come_from_google(request_, picture="javascript:alert(1)")
    assert User.objects.get().avatar_url is None


def test_an_unverified_address_must_be_confirmed_by_code(google, request_, mailoutbox):
    _, response = come_from_google(request_, email_verified=False)
    assert response["Location"] == "/accounts/confirm-email/"
    assert not request_.user.is_authenticated
    assert User.objects.get().role == Role.GUEST
    assert mailoutbox[0].to == ["gina@example.com"]


@pytest.mark.parametrize("verified_by_google", [True, False])
def test_it_never_attaches_to_an_account_by_address(
    google, request_, mailoutbox, verified_by_google
):
    person("gina@example.com")
    come_from_google(request_, email_verified=verified_by_google)
    assert not request_.user.is_authenticated
    assert not SocialAccount.objects.exists()
    assert User.objects.get().google_id is None


def test_an_account_connects_google_by_hand(google, request_):
    user = person()
    request_.user = user
    record_authentication(request_, user, "password", reauthenticated=True)
    come_from_google(request_, process="connect")
    user.refresh_from_db()
    assert (user.google_id, user.avatar_url) == ("1089", CLAIMS["picture"])
    assert user.email == "dana@example.com"


def test_disconnecting_takes_what_google_filled_in(google, client):
    user = person(google_id="1089", avatar_url=CLAIMS["picture"])
    account = SocialAccount.objects.create(user=user, provider="google", uid="1089")
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    client.post("/accounts/3rdparty/", {"account": account.pk})
    user.refresh_from_db()
    assert (user.google_id, user.avatar_url) == (None, None)
    assert not SocialAccount.objects.exists()


def test_the_button_is_there_only_where_google_is_configured(client, settings):
    assert "Google" not in client.get("/accounts/login/").content.decode()
    settings.SOCIALACCOUNT_PROVIDERS = PROVIDERS
    page = client.get("/accounts/login/").content.decode()
    assert "Continue with Google" in page
    assert "/accounts/google/login/" in page
    assert not SocialApp.objects.exists()
    assert not EmailAddress.objects.exists()
