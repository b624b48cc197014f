"""Nothing is deleted by which a call that is under way would be charged and logged."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import IntegrityError, connection
from django.db.models import ProtectedError

from conversations.models import ConversationSession
from invitations.models import Invitation
from scenarios.models import Scenario
from usage import deleting
from usage.holds import CallRecord, CallUsage, release, settle, take_hold
from usage.models import Hold, UsageLog
from usage.tests.purses import purse_of

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["invitation", "allowance"])
def conversation(request, staff):
    """One that either kind of purse pays for."""
    purse = purse_of(request.param, staff)
    scenario = Scenario.objects.create(name="A dinner", slug="a-dinner")
    return ConversationSession.objects.create(
        scenario=scenario, invitation_id=purse.invitation_id, user_id=purse.user_id
    )


def hold_for(conversation, tokens=100):
    return take_hold(
        conversation.purse,
        bound=tokens,
        max_tokens=50,
        session_id=conversation.pk,
        stream_type="partner",
        model="m",
    )


def payer(conversation):
    return conversation.invitation or conversation.user


def by_itself(row):
    row.delete()


def with_others(row):
    type(row).objects.filter(pk=row.pk).delete()


@pytest.mark.parametrize("delete", [by_itself, with_others])
@pytest.mark.parametrize("what", [payer, lambda conversation: conversation])
def test_what_a_call_is_charged_to_stays_until_it_is_settled(conversation, what, delete):
    hold = hold_for(conversation)
    with pytest.raises(ProtectedError) as refused:
        delete(what(conversation))
    assert refused.value.protected_objects == {hold}
    assert settle(hold, CallRecord("m", CallUsage(10, 5)), user_id=conversation.user_id)
    delete(what(conversation))
    log = UsageLog.objects.get()
    assert (log.input_tokens, log.invitation_id) == (10, conversation.invitation_id)


def test_a_hold_that_was_given_back_keeps_nothing(conversation):
    release(hold_for(conversation))
    payer(conversation).delete()
    conversation.delete()
    assert not Hold.objects.exists()


def test_of_many_none_is_deleted_while_one_pays(staff):
    invitation = Invitation.objects.create(created_by=staff, quota={"tokens": 1000, "label": ""})
    other = Invitation.objects.create(created_by=staff, quota={"tokens": 1000, "label": ""})
    Hold.objects.create(
        invitation=invitation, stream_type="partner", model="m", tokens=9, max_tokens=4
    )
    with pytest.raises(ProtectedError):
        Invitation.objects.filter(created_by=staff).delete()
    assert set(Invitation.objects.all()) == {invitation, other}


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", [payer, lambda conversation: conversation])
def test_a_hold_that_is_taken_in_the_very_moment_stays(conversation, what, monkeypatch):
    there = deleting._refuse_if_held
    taken = []

    def take():
        try:
            taken.append(hold_for(conversation))
        finally:
            connection.close()

    def look_and_be_late(field, holds):
        there(field, holds)
        with ThreadPoolExecutor(1) as thread:
            thread.submit(take).result()

    release(hold_for(conversation, 1))  # for one that is closed there is something to look at
    monkeypatch.setattr(deleting, "_refuse_if_held", look_and_be_late)
    with pytest.raises(IntegrityError):
        with_others(what(conversation))
    (hold,) = taken
    assert settle(hold, CallRecord("m", CallUsage(10, 5)), user_id=None)
    assert UsageLog.objects.count() == 1
