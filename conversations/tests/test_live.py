"""Frames between the sockets of one process, and between processes over each channel layer."""

import asyncio
import json

import pytest
from channels.layers import channel_layers
from django.conf import settings as django_settings

from conversations import live
from conversations.live import RESYNC, Hub


class Page:
    def __init__(self):
        self.heard, self.codes = [], []

    def deliver(self, text):
        self.heard.append(text)

    def hang_up(self, code):
        self.codes.append(code)

    @property
    def numbers(self):
        frames = map(json.loads, self.heard)
        return [frame["number"] for frame in frames if frame["type"] == "chunk"]


def chunk(number):
    return {"type": "chunk", "number": number}


async def until(condition, seconds=5):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def one(settings):
    """A hub of a single process, without a layer."""
    settings.CHANNEL_LAYERS = {}
    channel_layers.backends.clear()
    return Hub()


async def test_all_pages_of_a_conversation_hear_it_and_no_other(one):
    here, also_here, elsewhere = Page(), Page(), Page()
    one.listen(1, here)
    one.listen(1, also_here)
    one.listen(2, elsewhere)
    one.publish(1, chunk(7))
    assert here.numbers == also_here.numbers == [7]
    assert elsewhere.heard == []


async def test_who_left_hears_nothing_and_may_leave_again(one):
    page = Page()
    one.listen(1, page)
    one.leave(1, page)
    one.leave(1, page)
    one.publish(1, chunk(7))
    assert page.heard == []
    assert one.listeners == []


async def test_a_stop_reaches_its_handler(one):
    stopped = []
    one.on_stop(stopped.append)
    one.request_stop(1, 12)
    assert stopped == [12]


@pytest.fixture(params=["pubsub", "core"])
async def two(request, settings):
    """Two hubs that stand for two processes on one Redis."""
    if not django_settings.REDIS_URL:
        pytest.skip("REDIS_URL is not set: one process needs no channel layer")
    settings.CHANNEL_LAYERS = {"default": django_settings.LAYERS[request.param]}
    channel_layers.backends.clear()
    hubs = Hub(), Hub()
    hubs[0]._process, hubs[1]._process = "first", "second"
    yield hubs
    for hub in hubs:
        for task in tuple(hub._tasks):
            task.cancel()
    await channel_layers["default"].flush()
    channel_layers.backends.clear()


async def joined(hub, page):
    """Wait until frames from the layer arrive, then forget them."""
    await until(lambda: hub._heard)
    page.heard.clear()


async def test_a_burst_arrives_whole_and_in_order_in_the_other_process(two):
    first, second = two
    here, there = Page(), Page()
    first.listen(1, here)
    second.listen(1, there)
    await joined(first, here)
    await joined(second, there)
    for number in range(400):
        first.publish(1, chunk(number))
    assert here.numbers == list(range(400))
    await until(lambda: len(there.numbers) == 400)
    assert there.numbers == list(range(400))


async def test_a_stop_reaches_the_other_process(two):
    first, second = two
    page = Page()
    second.listen(1, page)
    await joined(second, page)
    stopped = []
    second.on_stop(stopped.append)
    first.request_stop(1, 12)
    await until(lambda: stopped == [12])


async def test_pages_are_told_to_ask_the_database_while_the_layer_is_away(two, monkeypatch):
    monkeypatch.setattr(live, "PULSE", 0.05)
    monkeypatch.setattr(live, "AWAY_AFTER", 0.2)
    hub, _ = two
    page = Page()
    hub.listen(1, page)
    await joined(hub, page)

    async def lost(*args):
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(hub._layer, "send", lost)
        await until(lambda: page.heard.count(RESYNC) >= 2)
    await asyncio.sleep(0.5)
    page.heard.clear()
    await asyncio.sleep(0.3)
    assert RESYNC not in page.heard


async def test_what_got_lost_on_the_way_to_others_is_told_once_the_line_is_back(two, monkeypatch):
    monkeypatch.setattr(live, "PULSE", 0.05)
    first, second = two
    page = Page()
    second.listen(1, page)
    await joined(first, page)
    await joined(second, page)

    async def lost(*args):
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(first._layer, "group_send", lost)
        first.publish(1, chunk(7))
        await asyncio.sleep(0.1)
    await until(lambda: RESYNC in page.heard)
    first.publish(1, chunk(8))
    await until(lambda: page.numbers == [8])
    await asyncio.sleep(0.1)
    assert page.heard.count(RESYNC) == 1


async def test_a_pulse_that_got_lost_has_pages_ask(two):
    hub, _ = two
    page = Page()
    hub.listen(1, page)
    await joined(hub, page)
    hub._felt(hub._heard + 1)
    assert page.heard == []
    hub._felt(hub._heard + 2)
    assert page.heard == [RESYNC]
