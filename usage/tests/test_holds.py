"""Budgets: never overspent, settled once, the same for invitations and allowances."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Role, User
from invitations.models import Invitation
from usage.holds import (
    UNLIMITED,
    CallRecord,
    CallUsage,
    Purse,
    available,
    release,
    settle,
)
from usage.models import Allowance, UsageLog
from usage.tests.purses import hold, invite


@pytest.fixture(params=["invitation", "allowance"])
def purse(request, staff):
    """A purse of 1,000 tokens of either kind."""
    if request.param == "invitation":
        return Purse(invite(staff).pk, None)
    Allowance.objects.create(role=Role.USER, tokens=1000)
    return Purse(None, User.objects.create_user("u@example.org", role=Role.USER).pk)


def test_a_hold_takes_and_a_settlement_gives_back_the_rest(purse):
    taken = hold(purse, 600)
    assert available(purse) == 400
    assert settle(taken, CallRecord("m", CallUsage(100, 50)), user_id=purse.user_id)
    assert available(purse) == 850


def test_what_does_not_fit_is_refused_and_changes_nothing(purse):
    hold(purse, 600)
    assert hold(purse, 401) is None
    assert available(purse) == 400
    assert hold(purse, 400) is not None
    assert available(purse) == 0


def test_settling_twice_changes_nothing(purse):
    taken = hold(purse, 600)
    settle(taken, CallRecord("m", CallUsage(100, 50)), user_id=purse.user_id)
    assert not settle(taken, CallRecord("m", CallUsage(100, 50)), user_id=purse.user_id)
    assert not release(taken)
    assert available(purse) == 850
    assert UsageLog.objects.count() == 1


def test_a_released_hold_costs_nothing_and_is_not_logged(purse):
    taken = hold(purse, 600)
    assert release(taken)
    assert not settle(taken, CallRecord("m", CallUsage(100, 50)), user_id=purse.user_id)
    assert available(purse) == 1000
    assert not UsageLog.objects.exists()


def test_unknown_usage_charges_the_whole_hold(purse):
    settle(hold(purse, 600, 200), CallRecord("m", None), user_id=purse.user_id)
    assert available(purse) == 400
    log = UsageLog.objects.get()
    assert (log.input_tokens, log.output_tokens, log.is_estimate) == (400, 200, True)


@pytest.mark.parametrize("usage", [CallUsage(401, 200), CallUsage(2**40, 0)], ids=str)
def test_usage_beyond_the_hold_charges_the_hold_and_no_more(purse, usage):
    settle(hold(purse, 600, 200), CallRecord("m", usage), user_id=purse.user_id)
    assert available(purse) == 400
    log = UsageLog.objects.get()
    assert (log.input_tokens, log.output_tokens, log.is_estimate) == (400, 200, True)


def test_usage_that_takes_all_of_the_hold_is_what_was_counted(purse):
    settle(hold(purse, 600, 200), CallRecord("m", CallUsage(450, 150)), user_id=purse.user_id)
    log = UsageLog.objects.get()
    assert (log.input_tokens, log.output_tokens, log.is_estimate) == (450, 150, False)


def test_the_log_names_the_model_that_answered_and_the_payer(purse):
    record = CallRecord("other", CallUsage(9, 5, 3, 2), "end_turn", 120, 900)
    settle(hold(purse, 600), record, user_id=purse.user_id)
    log = UsageLog.objects.get()
    assert (log.model, log.stop_reason, log.first_token_ms, log.duration_ms) == (
        "other",
        "end_turn",
        120,
        900,
    )
    assert (log.cache_write_tokens, log.cache_read_tokens) == (3, 2)
    assert (log.user_id, log.invitation_id) == (purse.user_id, purse.invitation_id)


def test_whatever_a_provider_calls_itself_the_hold_is_settled(purse):
    record = CallRecord("/models/" + "m" * 200 + "\x00", CallUsage(9, 5), "stop" * 20)
    assert settle(hold(purse, 600), record, user_id=purse.user_id)
    log = UsageLog.objects.get()
    log.full_clean(exclude=["session"])
    assert (log.model[:10], log.stop_reason[:8]) == ("/models/mm", "stopstop")


def set_limit(purse, tokens):
    """As staff would in the admin."""
    if purse.invitation_id:
        quota = {"tokens": tokens, "label": ""}
        Invitation.objects.filter(pk=purse.invitation_id).update(quota=quota)
    else:
        Allowance.objects.filter(role=Role.USER).update(tokens=tokens)


def test_more_that_staff_give_holds_from_the_next_hold(purse):
    hold(purse, 1000)
    assert hold(purse, 1) is None
    set_limit(purse, 5000)
    assert hold(purse, 4000) is not None
    assert hold(purse, 1) is None


def test_less_that_staff_give_holds_from_the_next_hold_and_what_runs_is_paid(purse):
    running = hold(purse, 600)
    set_limit(purse, 500)
    assert available(purse) == 0
    assert hold(purse, 1) is None
    settle(running, CallRecord("m", CallUsage(300, 100)), user_id=purse.user_id)
    assert available(purse) == 100


@pytest.mark.parametrize(
    "closed",
    [{"revoked_at": timezone.now()}, {"expires_at": timezone.now() - timedelta(days=1)}],
    ids=["revoked", "expired"],
)
def test_a_closed_invitation_pays_for_nothing(staff, closed):
    purse = Purse(invite(staff, **closed).pk, None)
    assert available(purse) == 0
    assert hold(purse, 1) is None


@pytest.mark.parametrize(
    ("role", "left"), [(Role.GUEST, 0), (Role.USER, 200_000), (Role.ADMIN, UNLIMITED)]
)
def test_roles_have_allowances_before_staff_set_any(db, role, left):
    user = User.objects.create_user("u@example.org", role=role)
    assert available(Purse(None, user.pk)) == left


def test_an_allowance_counts_only_its_window_and_not_invitations(staff):
    Allowance.objects.create(role=Role.USER, tokens=1000, window_hours=24)
    user = User.objects.create_user("u@example.org", role=Role.USER)
    for hours, invitation_id in ((1, None), (25, None), (1, "x")):
        UsageLog.objects.create(
            user_id=user.pk,
            invitation_id=invitation_id,
            model="m",
            stream_type="partner",
            input_tokens=100,
            output_tokens=0,
            timestamp=timezone.now() - timedelta(hours=hours),
        )
    assert available(Purse(None, user.pk)) == 900


def test_a_deactivated_person_spends_nothing(db):
    user = User.objects.create_user("u@example.org", role=Role.ADMIN, is_active=False)
    assert hold(Purse(None, user.pk), 1) is None
