"""Budgets: never overspent, settled once, the same for invitations and allowances."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

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
    take_hold,
)
from usage.models import Allowance, Hold, UsageLog


@pytest.fixture
def staff(db):
    return User.objects.create_user("staff@example.org", role=Role.ADMIN)


def invite(staff, tokens=1000, **fields):
    return Invitation.objects.create(
        created_by=staff, quota={"tokens": tokens, "label": ""}, **fields
    )


def hold(purse, bound, max_tokens=10):
    return take_hold(
        purse,
        bound=bound,
        max_tokens=max_tokens,
        session_id=None,
        stream_type="partner",
        model="m",
    )


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


def test_a_staff_edit_of_a_quota_holds_from_the_next_hold(staff):
    invitation = invite(staff)
    invitation.quota = {"tokens": 5000, "label": ""}
    invitation.save()
    assert available(Purse(invitation.pk, None)) == 5000


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


@pytest.mark.parametrize("kind", ["invitation", "allowance"])
@pytest.mark.django_db(transaction=True)
def test_many_at_once_never_pass_the_limit(kind):
    staff = User.objects.create_user("staff@example.org", role=Role.ADMIN)
    if kind == "invitation":
        purse = Purse(invite(staff).pk, None)
    else:
        Allowance.objects.create(role=Role.USER, tokens=1000)
        purse = Purse(None, User.objects.create_user("u@example.org", role=Role.USER).pk)
    taken = []

    def work():
        try:
            taken.append(hold(purse, 100))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([t for t in taken if t]) == 10
    assert available(purse) == 0


@pytest.mark.django_db
def test_the_ledger_agrees_with_a_model_of_it(staff):
    """Any sequence of holds, settlements and releases, against plain arithmetic."""

    class Ledger(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.purse = Purse(invite(staff).pk, None)
            self.open: list[Hold] = []
            self.spent = 0

        @rule(bound=st.integers(1, 600))
        def take(self, bound):
            room = 1000 - self.spent - sum(h.tokens for h in self.open)
            taken = hold(self.purse, bound, max_tokens=1)
            assert (taken is not None) == (bound <= room)
            if taken:
                self.open.append(taken)

        @rule(pick=st.randoms(use_true_random=False), share=st.floats(0, 1), known=st.booleans())
        def close(self, pick, share, known):
            if not self.open:
                return
            taken = self.open.pop(pick.randrange(len(self.open)))
            cost = round(taken.tokens * share)
            usage = CallUsage(cost, 0) if known else None
            assert settle(taken, CallRecord("m", usage), user_id=None)
            assert not settle(taken, CallRecord("m", usage), user_id=None)
            self.spent += cost if known else taken.tokens

        @rule(pick=st.randoms(use_true_random=False))
        def give_back(self, pick):
            if self.open:
                assert release(self.open.pop(pick.randrange(len(self.open))))

        @invariant()
        def nothing_is_overspent(self):
            invitation = Invitation.objects.get(pk=self.purse.invitation_id)
            assert invitation.settled == self.spent
            assert invitation.held == sum(h.tokens for h in self.open)
            assert invitation.settled + invitation.held <= invitation.limit

    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=15,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
