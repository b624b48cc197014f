"""The processes of a site under test, each of which can be killed, paused and started again.

Everything listens on loopback, on ports from 8300, with data in folders of its own. The
children die with the process that started them.
"""

import asyncio
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 60.0  # seconds until a process must answer; the machine may be busy
INITDB = ["-U", "parley", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]
_libc = ctypes.CDLL(None, use_errno=True)
_ports: Iterator[int] = iter(range(8300 + os.getpid() % 400, 9300))


def free_port() -> int:
    """A port that nothing listens on, never the same twice."""
    for port in _ports:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port from 8300 to 9300")


def postgresql_folder() -> Path | None:
    """Where PostgreSQL's programs are, or None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def missing() -> str:
    """What is not installed of what the harness needs; empty if all is there."""
    programs = {"PostgreSQL": postgresql_folder(), "redis-server": shutil.which("redis-server")}
    return " and ".join(name for name, path in programs.items() if path is None)


def _die_with_parent() -> None:
    pr_set_pdeathsig = 1
    _libc.prctl(pr_set_pdeathsig, signal.SIGKILL)


class Machine:
    """One process: started, ended in any manner, started again."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.paused = False

    def launch(self, command: list[str], **options: Any) -> None:
        """Start it without waiting. From the main thread, whose end is its end."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent,
                **options,
            )
        self.paused = False

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def signal(self, number: int) -> None:
        if self.runs:
            os.kill(self.pid, number)

    def pause(self) -> None:
        """Stop it in its tracks; its connections stay open and silent."""
        self.paused = True
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)
        self.paused = False

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
        self.paused = False

    async def gone(self, seconds: float = PATIENCE) -> float:
        """Wait for its end; returns the seconds that it took."""
        began = time.monotonic()
        while self.runs:
            assert time.monotonic() - began < seconds, f"{self.name} did not end in {seconds} s"
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    def answers(self) -> bool:
        """Whether it serves; may take seconds."""
        raise NotImplementedError

    async def ready(self, seconds: float = PATIENCE) -> None:
        """Wait until it serves. In a thread, so that pages go on meanwhile."""
        deadline = time.monotonic() + seconds
        while not await asyncio.to_thread(self.answers):
            assert self.runs, f"{self.name} ended while starting:\n{self.printed()[-3000:]}"
            assert time.monotonic() < deadline, f"{self.name} does not answer"
            await asyncio.sleep(0.05)

    def printed(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def memory(self) -> int:
        """Resident bytes."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")


def crowding() -> float:
    """How many times as long things take for all that runs on this machine; 1 if it is idle."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


async def wait_until(true: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Return once `true()`; fails with `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"after {seconds:.0f} s: {what}"
        await asyncio.sleep(0.03)


class PostgreSQL(Machine):
    """A cluster of its own; crash recovery included, since it is only ever killed."""

    def __init__(self, folder: Path) -> None:
        super().__init__("postgresql", folder)
        programs = postgresql_folder()
        assert programs
        self.program = str(programs / "postgres")
        self.data = folder / "postgresql"
        self.data.mkdir()
        # It refuses to run as root.
        self.options: dict[str, Any] = {"cwd": "/"}
        if os.geteuid() == 0:
            self.options |= {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(self.data, "postgres", "postgres")
        self.port = free_port()
        self.url = f"postgres://parley@127.0.0.1:{self.port}/postgres"
        subprocess.run(
            [programs / "initdb", "-D", self.data, *INITDB],
            check=True,
            stdout=subprocess.DEVNULL,
            **self.options,
        )

    def start(self) -> None:
        # A kill leaves the file; the process of that number may be anybody by now.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": "200",
        }
        command = [self.program, "-D", str(self.data), "-p", str(self.port)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self.launch(command, **self.options)

    def answers(self) -> bool:
        import psycopg

        try:
            with psycopg.connect(self.url, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def backends(self) -> list[int]:
        """Its own processes, one for each connection and some for itself."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def end_backend(self, pid: int) -> None:
        """End one connection from the server's side, if that process serves one."""
        command = Path(f"/proc/{pid}/cmdline")
        if command.exists() and "127.0.0.1" in command.read_text():
            os.kill(pid, signal.SIGTERM)

    def crash(self) -> None:
        """End it at once, without a checkpoint."""
        self.signal(signal.SIGQUIT)
        assert self.process
        self.process.wait(timeout=PATIENCE)

    kill = crash

    def pause(self) -> None:
        self.paused = True
        self.signal(signal.SIGSTOP)
        for pid in self.backends():
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        for pid in self.backends():
            os.kill(pid, signal.SIGCONT)
        super().resume()


class Redis(Machine):
    def __init__(self, folder: Path) -> None:
        super().__init__("redis", folder)
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.launch(command, cwd="/tmp")

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as line:
                line.sendall(b"PING\r\n")
                return line.recv(64).startswith(b"+PONG")
        except OSError:
            return False


class Server(Machine):
    """One process of Parley: `manage.py serve`, or the same application under uvicorn."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str], kind: str) -> None:
        super().__init__(name, folder)
        self.port = free_port()
        self.kind = kind
        self.origin = f"http://localhost:{self.port}"
        self.environment = os.environ | environment | {"PORT": str(self.port)}
        self.terminated = False

    def start(self) -> None:
        self.terminated = False
        command = [sys.executable, "manage.py", "serve"]
        if self.kind == "uvicorn":
            command = [sys.executable, "-m", "uvicorn", "config.asgi:application"]
            command += ["--port", str(self.port), "--log-level", "warning"]
            command += ["--timeout-graceful-shutdown", "10"]
            command += ["--ws-max-size", "524288", "--ws-per-message-deflate", "false"]
        self.launch(command, cwd=ROOT, env=self.environment)

    def terminate(self) -> None:
        """Ask it to end, as a deployment does."""
        self.terminated = True
        self.signal(signal.SIGTERM)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=2) as page:
                return page.status == 200
        except OSError:
            return False
