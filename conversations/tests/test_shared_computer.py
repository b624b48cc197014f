"""A browser that others use too: the next person gets nothing of the one before."""

from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from accounts.models import User
from accounts.tests.people import person
from conversations.audit import SIGNED_OUT, Pass, expired
from conversations.models import ConversationSession
from invitations.models import GroupLink, Invitation

pytestmark = pytest.mark.django_db

FIELDS = {"quota": {"tokens": 25_000}, "places": 3}


@pytest.fixture
def group(invitation) -> GroupLink:
    return GroupLink.objects.create(
        label="Nursing", scenario=invitation.scenario, created_by=invitation.created_by, **FIELDS
    )


@pytest.fixture
def url(group) -> str:
    return group.get_absolute_url()


@pytest.fixture
def first(client, url) -> str:
    """The page of the conversation of somebody who has a place, as a guest."""
    return join(client, url, name="First Student")


@pytest.fixture
def dana(db) -> User:
    return person("dana@example.com")


def text(response) -> str:
    return " ".join(response.content.decode().split())


def join(client, url, **fields) -> str:
    key = client.get(f"{url}?another" if "another" in fields else url).context["key"]
    response = client.post(url, {"key": key} | fields)
    assert response.status_code == 303, text(response)
    return response["Location"]


def held_by_no_session() -> bool:
    return not any("invitations" in one.get_decoded() for one in Session.objects.all())


# --- Not you? Join as somebody else --------------------------------------------------------


def test_the_page_of_a_place_asks_whether_it_is_theirs(client, url, first):
    assert f'href="{url}?another"' in text(client.get(url))
    page = text(client.get(f"{url}?another"))
    assert "closes here what the person before you said" in page
    assert "Your name (if you like)" in page
    assert "First Student" not in page


def test_looking_at_that_changes_nothing(client, url, first):
    before = list(Session.objects.values()), list(Invitation.objects.values())
    client.get(f"{url}?another")
    assert before == (list(Session.objects.values()), list(Invitation.objects.values()))
    assert client.get(first).status_code == 200


def test_who_has_no_place_is_asked_nothing(client, url):
    assert "?another" not in text(client.get(url))
    assert "person before you" not in text(client.get(f"{url}?another"))


def test_somebody_else_gets_a_place_of_their_own_and_the_first_is_forgotten(client, url, first):
    old = client.session.session_key
    second = join(client, url, another="yes", name="Second Student")
    assert second != first
    assert client.get(second).status_code == 200
    assert client.get(first).status_code == 404
    assert first not in text(client.get("/"))
    assert client.session.session_key != old
    assert not Session.objects.filter(pk=old).exists()
    names = Invitation.objects.filter(group__isnull=False).order_by("created_at")
    assert [place.recipient_name for place in names] == ["First Student", "Second Student"]


def test_pressed_twice_it_takes_one_place(client, url, first):
    key = client.get(f"{url}?another").context["key"]
    twin = Client()
    twin.cookies.load({name: morsel.value for name, morsel in client.cookies.items()})
    posted = {"key": key, "another": "yes"}
    places = [browser.post(url, posted)["Location"] for browser in (client, twin)]
    assert len(set(places)) == 1
    assert GroupLink.objects.get().taken == 2


def test_who_was_signed_in_is_signed_out_by_it(client, url, dana):
    client.force_login(dana)
    first = join(client, url)
    page = text(client.get(f"{url}?another"))
    assert "signs dana@example.com out" in page
    join(client, url, another="yes", visitor=dana.pk)
    assert "_auth_user_id" not in client.session
    assert ConversationSession.objects.filter(user=None).count() == 1
    assert client.get(first).status_code == 404


def test_the_old_page_of_the_first_leads_nobody_back(client, url):
    key = client.get(url).context["key"]
    first = client.post(url, {"key": key})["Location"]
    join(client, url, another="yes")
    del client.cookies["sessionid"]
    assert client.post(url, {"key": client.get(url).context["key"]})["Location"] != first
    assert client.post(url, {"key": key})["Location"] != first


def test_without_a_place_left_it_says_so_and_forgets_nothing(client, url, first):
    GroupLink.objects.update(places=1)
    assert client.get(f"{url}?another").status_code == 410
    response = client.post(url, {"key": uuid4(), "another": "yes"})
    assert response.status_code == 410
    assert client.get(first).status_code == 200


def test_a_form_that_is_not_whole_forgets_nothing(client, url, first):
    assert client.post(url, {"key": "no", "another": "yes"}).status_code == 400
    assert client.get(first).status_code == 200


# --- Leave this browser --------------------------------------------------------------------


def test_a_guest_finds_the_way_out(client, url, first):
    for page in (first, "/", url):
        assert "/invite/leave/" in text(client.get(page)), page
    page = text(client.get("/invite/leave/"))
    assert "A dinner" in page
    assert "First Student" in page
    assert "Only your own link opens it again" in page
    place = Invitation.objects.exclude(group=None).get()
    assert f"/invite/own/{place.pk}/" in page
    assert place.token not in page


def test_it_forgets_all_and_closes_the_sockets(client, url, first):
    key = client.session.session_key
    opened = Pass(ConversationSession.objects.get().pk, key, None)
    assert expired([opened]) == {}
    response = client.post("/invite/leave/")
    assert (response.status_code, response["Location"]) == (303, "/")
    assert "has forgotten your invitations" in text(client.get("/"))
    assert client.get(first).status_code == 404
    assert expired([opened]) == {opened: SIGNED_OUT}
    assert held_by_no_session()


def test_the_next_person_at_the_browser_takes_a_place_of_their_own(client, url, first):
    client.post("/invite/leave/")
    assert "Continue" not in text(client.get(url))
    assert join(client, url) != first


def test_the_link_opens_it_again(client, invitation):
    address = client.post(invitation.get_absolute_url())["Location"]
    assert "The link that was sent to you opens it again" in text(client.get("/invite/leave/"))
    client.post("/invite/leave/")
    assert client.get(address).status_code == 404
    assert client.post(invitation.get_absolute_url())["Location"] == address


def test_who_is_signed_in_stays_so(client, url, first, dana):
    client.force_login(dana)
    client.post("/invite/leave/")
    assert client.get(first).status_code == 404
    assert client.session["_auth_user_id"] == dana.pk
    assert held_by_no_session()


def test_looking_at_the_way_out_leaves_nothing(client, first):
    client.get("/invite/leave/")
    client.head("/invite/leave/")
    assert client.get(first).status_code == 200


def test_where_nothing_is_held_it_says_so():
    assert "There is nothing to leave" in text(Client().get("/invite/leave/"))
    assert Client().post("/invite/leave/").status_code == 303
    assert Client().put("/invite/leave/").status_code == 405
    assert Client(enforce_csrf_checks=True).post("/invite/leave/").status_code == 403
