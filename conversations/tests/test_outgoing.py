"""A socket's outgoing side: in order, bounded, told to catch up, closed when it stays behind."""

import asyncio

import pytest

from conversations import outgoing
from conversations.live import RESYNC
from conversations.outgoing import MOST_FRAMES, MOST_TEXT, TOO_SLOW, Outgoing


class Wire:
    def __init__(self):
        self.sent, self.codes = [], []
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, text_data):
        await self.open.wait()
        self.sent.append(text_data)

    async def close(self, code):
        self.codes.append(code)


@pytest.fixture
async def wire():
    return Wire()


@pytest.fixture
async def out(wire):
    out = Outgoing(wire.send, wire.close)
    yield out
    out.end()


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_frames_leave_in_order(wire, out):
    for number in range(10):
        out.deliver(str(number))
    await settle()
    assert wire.sent == [str(number) for number in range(10)]


async def test_a_page_that_acknowledges_never_falls_behind(wire, out):
    for number in range(3 * MOST_FRAMES):
        out.deliver("x")
        out.acknowledge(number + 1)
    await settle()
    assert len(wire.sent) == 3 * MOST_FRAMES
    assert RESYNC not in wire.sent


@pytest.mark.parametrize("text", ["x", "x" * (MOST_TEXT // 3)], ids=["frames", "text"])
async def test_what_is_under_way_is_bounded_and_the_page_catches_up(wire, out, text):
    for _ in range(4 * MOST_FRAMES):
        out.deliver(text)
    await settle()
    assert len(wire.sent) <= MOST_FRAMES
    assert sum(map(len, wire.sent)) <= MOST_TEXT
    held = len(wire.sent)
    out.acknowledge(held)
    await settle()
    assert wire.sent[held:] == [RESYNC]
    out.deliver("more")
    await settle()
    assert wire.sent[-1] == "more"


async def test_one_frame_larger_than_all_that_may_be_under_way_still_leaves(wire, out):
    out.deliver("x" * (MOST_TEXT + 1))
    await settle()
    assert len(wire.sent) == 1


async def test_a_page_that_stays_behind_is_closed(wire, out, monkeypatch):
    monkeypatch.setattr(outgoing, "PATIENCE", 0.01)
    for _ in range(MOST_FRAMES + 1):
        out.deliver("x")
    async with asyncio.timeout(1):
        while not wire.codes:
            await asyncio.sleep(0.005)
    assert wire.codes == [TOO_SLOW]


async def test_a_page_that_caught_up_in_time_is_not_closed(wire, out, monkeypatch):
    monkeypatch.setattr(outgoing, "PATIENCE", 0.02)
    for _ in range(MOST_FRAMES + 1):
        out.deliver("x")
    out.acknowledge(MOST_FRAMES)
    await asyncio.sleep(0.04)
    assert wire.codes == []


async def test_hanging_up_comes_after_what_was_said(wire, out):
    out.deliver("last words")
    out.hang_up(1012)
    out.deliver("too late")
    await settle()
    assert (wire.sent, wire.codes) == (["last words"], [1012])


async def test_acknowledging_too_much_is_harmless(wire, out):
    out.acknowledge(10_000)
    out.deliver("x")
    await settle()
    assert wire.sent == ["x"]


async def test_a_socket_that_is_gone_gets_nothing_more_and_nothing_is_logged(wire, caplog):
    async def gone(text_data):
        wire.sent.append(text_data)
        raise RuntimeError("websocket.send after websocket.close")

    out = Outgoing(gone, wire.close)
    out.deliver("1")
    out.deliver("2")
    await settle()
    out.deliver("3")
    out.hang_up(1012)
    await settle()
    assert wire.sent == ["1"]
    assert wire.codes == []
    assert not [r for r in caplog.records if r.levelname != "DEBUG"]
