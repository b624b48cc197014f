"""An inviter without a name: no page and no mail shows their address in its place."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.tests.people import person
from conversations.belongings import Belongings
from conversations.models import ConversationSession
from conversations.readers import who_may_read
from conversations.told import account
from invitations.groups import GroupLink
from invitations.models import Invitation
from invitations.tests import making

pytestmark = pytest.mark.django_db

ADDRESS = "secret.inviter@example.com"


@pytest.fixture
def invitation():
    inviter = person(ADDRESS, is_staff=True, name="")
    return making.invitation(created_by=inviter, personal_note="Good luck!")


def shown(response) -> str:
    """What a person reads of a page."""
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def test_the_personal_page_holds_no_address(client, invitation):
    response = client.get(invitation.get_absolute_url())
    assert ADDRESS not in response.content.decode()
    assert "You are invited to rehearse a conversation" in shown(response)
    assert "The person who invited you" in shown(response)
    assert "Whoever has this link can read it too" in shown(response)
    assert "Ask the person who invited you. Once you keep it" in shown(response)


def test_it_greets_by_name_all_the_same(client, invitation):
    Invitation.objects.update(recipient_name="Rita")
    assert "Rita, you are invited to rehearse" in shown(client.get(invitation.get_absolute_url()))


@pytest.mark.parametrize(
    "state",
    [
        {"expires_at": timezone.now() - timedelta(days=1)},
        {"expires_at": timezone.now() - timedelta(days=1), "time_asked_at": timezone.now()},
        {"usage": {"input_tokens": 25_000}},
        {"linked": True},
    ],
)
def test_a_page_that_says_whom_to_write_to_shows_no_address(client, invitation, state):
    if state == {"linked": True}:
        state = {"linked_user": person("dana@example.com"), "claimed_at": timezone.now()}
    Invitation.objects.update(**state)
    response = client.get(invitation.get_absolute_url())
    assert ADDRESS not in shown(response)
    assert "the person who invited you" in shown(response)
    assert f"mailto:{ADDRESS}" in response.content.decode()


def test_a_conversation_shows_none(client, invitation):
    client.post(invitation.get_absolute_url())
    url = ConversationSession.objects.get().get_absolute_url()
    page = shown(client.get(url))
    assert ADDRESS not in page
    assert "Write to the person who invited you" in page


def test_the_mail_shows_none(invitation, mailoutbox):
    Invitation.objects.update(recipient_email="rita@example.com")
    Invitation.objects.get().send()
    (mail,) = mailoutbox
    assert mail.subject == "You are invited to rehearse: A raise"
    for part in (mail.subject, mail.body, mail.alternatives[0].content):
        assert ADDRESS not in part
    assert "The person who invited you writes:" in mail.body
    assert mail.reply_to == [ADDRESS]


def test_the_sheet_shows_none(admin_client, invitation):
    page = admin_client.get(f"/admin/invitations/invitation/{invitation.pk}/sheet/")
    assert ADDRESS not in page.content.decode()
    assert "You are invited to rehearse" in shown(page)


@pytest.mark.parametrize("full", [True, False])
def test_a_closed_group_link_shows_none(client, invitation, full):
    places = {"places": 1, "taken": 1} if full else {"places": 1}
    expiry = {} if full else {"expires_at": timezone.now() - timedelta(days=1)}
    group = GroupLink.objects.create(
        label="A class",
        quota={"tokens": 5_000},
        created_by=invitation.created_by,
        **places,
        **expiry,
    )
    response = client.get(group.get_absolute_url())
    assert response.status_code == 410
    assert ADDRESS not in shown(response)
    assert "Ask the person who invited you for" in shown(response)


def test_who_may_read_is_told_without_it(invitation):
    inviter = invitation.created_by
    assert "; the person who invited you may not." in who_may_read(inviter) or (
        "Nobody on the staff" in who_may_read(inviter)
    )
    inviter.role = "ADMIN"
    inviter.save()
    assert who_may_read(inviter).startswith("The person who invited you may read it")


def test_the_export_tells_no_address_of_theirs(invitation):
    dana = person("dana@example.com")
    Invitation.objects.update(linked_user=dana)
    (received,) = account(Belongings(dana))["invitations_received"]
    assert received["from"] == "the person who invited you"
