"""A guest takes their own link along; nobody else learns of it."""

from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts.tests.people import person
from config.limits import Limit
from invitations import own_link
from invitations.models import Invitation
from invitations.tests import making
from invitations.tests.racing import all_at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def invitation() -> Invitation:
    return making.invitation(recipient_name="BUY THINGS at evil.example")


@pytest.fixture
def guest(invitation) -> Client:
    """A browser that has taken the invitation up."""
    client = Client()
    client.post(invitation.get_absolute_url())
    return client


@pytest.fixture
def url(invitation) -> str:
    return f"/invite/own/{invitation.pk}/"


def test_the_holder_sees_the_link_as_text_and_as_a_code(guest, invitation, url):
    response = guest.get(url)
    html = response.content.decode()
    assert invitation.url in html
    assert "<svg" in html
    assert response["Cache-Control"] == "no-store"
    assert "noindex" in response["X-Robots-Tag"]


def test_the_link_is_in_no_address_and_brings_another_device_to_the_same_conversation(
    guest, invitation, url
):
    assert invitation.token not in url
    other = Client()
    response = other.post(invitation.get_absolute_url())
    assert guest.get(response["Location"]).status_code == 200


def test_strangers_find_nothing(invitation, guest, url):
    assert Client().get(url).status_code == 404
    assert Client().post(url, {"email": "eve@example.org"}).status_code == 404
    signed_in = Client()
    signed_in.force_login(person("eve@example.com"))
    assert signed_in.get(url).status_code == 404
    assert mail.outbox == []


@pytest.mark.parametrize(
    "change",
    [
        {"revoked_at": timezone.now()},
        {"expires_at": timezone.now() - timedelta(minutes=1)},
        {"held_as": "another"},
    ],
)
def test_a_closed_one_gives_no_link_away(guest, url, change):
    Invitation.objects.update(**change)
    assert guest.get(url).status_code == 404


def test_one_that_an_account_took_over_gives_no_link_away(guest, url):
    Invitation.objects.update(linked_user=person("dana@example.com"))
    assert guest.get(url).status_code == 404


def test_it_is_mailed_to_the_address_that_is_typed_which_is_kept_nowhere(guest, invitation, url):
    response = guest.post(url, {"email": "me@example.org"})
    assert (response.status_code, response["Location"]) == (303, url)
    (message,) = mail.outbox
    assert message.to == ["me@example.org"]
    assert invitation.url in message.body
    assert "evil.example" not in message.body + message.subject
    assert message.message()["Auto-Submitted"] == "auto-generated"
    invitation.refresh_from_db()
    assert invitation.recipient_email == ""
    assert "Sent to me@example.org." in guest.get(url).content.decode()


def test_its_button_pressed_twice_sends_one_mail(guest, url):
    fields = {"email": "me@example.org", "page_key": guest.get(url).context["page_key"]}
    assert [guest.post(url, fields).status_code for _ in range(2)] == [303, 303]
    assert len(mail.outbox) == 1
    assert 'name="page_key"' in guest.get(url).content.decode()


@pytest.mark.parametrize("email", ["", "rubbish", "a@b.org, c@d.org", "a@b.org\nBcc: c@d.org"])
def test_what_is_no_address_is_said(guest, url, email):
    assert guest.post(url, {"email": email}).status_code == 200
    assert mail.outbox == []


def test_nobody_is_pestered(guest, url):
    for _ in range(own_link.MAILS.amount):
        guest.post(url, {"email": "me@example.org"})
    assert "Enough mails for today" in guest.post(url, {"email": "me@example.org"}).content.decode()
    assert len(mail.outbox) == own_link.MAILS.amount


@pytest.fixture
def others(invitation) -> list[Client]:
    """Browsers that hold invitations of their own, by the address of their pages."""
    clients = []
    for _ in range(4):
        client = Client()
        other = making.invitation()
        client.post(other.get_absolute_url())
        client.own = f"/invite/own/{other.pk}/"
        clients.append(client)
    return clients


def test_nobody_is_pestered_by_way_of_many_invitations_either(others):
    pages = [c.post(c.own, {"email": "ME@example.org"}) for c in others[:3]]
    assert [page.status_code for page in pages] == [303, 303, 303]
    refused = others[3].post(others[3].own, {"email": "me@example.org"})
    assert "Enough mails for today" in refused.content.decode()
    assert others[3].post(others[3].own, {"email": "her@example.org"}).status_code == 303


def test_one_network_mails_so_many_and_no_more(others, monkeypatch):
    monkeypatch.setattr(own_link, "MAILS_FROM", Limit("own-link-mails-from", 2, 3600))
    for place, client in enumerate(others):
        client.post(client.own, {"email": f"{place}@example.org"})
    assert len(mail.outbox) == 2


def test_a_mail_that_fails_leaves_the_link_to_copy(guest, url, invitation, caplog, monkeypatch):
    def refuse(*args):
        raise OSError(f"refused {invitation.url}")

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    html = guest.post(url, {"email": "me@example.org"}).content.decode()
    assert "The mail could not be sent. Copy the link instead." in html
    assert invitation.token not in caplog.text


def test_other_methods_are_refused(guest, url):
    assert guest.put(url).status_code == 405


# --- A new one -------------------------------------------------------------------------------


def replace(guest: Client, url: str) -> dict[str, str]:
    """The fields of the button that replaces the link."""
    return {"action": "replace", "page_key": guest.get(url).context["page_key"]}


def test_a_guest_replaces_the_link_and_stays_in_alone(guest, invitation, url):
    conversation = guest.post(invitation.get_absolute_url())["Location"]
    other = Client()
    other.post(invitation.get_absolute_url())

    response = guest.post(url, replace(guest, url))

    assert (response.status_code, response["Location"]) == (303, url)
    new = Invitation.objects.get()
    assert new.url in guest.get(url).content.decode()
    assert guest.get(conversation).status_code == 200
    assert other.get(conversation).status_code == 404
    assert Client().get(invitation.get_absolute_url()).status_code == 404
    third = Client()
    assert third.post(new.get_absolute_url())["Location"] == conversation
    assert mail.outbox == []


def test_pressed_twice_it_is_replaced_once(guest, url):
    fields = replace(guest, url)
    guest.post(url, fields)
    once = Invitation.objects.get().token
    assert guest.post(url, fields).status_code == 303
    assert Invitation.objects.get().token == once


@pytest.mark.django_db(transaction=True)
def test_pressed_twice_at_once_the_browser_stays_in(guest, url):
    fields = replace(guest, url)
    twins = [Client() for _ in range(2)]
    for twin in twins:
        twin.cookies = guest.cookies.copy()

    answers = all_at_once([lambda t=twin: t.post(url, fields).status_code for twin in twins])

    assert answers == [303, 303]
    assert Invitation.objects.get().url in guest.get(url).content.decode()


def test_strangers_replace_nothing(guest, invitation, url):
    assert Client().post(url, {"action": "replace"}).status_code == 404
    assert Invitation.objects.get().token == invitation.token
