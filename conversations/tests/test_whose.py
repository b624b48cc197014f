"""Signed in as somebody else: a choice, never a silent capture."""

import pytest
from django.http import HttpResponse

from accounts.tests.people import person
from conversations.models import ConversationSession
from invitations.models import Invitation

pytestmark = pytest.mark.django_db


@pytest.fixture
def url(invitation) -> str:
    Invitation.objects.update(recipient_email="rita@example.com")
    return invitation.get_absolute_url()


@pytest.fixture
def dana(client):
    dana = person("dana@example.com")
    client.force_login(dana)
    return dana


def text(response: HttpResponse) -> str:
    return " ".join(response.content.decode().split())


def owner():
    return Invitation.objects.get().linked_user


def test_the_page_asks_whose_it_is_to_be(client, url, dana):
    page = text(client.get(url))
    assert "Whose is it to be?" in page
    for button in ("in this account", "Sign out and continue as a guest", "with another account"):
        assert button in page


def test_without_a_choice_nobody_gets_it(client, url, dana):
    for posted in ({}, {"action": "start"}, {"visitor": dana.pk}):
        response = client.post(url, posted)
        assert response.status_code == 409
        assert "Whose is it to be?" in text(response)
    assert owner() is None
    assert not ConversationSession.objects.exists()


def test_who_chooses_their_account_has_it(client, url, dana):
    response = client.post(url, {"action": "account", "visitor": dana.pk})
    assert response.status_code == 303
    assert owner() == dana


def test_a_page_from_before_the_sign_in_captures_nothing(client, url, dana):
    Invitation.objects.update(recipient_email="")
    response = client.post(url, {"action": "start", "visitor": ""})
    assert response.status_code == 409
    assert "will be kept in your account" in text(response)
    assert owner() is None


def test_a_page_from_before_the_sign_out_begins_nothing(client, url, dana):
    client.logout()
    response = client.post(url, {"action": "account", "visitor": dana.pk})
    assert response.status_code == 409
    assert "Sign in first" in text(response)
    assert not ConversationSession.objects.exists()


def test_a_link_without_an_address_offers_the_way_out_too(client, url, dana):
    Invitation.objects.update(recipient_email="")
    assert "Not you? Sign out and continue as a guest" in text(client.get(url))
    client.post(url, {"action": "guest", "visitor": dana.pk})
    assert owner() is None
    assert "_auth_user_id" not in client.session


def test_signing_in_as_another_comes_back_to_the_same_invitation(client, url, dana):
    response = client.post(url, {"action": "sign-in"})
    assert response["Location"].startswith("/accounts/login/")
    assert "_auth_user_id" not in client.session
    assert "A dinner" in text(client.get("/invite/opened/"))
    assert Invitation.objects.get().opened_at
    assert owner() is None


def test_who_signs_in_where_a_guest_was_takes_nothing_of_the_guests(client, url, invitation):
    client.post(url)
    ConversationSession.objects.all().delete()
    client.force_login(person("dana@example.com"))
    client.post(f"/scenarios/{invitation.scenario.slug}/")
    conversation = ConversationSession.objects.get()
    assert (conversation.user, conversation.invitation, owner()) == (None, invitation, None)
