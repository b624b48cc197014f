"""What was sent to another address goes into an account only once its person says so."""

import pytest
from allauth.account.models import EmailAddress

from accounts.tests.people import PASSWORD, person
from conversations.models import ConversationSession
from invitations.models import Invitation

pytestmark = pytest.mark.django_db


@pytest.fixture
def keep(client, invitation) -> str:
    """Where a guest asks to keep what they said on an invitation to somebody's address."""
    Invitation.objects.update(recipient_email="Rita@example.com")
    return client.post(invitation.get_absolute_url())["Location"] + "keep/"


@pytest.fixture
def dana(db):
    return person("dana@example.com")


def text(response) -> str:
    return " ".join(response.content.decode().split())


def sign_in(client, user):
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})


def owners():
    return Invitation.objects.get().linked_user, ConversationSession.objects.get().user


def test_who_walks_off_after_the_wish_leaves_it_to_nobody(client, keep, dana):
    client.post(keep)
    sign_in(client, dana)
    assert owners() == (None, None)
    page = text(client.get(keep.removesuffix("keep/")))
    assert "Nothing is kept yet: the invitation was sent to another address" in page
    assert "Keep this in your account" in page


def test_who_is_signed_in_is_asked_first(client, keep, dana):
    sign_in(client, dana)
    response = client.post(keep)
    assert response.status_code == 409
    page = text(response)
    assert "Whose is it to be?" in page
    assert "signed in as <strong>dana@example.com</strong>" in page
    assert "Rita" not in page
    assert owners() == (None, None)


def test_once_they_say_that_it_is_theirs_it_is(client, keep, dana):
    sign_in(client, dana)
    response = client.post(keep, {"action": "account", "visitor": dana.pk})
    assert response.status_code == 303
    assert owners() == (dana, dana)


def test_a_choice_of_who_was_signed_in_before_does_not_count(client, keep, dana):
    sign_in(client, dana)
    other = person("eve@example.com")
    assert client.post(keep, {"action": "account", "visitor": other.pk}).status_code == 409
    assert owners() == (None, None)


def test_what_one_chooses_brings_nothing_else_along(client, keep, invitation, dana):
    another = Invitation.objects.create(
        scenario=invitation.scenario,
        created_by=invitation.created_by,
        recipient_email="ron@example.com",
        quota={"tokens": 25_000},
    )
    client.post(another.get_absolute_url())
    sign_in(client, dana)
    client.post(keep, {"action": "account", "visitor": dana.pk})
    another.refresh_from_db()
    invitation.refresh_from_db()
    assert (invitation.linked_user, another.linked_user) == (dana, None)


@pytest.mark.parametrize("verified", [True, False])
def test_every_proven_address_of_the_account_is_its_own(client, keep, dana, verified):
    EmailAddress.objects.create(user=dana, email="rita@example.com", verified=verified)
    client.post(keep)
    sign_in(client, dana)
    assert owners() == ((dana, dana) if verified else (None, None))


def test_the_invitations_page_asks_no_more_than_that(client, invitation, dana):
    Invitation.objects.update(recipient_email="rita@example.com")
    EmailAddress.objects.create(user=dana, email="rita@example.com", verified=True)
    client.force_login(dana)
    assert "Whose is it to be?" not in text(client.get(invitation.get_absolute_url()))
