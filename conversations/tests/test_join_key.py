"""The key of a group's page: a button pressed twice takes one place; elsewhere it opens none."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.tests.people import person
from invitations.models import GroupLink, Invitation
from invitations.tests.racing import all_at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def group(invitation) -> GroupLink:
    """A link with three places, beside an invitation that has nothing to do with it."""
    return GroupLink.objects.create(
        label="Nursing",
        scenario=invitation.scenario,
        quota={"tokens": 25_000, "label": "Short conversation"},
        places=3,
        created_by=invitation.created_by,
    )


@pytest.fixture
def url(group) -> str:
    return group.get_absolute_url()


def taken() -> tuple[int, int]:
    """What the link counts, and what there is."""
    return GroupLink.objects.earliest("created_at").taken, places().count()


def places():
    return Invitation.objects.exclude(group=None)


def twin(browser: Client) -> Client:
    """The same browser, in a request that was sent before the first was answered."""
    other = Client()
    other.cookies["csrftoken"] = browser.cookies["csrftoken"].value
    return other


def test_a_button_pressed_twice_takes_one_place(client, url):
    key = client.get(url).context["key"]
    answers = [twin(client).post(url, {"key": key}) for _ in range(2)]
    assert len({answer["Location"] for answer in answers}) == 1
    assert taken() == (1, 1)


def test_a_copy_of_the_page_opens_nothing_in_another_browser(client, url):
    client.post(url, {"key": (key := client.get(url).context["key"])})
    other = Client(enforce_csrf_checks=True)
    token = other.get(url).context["csrf_token"]
    answer = other.post(url, {"key": key, "csrfmiddlewaretoken": str(token)})
    assert answer.status_code == 303
    assert taken() == (2, 2)
    mine, theirs = (browser.session["invitations"] for browser in (client, other))
    assert not set(mine) & set(theirs)
    assert Client().post(url, {"key": key}).status_code == 303  # without a cookie at all
    assert taken() == (3, 3)


def test_what_the_database_holds_of_a_key_opens_nothing(client, url):
    conversation = client.post(url, {"key": (key := client.get(url).context["key"])})["Location"]
    stored = places().get().place_key
    assert stored != key
    thief = Client()
    thief.get(url)
    assert thief.post(url, {"key": str(stored)})["Location"] != conversation
    assert thief.get(conversation).status_code == 404


def test_a_key_is_of_one_group_alone(client, group, url):
    GroupLink.objects.create(
        label="Another", places=1, quota={"tokens": 9}, created_by=group.created_by
    )
    other = GroupLink.objects.get(label="Another")
    key = client.get(url).context["key"]
    assert twin(client).post(url, {"key": key}).status_code == 303
    assert twin(client).post(other.get_absolute_url(), {"key": key}).status_code == 303
    assert places().count() == 2


@pytest.mark.parametrize("key", ["", "x", "0" * 40])
def test_without_a_whole_form_nothing_is_taken(client, url, key):
    response = client.post(url, {"key": key})
    assert response.status_code == 400
    assert "Start the conversation" in response.content.decode()
    assert taken() == (0, 0)


def test_after_a_new_link_the_old_page_does_not_lead_back_to_the_place(client, url):
    key = client.get(url).context["key"]
    old = client.post(url, {"key": key})["Location"]
    places().get().new_link()
    client.post(url, {"key": key})
    assert client.get(old).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_one_button_pressed_eight_times_at_once_takes_one_place(client, url):
    key = client.get(url).context["key"]
    answers = all_at_once([lambda: twin(client).post(url, {"key": key}) for _ in range(8)])
    assert {answer.status_code for answer in answers} == {303}
    assert taken() == (1, 1)


def test_two_tabs_of_one_browser_take_one_place(client, url):
    keys = {client.get(url).context["key"] for _ in range(2)}
    assert len({twin(client).post(url, {"key": key})["Location"] for key in keys}) == 1
    assert taken() == (1, 1)
    assert Client().get(url).context["key"] not in keys


def test_by_the_next_day_the_browser_is_somebody_elses(client, url, monkeypatch):
    today = client.get(url).context["key"]
    later = timezone.now() + timedelta(days=1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert client.get(url).context["key"] != today


def test_a_place_that_an_account_took_over_keeps_nobody_else_out(client, url):
    """The next person at the same browser, on the same day, without its session."""
    client.post(url, {"key": client.get(url).context["key"]})
    other = Client()
    other.force_login(person("dana@example.com"))
    other.post(places().get().get_absolute_url())
    assert places().get().linked_user
    assert twin(client).post(url, {"key": client.get(url).context["key"]}).status_code == 303
    assert taken() == (2, 2)


@pytest.mark.django_db(transaction=True)
def test_tabs_pressed_at_once_take_one_place(client, url):
    keys = [client.get(url).context["key"] for _ in range(8)]
    answers = all_at_once([lambda k=key: twin(client).post(url, {"key": k}) for key in keys])
    assert {answer.status_code for answer in answers} == {303}
    assert taken() == (1, 1)
