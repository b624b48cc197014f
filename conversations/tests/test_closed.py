"""A guest's conversation whose invitation is over or withdrawn: why, and what to do next."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.tests.people import person
from conversations.models import ConversationSession
from invitations.models import Invitation

pytestmark = pytest.mark.django_db

GONE = timezone.now() - timedelta(minutes=1)
PAGES = ("", "debrief/", "transcript.txt")


@pytest.fixture
def url(guest, conversation) -> str:
    return conversation.get_absolute_url()


@pytest.fixture(params=["expired", "revoked"])
def closed(request, url) -> str:
    field = {"expired": "expires_at", "revoked": "revoked_at"}[request.param]
    Invitation.objects.update(**{field: GONE})
    return request.param


WORDS = {"expired": "This invitation has expired", "revoked": "This invitation was withdrawn"}


def text(response) -> str:
    return " ".join(response.content.decode().split())


@pytest.mark.parametrize("page", PAGES)
def test_its_holder_reads_why_in_place_of_what_was_there(guest, url, closed, page):
    response = guest.get(f"{url}{page}", follow=True)
    assert response.redirect_chain == [(f"{url}more/", 303)]
    assert response.status_code == 410
    assert WORDS[closed] in text(response)
    assert "mailto:staff@example.org" in text(response)
    assert "Uncle Ray" not in text(response)


def test_what_they_still_send_is_not_taken(guest, url, closed):
    response = guest.post(url, {"action": "send", "text": "Hello"})
    assert (response.status_code, response["Location"]) == (303, f"{url}more/")
    assert not ConversationSession.objects.get().messages.exists()


@pytest.mark.parametrize("page", [*PAGES, "more/"])
def test_strangers_and_other_accounts_find_nothing(url, closed, page):
    other = Client()
    other.force_login(person("dana@example.com"))
    for client in (Client(), other):
        assert client.get(f"{url}{page}").status_code == 404
        assert WORDS[closed] not in text(client.get("/"))


def test_they_ask_for_more_time_there_and_go_on_once_they_have_it(guest, url, mailoutbox):
    Invitation.objects.update(expires_at=GONE)
    assert "Ask for more time" in text(guest.get(f"{url}more/"))
    for _ in range(2):
        assert guest.post(f"{url}more/", {"action": "time"})["Location"] == f"{url}more/"
    assert [mail.to for mail in mailoutbox] == [["Sam Staff <staff@example.org>"]]
    assert "You asked Sam Staff for more time on" in text(guest.get(f"{url}more/"))
    Invitation.objects.update(expires_at=timezone.now() + timedelta(days=1))
    assert guest.get(url).status_code == 200
    assert "Continue the conversation" in text(guest.get(f"{url}more/"))
    assert guest.post(f"{url}more/")["Location"] == url


@pytest.mark.parametrize("page", ["/", "/conversations/"])
def test_it_stands_in_their_lists_and_leads_there(guest, url, closed, page):
    shown = text(guest.get(page))
    assert f'href="{url}more/"' in shown
    assert "See why" in shown
    assert f'href="{url}"' not in shown


@pytest.mark.parametrize("page", ["/", "/conversations/"])
def test_what_is_open_stands_there_once(guest, url, page):
    shown = text(guest.get(page))
    assert shown.count(f'href="{url}"') == 1
    assert "See why" not in shown


def test_a_new_link_leaves_the_old_browser_with_nothing(guest, url, closed, invitation):
    Invitation.objects.get().new_link()
    assert guest.get(url).status_code == 404
    assert guest.get(f"{url}more/").status_code == 404
    assert "See why" not in text(guest.get("/"))


def test_what_an_account_took_over_says_whose_it_is(guest, url, closed):
    dana = person("dana@example.com")
    Invitation.objects.update(linked_user=dana)
    ConversationSession.objects.update(user=dana)
    for page in PAGES:
        assert guest.get(f"{url}{page}").status_code == 403
    assert guest.get(f"{url}more/").status_code == 404
