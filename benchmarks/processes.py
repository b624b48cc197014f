"""Processes that are measured: started on a core of their own, read through /proc, ended."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
TICKS: Final = os.sysconf("SC_CLK_TCK")
CORES: Final = sorted(os.sched_getaffinity(0))
# What is measured runs on the first core, what drives it on the last.
MEASURED_CORE: Final = CORES[0]
LOAD_CORE: Final = CORES[-1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """One child process and what it uses."""

    def __init__(
        self, *command: str, core: int, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        with log.open("ab") as out:
            self._child = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | (environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        os.sched_setaffinity(self._child.pid, {core})

    @property
    def pid(self) -> int:
        return self._child.pid

    def wait_for_port(self, port: int, seconds: float = 60) -> None:
        """Return once something listens on `port`."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            if self._child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self._child.args} did not start:\n{self.log.read_text()}")
            time.sleep(0.1)

    def cpu(self) -> float:
        """Seconds of processor time used so far, all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> int:
        """Bytes resident."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def end(self) -> None:
        """Ask it to end, and see that it does."""
        self._child.terminate()
        try:
            self._child.wait(5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


@contextlib.contextmanager
def running(
    *command: str, core: int, log: Path, port: int, environment: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """A process that listens on `port`, for as long as the block lasts."""
    process = Process(*command, core=core, log=log, environment=environment)
    try:
        process.wait_for_port(port)
        yield process
    finally:
        process.end()


def python(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, *arguments)
