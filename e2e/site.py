"""A real server for browser tests: `manage.py serve` with data of its own."""

import email
import email.message
import email.policy
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Site:
    """The server and the staff beside it. On PostgreSQL and Redis where the environment says so."""

    def __init__(self, var: Path, **environment: str) -> None:
        self.var = var
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.log = var / "serve.log"
        self.process: subprocess.Popen[bytes] | None = None
        name = f"parley_e2e_{secrets.token_hex(4)}"
        self.environment = os.environ | {
            "VAR_DIR": str(var),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "DEBUG": "",
            "SECRET_KEY": "",
            "CSRF_TRUSTED_ORIGINS": "",
            "REDIS_PREFIX": name,
            "PYTHONUNBUFFERED": "1",
            "HOUSEKEEPING_SECONDS": "3600",  # tests say themselves when it is time
            **environment,
        }
        self.database = ""
        if url := os.environ.get("DATABASE_URL"):
            self.database = name
            self.environment["DATABASE_URL"] = urlsplit(url)._replace(path=f"/{name}").geturl()
            self._administer(f'CREATE DATABASE "{name}"')
        self.start()
        self._office = subprocess.Popen(
            [sys.executable, "-m", "e2e.office"],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self) -> None:
        """Start the server and wait until it has printed how to come in."""
        with self.log.open("ab") as log:
            begun = log.tell()
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 60
        while "Staff: " not in (printed := self.log.read_text()[begun:]):
            assert self.process.poll() is None, printed
            assert time.monotonic() < deadline, printed
            time.sleep(0.05)
        self.learner_link = self._printed(r"^Learner:  (\S+)$")
        staff = self._printed(r"^Staff:    \S+  (\S+  \S+)$")
        self.staff_email, self.staff_password = staff.split()

    def stop(self) -> int:
        """Ask the server to end, as a deployment does, and return its exit code."""
        assert self.process
        self.process.terminate()
        return self.process.wait(timeout=20)

    def kill(self) -> None:
        """End the server in the middle of whatever it does."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End everything, and leave nothing behind."""
        if self.process and self.process.poll() is None:
            self.kill()
        self._office.kill()
        self._office.wait()
        for pipe in (self._office.stdin, self._office.stdout):
            assert pipe
            pipe.close()
        if self.database:
            self._administer(f'DROP DATABASE "{self.database}" WITH (FORCE)')

    def ask(self, task: str, **details: Any) -> Any:
        """Have the office do something; see `e2e/office.py` for what it knows."""
        assert self._office.stdin
        assert self._office.stdout
        self._office.stdin.write(json.dumps({"do": task, **details}) + "\n")
        self._office.stdin.flush()
        line = self._office.stdout.readline()
        assert line, f"the office failed at {task}"
        return json.loads(line)

    def mail(self, to: str) -> list[email.message.EmailMessage]:
        """What was mailed to somebody, oldest first."""
        found = []
        for path in sorted((self.var / "mail").glob("*")):
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            if to in message["To"]:
                found.append(message)
        return found

    def get(self, path: str) -> tuple[int, str]:
        """Fetch a page as a stranger."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def _printed(self, pattern: str) -> str:
        return re.findall(pattern, self.log.read_text(), re.MULTILINE)[-1]

    def _administer(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            connection.execute(statement)
