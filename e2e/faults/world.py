"""A whole site of real processes to break: database, layer, provider, servers, and its pages."""

import asyncio
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from e2e.faults.machines import PATIENCE, ROOT, PostgreSQL, Redis, Server, wait_until
from e2e.faults.page import Page
from e2e.faults.provider import Provider
from e2e.faults.watch import Auditor, Database, Sampler

# Quick failures of the provider, so that a run meets many.
DEADLINES = {
    "REPLY_FIRST_TOKEN_SECONDS": "5",
    "REPLY_CHUNK_SECONDS": "3",
    "REPLY_SECONDS": "40",
    "DRAIN_SECONDS": "5",
}
TOKENS = 2_000_000  # a budget that no test of something else meets the end of
LEASE = 10.0  # seconds; `conversations.models.LEASE`
# Seconds within which everything is quiet after the last fault: a lease that runs out, the
# next look for it, the reply begun again, a page at the far end of its backoff.
QUIET = 90.0


@dataclass(frozen=True, slots=True)
class Room:
    """A conversation, and the visitor who may see it."""

    conversation: int
    invitation: str
    cookie: str

    def text(self, rng: random.Random, words: str = "") -> str:
        """Something to say that is said only once."""
        return f"#c{self.conversation} {words or 'Hear me out'} {rng.getrandbits(48):x}"


class World:
    """`services`: PostgreSQL, Redis and a server for each of `kinds`. Otherwise SQLite and one."""

    def __init__(
        self, *, services: bool, kinds: Sequence[str] = ("serve", "serve"), **environment: str
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="parley-faults-"))
        self.folder.chmod(0o755)
        self.services = services
        self.provider = Provider()
        self.postgresql = PostgreSQL(self.folder) if services else None
        self.redis = Redis(self.folder) if services else None
        var = self.folder / "var"
        var.mkdir()
        self.database_url = (
            self.postgresql.url if self.postgresql else f"sqlite:///{var / 'parley.sqlite3'}"
        )
        self.environment = {
            "VAR_DIR": str(var),
            "HOST": "127.0.0.1",
            "DEBUG": "",
            "SECRET_KEY": "",
            "SITE_URL": "",
            "CSRF_TRUSTED_ORIGINS": "",
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis.url if self.redis else "",
            "REDIS_PREFIX": self.folder.name,
            "ANTHROPIC_BASE_URL": self.provider.url,
            "ANTHROPIC_API_KEY": "sk-none",
            "LOG_FORMAT": "text",
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            **DEADLINES,
            **environment,
        }
        self.servers = [
            Server(f"server{n}", self.folder, self.environment, kind)
            for n, kind in enumerate(kinds, 1)
        ]
        self.pages: list[Page] = []
        self.desk: subprocess.Popen[str] | None = None
        self.sampler: Sampler | None = None

    async def start(self) -> Self:
        if self.postgresql:
            self.postgresql.start()
            await self.postgresql.ready()
        if self.redis:
            self.redis.start()
            await self.redis.ready()
        # The first `serve` prepares the database; one that only serves needs it done.
        if self.servers[0].kind != "serve":
            first = Server("prepare", self.folder, self.environment, "serve")
            first.start()
            await first.ready()
            first.kill()
        for server in self.servers:
            server.start()
            await server.ready()
        self.database = Database(self.database_url)
        self.database.install_triggers()
        self.sampler = Sampler(self.database_url)
        self.sampler.start()
        self.desk = subprocess.Popen(
            [sys.executable, "-m", "e2e.faults.desk"],
            cwd=ROOT,
            env=self.servers[0].environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def close(self) -> None:
        """End everything and leave nothing behind."""
        if self.sampler:
            self.sampler.stop()
        if self.desk:
            self.desk.kill()
            self.desk.wait()
        for machine in [*self.servers, self.redis, self.postgresql]:
            if machine is not None:
                if machine.paused:
                    machine.resume()
                machine.kill()
        self.provider.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- People ---

    def ask(self, task: str, **details: Any) -> Any:
        """Have the desk do something (`desk.py`)."""
        assert self.desk
        assert self.desk.stdin
        assert self.desk.stdout
        self.desk.stdin.write(json.dumps({"do": task, **details}) + "\n")
        self.desk.stdin.flush()
        line = self.desk.stdout.readline()
        assert line, f"the desk failed at {task}"
        return json.loads(line)

    def rooms(self, count: int, tokens: int = TOKENS) -> list[Room]:
        return [Room(**room) for room in self.ask("rooms", count=count, tokens=tokens)]

    def room(self, tokens: int = TOKENS) -> Room:
        return self.rooms(1, tokens)[0]

    def ports(self) -> list[int]:
        """Where a balancer would send a visitor: to servers that run and were not asked to end."""
        return [server.port for server in self.servers if server.runs and not server.terminated]

    def page(self, room: Room, server: Server | None = None, **options: Any) -> Page:
        """Open a page: on one server for good, or on any that lives."""
        ports = (lambda: [server.port]) if server else self.ports
        page = Page(room.conversation, room.cookie, ports, **options).open()
        self.pages.append(page)
        return page

    async def pages_in_step(self, pages: Sequence[Page], seconds: float = PATIENCE) -> None:
        await wait_until(
            lambda: all(page.in_step for page in pages), "pages are not in step", seconds
        )

    async def enter(self, *rooms: Room, server: Server | None = None) -> list[Page]:
        """A page for each room, in step."""
        pages = [self.page(room, server) for room in rooms]
        await self.pages_in_step(pages)
        return pages

    # --- The end ---

    async def heal(self) -> None:
        """Let everything run again."""
        if self.postgresql:
            await self.restore(self.postgresql)
        if self.redis:
            await self.restore(self.redis)
        await asyncio.gather(*(self._bring_back(server) for server in self.servers))

    async def _bring_back(self, server: Server) -> None:
        if server.terminated and server.runs:
            await server.gone()
        await self.restore(server)

    async def restore(self, machine: PostgreSQL | Redis | Server) -> None:
        if machine.paused:
            machine.resume()
        if not machine.runs:
            machine.start()
        await machine.ready()

    async def calls(self, stream: str = "partner") -> list[dict[str, Any]]:
        """The provider's record of the calls so far."""
        ledger = await asyncio.to_thread(self.provider.ledger)
        return [call for call in ledger if call["stream"] == stream]

    def running(self) -> int:
        return int(
            self.database.rows(
                "SELECT count(*) FROM conversations_message WHERE status = 'streaming'"
            )[0][0]
        )

    async def quiet(self, seconds: float = QUIET) -> None:
        """Wait until nothing streams, nothing is held and every page is up to date."""

        def is_quiet() -> bool:
            return (
                all(page.in_step and not page.outbox and not page.streaming for page in self.pages)
                and not self.running()
                and self._shown()
            )

        deadline = time.monotonic() + seconds
        calm = 0
        # Several looks: between the partner's end and the coach's beginning nothing runs.
        while calm < 4 and time.monotonic() < deadline:
            calm = calm + 1 if is_quiet() else 0
            await asyncio.sleep(0.25)

    def _shown(self) -> bool:
        """Whether the pages show as many turns as the database holds."""
        ids = ", ".join(str(page.conversation) for page in self.pages) or "0"
        counts = dict(
            self.database.rows(
                "SELECT session_id, count(*) FROM conversations_message"
                f" WHERE session_id IN ({ids}) GROUP BY session_id"
            )
        )
        return all(len(page.turns) == counts.get(page.conversation, 0) for page in self.pages)

    def audit(self) -> Auditor:
        """Count everything that the open pages' conversations have come to."""
        auditor = Auditor(self.database, self.pages, self.provider.ledger()).check()
        if self.sampler:
            auditor.figures.samples = self.sampler.samples
            auditor.problems += self.sampler.problems
            auditor.figures.overspent += len(
                [problem for problem in self.sampler.problems if "overspent" in problem]
            )
        for server in self.servers:
            for trace in tracebacks(server.printed()):
                auditor.problems.append(f"{server.name} printed:\n{trace}")
        return auditor

    async def leave(self) -> None:
        """Close every page."""
        for page in self.pages:
            await page.close()
        self.pages = []

    def forget(self) -> None:
        """Begin a new account: an empty script, no problems so far."""
        self.provider.reset()
        self.database.rows("DELETE FROM faults_audit")
        if self.sampler:
            self.sampler.problems.clear()
        for server in self.servers:
            server.log.write_text("")

    async def settle(self) -> Auditor:
        """Heal, wait for quiet, and hold everybody to the promises."""
        await self.heal()
        await self.quiet()
        auditor = self.audit()
        await self.leave()
        assert not auditor.problems, "\n".join(auditor.problems[:20])
        return auditor


def tracebacks(printed: str) -> list[str]:
    """The tracebacks in a server's log; each says of a case that nobody had thought of.

    The layer's client prints its own while Redis is away, which is one that was thought of.
    """
    records = re.split(r"^(?=(?:INFO|WARNING|ERROR|CRITICAL) )", printed, flags=re.MULTILINE)
    return [
        f"{record[:200]}…{record[: record.rfind('Error: ') + 200][-600:]}"
        for record in records
        if "Traceback (most recent" in record and not record.startswith("ERROR channels_redis")
    ]
