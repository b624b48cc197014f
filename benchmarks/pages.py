"""Pages over HTTP: how long until their first byte."""

import http.client
import json
import os
import subprocess
import time

from benchmarks.processes import ROOT, python


def time_to_first_byte(port: int, path: str, session: str) -> float:
    """Milliseconds from the request to the status line of a page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.connect()
        headers = {"Cookie": f"sessionid={session}", "Host": f"127.0.0.1:{port}"}
        started = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        took = (time.perf_counter() - started) * 1000
        answer.read()
        assert answer.status == 200, (path, answer.status)
        return took
    finally:
        connection.close()


def queries(environment: dict[str, str], session: str, *paths: str) -> dict[str, int]:
    """How many queries each page makes."""
    answer = subprocess.run(
        python("-m", "benchmarks.queries", session, *paths),
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(json.loads(answer.stdout.splitlines()[-1]))
