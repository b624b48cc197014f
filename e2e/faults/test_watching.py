"""Who watches is seen by the learner while it lasts, whichever processes the two are at."""

import asyncio
import json
import os
import re
import signal
import time
import urllib.request
from pathlib import Path

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from e2e.faults.machines import Server, crowding, wait_until
from e2e.faults.page import Page
from e2e.faults.test_workers import processes
from e2e.faults.world import Room, World

SEEN_WITHIN = 2.0
# A look a second at each end; and one who left without a word is believed in for six.
LEFT_WITHIN = 3.0
LOST_WITHIN = 6.0 + LEFT_WITHIN
KIM, BOTH = "Kim from staff is watching", "Kim and Lee from staff are watching"


class Watcher:
    """The page of somebody from staff who watches, at one server."""

    def __init__(self, cookie: str, conversation: int, server: Server) -> None:
        self.cookie, self.conversation, self.server = cookie, conversation, server
        self.socket: ClientConnection | None = None

    def look(self) -> str:
        """Open the page in the admin; returns the address of its socket."""
        url = f"{self.server.origin}/admin/conversations/conversationsession"
        request = urllib.request.Request(
            f"{url}/{self.conversation}/watch/", headers={"Cookie": self.cookie}
        )
        with urllib.request.urlopen(request, timeout=20) as page:
            found = re.search(r'"socket": "(/ws/watch/\w+/)"', page.read().decode())
        assert found
        return found[1]

    async def watch(self) -> "Watcher":
        path = await asyncio.to_thread(self.look)
        self.socket = await connect(
            f"ws://localhost:{self.server.port}{path}",
            host="127.0.0.1",
            additional_headers={"Cookie": self.cookie},
            origin=websockets.Origin(self.server.origin),
            ping_interval=None,
            close_timeout=0.5,
        )
        await self.socket.send(json.dumps({"type": "sync", "newest": 0, "streaming": {}}))
        assert json.loads(await self.socket.recv())["type"] in ("state", "turn", "watched")
        return self

    async def leave(self) -> None:
        assert self.socket
        await self.socket.close()


@pytest.fixture
async def learner(pair: World) -> Page:
    """A learner whose page is at the first server."""
    (page,) = await pair.enter(pair.room(), server=pair.servers[0])
    return page


async def shows(page: Page, words: str, seconds: float) -> float:
    """Wait for the badge; returns the seconds that it took. A busy machine gets more of them."""
    begun = time.monotonic()
    what = f"the badge is “{page.watched}”, not “{words}”"
    await wait_until(lambda: page.watched == words, what, seconds * crowding())
    return time.monotonic() - begun


def watcher(world: World, name: str, page: Page, server: int = 1) -> Watcher:
    return Watcher(world.ask("watcher", name=name), page.conversation, world.servers[server])


async def test_the_badge_lasts_as_long_as_somebody_watches(pair: World, learner: Page) -> None:
    assert learner.watched == ""
    kim = await watcher(pair, "Kim", learner).watch()
    await shows(learner, KIM, SEEN_WITHIN)
    await asyncio.sleep(8)  # longer than a sign of life lasts
    assert learner.watched == KIM
    await kim.leave()
    await shows(learner, "", LEFT_WITHIN)


async def test_two_leave_one_by_one(pair: World, learner: Page) -> None:
    kim = await watcher(pair, "Kim", learner).watch()
    await shows(learner, KIM, SEEN_WITHIN)
    lee = await watcher(pair, "Lee", learner, server=0).watch()
    await shows(learner, BOTH, SEEN_WITHIN)
    await kim.leave()
    await shows(learner, "Lee from staff is watching", LEFT_WITHIN)
    await lee.leave()
    await shows(learner, "", LEFT_WITHIN)


async def test_a_line_that_breaks_takes_the_badge_along(pair: World, learner: Page) -> None:
    kim = await watcher(pair, "Kim", learner).watch()
    await shows(learner, KIM, SEEN_WITHIN)
    assert kim.socket
    kim.socket.transport.abort()
    await shows(learner, "", LOST_WITHIN)


async def test_a_watchers_process_that_is_killed_takes_the_badge_along(
    pair: World, learner: Page
) -> None:
    await watcher(pair, "Kim", learner).watch()
    await shows(learner, KIM, SEEN_WITHIN)
    pair.servers[1].kill()
    await shows(learner, "", LOST_WITHIN)
    await pair.heal()


async def test_a_page_that_comes_while_somebody_watches_is_told(pair: World, learner: Page) -> None:
    await watcher(pair, "Kim", learner).watch()
    room = Room(learner.conversation, "", learner.cookie)
    late = pair.page(room, pair.servers[0])
    await shows(late, KIM, SEEN_WITHIN)


async def test_nobody_watches_unseen_once_a_stopped_process_goes_on(
    pair: World, learner: Page
) -> None:
    """Its watchers are believed gone meanwhile; they are seen again, or out."""
    kim = await watcher(pair, "Kim", learner).watch()
    await shows(learner, KIM, SEEN_WITHIN)
    pair.servers[1].pause()
    await shows(learner, "", LOST_WITHIN)
    pair.servers[1].resume()
    await shows(learner, KIM, SEEN_WITHIN)
    await kim.leave()
    await shows(learner, "", LEFT_WITHIN)


def process_of(world: World, port: int) -> int | None:
    """Which of the processes of one server talks with the client at `port` of this machine."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {line[9] for line in lines if line[2].endswith(f":{port:04X}")}
    for pid in processes(world):
        links = (os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir())
        if inodes & {link.strip("socket:[]") for link in links}:
            return pid
    return None


async def test_two_processes_on_one_socket_know_of_each_others_watchers(
    workers: World,
) -> None:
    (page,) = await workers.enter(workers.room())
    here = process_of(workers, page.local_port)
    assert here in processes(workers)
    for _ in range(20):
        kim = await watcher(workers, "Kim", page, server=0).watch()
        there = process_of(workers, kim.socket.local_address[1])
        if there != here:
            break
        await kim.leave()
    assert there not in (here, None)
    await shows(page, KIM, SEEN_WITHIN)
    os.kill(there, signal.SIGKILL)
    await shows(page, "", LOST_WITHIN)
    assert process_of(workers, page.local_port) == here
