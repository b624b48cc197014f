"""Asking the inviter for more: one mail, from who holds the invitation, until staff answer."""

import re
import smtplib
from datetime import timedelta

import pytest
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from accounts.tests.people import PASSWORD, person
from conversations.models import ConversationSession
from invitations.models import Invitation
from invitations.tests.racing import all_at_once

pytestmark = pytest.mark.django_db

STATES = {
    "time": {"expires_at": timezone.now() - timedelta(hours=1)},
    "budget": {"usage": {"input_tokens": 25_000}},
}


@pytest.fixture
def url(invitation) -> str:
    Invitation.objects.update(recipient_name="Rita", recipient_email="rita@example.com")
    return invitation.get_absolute_url()


@pytest.fixture(params=STATES)
def wish(request, invitation) -> str:
    """What to ask for on an invitation that needs it."""
    Invitation.objects.update(**STATES[request.param])
    return request.param


def text(response: HttpResponse) -> str:
    return " ".join(response.content.decode().split())


def test_a_button_mails_the_inviter_and_the_page_says_when(client, url, wish, mailoutbox):
    assert f"Ask for more {wish}" in text(client.get(url))
    assert mailoutbox == []

    response = client.post(url, {"action": wish})

    assert (response.status_code, response["Location"]) == (303, url)
    page = text(client.get(url))
    assert f"You asked Sam Staff for more {wish} on" in page
    assert f"{timezone.now():%Y, %H:}" in page
    assert f"Ask for more {wish}</button>" not in page
    [mail] = mailoutbox
    assert mail.to == ["Sam Staff <staff@example.org>"]
    assert mail.reply_to == ["Rita <rita@example.com>"]
    assert mail.subject == f"Rita asks for more {wish}: A dinner"
    assert mail.message()["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize("erased", [True, False])
def test_who_has_left_is_mailed_nothing_and_the_wish_is_kept(
    client, invitation, url, wish, mailoutbox, erased
):
    inviter = invitation.created_by
    gone = {"email": "x1@erased.invalid", "name": "Somebody who has left"} if erased else {}
    User.objects.filter(pk=inviter.pk).update(is_active=False, **gone)

    page = text(client.get(url))
    assert "Whoever invited you is not here any more." in page
    assert "</button>" not in page.partition("not here any more")[2].partition("</main>")[0]
    assert "mailto:" not in page
    client.post(url, {"action": wish})
    assert mailoutbox == []
    invitation.refresh_from_db()
    assert invitation.wishes == []

    User.objects.update(is_active=True, email="back@example.org")
    client.post(url, {"action": wish})
    assert [mail.to for mail in mailoutbox] == [[f"{name(inviter, erased)} <back@example.org>"]]


def name(inviter: User, erased: bool) -> str:
    return "Somebody who has left" if erased else inviter.name


def test_the_mail_says_where_to_answer_and_holds_no_link(client, url, invitation, wish, mailoutbox):
    client.post(url, {"action": wish})
    body = mailoutbox[0].body
    assert wish == "time" or "or too little is left for another exchange." in body
    assert f"http://localhost:8000/admin/invitations/invitation/{invitation.pk}/change/" in body
    assert "Rita (rita@example.com)" in body
    assert invitation.token not in mailoutbox[0].message().as_string()


def test_it_goes_out_once_until_staff_have_answered(client, url, invitation, wish, mailoutbox):
    for browser in (client, client, Client()):
        assert browser.post(url, {"action": wish}).status_code == 303
    assert len(mailoutbox) == 1
    invitation.refresh_from_db()
    invitation.extend(timedelta(days=1))
    invitation.add_tokens(1_000)
    assert "Start the conversation" in text(client.get(url))
    Invitation.objects.update(quota={"tokens": 25_000}, **STATES[wish])
    client.post(url, {"action": wish})
    assert len(mailoutbox) == 2


@pytest.mark.django_db(transaction=True)
def test_presses_at_once_send_one_mail(url, wish, mailoutbox):
    responses = all_at_once([lambda: Client().post(url, {"action": wish})] * 6)
    assert {response.status_code for response in responses} == {303}
    assert len(mailoutbox) == 1


def test_nothing_is_asked_without_need(client, url, mailoutbox):
    for action in STATES:
        assert client.post(url, {"action": action}).status_code == 303
        assert "Start the conversation" in text(client.get(url))
    assert mailoutbox == []


def test_a_mail_server_that_fails_leaves_it_to_ask_again(
    client, url, wish, monkeypatch, mailoutbox
):
    def refuse(self, messages):
        raise smtplib.SMTPServerDisconnected

    with monkeypatch.context() as broken:
        broken.setattr(EmailBackend, "send_messages", refuse)
        response = client.post(url, {"action": wish})

    assert response.status_code == 503
    assert "could not be sent just now" in text(response)
    assert f"Ask for more {wish}</button>" in text(client.get(url))
    client.post(url, {"action": wish})
    assert len(mailoutbox) == 1


@pytest.mark.parametrize("account", ["guest", "eve"])
def test_of_a_linked_one_only_the_account_asks(client, url, wish, account, mailoutbox):
    dana = person("dana@example.com", name="Dana")
    Invitation.objects.update(linked_user=dana, claimed_at=timezone.now())
    if account == "eve":
        client.force_login(person("eve@example.com"))

    response = client.post(url, {"action": wish})

    assert response.status_code == 409
    assert "Sign in to open this invitation" in text(response)
    assert mailoutbox == []
    client.force_login(dana)
    client.post(url, {"action": wish})
    assert mailoutbox[0].reply_to == ["Dana <dana@example.com>"]


def test_after_signing_in_one_is_back_to_ask(client, url, wish, mailoutbox):
    dana = person("dana@example.com")
    Invitation.objects.update(linked_user=dana, claimed_at=timezone.now())
    login = client.post(url, {"action": "sign-in"})["Location"]
    assert login.startswith("/accounts/login/")
    client.post(login, {"login": dana.email, "password": PASSWORD, "next": "/invite/opened/"})
    assert f"Ask for more {wish}" in text(client.get("/invite/opened/"))
    response = client.post("/invite/opened/", {"action": wish})
    assert response["Location"] == "/invite/opened/"
    assert len(mailoutbox) == 1


@pytest.mark.parametrize("action", ["time", "budget", "sign-in", "guest", "account"])
def test_to_strangers_a_revoked_link_is_an_unknown_one(url, action, mailoutbox):
    Invitation.objects.update(revoked_at=timezone.now(), **STATES["time"])
    seen = []
    for address in (url, "/invite/none:nothing/"):
        browser = Client()
        browser.force_login(person(f"p{len(seen)}@example.com"))
        with CaptureQueriesContext(connection) as queries:
            response = browser.post(address, {"action": action})
        page = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", text(response))
        seen.append((response.status_code, page, len(queries)))
    assert seen[0] == seen[1]
    assert seen[0][0] == 404
    assert mailoutbox == []


def test_a_holder_of_a_withdrawn_one_asks_for_nothing(client, url, mailoutbox):
    client.post(url)
    Invitation.objects.update(revoked_at=timezone.now(), **STATES["time"])
    assert client.post(url, {"action": "time"}).status_code == 410
    assert mailoutbox == []


def test_names_in_the_mail_add_no_header(client, url, wish, mailoutbox):
    Invitation.objects.update(recipient_name="Rita\nBcc: victim@example.com")
    client.post(url, {"action": wish})
    assert mailoutbox[0].recipients() == ["Sam Staff <staff@example.org>"]
    assert mailoutbox[0].message()["Bcc"] is None


# --- From within a conversation that lacks something ---------------------------------------


@pytest.fixture
def spent(client, url) -> str:
    """The address of a conversation whose budget has too little left for another exchange."""
    client.post(url)
    Invitation.objects.update(usage={"input_tokens": 24_000})
    return f"/conversations/{ConversationSession.objects.get().pk}/"


def test_a_conversation_without_budget_leads_to_the_button(client, spent, url, mailoutbox):
    assert f'href="{spent}more/"' in text(client.get(spent))
    page = text(client.get(f"{spent}more/"))
    assert "not enough for another exchange" in page
    assert "Read your conversation" in page
    response = client.post(f"{spent}more/", {"action": "budget"})
    assert response["Location"] == f"{spent}more/"
    assert "You asked Sam Staff for more budget" in text(client.get(f"{spent}more/"))
    assert "You asked Sam Staff for more budget" in text(client.get(url))
    assert len(mailoutbox) == 1
    assert client.post(f"{spent}more/")["Location"] == spent


def test_no_link_stands_on_that_page(client, spent, invitation):
    page = client.get(f"{spent}more/")
    assert invitation.token not in page.content.decode()
    assert page["Referrer-Policy"] == "no-referrer"


def test_with_budget_there_is_nothing_to_ask_for(client, spent, mailoutbox):
    Invitation.objects.update(usage={})
    assert "/more/" not in text(client.get(spent))
    assert "Continue the conversation" in text(client.get(f"{spent}more/"))
    client.post(f"{spent}more/", {"action": "budget"})
    assert mailoutbox == []


def test_strangers_find_no_such_page(spent, mailoutbox):
    eve = Client()
    eve.force_login(person("eve@example.com"))
    for browser in (Client(), eve):
        for response in (
            browser.get(f"{spent}more/"),
            browser.post(f"{spent}more/", {"action": "budget"}),
            browser.get("/conversations/4711/more/"),
        ):
            assert response.status_code == 404
    assert mailoutbox == []


def test_an_account_asks_for_more_time_from_its_conversation(client, url, mailoutbox):
    dana = person("dana@example.com", name="Dana")
    client.force_login(dana)
    client.post(url, {"action": "account"})
    Invitation.objects.update(**STATES["time"])
    address = f"/conversations/{ConversationSession.objects.get().pk}/"
    assert "time is over" in text(client.get(address))
    client.post(f"{address}more/", {"action": "time"})
    assert mailoutbox[0].subject.startswith("Dana asks for more time")


def test_on_an_allowance_nobody_is_asked(client, scenario):
    dana = person("dana@example.com")
    client.force_login(dana)
    own = ConversationSession.begin(scenario, user=dana, invitation=None)
    assert client.get(f"/conversations/{own.pk}/more/").status_code == 404
