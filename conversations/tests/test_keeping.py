"""From guest to account: the place, the words, and what nobody gets by it."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from allauth.core import context
from django.contrib.auth.models import AnonymousUser
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Role, User
from accounts.tests.google import PROVIDERS, come_from_google
from accounts.tests.people import PASSWORD, person
from conversations import keeping
from conversations.models import ConversationSession
from invitations.models import Invitation
from usage.holds import Purse, available

pytestmark = pytest.mark.django_db


@pytest.fixture
def dana(db):
    return person("dana@example.com")


@pytest.fixture
def guest(client, invitation):
    """A browser that took the invitation up and is in the conversation."""
    assert client.post(invitation.get_absolute_url()).status_code == 303
    return client


@pytest.fixture
def conversation(guest):
    return ConversationSession.objects.get()


@pytest.fixture
def url(conversation):
    return conversation.get_absolute_url()


def sign_up(client, mailoutbox, email="new@example.com", **fields):
    client.post("/accounts/signup/", {"email": email, "next": fields.pop("next", "/"), **fields})
    code = re.search(r"^ +(\S+)$", mailoutbox[-1].body, re.MULTILINE)[1]
    return client.post("/accounts/confirm-email/", {"code": code})


def sign_in(client, user, **fields):
    return client.post("/accounts/login/", {"login": user.email, "password": PASSWORD} | fields)


def owner_of(conversation):
    conversation.refresh_from_db()
    return conversation.user


def test_a_guest_is_offered_an_account_and_others_are_not(guest, url, owner):
    assert "Keep this: make an account" in guest.get(url).content.decode()
    own = ConversationSession.objects.get()
    own.user = owner
    own.save()
    member = Client()
    member.force_login(owner)
    assert "Keep this" not in member.get(url).content.decode()


def test_who_signs_up_is_back_at_the_same_conversation_which_is_theirs(
    guest, conversation, url, invitation, mailoutbox
):
    response = guest.post(f"{url}keep/")
    assert response.status_code == 303
    assert response["Location"] == f"/accounts/signup/?next=%2Fconversations%2F{conversation.pk}%2F"
    page = guest.get(response["Location"]).content.decode()
    assert "What you have said as a guest is kept" in page
    response = sign_up(guest, mailoutbox, next=url)
    assert response["Location"] == url
    invitation.refresh_from_db()
    user = User.objects.get(email="new@example.com")
    assert (owner_of(conversation), invitation.linked_user) == (user, user)
    page = guest.get(url).content.decode()
    assert "What you said is kept in your account, new@example.com." in page
    assert page.count('class="notice ') == 1
    assert "Keep this" not in page
    assert user.role == Role.USER
    assert available(Purse(None, user.pk)) > 0


def test_earlier_conversations_of_this_browser_come_along(
    guest, url, conversation, staff, scenario, mailoutbox
):
    earlier = Invitation.objects.create(
        scenario=scenario, created_by=staff, quota={"tokens": 25_000}
    )
    guest.post(earlier.get_absolute_url())
    assert ConversationSession.objects.count() == 2
    guest.post(f"{url}keep/")
    sign_up(guest, mailoutbox)
    assert {c.user.email for c in ConversationSession.objects.all()} == {"new@example.com"}


def test_the_guests_old_cookie_dies(guest, url, mailoutbox):
    old = guest.cookies["sessionid"].value
    guest.post(f"{url}keep/")
    sign_up(guest, mailoutbox)
    assert guest.cookies["sessionid"].value != old
    assert not Session.objects.filter(session_key=old).exists()
    stale = Client()
    stale.cookies["sessionid"] = old
    assert stale.get(url).status_code == 404


def test_nothing_moves_before_the_address_is_proven(guest, conversation, url, mailoutbox):
    guest.post(f"{url}keep/")
    guest.post("/accounts/signup/", {"email": "new@example.com", "password1": PASSWORD})
    guest.post("/accounts/confirm-email/", {"code": "WRONG"})
    assert owner_of(conversation) is None
    assert guest.get(url).status_code == 200
    sign_in(guest, User.objects.get(email="new@example.com"))
    assert owner_of(conversation) is None
    assert not EmailAddress.objects.filter(verified=True).exists()


def test_a_wrong_second_factor_moves_nothing(guest, conversation, url, dana):
    from allauth.mfa.models import Authenticator
    from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

    TOTP.activate(dana, generate_totp_secret())
    assert Authenticator.objects.count() == 1
    guest.post(f"{url}keep/")
    assert sign_in(guest, dana)["Location"] == "/accounts/2fa/authenticate/"
    guest.post("/accounts/2fa/authenticate/", {"code": "000000"})
    assert owner_of(conversation) is None


@pytest.fixture
def at_google(guest, url, rf, settings):
    """The guest's browser, which wished to keep the conversation and went to Google for it."""
    settings.SOCIALACCOUNT_PROVIDERS = PROVIDERS
    guest.post(f"{url}keep/")
    request = rf.get("/accounts/google/login/callback/")
    request.session = SessionStore(guest.cookies["sessionid"].value)
    request.user = AnonymousUser()
    request._messages = FallbackStorage(request)
    with context.request_context(request):
        yield request


def test_through_google_it_is_kept(at_google, conversation):
    come_from_google(at_google)
    assert owner_of(conversation).email == "gina@example.com"


@pytest.mark.parametrize("known", [False, True])
def test_an_address_that_google_did_not_verify_keeps_nothing(at_google, conversation, known):
    if known:
        person("gina@example.com")
    come_from_google(at_google, email_verified=False)
    assert not at_google.user.is_authenticated
    assert owner_of(conversation) is None


def test_signing_in_without_the_wish_takes_nothing(guest, conversation, url, dana):
    sign_in(guest, dana)
    assert owner_of(conversation) is None
    page = guest.get(url).content.decode()
    assert "Keep this in your account" in page
    assert guest.post(f"{url}keep/")["Location"] == url
    assert owner_of(conversation) == dana
    assert guest.post(f"{url}keep/")["Location"] == url


def test_a_wish_does_not_wait_for_the_next_person(guest, conversation, url, dana, monkeypatch):
    guest.post(f"{url}keep/")
    session = guest.session
    session[keeping.WISH] -= keeping.WISH_HOLDS + 1
    session.save()
    sign_in(guest, dana)
    assert owner_of(conversation) is None


def test_an_ended_conversation_is_kept_from_its_last_page(guest, conversation, url, dana):
    ConversationSession.objects.update(status="ended", ended_at=timezone.now())
    assert "Keep this: make an account" in guest.get(f"{url}debrief/").content.decode()
    response = guest.post(f"{url}keep/")
    assert response["Location"].endswith("%2Fdebrief%2F")
    sign_in(guest, dana)
    assert owner_of(conversation) == dana


def test_one_that_somebody_else_has_never_moves(guest, conversation, url, invitation, dana, owner):
    other = Client()
    other.force_login(owner)
    guest.post(f"{url}keep/")
    other.post(invitation.get_absolute_url(), {"action": "account"})
    assert owner_of(conversation) == owner
    sign_in(guest, dana)
    invitation.refresh_from_db()
    assert (owner_of(conversation), invitation.linked_user) == (owner, owner)
    assert "Nothing was kept" in guest.get("/").content.decode()


def test_what_an_account_takes_in_the_same_moment_is_not_taken_from_it(
    guest, conversation, invitation, dana, owner
):
    found = Invitation.objects.get()
    Invitation.objects.update(linked_user=owner)
    assert not keeping._keep_one(dana, found)
    assert owner_of(conversation) is None


@pytest.mark.parametrize("change", ["revoked_at", "expires_at"])
def test_one_that_is_closed_is_not_kept(guest, conversation, url, invitation, dana, change):
    guest.post(f"{url}keep/")
    Invitation.objects.update(**{change: timezone.now() - timedelta(seconds=1)})
    sign_in(guest, dana)
    assert owner_of(conversation) is None


def test_other_browsers_are_told_whose_it_is_and_strangers_nothing(
    guest, conversation, url, invitation, dana
):
    other = Client()
    other.post(invitation.get_absolute_url())
    guest.post(f"{url}keep/")
    sign_in(guest, dana)
    for address in (url, f"{url}debrief/"):
        response = other.get(address)
        page = response.content.decode()
        assert response.status_code == 403
        assert "d…@example.com" in page
        assert "dana@" not in page
        assert f"next={address}" in page
        assert Client().get(address).status_code == 404
    assert other.post(url, {"action": "send", "text": "Hello"}).status_code == 403
    assert other.get(f"{url}transcript.txt").status_code == 403
    sign_in(other, dana)
    assert other.get(url).status_code == 200


def test_strangers_keep_nothing(conversation, url, dana, client):
    stranger = Client()
    assert stranger.post(f"{url}keep/").status_code == 404
    sign_in(stranger, dana)
    assert stranger.post(f"{url}keep/").status_code == 404
    assert owner_of(conversation) is None


@pytest.mark.parametrize("method", ["get", "head", "put", "delete"])
def test_it_takes_a_post(guest, url, method):
    assert getattr(guest, method)(f"{url}keep/").status_code == 405


def test_looking_at_the_offer_changes_nothing(guest, url):
    before = list(Session.objects.values())
    guest.get(url)
    assert list(Session.objects.values()) == before


@pytest.mark.django_db(transaction=True)
def test_of_two_accounts_at_once_one_keeps_all(guest, conversation, invitation):
    people = [person(f"{name}@example.com") for name in "abcdef"]

    def take(user):
        try:
            return keeping.keep(user, [invitation.held_as])
        finally:
            connection.close()

    with ThreadPoolExecutor(len(people)) as threads:
        kept = list(threads.map(take, people))
    invitation.refresh_from_db()
    assert sorted(kept) == [0, 0, 0, 0, 0, 1]
    assert owner_of(conversation) == invitation.linked_user == people[kept.index(1)]


def test_conversations_are_locked_before_what_they_spend(guest, conversation, invitation, dana):
    """As by replies: two who lock the same rows in two orders wait for each other."""
    invitation.refresh_from_db()
    with CaptureQueriesContext(connection) as queries:
        assert keeping.keep(dana, [invitation.held_as]) == 1
    statements = [query["sql"] for query in queries]
    asked = next(i for i, sql in enumerate(statements) if "ORDER BY" in sql and "session" in sql)
    claimed = next(i for i, sql in enumerate(statements) if sql.startswith("UPDATE"))
    assert asked < claimed
    if connection.vendor == "postgresql":
        assert statements[asked].endswith("FOR NO KEY UPDATE")
