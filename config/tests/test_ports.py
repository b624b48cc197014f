import os
import socket
import subprocess
import sys

import pytest
from django.conf import settings

from config.ports import is_taken


@pytest.fixture
def taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_port_in_use_is_seen(taken):
    assert is_taken("127.0.0.1", taken)


def test_a_free_port_is_free():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
    assert not is_taken("127.0.0.1", port)


@pytest.mark.parametrize(
    "command", [["config/ports.py"], ["manage.py", "serve"]], ids=["make run", "serve"]
)
def test_a_taken_port_is_said_and_ends_with_1(taken, command):
    done = subprocess.run(
        [sys.executable, *command],
        cwd=settings.BASE_DIR,
        env=os.environ | {"PORT": str(taken), "DEBUG": "on"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"Port {taken} is taken" in done.stderr
    assert f"PORT={taken + 1} make run" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("port", ["abc", "80.5", "0", "-1", "65536"])
def test_what_is_no_port_is_said_in_one_line(port):
    done = subprocess.run(
        [sys.executable, "config/ports.py"],
        cwd=settings.BASE_DIR,
        env=os.environ | {"PORT": port},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"PORT is '{port}': it must be a number from 1 to 65535, as in PORT=9000 make run\n"
    )
    assert done.stdout == ""
