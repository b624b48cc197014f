"""The ledger under fire: any sequence of steps, and many threads, on either kind of purse."""

import threading
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from accounts.models import Role, User
from invitations.models import Invitation
from invitations.tests.racing import all_at_once
from usage.holds import CallRecord, CallUsage, Purse, available, release, settle
from usage.models import Allowance, Hold, HoldState, UsageLog
from usage.tests.purses import hold, invite, learner, purse_of

picks = st.randoms(use_true_random=False)
amounts = st.integers(1, 700)


class Ledger(RuleBasedStateMachine):
    """Holds and what becomes of them, against plain arithmetic; `Purses` are its two kinds."""

    purse: Purse
    kind: str

    def __init__(self):
        super().__init__()
        self.limit, self.spent, self.is_open = 1000, 0, True
        self.running, self.over, self.calls = [], [], 0
        # What a lowered limit finds spent already; nothing may be added to it.
        self.ceiling = 1000

    @property
    def held(self):
        return sum(hold.tokens for hold in self.running)

    @property
    def room(self):
        return max(0, self.limit - self.spent - self.held) if self.is_open else 0

    @rule(bound=amounts)
    def take(self, bound):
        fits = self.is_open and bound <= self.room
        taken = hold(self.purse, bound)
        assert (taken is not None) == fits
        if taken:
            self.running.append(taken)

    @rule(pick=picks, share=st.floats(0, 1.5), known=st.booleans())
    def settle(self, pick, share, known):
        if not self.running:
            return
        taken = self.running.pop(pick.randrange(len(self.running)))
        cost = round(taken.tokens * share)
        usage = CallUsage(cost // 2, cost - cost // 2) if known else None
        assert settle(taken, CallRecord("m", usage), user_id=self.purse.user_id)
        self.over.append(taken)
        self.spent += min(cost, taken.tokens) if known else taken.tokens
        self.calls += 1

    @rule(pick=picks)
    def give_back(self, pick):
        if self.running:
            taken = self.running.pop(pick.randrange(len(self.running)))
            assert release(taken)
            self.over.append(taken)

    @rule(pick=picks)
    def close_again(self, pick):
        if self.over:
            taken = pick.choice(self.over)
            assert not release(taken)
            assert not settle(taken, CallRecord("m", CallUsage(9, 9)), user_id=self.purse.user_id)

    @rule(limit=st.integers(1, 2000))
    def edit(self, limit):
        self.set_limit(limit)
        self.limit = limit
        self.ceiling = max(limit, self.spent + self.held)

    @rule(open_=st.booleans())
    def open_or_close(self, open_):
        self.set_open(open_)
        self.is_open = open_

    @rule(bound=amounts)
    def fail(self, bound):
        """A transaction that took a hold and came to nothing leaves nothing."""
        with transaction.atomic():
            hold(self.purse, bound)
            transaction.set_rollback(True)

    @invariant()
    def it_agrees(self):
        settled, held = self.counts()
        assert (settled, held) == (self.spent, self.held)
        assert settled + held <= self.ceiling
        assert available(self.purse) == self.room
        mine = UsageLog.objects.filter(user_id=self.purse.user_id)
        assert mine.filter(invitation_id=self.purse.invitation_id).count() == self.calls

    def counts(self):
        raise NotImplementedError

    def set_limit(self, limit):
        raise NotImplementedError

    def set_open(self, open_):
        raise NotImplementedError


class OnInvitation(Ledger):
    """Opened and closed by revoking, else by its expiry."""

    def __init__(self):
        super().__init__()
        staff, _ = User.objects.get_or_create(email="staff@example.org")
        self.purse = Purse(invite(staff).pk, None)
        self.mine = Invitation.objects.filter(pk=self.purse.invitation_id)

    def counts(self):
        row = self.mine.get()
        assert row.settled == sum(
            log.input_tokens + log.output_tokens
            for log in UsageLog.objects.filter(invitation_id=row.pk)
        )
        return row.settled, row.held

    def set_limit(self, limit):
        self.mine.update(quota={"tokens": limit, "label": ""})

    def set_open(self, open_):
        now = timezone.now()
        if open_:
            self.mine.update(revoked_at=None, expires_at=now + timedelta(days=1))
        elif self.calls % 2:
            self.mine.update(revoked_at=now)
        else:
            self.mine.update(expires_at=now - timedelta(seconds=1))


class OnAllowance(Ledger):
    """Opened and closed by deactivating; earlier weeks and invitations do not count."""

    def __init__(self):
        super().__init__()
        Hold.objects.all().delete()  # which keep whom they are charged to
        User.objects.filter(email="learner@example.org").delete()
        self.purse = purse_of("allowance", None)
        self.mine = User.objects.filter(pk=self.purse.user_id)

    def counts(self):
        settled = sum(
            log.input_tokens + log.output_tokens
            for log in UsageLog.objects.filter(user_id=self.purse.user_id)
        )
        held = Hold.objects.filter(user_id=self.purse.user_id, state=HoldState.HELD)
        return settled, sum(row.tokens for row in held)

    def set_limit(self, limit):
        Allowance.objects.filter(role=Role.USER).update(tokens=limit)

    def set_open(self, open_):
        self.mine.update(is_active=open_)


@pytest.mark.django_db
@pytest.mark.parametrize("machine", [OnInvitation, OnAllowance])
def test_any_sequence_agrees_with_plain_arithmetic(machine):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


class Sampler(threading.Thread):
    """Reads settled + held of a purse, each in one statement, for as long as it is let."""

    def __init__(self, purse):
        super().__init__()
        self.purse, self.most, self.samples, self.done = purse, 0, 0, threading.Event()

    def run(self):
        try:
            while not self.done.is_set():
                self.most = max(self.most, self.sample())
                self.samples += 1
        finally:
            connection.close()

    def sample(self):
        if self.purse.invitation_id:
            row = Invitation.objects.get(pk=self.purse.invitation_id)
            return row.settled + row.held
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT (SELECT COALESCE(SUM(input_tokens + output_tokens), 0) FROM usage_usagelog"
                " WHERE user_id = %s) + (SELECT COALESCE(SUM(tokens), 0) FROM usage_hold"
                " WHERE user_id = %s AND state = 'held')",
                [self.purse.user_id] * 2,
            )
            return cursor.fetchone()[0]


@pytest.mark.parametrize("kind", ["invitation", "allowance"])
@pytest.mark.django_db(transaction=True)
def test_fifty_at_once_against_a_budget_for_ten(kind):
    staff = User.objects.create_user("staff@example.org", role=Role.ADMIN)
    purse = purse_of(kind, staff)
    sampler = Sampler(purse)
    sampler.start()
    taken = all_at_once([lambda: hold(purse, 100)] * 50)
    assert len([hold for hold in taken if hold]) == 10

    def turn(number):
        """Settle what was held at half of it, whatever the count, and try for more."""
        if taken[number]:
            usage = CallUsage(40, 10) if number % 3 else None
            settle(taken[number], CallRecord("m", usage), user_id=purse.user_id)
        again = hold(purse, 100)
        if again and number % 2:
            release(again)
        elif again:
            settle(again, CallRecord("m", None), user_id=purse.user_id)

    all_at_once([partial(turn, number) for number in range(50)])
    sampler.done.set()
    sampler.join()
    assert 0 < sampler.most <= 1000
    assert sampler.samples > 10
    assert not Hold.objects.held().exists()
    logged = sum(log.input_tokens + log.output_tokens for log in UsageLog.objects.all())
    assert available(purse) == 1000 - logged


@pytest.mark.django_db(transaction=True)
def test_one_hold_is_settled_by_one_of_many():
    staff = User.objects.create_user("staff@example.org", role=Role.ADMIN)
    purse = purse_of("invitation", staff)
    taken = hold(purse, 600)
    usage = CallRecord("m", CallUsage(100, 50))
    won = all_at_once([lambda: settle(taken, usage, user_id=None), lambda: release(taken)] * 4)
    assert sum(won) == 1
    assert available(purse) in (850, 1000)
    assert UsageLog.objects.count() == (available(purse) == 850)


@pytest.mark.django_db(transaction=True)
def test_what_is_settled_while_an_allowance_is_counted_is_not_missed():
    """Between two statements a call may move from the holds to the log: it is in one of them."""
    Allowance.objects.create(role=Role.USER, tokens=1000)
    purse = Purse(None, learner().pk)
    running = hold(purse, 600)
    seen = []

    def settle_elsewhere():
        try:
            settle(running, CallRecord("m", None), user_id=purse.user_id)
        finally:
            connection.close()

    def between(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if "usage_usagelog" in sql or "usage_hold" in sql:
            seen.append(sql)
            if len(seen) == 1:
                thread = threading.Thread(target=settle_elsewhere)
                thread.start()
                thread.join()
        return result

    with connection.execute_wrapper(between):
        assert available(purse) == 400
    assert seen


@pytest.mark.django_db(transaction=True)
def test_an_edit_and_holds_at_once_never_pass_the_higher_limit():
    staff = User.objects.create_user("staff@example.org", role=Role.ADMIN)
    invitation = invite(staff, 500)
    purse = Purse(invitation.pk, None)

    def work(number):
        if number == 5:
            Invitation.objects.filter(pk=invitation.pk).update(quota={"tokens": 1000, "label": ""})
            return None
        return hold(purse, 100)

    taken = [row for row in all_at_once([partial(work, number) for number in range(20)]) if row]
    invitation.refresh_from_db()
    assert invitation.held == 100 * len(taken)
    assert 5 <= len(taken) <= 10


def test_a_purse_that_is_gone_holds_nothing(db):
    assert hold(Purse("gone", None), 1) is None
    assert hold(Purse(None, "gone"), 1) is None
    assert available(Purse(None, "gone")) == 0
