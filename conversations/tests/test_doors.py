"""How many come in at once by which door; nobody is kept out by others who try again."""

from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from config import limits
from config.limits import Limit
from conversations import doors
from invitations.models import GroupLink, Invitation

pytestmark = pytest.mark.django_db

FIELDS = {"quota": {"tokens": 25_000}}


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A clock that stands still until it is moved, at a door for two a minute."""
    now = [60.0 * 1000]
    monkeypatch.setattr(limits.time, "time", lambda: now[0])
    monkeypatch.setattr(doors, "CLAIMS", Limit("claims", 2, 60))
    return now


@pytest.fixture
def group(invitation) -> GroupLink:
    return GroupLink.objects.create(
        label="A hall", places=5, created_by=invitation.created_by, **FIELDS
    )


def come(url: str, ip: str = "192.0.2.1", **fields: str):
    return Client(REMOTE_ADDR=ip).post(url, {"key": str(uuid4())} | fields)


def statuses(url: str, count: int, **fields: str) -> list[int]:
    return [come(url, **fields).status_code for _ in range(count)]


def test_all_of_a_group_come_in_from_one_address_at_once(group):
    assert statuses(group.get_absolute_url(), 5) == [303] * 5
    # Each may have pressed twice; then it is enough.
    assert statuses(group.get_absolute_url(), 6) == [410] * 5 + [429]


def test_of_personal_links_the_refused_come_in_soon_after(invitation, clock):
    urls = [
        Invitation.objects.create(created_by=invitation.created_by, **FIELDS).get_absolute_url()
        for _ in range(4)
    ]
    assert [come(url).status_code for url in urls] == [303, 303, 429, 429]
    assert [come(url).status_code for url in urls[2:] * 20] == [429] * 40
    clock[0] += 90
    assert [come(url).status_code for url in urls[2:]] == [303, 429]


def test_a_group_takes_nothing_from_other_doors_nor_from_other_networks(group, invitation):
    assert 429 in statuses(group.get_absolute_url(), 11)
    assert come(group.get_absolute_url(), ip="198.51.100.1").status_code == 410
    assert come(invitation.get_absolute_url()).status_code == 303


@pytest.mark.parametrize("change", ["revoked_at", "expires_at"])
def test_a_group_that_lets_nobody_in_has_no_room_of_its_own(group, change):
    """Or a stranger could tell one that was withdrawn from a link of nothing."""
    GroupLink.objects.update(**{change: timezone.now()})
    assert come(group.get_absolute_url()).status_code in (404, 410)
    assert come("/join/none:nothing/").status_code == 404
    assert {*statuses(group.get_absolute_url(), 2), *statuses("/join/x/", 2)} == {429}


def test_who_comes_back_from_signing_in_is_counted_with_the_group(group, client):
    client.post(group.get_absolute_url(), {"action": "sign-in"})
    said = [client.post("/join/opened/", {"key": "no"}).status_code for _ in range(10)]
    assert said == [400] * 9 + [429]


def test_the_page_blames_nobody_and_sends_again_what_was_typed(invitation):
    url = invitation.get_absolute_url()
    statuses(url, 2)
    response = come(url, name='Lee "<b>', action="start", other="x")
    page = response.content.decode()
    assert (response.status_code, response["Retry-After"]) == (429, "10")
    assert "nothing you did" in page
    assert 'name="name" value="Lee &quot;&lt;b&gt;"' in page
    assert 'name="action" value="start"' in page
    assert 'name="other"' not in page
    assert response["Referrer-Policy"] == "no-referrer"


def test_a_forged_press_takes_nothing_from_those_who_are_there(invitation):
    url = invitation.get_absolute_url()
    forger = Client(enforce_csrf_checks=True, REMOTE_ADDR="192.0.2.1")
    assert {forger.post(url).status_code for _ in range(5)} == {403}
    assert come(url).status_code == 303
