"""Counts that hold over threads and processes, and let people in when the cache is away."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from config import cache as config_cache
from config import limits
from config.cache import ForgivingRedisCache
from config.limits import Limit
from e2e.site import free_port

LIMIT = Limit("test", 5, 60)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still at the beginning of a minute until it is moved."""
    now = [60.0 * 1000]
    monkeypatch.setattr(limits.time, "time", lambda: now[0])
    return now


@pytest.fixture
def away(monkeypatch):
    """A Redis that nobody answers for, in the place of the cache."""
    cache = ForgivingRedisCache(f"redis://127.0.0.1:{free_port()}/0", {})
    monkeypatch.setattr(limits, "cache", cache)
    return cache


@pytest.fixture(params=["there", "away"])
def away_or_not(request):
    if request.param == "away":
        request.getfixturevalue("away")


def test_so_many_are_let_in_and_no_more(clock):
    assert [LIMIT.take("dana") for _ in range(7)] == [True] * 5 + [False] * 2


def test_what_is_given_back_does_not_count(clock, away_or_not):
    for _ in range(20):
        assert LIMIT.take("dana")
        LIMIT.give_back("dana")


def test_where_refusals_do_not_count_who_goes_on_trying_gets_their_turn(clock):
    assert [LIMIT.admit("hall") for _ in range(50)] == [True] * 5 + [False] * 45
    clock[0] += 60 + 24
    assert [LIMIT.admit("hall") for _ in range(50)] == [True] * 2 + [False] * 48
    clock[0] += 12
    assert LIMIT.admit("hall")


def test_everybody_is_counted_by_themselves(clock):
    for _ in range(6):
        LIMIT.take("dana")
    assert LIMIT.take("nora")
    assert Limit("another", 5, 60).take("dana")


def test_a_full_minute_weighs_on_the_next_one_and_less_and_less(clock):
    for _ in range(5):
        LIMIT.take("dana")
    clock[0] += 60
    assert not LIMIT.take("dana")
    clock[0] += 45
    assert LIMIT.take("dana")


def test_two_minutes_later_all_is_forgotten(clock):
    for _ in range(9):
        LIMIT.take("dana")
    clock[0] += 120
    assert [LIMIT.take("dana") for _ in range(6)] == [True] * 5 + [False]


def test_of_many_at_once_exactly_so_many_are_let_in():
    with ThreadPoolExecutor(16) as threads:
        taken = list(threads.map(LIMIT.take, ["dana"] * 64))
    assert sum(taken) == 5


def test_without_the_cache_people_come_in_and_the_log_says_so_once(away, caplog):
    with caplog.at_level(logging.WARNING):
        assert all(LIMIT.take("dana") for _ in range(20))
    assert [record.message for record in caplog.records] == [
        "Rate limits are off, the cache is away: ConnectionError"
    ]


def test_the_cache_is_asked_again_after_a_while(away, caplog, monkeypatch):
    LIMIT.take("dana")
    monkeypatch.setattr(config_cache, "PAUSE", 0)
    away._away_until = 0
    monkeypatch.setattr(away._cache, "get", lambda key, default: default)
    assert away.get("anything") is None
    assert "back" in caplog.records[-1].message


def test_a_cache_that_is_away_is_empty_for_everybody(away):
    away.set("key", 1)
    assert away.get("key", "nothing") == "nothing"
    assert away.add("key", 1)
    assert away.delete("key") is False
    with pytest.raises(ValueError, match="not found"):
        away.incr("key")


def test_no_address_or_session_key_stands_in_the_cache(monkeypatch):
    names = []
    monkeypatch.setattr(limits.cache, "add", lambda name, *args: names.append(name))
    LIMIT.take("203.0.113.7")
    assert names
    assert "203.0.113.7" not in names[0]
