"""A budget as learners read it, by the conversation's own recent exchanges."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Role
from config.tests.desk import make_conversation, make_log, make_scenario
from invitations.quota import FIRST_EXCHANGE
from usage.budgets import Budget, budget
from usage.holds import Purse, available
from usage.models import Allowance, PersonalAllowance
from usage.tests.purses import hold, invite, learner


@pytest.fixture
def conversation(staff):
    return make_conversation(make_scenario(), invitation=invite(staff, 10_000))


def exchange(conversation, tokens, spoken=100, minutes=0):
    """A partner's and a coach's call of so many tokens each, a while ago."""
    for stream in ("partner", "coach"):
        make_log(
            session=conversation,
            stream_type=stream,
            input_tokens=tokens - spoken,
            output_tokens=spoken,
            timestamp=timezone.now() - timedelta(minutes=minutes),
        )


def left(conversation, **more):
    return budget(conversation.purse, session_id=conversation.pk, **more).exchanges_left


def test_before_the_first_exchange_it_is_what_the_invitation_promises(conversation):
    assert FIRST_EXCHANGE == 2000
    assert left(conversation) == 4  # 2,000 + 2,250 + 2,500 + 2,750


def test_then_the_last_exchange_and_how_they_grew_tell(conversation):
    exchange(conversation, 500, minutes=9)
    exchange(conversation, 700, minutes=8)
    # The next costs 2 × (700 + 200), each one after it 400 more: 1,800 + 2,200 + 2,600 + 3,000.
    assert left(conversation) == 4


def test_long_ago_exchanges_tell_nothing(conversation):
    exchange(conversation, 20, spoken=1, minutes=30)
    for minutes in (9, 8, 7, 6):
        exchange(conversation, 1000, minutes=minutes)
    assert left(conversation) == 5  # 2 × 1,000, not growing


def test_other_conversations_tell_nothing(conversation):
    other = make_conversation(conversation.scenario, invitation=conversation.invitation)
    exchange(other, 4000)
    assert left(conversation) == 4


def test_an_exchange_that_could_be_cut_is_not_left(conversation):
    for minutes in (9, 8):
        exchange(conversation, 2500, minutes=minutes)
    assert left(conversation) == 2
    # Five thousand cost; five thousand and three hundred must be there for it to begin.
    assert left(conversation, longest_reply=400) == 1


def test_what_is_held_is_not_left(conversation):
    hold(conversation.purse, 9000)
    found = budget(conversation.purse, session_id=conversation.pk)
    assert (found.exchanges_left, found.percent, found.exhausted) == (0, 90, True)


@pytest.mark.parametrize(("spent", "warning"), [(7_900, False), (8_000, True), (9_999, True)])
def test_a_warning_comes_at_four_fifths(conversation, spent, warning):
    for minutes in (9, 8):
        exchange(conversation, 110, minutes=minutes)
    hold(conversation.purse, spent)
    found = budget(conversation.purse, session_id=conversation.pk)
    assert found.warning == warning


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "no exchanges left"),
        (1, "about 1 exchange left"),
        (20, "about 20 exchanges left"),
        (21, "more than 20 exchanges left"),
    ],
)
def test_it_is_told_in_words(count, words):
    assert Budget(count, 50, True, None).words == words


def test_at_the_end_it_says_whom_to_ask(staff, conversation):
    staff.name = "Sam Staff"
    staff.save()
    hold(conversation.purse, available(conversation.purse))
    ending = budget(conversation.purse, session_id=conversation.pk).ending
    assert ending.why == "This invitation’s budget is used up."
    assert "ask Sam Staff" in ending.advice
    assert ending.may_ask


def test_who_has_left_is_not_the_one_to_ask(staff, conversation):
    staff.is_active = False
    staff.save()
    hold(conversation.purse, available(conversation.purse))
    ending = budget(conversation.purse, session_id=conversation.pk).ending
    assert "ask the people who sent you to this site." in ending.advice
    assert not ending.may_ask


def test_an_allowance_of_ones_own_is_the_limit(db):
    Allowance.objects.create(role=Role.USER, tokens=1000)
    lena = learner()
    hold(Purse(None, lena.pk), 500)
    assert budget(Purse(None, lena.pk), session_id=0).percent == 50
    PersonalAllowance.objects.create(user=lena, tokens=5000)
    assert budget(Purse(None, lena.pk), session_id=0).percent == 10
    PersonalAllowance.objects.update(tokens=None)
    assert not budget(Purse(None, lena.pk), session_id=0).limited
