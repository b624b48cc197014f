"""Deleting a place of a group link frees it: once, and never for more than there are places."""

from functools import partial
from uuid import uuid4

import pytest

from accounts.models import User
from invitations.models import GroupLink, Invitation
from invitations.tests import making
from invitations.tests.racing import all_at_once

pytestmark = pytest.mark.django_db


def group(places: int = 3, **fields) -> GroupLink:
    by = User.objects.filter(is_staff=True).first() or making.staff()
    quota = {"tokens": 25_000, "label": "Short"}
    return GroupLink.objects.create(
        label="Nursing", places=places, quota=quota, created_by=by, **fields
    )


def take(link: GroupLink) -> Invitation | None:
    return link.take_place(uuid4(), user=None)


def taken() -> tuple[int, int]:
    """What the link counts, and what there is."""
    return GroupLink.objects.get().taken, Invitation.objects.count()


def test_a_deleted_place_is_free_again():
    link = group(places=1)
    place = take(link)
    assert take(link) is None
    place.delete()
    assert taken() == (0, 0)
    assert take(link)
    assert taken() == (1, 1)


def test_one_that_was_used_is_free_again_too():
    link = group(places=1)
    place = take(link)
    place.claim()
    Invitation.objects.update(usage={"input_tokens": 900})
    place.delete()
    assert take(link)


def test_deleted_twice_it_is_freed_once():
    link = group()
    place, _ = take(link), take(link)
    same = Invitation.objects.get(pk=place.pk)
    place.delete()
    same.delete()
    assert taken() == (1, 1)


def test_a_count_that_is_nought_stays_so():
    link = group()
    place = take(link)
    GroupLink.objects.update(taken=0)
    place.delete()
    assert taken() == (0, 0)


def test_an_invitation_of_no_group_frees_nothing():
    take(group())
    making.invitation().delete()
    assert taken() == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_deletions_at_once_free_each_place_once():
    link = group(places=8)
    places = [take(link) for _ in range(8)][:4]
    same = [Invitation.objects.get(pk=place.pk) for place in places]

    all_at_once([place.delete for place in [*places, *same]])

    assert taken() == (4, 4)


@pytest.mark.django_db(transaction=True)
def test_who_comes_while_places_are_deleted_gets_one_of_them_at_most():
    link = group(places=3)
    old = [take(link) for _ in range(3)]
    comers = [partial(take, GroupLink.objects.get()) for _ in range(8)]

    found = all_at_once([*comers, *(place.delete for place in old)])

    came = [one for one in found if isinstance(one, Invitation)]
    assert len(came) <= 3
    assert taken() == (len(came), len(came))
    for _ in range(3 - len(came)):
        assert take(link)
    assert take(link) is None
    assert taken() == (3, 3)
