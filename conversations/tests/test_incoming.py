"""What a page may send, and how often."""

import pytest

from conversations import incoming
from conversations.incoming import BURST, PATIENCE, RATE, BadFrame, Bucket


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(incoming.time, "monotonic", lambda: now[0])
    return now


def test_a_burst_is_taken_and_more_is_an_error(clock):
    bucket = Bucket()
    for _ in range(int(BURST)):
        bucket.take()
    with pytest.raises(BadFrame) as error:
        bucket.take()
    assert error.value.code == "too_fast"
    assert not bucket.is_flooded


def test_the_bucket_fills_again(clock):
    bucket = Bucket()
    for _ in range(int(BURST)):
        bucket.take()
    clock[0] += 1
    for _ in range(int(RATE)):
        bucket.take()
    with pytest.raises(BadFrame):
        bucket.take()


def test_going_on_in_spite_of_errors_is_a_flood(clock):
    bucket = Bucket()
    for _ in range(int(BURST + PATIENCE) + 1):
        try:
            bucket.take()
        except BadFrame:
            continue
    assert bucket.is_flooded
