"""Who gets an invitation, one after the other and all at once."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore

from accounts.tests.people import person
from invitations import claims
from invitations.models import Invitation
from invitations.tests.making import invitation
from invitations.tests.racing import all_at_once


def visit(rf, user=None):
    request = rf.post("/")
    request.session = SessionStore()
    request.session.create()
    request.user = user or AnonymousUser()
    return request


@pytest.mark.django_db
def test_a_guest_claims_for_this_browser(rf):
    found, request = invitation(), visit(rf)
    old_key = request.session.session_key
    assert claims.claim(request, found)
    assert found.claimed_at
    assert found.linked_user is None
    assert claims.held_invitations(request.session) == [found.held_as]
    assert request.session.session_key != old_key
    assert not SessionStore().exists(old_key)


@pytest.mark.django_db
def test_whoever_has_the_link_claims_again_on_another_device(rf):
    found = invitation()
    assert claims.claim(visit(rf), found)
    first = found.claimed_at
    assert claims.claim(visit(rf), found)
    assert found.claimed_at == first


@pytest.mark.django_db
def test_an_account_takes_it_over_and_shuts_out_guests_and_other_accounts(rf):
    found, dana, eve = invitation(), person(), person("eve@example.com")
    guest = visit(rf)
    claims.claim(guest, found)
    assert claims.claim(visit(rf, dana), found)
    assert found.linked_user == dana
    assert claims.claim(visit(rf, dana), found)
    request = visit(rf, eve)
    assert not claims.claim(request, found)
    assert claims.held_invitations(request.session) == []
    assert not claims.claim(visit(rf), found)
    assert not claims.is_holder(guest, found)


@pytest.mark.django_db
def test_a_new_link_ends_what_browsers_held_by_the_old_one(rf):
    found = invitation()
    guest, waiting = visit(rf), visit(rf)
    claims.claim(guest, found)
    claims.wait_at_the_door(waiting.session, found)
    found.new_link()
    assert not claims.is_holder(guest, found)
    assert claims.at_the_door(waiting.session) is None
    claims.claim(guest, found)
    assert claims.is_holder(guest, found)


@pytest.mark.django_db
def test_a_new_link_leaves_the_account_that_took_it_over(rf):
    found, dana = invitation(), person()
    claims.claim(visit(rf, dana), found)
    found.new_link()
    assert claims.is_holder(visit(rf, dana), found)


@pytest.mark.django_db
def test_nobody_claims_what_is_revoked_meanwhile(rf):
    found = invitation()
    Invitation.objects.get(pk=found.pk).revoke()
    request = visit(rf)
    assert not claims.claim(request, found)
    assert claims.held_invitations(request.session) == []


@pytest.mark.django_db
def test_a_browser_holds_each_invitation_once_and_not_endlessly_many(rf):
    request, found = visit(rf), invitation()
    claims.claim(request, found)
    claims.claim(request, found)
    assert claims.held_invitations(request.session) == [found.held_as]
    request.session[claims.HELD] = [str(number) for number in range(claims.MOST_HELD)]
    claims.claim(request, found)
    assert len(claims.held_invitations(request.session)) == claims.MOST_HELD
    assert claims.held_invitations(request.session)[-1] == found.held_as


def test_no_session_holds_nothing():
    assert claims.held_invitations(None) == []
    assert claims.held_invitations({}) == []


@pytest.mark.django_db(transaction=True)
def test_of_twenty_accounts_at_once_one_wins():
    found = invitation()
    people = [person(f"p{number}@example.com") for number in range(20)]
    tries = [lambda user=user: Invitation.objects.get(pk=found.pk).claim(user) for user in people]
    won = all_at_once(tries)
    assert won.count(True) == 1
    found.refresh_from_db()
    assert found.linked_user == people[won.index(True)]
