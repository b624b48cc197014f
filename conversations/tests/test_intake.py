"""A socket's incoming side: immediate, in order, bounded, and closed when it is flooded."""

import asyncio
import gc
import json
import logging

import pytest

from conversations import incoming
from conversations.incoming import BURST, LARGEST_FRAME, PATIENCE
from conversations.intake import BROKEN, FLOODED, MOST_TEXT, MOST_WAITING, Intake


class Socket:
    """A socket on a database that answers only when it is `quick`."""

    types = frozenset({"send", "ack"})

    def __init__(self):
        self.done, self.at_once, self.refusals, self.codes = [], [], [], []
        self.quick = asyncio.Event()

    def carry_out_at_once(self, frame):
        if frame["type"] == "ack":
            self.at_once.append(frame["n"])
        return frame["type"] == "ack"

    async def carry_out(self, frame):
        await self.quick.wait()
        if frame["n"] == "broken":
            raise ZeroDivisionError
        self.done.append(frame["n"])

    def refuse(self, error):
        assert not self.codes
        self.refusals.append(error.code)

    def hang_up(self, code):
        self.codes.append(code)


def a_frame(n, kind="send", size=0):
    return json.dumps({"type": kind, "n": n, "text": "x" * size})


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(incoming.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
async def socket(clock):
    return Socket()


@pytest.fixture
async def intake(socket):
    return Intake(socket)


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_frames_are_carried_out_in_their_order(socket, intake):
    socket.quick.set()
    for n in range(10):
        intake.take(a_frame(n))
    await settle()
    assert socket.done == list(range(10))


async def test_an_idle_socket_keeps_no_task(socket, intake):
    before = asyncio.all_tasks()
    intake.take(a_frame(1))
    assert len(asyncio.all_tasks()) == len(before) + 1
    socket.quick.set()
    await settle()
    assert asyncio.all_tasks() == before
    intake.take(a_frame(2))
    await settle()
    assert socket.done == [1, 2]


async def test_an_acknowledgement_overtakes_a_slow_send(socket, intake):
    intake.take(a_frame(1))
    intake.take(a_frame(2, "ack"))
    assert (socket.at_once, socket.done) == ([2], [])


async def test_only_so_many_wait_and_the_rest_is_refused_and_never_carried_out(socket, intake):
    for n in range(MOST_WAITING + 5):
        intake.take(a_frame(n))
    assert socket.refusals == ["too_fast"] * 5
    socket.quick.set()
    await settle()
    assert socket.done == list(range(MOST_WAITING))
    assert socket.codes == []


async def test_only_so_much_text_waits(socket, intake):
    largest = LARGEST_FRAME - 100
    for n in range(4):
        intake.take(a_frame(n, size=largest))
    assert socket.refusals == ["too_fast"] * (4 - MOST_TEXT // largest)


async def test_there_is_room_again_once_something_is_done(socket, intake, clock):
    for n in range(MOST_WAITING + 1):
        intake.take(a_frame(n))
    socket.quick.set()
    await settle()
    clock[0] += 1
    intake.take(a_frame("later"))
    await settle()
    assert socket.done[-1] == "later"


async def test_a_flood_is_told_off_closed_and_read_no_further(socket, intake):
    for n in range(10_000):
        intake.take(a_frame(n))
    assert socket.codes == [FLOODED]
    assert 0 < len(socket.refusals) <= PATIENCE + BURST
    socket.quick.set()
    await settle()
    assert socket.done == list(range(MOST_WAITING))


async def test_a_flood_of_what_needs_no_database_is_closed_too(socket, intake):
    for n in range(1000):
        intake.take(a_frame(n, "ack"))
    assert socket.codes == [FLOODED]
    assert len(socket.at_once) == BURST


async def test_what_was_accepted_is_carried_out_though_the_socket_is_gone(socket, intake):
    intake.take(a_frame(1))
    intake.take(a_frame(2))
    intake.end()
    intake.take(a_frame(3))
    del intake
    gc.collect()
    socket.quick.set()
    await settle()
    assert socket.done == [1, 2]


async def test_a_frame_that_breaks_its_handler_closes_the_socket_and_no_text_is_logged(
    socket, intake, caplog
):
    socket.quick.set()
    with caplog.at_level(logging.ERROR):
        intake.take(json.dumps({"type": "send", "n": "broken", "text": "a secret"}))
        intake.take(a_frame("next"))
        await settle()
    assert socket.codes == [BROKEN]
    assert socket.done == ["next"]
    assert "broke" in caplog.text
    assert "a secret" not in caplog.text
