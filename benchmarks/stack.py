"""What is measured, side by side: Parley, the bare relay, a model server, on ports of their own."""

import contextlib
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.processes import (
    LOAD_CORE,
    MEASURED_CORE,
    ROOT,
    Process,
    free_port,
    python,
    running,
)
from benchmarks.sockets import Room, bare_room, parley_room


@dataclass
class Server:
    """One server process and its rooms."""

    name: str
    process: Process
    port: int
    seeded: list[dict[str, Any]] = field(default_factory=list)
    rooms: list[Room] = field(default_factory=list)

    async def open(self, count: int) -> list[Room]:
        """Have `count` rooms open, and return them."""
        while len(self.rooms) < count:
            if self.name == "bare":
                self.rooms.append(await bare_room(self.port))
            else:
                self.rooms.append(await self.visit(self.seeded[len(self.rooms)]))
        return self.rooms[:count]

    async def visit(self, seeded: dict[str, Any]) -> Room:
        return await parley_room(self.port, seeded["conversation"], seeded["session"])

    async def close(self) -> None:
        for room in self.rooms:
            await room.close()
        self.rooms = []


@dataclass
class Model:
    port: int

    def set(self, *, chunks: int, rate: float) -> None:
        self._ask("/set", {"chunks": chunks, "rate": rate})

    def arrivals(self) -> dict[str, int]:
        """When each request arrived, by the last message in it."""
        return dict(self._ask("/arrivals"))

    def _ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", data, 10) as answer:
            return json.loads(answer.read())


@contextlib.contextmanager
def model(var: Path) -> Iterator[Model]:
    port = free_port()
    command = python("-m", "benchmarks.model", str(port))
    with running(*command, core=LOAD_CORE, log=var / "model.log", port=port):
        yield Model(port)


@contextlib.contextmanager
def bare(var: Path, model: Model, kind: str = "daphne") -> Iterator[Server]:
    port = free_port()
    command = server_command(kind, "benchmarks.bare:application", port)
    environment = {"ANTHROPIC_BASE_URL": f"http://127.0.0.1:{model.port}"}
    log = var / "bare.log"
    with running(
        *command, core=MEASURED_CORE, log=log, port=port, environment=environment
    ) as process:
        yield Server("bare", process, port)


@contextlib.contextmanager
def parley(
    var: Path, model: Model, kind: str = "serve", *, services: dict[str, str] | None = None
) -> Iterator[Server]:
    """Parley, on SQLite and alone unless `services` names a database and Redis."""
    port = free_port()
    environment = parley_environment(var, model, port, services)
    if kind == "serve":
        command = python("manage.py", "serve")
    else:
        command = server_command(kind, "config.asgi:application", port)
    log = var / f"parley-{port}.log"
    with running(
        *command, core=MEASURED_CORE, log=log, port=port, environment=environment
    ) as process:
        yield Server("Parley", process, port)


def server_command(kind: str, application: str, port: int) -> tuple[str, ...]:
    if kind == "daphne":
        return python("-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(port), application)
    return python(
        "-m", "uvicorn", "--host", "127.0.0.1", "--port", str(port),
        "--log-level", "warning", "--ws-max-size", "524288", "--ws-per-message-deflate", "false",
        application,
    )  # fmt: skip


def parley_environment(
    var: Path, model: Model, port: int, services: dict[str, str] | None
) -> dict[str, str]:
    unset = dict.fromkeys(
        ("DEBUG", "SECRET_KEY", "SITE_URL", "REDIS_URL", "CSRF_TRUSTED_ORIGINS"), ""
    )
    return {
        **unset,
        "VAR_DIR": str(var),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DATABASE_URL": f"sqlite:///{var / 'parley.sqlite3'}",
        "ANTHROPIC_API_KEY": "",
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{model.port}",
        **(services or {}),
    }


def seed(
    var: Path, model: Model, count: int, *turns: int, services: dict[str, str] | None = None
) -> Any:
    """Make rooms on the database of the servers that share `var` and `services`."""
    answer = subprocess.run(
        python("-m", "benchmarks.seed", str(count), *map(str, turns)),
        cwd=ROOT,
        env=os.environ | parley_environment(var, model, 0, services),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(answer.stdout.splitlines()[-1])


def missing_services() -> list[str]:
    """Names of the programs without which several processes cannot be measured."""
    missing = [] if shutil.which("redis-server") else ["redis-server"]
    return missing if _postgres_bin() else [*missing, "postgres"]


def _postgres_bin() -> Path | None:
    places = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists()), None)


@contextlib.contextmanager
def services(var: Path) -> Iterator[dict[str, str]]:
    """PostgreSQL and Redis of the benchmark's own, as the environment names them."""
    bin_ = _postgres_bin()
    assert bin_
    data, redis_port, postgres_port = var / "postgres", free_port(), free_port()
    # PostgreSQL refuses to run as root.
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    data.mkdir()
    if as_user:
        shutil.chown(data, "postgres")
        for folder in (var, *var.parents):
            if folder.owner() == "root" and str(folder).startswith("/tmp/"):
                folder.chmod(0o755)
    subprocess.run(
        [*as_user, str(bin_ / "initdb"), "-D", str(data), "-A", "trust", "-U", "bench"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd="/",
    )
    postgres = (*as_user, str(bin_ / "postgres"), "-D", str(data), "-p", str(postgres_port))
    options = ("-k", str(data), "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200")
    redis = ("redis-server", "--port", str(redis_port), "--save", "", "--appendonly", "no")
    with (
        running(
            *redis, "--bind", "127.0.0.1", core=LOAD_CORE, log=var / "redis.log", port=redis_port
        ),
        running(*postgres, *options, core=LOAD_CORE, log=var / "postgres.log", port=postgres_port),
    ):
        url = f"postgres://bench@127.0.0.1:{postgres_port}/postgres"
        yield {"DATABASE_URL": url, "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0"}
