"""Whether a call may be under way: noted for many at once, for rows that are ours alone."""

import asyncio
import threading

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from conversations import leases, marks
from conversations.marks import Together
from conversations.models import PROCESS, ConversationSession, MessageStatus
from invitations.tests.racing import all_at_once


@pytest.fixture
def streaming(scenario, invitation):
    """Ids of replies that run, each in a conversation of its own."""
    return [
        ConversationSession.begin(scenario, user=None, invitation=invitation)
        .messages.create(
            role="partner",
            status=MessageStatus.STREAMING,
            lease_owner=PROCESS,
            lease_expires_at=timezone.now(),
        )
        .pk
        for _ in range(4)
    ]


def waiting():
    return set(leases.Message.objects.exclude(waiting_since=None).values_list("pk", flat=True))


def test_many_are_marked_and_the_marks_taken_back(streaming):
    assert marks.await_calls(streaming[:3]) == set(streaming[:3]) == waiting()
    assert marks.begin_calls(streaming[1:]) == set(streaming[1:])
    assert waiting() == {streaming[0]}


@pytest.mark.parametrize(
    "gone",
    [
        {"lease_owner": "other"},
        {"status": MessageStatus.INTERRUPTED, "lease_expires_at": None, "lease_owner": ""},
    ],
    ids=["somebody else's", "ended"],
)
@pytest.mark.parametrize("mark", [marks.begin_calls, marks.await_calls])
def test_rows_that_are_not_ours_are_left_alone(streaming, gone, mark):
    then = timezone.now()
    rows = leases.Message.objects.filter(pk=streaming[0])
    rows.update(waiting_since=then, **gone)
    assert mark(streaming[:2]) == {streaming[1]}
    assert rows.get().waiting_since == then


@pytest.mark.django_db(transaction=True)
def test_checkpoints_and_marks_of_the_same_rows_do_not_wait_for_each_other(streaming):
    def work(number):
        order = streaming if number % 2 else streaming[::-1]
        for _ in range(8):
            if number % 4 < 2:
                leases.checkpoint(dict.fromkeys(order, "text"))
            else:
                assert marks.begin_calls(order) == set(streaming)

    all_at_once([lambda n=n: work(n) for n in range(8)])


@pytest.mark.skipif(connection.vendor != "postgresql", reason="rows are locked by PostgreSQL")
@pytest.mark.django_db(transaction=True)
def test_a_take_over_in_the_same_moment_lets_one_of_both_happen(streaming):
    """A call is made and its hold charged, or it is not made."""
    for pk in streaming:
        leases.Message.objects.filter(pk=pk).update(
            waiting_since=timezone.now(), stop_requested_at=timezone.now()
        )
        called, _ = all_at_once([lambda pk=pk: marks.begin_calls([pk]), lambda pk=pk: take(pk)])
        assert (pk in waiting()) == (not called)


def take(pk):
    leases.Message.objects.filter(pk=pk).update(lease_expires_at=timezone.now())
    return leases.take_over(pk)


async def gather(together, replies):
    return await asyncio.gather(*map(together.do, replies), return_exceptions=True)


async def test_all_that_ask_in_one_moment_are_done_at_once():
    asked = []

    def work(ids):
        asked.append(ids)
        return set(ids) - {2}

    together = Together(work)
    assert await gather(together, [3, 2, 1]) == [True, False, True]
    assert await together.do(4)
    assert asked == [[1, 2, 3], [4]]


async def test_those_that_ask_while_one_is_under_way_go_together_next():
    asked, go = [], threading.Event()

    def work(ids):
        asked.append(ids)
        go.wait(5)
        return set(ids)

    together = Together(work)
    first = asyncio.create_task(together.do(1))
    while not asked:
        await asyncio.sleep(0.001)
    rest = asyncio.create_task(gather(together, [2, 3, 4]))
    await asyncio.sleep(0.01)
    assert asked == [[1]]
    go.set()
    assert (await first, await rest) == (True, [True] * 3)
    assert asked == [[1], [2, 3, 4]]


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite's writers wait for each other")
async def test_one_that_takes_long_does_not_hold_up_the_others(monkeypatch):
    monkeypatch.setattr(marks, "SLOW", 0.02)
    begun, go = threading.Event(), threading.Event()

    def work(ids):
        begun.set()
        return set(ids) if ids != [1] or go.wait(5) else set()

    together = Together(work)
    slow = asyncio.create_task(together.do(1))
    while not begun.is_set():
        await asyncio.sleep(0.001)
    assert await together.do(2)
    assert not slow.done()
    go.set()
    assert await slow


async def test_everybody_hears_of_a_failure_and_the_next_are_done_all_the_same():
    def work(ids):
        if 1 in ids:
            raise OperationalError
        return set(ids)

    together = Together(work)
    failures = await gather(together, [1, 2])
    assert [type(failure) for failure in failures] == [OperationalError] * 2
    assert await together.do(2)


async def test_who_has_left_is_not_asked_for():
    asked = []
    together = Together(lambda ids: asked.append(ids) or set(ids))
    leaver = asyncio.create_task(together.do(1))
    stayer = asyncio.create_task(together.do(2))
    await asyncio.sleep(0)
    leaver.cancel()
    assert await stayer
    assert asked == [[2]]
