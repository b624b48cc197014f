"""A group's link: one page for all, a personal invitation for each, never more than its places."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.tests.people import PASSWORD, person
from config.limits import Limit
from config.logs import HideInvitationLinks
from conversations import doors
from conversations.models import ConversationSession
from invitations.models import GroupLink, Invitation

pytestmark = pytest.mark.django_db

GONE = timezone.now() - timedelta(minutes=1)


@pytest.fixture
def group(invitation) -> GroupLink:
    """A link with three places, beside an invitation that has nothing to do with it."""
    return GroupLink.objects.create(
        label="Nursing, spring term",
        scenario=invitation.scenario,
        quota={"tokens": 25_000, "label": "Short conversation"},
        places=3,
        expires_at=datetime(2099, 5, 4, 12, tzinfo=UTC),
        created_by=invitation.created_by,
    )


@pytest.fixture
def url(group) -> str:
    return group.get_absolute_url()


@pytest.fixture
def dana(db) -> User:
    return person("dana@example.com")


def text(response) -> str:
    return " ".join(response.content.decode().split())


def take(client, url, **fields):
    return client.post(url, {"key": str(uuid4())} | fields)


def places():
    return Invitation.objects.exclude(group=None)


def taken() -> tuple[int, int]:
    """What the link counts, and what there is."""
    return GroupLink.objects.get().taken, places().count()


# --- What the page says --------------------------------------------------------------------


def test_it_says_who_invites_to_what_how_long_until_when_and_how_many_may_come(client, group, url):
    group.personal_note = "See you in the seminar."
    group.save()
    page = text(client.get(url))
    for words in (
        "Sam Staff",
        "Nursing, spring term",
        "A dinner",
        "An AI plays",
        "Short conversation, about 8 exchanges",
        "Join until <time",
        "4 May 2099, 12:00 UTC",
        "you have 14 days",
        "of this site may read it",
        "3 of 3 places are left",
        "See you in the seminar.",
        "Start the conversation",
    ):
        assert words in page, words
    assert "has this link can read it" not in page
    assert "SECRET" not in page


def test_it_tells_passers_by_nobodys_address(client, group, url):
    User.objects.update(name="")
    GroupLink.objects.update(personal_note="Welcome.")
    page = text(client.get(url))
    assert "Somebody on the staff invites you to rehearse" in page
    assert "of this site may read it" in page
    assert "So that the staff know who came." in page
    assert group.created_by.email not in page


def test_it_is_for_nobody_elses_eyes(client, url):
    for response in (client.get(url), take(Client(), url), client.put(url), client.get("/join/x/")):
        assert response["Referrer-Policy"] == "no-referrer"
        assert "noindex" in response["X-Robots-Tag"]
        assert response["Cache-Control"] == "no-store"


def test_whatever_people_typed_is_only_text(client, group, url):
    nasty = "<script>alert(1)</script>"
    User.objects.update(name=nasty)
    GroupLink.objects.update(label=nasty, personal_note=nasty)
    assert "<script>alert" not in text(client.get(url))
    assert "<script>alert" not in text(client.post(url, {"key": "no", "name": nasty}))


def test_looking_changes_nothing_however_often(client, url):
    for _ in range(10):
        client.get(url)
        client.head(url)
    assert taken() == (0, 0)
    assert not Session.objects.exists()


def test_other_methods_are_refused(client, url):
    assert {client.put(url).status_code, client.delete(url).status_code} == {405}


# --- Taking a place ------------------------------------------------------------------------


def test_a_place_is_an_invitation_of_ones_own(client, group, url):
    response = take(client, url, name="  Gwen \n Guest ")
    conversation = ConversationSession.objects.get()
    place = places().get()
    assert (response.status_code, response["Location"]) == (303, conversation.get_absolute_url())
    assert conversation.invitation == place
    assert (place.group, place.scenario, place.quota) == (group, group.scenario, group.quota)
    assert (place.created_by, place.recipient_name) == (group.created_by, "Gwen Guest")
    assert place.claimed_at
    assert timedelta(days=13) < place.expires_at - timezone.now() <= timedelta(days=14)
    assert taken() == (1, 1)


def test_the_session_is_a_new_one_and_holds_no_link(client, group, url):
    client.get("/invite/opened/")
    session = client.session
    session["mine"] = 1
    session.save()
    old = session.session_key
    client.cookies["sessionid"] = old
    take(client, url)
    assert client.session.session_key != old
    assert not Session.objects.filter(pk=old).exists()
    for session in Session.objects.all():
        assert group.token not in str(session.get_decoded())
        assert places().get().token not in str(session.get_decoded())


def test_the_same_browser_comes_back_to_its_place(client, url):
    first = take(client, url)
    assert "Continue the conversation" in text(client.get(url))
    assert take(client, url)["Location"] == first["Location"]
    assert client.post(url)["Location"] == first["Location"]
    assert taken() == (1, 1)


def test_a_guest_finds_their_own_link(client, url):
    conversation = take(client, url)["Location"]
    place = places().get()
    for page in (conversation, "/", url):
        assert f"/invite/own/{place.pk}/" in text(client.get(page)), page
        assert place.token not in text(client.get(page))
    assert place.url in text(client.get(f"/invite/own/{place.pk}/"))
    assert "has this link can read it" not in text(client.get(url))


def test_an_account_needs_no_link_of_its_own(client, url, dana):
    client.force_login(dana)
    conversation = take(client, url)["Location"]
    for page in (conversation, "/", url):
        assert "/invite/own/" not in text(client.get(page)), page


def test_the_same_account_comes_back_to_its_place_from_another_browser(client, url, dana):
    client.force_login(dana)
    first = take(client, url)
    other = Client()
    other.force_login(dana)
    assert "Continue the conversation" in text(other.get(url))
    assert take(other, url)["Location"] == first["Location"]
    assert taken() == (1, 1)
    assert places().get().linked_user == dana


def test_a_guest_who_signs_in_takes_the_place_along(client, url, dana):
    first = take(client, url)
    client.force_login(dana)
    assert take(client, url)["Location"] == first["Location"]
    assert places().get().linked_user == dana
    assert taken() == (1, 1)


def test_somebody_signed_in_may_come_as_a_guest(client, url, dana):
    client.force_login(dana)
    take(client, url, action="guest")
    assert places().get().linked_user is None
    assert "_auth_user_id" not in client.session


def test_who_signed_in_elsewhere_since_the_page_came_is_asked_again(client, url, dana):
    client.force_login(dana)
    response = take(client, url, visitor="")
    assert response.status_code == 409
    assert "kept in your account" in text(response)
    assert taken() == (0, 0)


def test_after_signing_in_one_is_back_at_the_group(client, group, url, dana):
    response = client.post(url, {"action": "sign-in"})
    assert response["Location"] == "/accounts/login/?next=%2Fjoin%2Fopened%2F"
    assert taken() == (0, 0)
    client.post(
        response["Location"],
        {"login": "dana@example.com", "password": PASSWORD, "next": "/join/opened/"},
    )
    page = text(client.get("/join/opened/"))
    assert "kept in your account" in page
    assert group.token not in page
    take(client, "/join/opened/")
    assert places().get().linked_user == dana


def test_nobody_is_at_the_door_of_a_group_they_did_not_open(client, group):
    assert client.get("/join/opened/").status_code == 404


def test_without_a_scenario_the_learner_chooses(client, url):
    GroupLink.objects.update(scenario=None)
    assert "You choose" in text(client.get(url))
    assert take(client, url)["Location"] == "/scenarios/"
    assert taken() == (1, 1)


def test_a_sign_of_somebody_at_the_page_takes_no_place(client, url):
    response = take(client, url, action="opened")
    assert (response.status_code, response.content) == (204, b"")
    assert taken() == (0, 0)
    conversation = take(client, url)["Location"]
    assert take(client, url, action="opened").status_code == 204
    assert take(client, url)["Location"] == conversation
    assert taken() == (1, 1)


def test_no_sign_comes_round_the_limit_of_claims(client, url, monkeypatch):
    monkeypatch.setattr(doors, "CLAIMS", Limit("claims", 1, 3600))
    said = [take(client, url, action="opened").status_code for _ in range(7)]
    assert said == [204] * 6 + [429]


# --- What lets nobody in -------------------------------------------------------------------


def test_a_full_one_says_whom_to_ask(client, url):
    GroupLink.objects.update(taken=3)
    for response in (client.get(url), take(client, url)):
        assert response.status_code == 410
        assert "All places are taken" in text(response)
        assert "mailto:staff@example.org" in text(response)
    assert not places().exists()


def test_more_places_open_it_again(client, url):
    GroupLink.objects.update(taken=3)
    GroupLink.objects.update(places=4)
    assert take(client, url).status_code == 303


def test_an_expired_one_says_whom_to_ask(client, url):
    GroupLink.objects.update(expires_at=GONE)
    for response in (client.get(url), take(client, url)):
        assert response.status_code == 410
        assert "has expired" in text(response)
        assert "mailto:staff@example.org" in text(response)


@pytest.mark.parametrize("change", [{"taken": 3}, {"expires_at": GONE}, {"revoked_at": GONE}])
def test_who_has_a_place_keeps_it(client, url, change):
    first = take(client, url)
    GroupLink.objects.update(**change)
    assert "Continue the conversation" in text(client.get(url))
    assert client.post(url)["Location"] == first["Location"]


def test_a_withdrawn_place_is_not_replaced_by_a_new_one(client, url, dana):
    client.force_login(dana)
    take(client, url)
    places().update(revoked_at=GONE)
    assert "withdrawn" in text(client.get(url))
    assert take(client, url).status_code == 410
    assert taken() == (1, 1)


def test_to_strangers_unknown_malformed_and_revoked_look_exactly_alike(url):
    GroupLink.objects.update(revoked_at=GONE)
    answers = [
        Client().get(url),
        take(Client(), url),
        Client().get("/join/none:nothing/"),
        Client().get("/join/rubbish/"),
        Client().get("/invite/rubbish/"),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({(answer.content, str(sorted(answer.headers.items()))) for answer in answers}) == 1
    assert "Sam Staff" not in text(answers[0])


def test_they_take_the_same_queries(url, django_assert_num_queries):
    GroupLink.objects.update(revoked_at=GONE)
    for address in (url, "/join/rubbish/", "/join/none:nothing/"):
        with django_assert_num_queries(1):
            Client().get(address)


def test_no_token_of_one_kind_opens_the_other(client, group, invitation):
    assert client.get(f"/invite/{group.link}/").status_code == 404
    assert client.get(f"/join/{invitation.link}/").status_code == 404
    GroupLink.objects.update(token=invitation.token)
    assert client.get(f"/join/{invitation.link}/").status_code == 404


def test_without_a_token_against_forgery_nothing_is_taken(url):
    assert take(Client(enforce_csrf_checks=True), url).status_code == 403
    assert taken() == (0, 0)


def test_no_log_line_holds_the_link(client, group, url, caplog):
    caplog.handler.addFilter(HideInvitationLinks())
    client.put(url)
    GroupLink.objects.update(revoked_at=GONE)
    client.get(url)
    assert "/join/" in caplog.text
    assert group.token not in caplog.text


# --- All at once ---------------------------------------------------------------------------


def all_at_once(calls):
    together = threading.Barrier(len(calls))

    def one(call):
        try:
            together.wait(30)
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(one, calls))


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_on_five_places(group, url):
    GroupLink.objects.update(places=5)
    answers = all_at_once([lambda: take(Client(), url) for _ in range(20)])
    assert sorted(answer.status_code for answer in answers) == [303] * 5 + [410] * 15
    assert all("All places" in text(answer) for answer in answers if answer.status_code == 410)
    assert taken() == (5, 5)
    assert ConversationSession.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_one_account_in_eight_browsers_at_once_takes_one_place(url, dana):
    browsers = [Client() for _ in range(8)]
    for browser in browsers:
        browser.force_login(dana)
    answers = all_at_once([lambda b=browser: take(b, url) for browser in browsers])
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer["Location"] for answer in answers}) == 1
    assert taken() == (1, 1)
