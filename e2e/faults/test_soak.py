"""Everything at once, at random: `make faults SEED=… SECONDS=600` for the long run by hand."""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from e2e.faults.absence import Service
from e2e.faults.conftest import FIGURES
from e2e.faults.machines import Server, crowding
from e2e.faults.page import Page
from e2e.faults.world import Room, World

SECONDS = float(os.environ.get("SECONDS") or 30)
CONVERSATIONS = 8
PAGES = 3  # of each
# Seconds that a page may be out of step at a stretch while somebody could serve it.
AWAY_AT_MOST = 12.0


class Storm:
    """Breaks one thing after the other, and lets it recover."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world = world
        self.rng = rng
        self.counts: Counter[str] = Counter()
        # A server that is down because it was taken down.
        self.down: Server | None = None
        # Those that found no database when they started, and those that ended for another reason.
        self.vain_starts = 0
        self.ended: list[str] = []
        self.faults: dict[str, tuple[int, Callable[[], Awaitable[None]]]] = {
            "server killed": (4, self.kill_server),
            "server asked to end": (3, self.terminate_server),
            "server paused": (3, self.pause_server),
            "clients cut": (6, self.cut_clients),
            "provider paused": (2, self.pause_provider),
        }
        if world.services:
            self.faults |= {
                "redis killed": (3, self.kill_redis),
                "redis paused": (2, self.pause_redis),
                "postgresql crashed": (2, self.crash_postgresql),
                "postgresql paused": (2, self.pause_postgresql),
                "database lines cut": (3, self.cut_database_lines),
            }

    async def blow(self, until: float) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(self.rng.uniform(0.3, 3))
            names = list(self.faults)
            (name,) = self.rng.choices(names, [self.faults[name][0] for name in names])
            self.counts[name] += 1
            await self.faults[name][1]()

    def some_server(self) -> Server | None:
        able = [server for server in self.world.servers if server.runs and not server.paused]
        return self.rng.choice(able) if able else None

    async def supervise(self) -> None:
        """Start servers that ended by themselves again, as whatever supervises them would.

        One that finds no database when it starts says so and ends.
        """
        while True:
            await asyncio.sleep(1)
            for server in self.world.servers:
                if not server.runs and server is not self.down:
                    last = server.printed()[-1000:]
                    if "database cannot be reached" in last:
                        self.vain_starts += 1
                    else:
                        self.ended.append(f"{server.name} ended by itself:\n{last}")
                    server.start()

    async def kill_server(self) -> None:
        if server := self.some_server():
            self.down = server
            server.kill()
            await asyncio.sleep(self.rng.uniform(0, 2))
            server.start()
            self.down = None

    async def terminate_server(self) -> None:
        if server := self.some_server():
            self.down = server
            server.terminate()
            await server.gone(30)
            server.start()
            self.down = None

    async def pause_server(self) -> None:
        if server := self.some_server():
            server.pause()
            # Sometimes past its lease.
            await asyncio.sleep(self.rng.choice([0.5, 2, 4, 12]))
            server.resume()

    async def cut_clients(self) -> None:
        for page in self.rng.sample(self.world.pages, len(self.world.pages) // 3):
            page.cut()

    async def pause_provider(self) -> None:
        assert self.world.provider.process
        self.world.provider.process.send_signal(19)
        await asyncio.sleep(self.rng.uniform(0.5, 4))
        self.world.provider.process.send_signal(18)

    async def kill_redis(self) -> None:
        assert self.world.redis
        self.world.redis.kill()
        await asyncio.sleep(self.rng.uniform(0.2, 5))
        self.world.redis.start()

    async def pause_redis(self) -> None:
        assert self.world.redis
        self.world.redis.pause()
        await asyncio.sleep(self.rng.uniform(0.5, 5))
        self.world.redis.resume()

    async def crash_postgresql(self) -> None:
        assert self.world.postgresql
        self.world.postgresql.crash()
        await asyncio.sleep(self.rng.uniform(0.2, 5))
        self.world.postgresql.start()

    async def pause_postgresql(self) -> None:
        assert self.world.postgresql
        self.world.postgresql.pause()
        await asyncio.sleep(self.rng.uniform(0.5, 5))
        self.world.postgresql.resume()

    async def cut_database_lines(self) -> None:
        assert self.world.postgresql
        for pid in self.world.postgresql.backends():
            if self.rng.random() < 0.5:
                self.world.postgresql.end_backend(pid)


class Learner:
    """Somebody who talks in a conversation on several pages, whatever happens to the line."""

    def __init__(self, world: World, room: Room, pages: list[Page], rng: random.Random) -> None:
        self.world = world
        self.room = room
        self.pages = pages
        self.rng = rng
        self.retries = 0
        self.stops = 0

    async def talk(self, until: float) -> None:
        while time.monotonic() < until:
            page = self.rng.choice(self.pages)
            does = self.rng.choices(
                [self.say, self.say_twice, self.ask, self.stop, self.retry], [10, 2, 3, 2, 3]
            )[0]
            await does(page)
            await asyncio.sleep(self.rng.uniform(0.1, 1.5))

    async def say(self, page: Page) -> None:
        if page.streaming or page.outbox:
            return
        client_id = await page.say(self.room.text(self.rng))
        deadline = time.monotonic() + 30
        while client_id in page.outbox and time.monotonic() < deadline:
            await asyncio.sleep(0.05)

    async def say_twice(self, page: Page) -> None:
        """The same message from two pages in the same moment."""
        text = self.room.text(self.rng)
        client_id = await page.say(text)
        await self.rng.choice(self.pages).say(text, client_id=client_id)

    async def ask(self, page: Page) -> None:
        if not page.outbox:
            await page.say(self.room.text(self.rng, "Coach, what now"), kind="ask")

    async def stop(self, page: Page) -> None:
        for turn in page.streaming[:1]:
            self.stops += 1
            await page.stop(turn.message)

    async def retry(self, page: Page) -> None:
        replies = [turn for turn in page.turns.values() if turn.can_retry]
        if replies:
            self.retries += 1
            await page.retry(replies[-1].message)


async def soak(world: World, rng: random.Random, seed: str, seconds: float) -> None:
    world.provider.moods(seed, rate=0.25)
    rooms = world.rooms(CONVERSATIONS)
    learners = []
    for room in rooms:
        pages = [world.page(room, rng=random.Random(rng.random())) for _ in range(PAGES)]
        learners.append(Learner(world, room, pages, random.Random(rng.random())))
    await world.pages_in_step(world.pages)
    storm = Storm(world, random.Random(rng.random()))
    until = time.monotonic() + seconds
    service = Service(server.port for server in world.servers)
    service.watch()
    supervisor = asyncio.create_task(storm.supervise())
    await asyncio.gather(storm.blow(until), *(learner.talk(until) for learner in learners))
    supervisor.cancel()
    await world.heal()
    # What is left streaming began before the storm was over.
    world.provider.moods(seed, rate=0)
    await world.quiet()
    await service.end()
    auditor = world.audit()
    auditor.problems.extend(storm.ended)
    absences = [absence for page in world.pages for absence in page.presence.absences]
    worst = max(absences, key=service.blame, default=None)
    blame = service.blame(worst) if worst else 0.0
    if worst and blame > AWAY_AT_MOST * crowding():
        auditor.problems.append(f"a page was away for {blame:.1f} s for no reason:\n{worst.told()}")
    faults = ", ".join(f"{name} {count}" for name, count in sorted(storm.counts.items()))
    moods = Counter(call["mood"] for call in world.provider.ledger())
    moods.pop("well", None)
    where = "PostgreSQL, Redis, two processes" if world.services else "SQLite, one process"
    FIGURES.append("")
    FIGURES.append(f"{where}: {seconds:.0f} s of faults, SEED={seed}")
    FIGURES.append(f"faults injected {storm.counts.total()}: {faults}")
    FIGURES.append(f"calls the provider spoiled {moods.total()}: {dict(sorted(moods.items()))}")
    FIGURES.extend(str(auditor.figures).splitlines())
    outages = [end - begin for begin, end in service.outages]
    FIGURES.append(f"of that {blame:.1f} s at a stretch while a server reached its database")
    FIGURES.append(f"servers that found no database, and were started again {storm.vain_starts}")
    FIGURES.append(f"nobody could serve for {sum(outages):.0f} s in all, {len(outages)} times")
    await world.leave()
    assert not auditor.problems, f"SEED={seed}\n" + "\n".join(auditor.problems[:30])


async def test_a_storm_of_faults_on_two_processes(
    services: World, rng: random.Random, seed: str
) -> None:
    await soak(services, rng, seed, SECONDS)


async def test_a_storm_of_faults_on_sqlite(embedded: World, rng: random.Random, seed: str) -> None:
    await soak(embedded, rng, seed, SECONDS / 2)
