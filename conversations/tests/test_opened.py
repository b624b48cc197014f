"""When an invitation counts as opened: by a person at its page, never by whoever loads it."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts.tests.people import person
from config.limits import Limit
from conversations import doors
from conversations.models import ConversationSession
from invitations.models import Invitation, Status
from invitations.tests.racing import all_at_once

pytestmark = pytest.mark.django_db
SIGN = {"action": "opened"}
LONG_AGO = timezone.now() - timedelta(days=1)


@pytest.fixture(autouse=True)
def _plain_ground(settings):
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    cache.clear()


@pytest.fixture
def url(invitation) -> str:
    return invitation.get_absolute_url()


def opened() -> bool:
    return Invitation.objects.get().opened_at is not None


def test_a_person_at_the_page_opens_it_and_changes_nothing_else(client, invitation, url):
    before = Invitation.objects.values().get()
    response = client.post(url, SIGN)
    after = Invitation.objects.values().get()
    assert (response.status_code, response.content) == (204, b"")
    assert response["Cache-Control"] == "no-store"
    assert Invitation.objects.get().status == Status.OPENED
    assert {name for name in after if after[name] != before[name]} == {"opened_at"}
    assert not ConversationSession.objects.exists()
    assert "sessionid" not in client.cookies


def test_only_the_first_time_counts(client, url):
    Invitation.objects.update(opened_at=LONG_AGO)
    assert client.post(url, SIGN).status_code == 204
    assert Invitation.objects.get().opened_at == LONG_AGO


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_counts(url):
    def sign():
        Client().post(url, SIGN)
        return Invitation.objects.get().opened_at

    (moment,) = set(all_at_once([sign] * 8))
    assert moment is not None


def test_the_page_asks_for_a_sign_until_there_is_one(client, url):
    page = client.get(url).content.decode()
    assert "js/opened.js" in page
    assert "data-unopened" in page
    client.post(url, SIGN)
    page = client.get(url).content.decode()
    assert "opened.js" not in page
    assert "data-unopened" not in page


@pytest.mark.parametrize("action", ["start", "sign-in", "account", "guest", "budget", ""])
def test_every_button_says_it_too_so_that_no_script_is_needed(client, url, action):
    client.post(url, {"action": action})
    assert opened()


def test_so_does_a_button_that_comes_to_nothing(client, url):
    Invitation.objects.update(expires_at=LONG_AGO)
    assert client.post(url, {"action": "time"}).status_code == 303
    assert opened()


def test_a_forged_sign_is_refused(url):
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(url, SIGN).status_code == 403
    strict.get(url)
    token = strict.cookies["csrftoken"].value
    elsewhere = {"HTTP_ORIGIN": "https://evil.example", "headers": {"Sec-Fetch-Site": "cross-site"}}
    forged = strict.post(url, {**SIGN, "csrfmiddlewaretoken": token}, **elsewhere)
    assert forged.status_code == 403
    assert not opened()
    assert strict.post(url, {**SIGN, "csrfmiddlewaretoken": token}).status_code == 204


def test_signs_are_limited_and_take_nothing_from_claims(client, url, monkeypatch):
    monkeypatch.setattr(doors, "SIGNS", Limit("signs", 1, 3600))
    assert client.post(url, SIGN).status_code == 204
    assert client.post(url, SIGN).status_code == 429
    assert client.post(url).status_code == 303


@pytest.mark.parametrize("state", ["revoked", "unknown"])
def test_what_is_closed_to_a_stranger_is_opened_by_none(client, url, state):
    if state == "revoked":
        Invitation.objects.update(revoked_at=LONG_AGO)
    else:
        url = "/invite/none:nothing/"
    assert client.post(url, SIGN).status_code == 404
    assert not opened()


def test_the_inviter_who_looks_at_it_does_not_open_it(client, invitation, url):
    client.force_login(invitation.created_by)
    assert client.post(url, SIGN).status_code == 204
    assert not opened()
    client.force_login(person("dana@example.com"))
    client.post(url, SIGN)
    assert opened()


def test_nor_does_anybody_else_of_the_staff(client, url):
    client.force_login(person("other@example.org", is_staff=True))
    assert client.post(url, SIGN).status_code == 204
    assert not opened()


def test_staff_whom_it_was_sent_to_open_it(client, invitation, url):
    Invitation.objects.update(recipient_email="Other@example.org")
    client.force_login(person("other@example.org", is_staff=True))
    client.post(url, SIGN)
    assert opened()
