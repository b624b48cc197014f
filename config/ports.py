"""Whether a port is free, asked before anything slow begins.

Standard library alone: `make run` runs this file before there is a virtual environment.
"""

import errno
import os
import re
import socket
import sys
from pathlib import Path


def is_taken(host: str, port: int) -> bool:
    """Tell whether something listens on `host`:`port` already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As the server will: a port whose last connections are still closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def taken_message(port: int) -> str:
    """What a person reads whose port is taken."""
    return (
        f"Port {port} is taken: another program listens there, perhaps another Parley.\n"
        f"Stop it, or choose another port: PORT={port + 1} make run"
    )


def port_in(text: str) -> int | None:
    """The port that `text` names, or None where it names none."""
    try:
        port = int(text)
    except ValueError:
        return None
    return port if 1 <= port <= 65535 else None


def configured(name: str, default: str) -> str:
    """The value of `name` in the environment, else in `.env`, else `default`."""
    file = Path(__file__).resolve().parent.parent / ".env"
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    line = re.search(rf"^\s*(?:export\s+)?{name}\s*=[ \t\"']*([^\s\"'#]*)", text, re.MULTILINE)
    return os.environ.get(name) or (line[1] if line else "") or default


if __name__ == "__main__":
    given = configured("PORT", "8000")
    wanted = port_in(given)
    if wanted is None:
        sys.exit(
            f"PORT is {given!r}: it must be a number from 1 to 65535, as in PORT=9000 make run"
        )
    if is_taken(configured("HOST", "127.0.0.1"), wanted):
        sys.exit(taken_message(wanted))
