"""Stored sums equal the log, whatever happens to it and whenever they were made."""

import threading
import time
from collections import Counter
from datetime import UTC, timedelta
from functools import partial

import pytest
from django.core.management import call_command
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from config.tests.desk import make_conversation, make_log, make_scenario
from invitations.tests.racing import all_at_once
from usage import sums
from usage.costs import COUNTS
from usage.models import DayUsage, PayerUsage, ReportedDay, UsageLog, today

KEYS = ("model", "stream_type", "scenario_id", "user_id", "invitation_id")


def days_ago(days, hour=12):
    return sums.midnight(today()) - timedelta(days=days) + timedelta(hours=hour)


def counted(*keys):
    """From the log alone, what `sums.usage` gives: figures by model, day and `keys`."""
    found = Counter()
    for log in UsageLog.objects.all():
        key = (log.model, log.timestamp.astimezone(UTC).date(), *(getattr(log, k) for k in keys))
        for name in COUNTS:
            found[key, name] += getattr(log, name)
        found[key, "calls"] += 1
    return +found


def summed(*keys):
    first = sums.first_day() or today()
    found = Counter()
    for row in sums.Period(first, today()).usage("day", *keys):
        key = (row["model"], row["day"], *(row[k] for k in keys))
        for name in (*COUNTS, "calls"):
            found[key, name] += row[name]
    return +found


@pytest.mark.django_db
def test_any_change_of_the_log_is_in_the_sums():
    scenario = make_scenario()

    class Sums(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            UsageLog.objects.all().delete()

        def any_log(self, pick):
            logs = list(UsageLog.objects.order_by("pk"))
            return UsageLog.objects.filter(pk=pick.choice(logs).pk) if logs else None

        @rule(
            days=st.integers(0, 12),
            model=st.sampled_from("ab"),
            stream=st.sampled_from(["partner", "coach"]),
            user=st.sampled_from([None, "u1", "u2"]),
            tokens=st.integers(0, 9),
        )
        def call(self, days, model, stream, user, tokens):
            make_log(
                timestamp=days_ago(days),
                model=model,
                stream_type=stream,
                user_id=user,
                invitation_id=None if user else "i",
                input_tokens=10 * tokens,
                cache_read_tokens=tokens,
                session=make_conversation(scenario) if tokens % 2 else None,
                scenario_id=tokens or None,
            )

        @rule()
        def close(self):
            sums.close_days()
            assert sums.close_days() == 0

        @rule(pick=st.randoms(use_true_random=False), days=st.integers(0, 12))
        def move(self, pick, days):
            if log := self.any_log(pick):
                log.update(timestamp=days_ago(days))

        @rule(pick=st.randoms(use_true_random=False))
        def forget_a_person(self, pick):
            if log := self.any_log(pick):
                log.update(user_id=None)

        @rule(pick=st.randoms(use_true_random=False))
        def delete(self, pick):
            if log := self.any_log(pick):
                log.delete()

        @rule()
        def many_at_once(self):
            UsageLog.objects.bulk_create(
                UsageLog(
                    model="c", stream_type="aside", input_tokens=1, output_tokens=1, timestamp=t
                )
                for t in (days_ago(3), days_ago(4), days_ago(0))
            )

        @invariant()
        def what_stands_there_is_true(self):
            reported = set(ReportedDay.objects.values_list("day", flat=True))
            for kind in (DayUsage, PayerUsage):
                assert set(kind.objects.values_list("day_id", flat=True)) <= reported
                calls = Counter()
                for row in kind.objects.all():
                    calls[row.day_id] += row.calls
                for day in reported:
                    assert calls[day] == sums.calls_of(day, day).count()

        def teardown(self):
            sums.close_days()
            for keys in ((), *((key,) for key in KEYS), ("stream_type", "scenario_id")):
                assert summed(*keys) == counted(*keys), keys

    run_state_machine_as_test(
        Sums,
        settings=settings(
            max_examples=12,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.django_db
def test_a_late_call_reopens_its_day():
    make_log(timestamp=days_ago(2))
    assert sums.close_days() == 2
    make_log(timestamp=days_ago(2, hour=23))
    assert not ReportedDay.objects.filter(day=days_ago(2).date()).exists()
    assert sums.close_days() == 1
    assert DayUsage.objects.get().calls == 2


@pytest.mark.django_db
def test_a_call_of_today_reopens_nothing_and_today_is_never_closed():
    make_log(timestamp=days_ago(1))
    sums.close_days()
    make_log()
    assert ReportedDay.objects.get().day == days_ago(1).date()
    assert sums.close_days() == 0


@pytest.mark.django_db
def test_a_call_long_ago_is_no_trouble():
    make_log(timestamp=days_ago(800))
    make_log(timestamp=days_ago(1))
    assert sums.close_days() == 800
    assert DayUsage.objects.count() == 2


@pytest.mark.django_db
def test_there_is_nothing_to_close_before_the_first_call():
    assert sums.close_days() == 0
    assert sums.Period(today(), today()).usage() == []


@pytest.mark.django_db
def test_a_conversation_that_is_deleted_leaves_its_scenario_in_the_sums():
    conversation = make_conversation(make_scenario())
    make_log(session=conversation, scenario_id=7, timestamp=days_ago(1))
    sums.close_days()
    conversation.delete()
    sums.close_days()
    assert DayUsage.objects.get().scenario_id == 7


@pytest.mark.django_db
def test_migrating_again_keeps_the_triggers():
    call_command("migrate", "usage", verbosity=0)
    make_log(timestamp=days_ago(1))
    sums.close_days()
    make_log(timestamp=days_ago(1))
    assert not ReportedDay.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_calls_logged_while_days_are_closed_are_all_counted():
    make_log(timestamp=days_ago(9))

    def work(number):
        if number % 4 == 0:
            return sums.close_days()
        for day in range(1, 8):
            make_log(timestamp=days_ago(day), user_id=f"u{number}")
        return 0

    all_at_once([partial(work, number) for number in range(12)])
    sums.close_days()
    assert summed("user_id") == counted("user_id")


@pytest.mark.django_db(transaction=True)
def test_a_call_that_is_not_committed_yet_is_waited_for():
    make_log(timestamp=days_ago(1))
    logged = threading.Event()

    def log():
        with transaction.atomic():
            make_log(timestamp=days_ago(1))
            logged.set()
            time.sleep(0.3)

    def close():
        assert logged.wait(5)
        sums.close_days()

    all_at_once([log, close])
    sums.close_days()
    assert summed() == counted()
    assert DayUsage.objects.get().calls == 2


@pytest.mark.django_db
def test_days_that_nobody_asks_for_are_one_stretch_until_a_price_changes():
    for days in (1, 2, 3, 5):
        make_log(timestamp=days_ago(days))
    sums.close_days()
    first, change = days_ago(5).date(), days_ago(2).date()
    period = sums.Period(first, today())
    assert [(row["day"], row["calls"]) for row in period.usage()] == [(first, 4)]
    stretches = period.usage(changes={change, days_ago(30).date()})
    assert sorted((row["day"], row["calls"]) for row in stretches) == [(first, 2), (change, 2)]
