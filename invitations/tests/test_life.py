"""What staff and holders change in an invitation's life, alone and at once."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from invitations.models import Invitation, Status, Wish
from invitations.quota import MOST_TOKENS
from invitations.tests.making import invitation
from invitations.tests.racing import all_at_once

pytestmark = pytest.mark.django_db

SPENT = {"input_tokens": 25_000, "output_tokens": 0, "held_tokens": 0}
WEEK = timedelta(weeks=1)


def ago(**time):
    return timezone.now() - timedelta(**time)


def expired(**fields) -> Invitation:
    return invitation(expires_at=ago(days=3), **fields)


def test_an_extension_counts_from_the_expiry():
    found = invitation()
    before = found.expires_at
    assert found.extend(WEEK) == before
    found.refresh_from_db()
    assert found.expires_at == before + WEEK


def test_an_extension_of_an_expired_one_counts_from_now():
    found = expired()
    found.extend(WEEK)
    assert found.is_open
    assert timedelta(0) <= timezone.now() + WEEK - found.expires_at < timedelta(minutes=1)


@pytest.mark.parametrize("day", [20, 31])
def test_an_extension_ends_with_the_calendar(day):
    until = datetime(9999, 12, day, 12, tzinfo=UTC)
    found = invitation(expires_at=until)
    assert found.extend(timedelta(days=30)) == until
    assert found.expires_at == max(until, datetime(9999, 12, 31, tzinfo=UTC))


def test_tokens_are_added_to_the_budget_and_its_name_stays():
    found = invitation(quota={"tokens": 25_000, "label": "Short"}, usage=SPENT)
    assert found.status == Status.USED_UP
    assert found.add_tokens(5_000) == 25_000
    found.refresh_from_db()
    assert found.quota == {"tokens": 30_000, "label": "Short"}
    assert (found.usage, found.status) == (SPENT, Status.DRAFT)


def test_more_than_a_quota_holds_is_refused():
    found = invitation()
    with pytest.raises(ValidationError):
        found.add_tokens(MOST_TOKENS)
    found.refresh_from_db()
    assert found.limit == 25_000


def test_what_a_reply_spends_meanwhile_is_kept():
    stale = invitation()
    Invitation.objects.update(usage=SPENT)
    stale.add_tokens(1)
    stale.extend(WEEK)
    stale.refresh_from_db()
    assert stale.usage == SPENT


def test_opening_counts_the_first_time():
    found = invitation()
    found.open_page()
    found.refresh_from_db()
    first = found.opened_at
    assert first
    found.open_page()
    found.claim()
    assert found.opened_at == first


def test_an_opened_one_says_so_until_it_is_taken_up():
    found = invitation(sent_at=ago(days=1))
    found.open_page()
    assert found.status == Status.OPENED
    found.claim()
    assert found.status == Status.CLAIMED


def test_a_new_link_has_been_opened_by_nobody():
    found = invitation(sent_at=ago(days=1))
    old = Invitation.objects.get()
    found.open_page()
    found.new_link()
    assert (found.status, found.opened_at) == (Status.DRAFT, None)
    old.open_page()  # a page of the old link's, that was still open
    found.refresh_from_db()
    assert found.opened_at is None


def test_a_new_link_of_one_that_was_taken_up_keeps_when_it_was_opened():
    found = invitation()
    stale = Invitation.objects.get()
    found.claim()
    stale.new_link()
    assert stale.opened_at == found.claimed_at


def test_a_claim_opens():
    found = invitation()
    found.claim()
    assert found.opened_at == found.claimed_at


@pytest.mark.parametrize(
    ("wish", "fields"),
    [(Wish.TIME, {"expires_at": ago(days=1)}), (Wish.BUDGET, {"usage": SPENT})],
)
def test_a_wish_is_told_once_until_staff_answer(wish, fields):
    found = invitation(**fields)
    assert found.ask(wish)
    first = getattr(found, wish.field)
    assert not found.ask(wish)
    assert getattr(found, wish.field) == first
    found.extend(WEEK)
    found.add_tokens(1_000)
    assert getattr(found, wish.field) is None
    Invitation.objects.update(**fields)
    assert found.ask(wish)


def test_one_answer_leaves_the_other_wish_open():
    found = invitation(usage=SPENT, time_asked_at=ago(days=1), budget_asked_at=ago(days=1))
    found.extend(WEEK)
    found.refresh_from_db()
    assert found.time_asked_at is None
    assert found.budget_asked_at is not None


@pytest.mark.parametrize(
    ("wish", "fields"),
    [
        (Wish.TIME, {}),
        (Wish.TIME, {"usage": SPENT}),
        (Wish.TIME, {"expires_at": ago(days=1), "revoked_at": ago(days=1)}),
        (Wish.BUDGET, {"usage": SPENT, "expires_at": ago(days=1)}),
        (Wish.BUDGET, {"usage": SPENT, "revoked_at": ago(days=1)}),
    ],
)
def test_nobody_asks_for_what_would_not_help(wish, fields):
    found = invitation(**fields)
    assert not found.ask(wish)
    assert getattr(found, wish.field) is None


def test_a_wish_that_did_not_reach_anybody_may_be_told_again():
    found = expired()
    found.ask(Wish.TIME)
    found.unask(Wish.TIME)
    assert found.ask(Wish.TIME)


def test_taking_a_wish_back_leaves_a_later_one_alone():
    found, slow = expired(), None
    found.ask(Wish.TIME)
    slow = Invitation.objects.get()
    found.unask(Wish.TIME)
    found.ask(Wish.TIME)
    slow.unask(Wish.TIME)
    found.refresh_from_db()
    assert found.time_asked_at is not None


@pytest.mark.django_db(transaction=True)
def test_of_presses_at_once_one_asks():
    found = expired()
    presses = [lambda: Invitation.objects.get(pk=found.pk).ask(Wish.TIME)] * 8
    assert all_at_once(presses).count(True) == 1


@pytest.mark.django_db(transaction=True)
def test_changes_at_once_all_count():
    found = invitation()
    before = found.expires_at

    def change():
        mine = Invitation.objects.get(pk=found.pk)
        mine.add_tokens(100)
        mine.extend(WEEK)

    all_at_once([change] * 6)
    found.refresh_from_db()
    assert (found.limit, found.expires_at) == (25_600, before + 6 * WEEK)
