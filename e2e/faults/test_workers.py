"""Several processes on one socket, as `PROCESSES=2` starts them: each may die, and so may all."""

import contextlib
import os
import random
import signal
from pathlib import Path

import pytest

from e2e.faults.machines import wait_until
from e2e.faults.test_crashes import LONG, speaking
from e2e.faults.world import LEASE, World


def processes(world: World) -> list[int]:
    """The ids of the processes that serve."""
    parent = str(world.servers[0].pid)
    return [pid for pid, (state, of) in stats().items() if of == parent and state != "Z"]


def stats() -> dict[int, tuple[str, str]]:
    """State and parent of every process."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, of, *_ = path.read_text().rpartition(")")[2].split()
            found[int(path.parent.name)] = state, of
    return found


def alive(pid: int) -> bool:
    return stats().get(pid, ("Z", ""))[0] != "Z"


async def test_a_process_that_is_killed_is_replaced_and_its_replies_go_on(
    workers: World, rng: random.Random
) -> None:
    workers.provider.script("partner", default=True, **LONG)
    rooms = workers.rooms(4)
    pages = await workers.enter(*rooms)
    for page, room in zip(pages, rooms, strict=True):
        await page.say(room.text(rng))
    for page in pages:
        await speaking(page)
    before = processes(workers)
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    await wait_until(
        lambda: len(processes(workers)) == 2 and before[0] not in processes(workers),
        "the process was not replaced",
        20,
    )
    await wait_until(
        lambda: all(p.last_reply and p.last_reply.text == LONG["text"] for p in pages),
        "a reply is not whole",
        LEASE + 40,
    )
    await workers.settle()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda n: n.name)
async def test_the_processes_end_with_the_one_that_started_them(
    workers: World, number: signal.Signals
) -> None:
    serving = processes(workers)
    assert len(serving) == 2
    workers.servers[0].signal(number)
    await workers.servers[0].gone()
    await wait_until(lambda: not any(map(alive, serving)), "a process lives on", 20)
    await workers.heal()
