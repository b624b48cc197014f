"""A scripted model server: the Messages wire format over real HTTP, with every known failure.

It runs as a process of its own (`python -m e2e.model_server --port 0`) and is steered by a
small control API, which `ModelServer` speaks for tests:

    server.script("partner", text="No.", delay=0.05)      # one behaviour for the next request
    server.script("coach", status=529, retry_after=1, times=2)
    server.script("partner", default=True, text="Hm.")    # whenever nothing is queued
    server.requests("partner")[-1]["body"]["messages"]

Streams: `partner` and `coach` by the first words of the system prompt, `count` for token
counting, `other` for the rest.

Behaviours, all optional, may be combined:

| key | meaning |
| --- | --- |
| `text` or `chunks` | what is said; a text is cut into words with their spaces |
| `delay` | seconds between chunks |
| `header_delay`, `first_delay` | seconds before the HTTP status, and before the first chunk |
| `status`, `retry_after`, `error_type`, `message` | an HTTP error instead of an answer |
| `cut` | close the connection after so many chunks |
| `reset` | makes `cut` a TCP reset |
| `no_answer` | read the whole request, then close without a byte |
| `stall` | say nothing more after so many chunks, until the caller leaves |
| `pause` | wait after so many chunks for `server.release()` |
| `error`, `error_after` | an `event: error` of this kind after so many chunks (all by default) |
| `error_first` | an `event: error` of this kind in place of any other event |
| `ping_first` | so many `event: ping` before any other event |
| `cut_first` | close the connection after the status, before any event |
| `no_stop` | a clean end of file after so many chunks, without `message_stop` |
| `after_reason` | how the line ends where `message_stop` is due: `cut`, `open`, `end` or `error` |
| `after_stop` | the same after `message_stop` |
| `keep_alive` | the line can be used again |
| `body` | text to answer a counting of tokens with |
| `raw` | text to send as it is, in place of all events |
| `empty` | status 200 and not one event |
| `stop_reason` | `end_turn` unless named |
| `obey` | a chunk is a token: none is said, or counted, beyond the request's `max_tokens` |
| `usage` | the counts to report; `False` leaves usage out |
| `model` | the model that claims to answer |
| `contains` | only for a request whose JSON holds this text |
| `times` | for so many requests (1) |
"""

import argparse
import json
import re
import select
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
SAYS = {
    "partner": "That is reply {n} of mine, and I still see it my own way.",
    "coach": "Note {n}: you asked before you judged. Keep the question open a little longer.",
    "other": "Answer {n}.",
}
SECRET_HEADERS = {"authorization", "x-api-key"}


class ClientLeft(Exception):
    """The caller closed the connection before the answer was whole."""


class Script:
    """What to do with the requests to come, and what came of those that did."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.gate = threading.Event()
        self.reset()

    def reset(self) -> None:
        with self.lock:
            self.queues: dict[str, deque[dict[str, Any]]] = {}
            self.defaults: dict[str, dict[str, Any]] = {}
            self.records: list[dict[str, Any]] = []
            # Whoever waits at the old gate goes on; the new one is closed.
            self.gate.set()
            self.gate = threading.Event()

    def release(self) -> None:
        with self.lock:
            self.gate.set()
            self.gate = threading.Event()

    def add(self, stream: str, behaviour: dict[str, Any]) -> None:
        with self.lock:
            if behaviour.pop("default", False):
                self.defaults[stream] = behaviour
                return
            times = behaviour.pop("times", 1)
            self.queues.setdefault(stream, deque()).extend([behaviour] * times)

    def record(self, stream: str, record: dict[str, Any]) -> dict[str, Any]:
        """Note a request, and return the behaviour that it meets."""
        with self.lock:
            record["n"] = 1 + sum(1 for other in self.records if other["stream"] == stream)
            self.records.append(record)
            queue = self.queues.get(stream, deque())
            body = json.dumps(record["body"], ensure_ascii=False)
            for behaviour in queue:
                if behaviour.get("contains", "") in body:
                    queue.remove(behaviour)
                    return behaviour
            return self.defaults.get(stream, {})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    # --- Control -------------------------------------------------------------------------

    def do_GET(self) -> None:
        if self.path == "/requests":
            with self.script.lock:
                return self.answer(200, self.script.records)
        if self.path.startswith("/v1/models"):
            return self.answer(200, {"data": [], "has_more": False})
        return self.answer(404, error("not_found_error", f"no {self.path}"))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        if self.path == "/script":
            self.script.add(body.pop("stream"), body)
        elif self.path == "/reset":
            self.script.reset()
        elif self.path == "/release":
            self.script.release()
        else:
            return self.model_call(body)
        return self.answer(200, {})

    def answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    # --- The model -----------------------------------------------------------------------

    def model_call(self, body: dict[str, Any]) -> None:
        path = self.path.split("?")[0]
        counting = path.endswith("/count_tokens")
        stream = "count" if counting else stream_of(body)
        record = {
            "stream": stream,
            "path": path,
            "headers": {
                name.lower(): value
                for name, value in self.headers.items()
                if name.lower() not in SECRET_HEADERS
            },
            "body": body,
            "at": time.time(),
            "port": self.client_address[1],
            "chunks_sent": 0,
            "done": False,
            "closed_early": False,
        }
        does = self.script.record(stream, record)
        try:
            self.wait(does.get("header_delay", 0))
            if does.get("no_answer"):
                return self.drop(does)
            if "status" in does:
                self.fail(does)
            elif "body" in does:
                self.answer(200, does["body"])
            elif counting:
                self.answer(200, {"input_tokens": does.get("input_tokens", weigh(body))})
            elif path != "/v1/messages":
                self.answer(404, error("not_found_error", f"no {path}"))
            elif body.get("stream"):
                self.stream(does, record)
            else:
                self.answer(200, whole_message(does, record))
            record["done"] = not record["closed_early"]
        except (ClientLeft, ConnectionError):
            record["closed_early"] = True
            self.close_connection = True

    def fail(self, does: dict[str, Any]) -> None:
        status = does["status"]
        kind = does.get("error_type") or ERROR_TYPES.get(status, "api_error")
        headers = {"retry-after": str(does["retry_after"])} if "retry_after" in does else {}
        self.answer(status, error(kind, does.get("message", f"scripted {status}")), headers)

    def stream(self, does: dict[str, Any], record: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self.close_connection = not does.get("keep_alive")
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        if does.get("empty"):
            return self.finish_stream()
        for _ in range(does.get("ping_first", 0)):
            self.event("ping")
            self.wait(does.get("delay", 0))
        if "error_first" in does:
            self.event("error", error={"type": does["error_first"], "message": "scripted"})
            return self.finish_stream()
        if does.get("cut_first"):
            return self.drop(does)
        if "raw" in does:
            return self.send_raw(does["raw"])
        chunks, most = said(does, record), record["body"]["max_tokens"]
        if does.get("obey") and len(chunks) > most:
            chunks = chunks[:most]
            does = does | {"chunks": chunks, "stop_reason": "max_tokens"}
        usage = usage_of(does, record)
        start = message(does, record) | {"content": [], "stop_reason": None}
        if usage is not None:
            start["usage"] = usage | {"output_tokens": 1}
        self.event("message_start", message=start)
        self.event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        self.event("ping")
        self.wait(does.get("first_delay", 0))
        for n, chunk in enumerate([*chunks, None]):
            if does.get("cut") == n:
                return self.drop(does)
            if does.get("no_stop") == n:
                return self.finish_stream()
            if does.get("pause") == n:
                self.wait_for(self.script.gate)
            if does.get("stall") == n:
                while True:
                    self.wait(3600)
            if "error" in does and does.get("error_after", len(chunks)) == n:
                self.event("error", error={"type": does["error"], "message": "scripted"})
                return self.finish_stream()
            if chunk is None:
                break
            if n:
                self.wait(does.get("delay", 0))
            delta = {"type": "text_delta", "text": chunk}
            self.event("content_block_delta", index=0, delta=delta)
            record["chunks_sent"] = n + 1
        self.event("content_block_stop", index=0)
        end = {"stop_reason": does.get("stop_reason", "end_turn"), "stop_sequence": None}
        last = {} if usage is None else {"usage": usage}
        self.event("message_delta", delta=end, **last)
        if "after_reason" in does:
            return self.leave_off(does["after_reason"])
        self.event("message_stop")
        return self.leave_off(does.get("after_stop", "end"))

    def leave_off(self, how: str) -> None:
        """End a reply that is whole: in order, or as a bad line would."""
        while how == "open":
            self.wait(3600)
        if how == "error":
            self.event("error", error={"type": "api_error", "message": "scripted"})
        if how == "cut":
            self.close_connection = True
        else:
            self.finish_stream()

    def event(self, kind: str, **data: Any) -> None:
        text = json.dumps({"type": kind, **data}, ensure_ascii=False)
        if any("\ud800" <= character <= "\udfff" for character in text):
            text = json.dumps({"type": kind, **data})  # half a character: only escaped
        self.send_text(f"event: {kind}\ndata: {text}\n\n")

    def send_text(self, text: str) -> None:
        payload = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(payload), payload))

    def send_raw(self, text: str) -> None:
        if text:  # a chunk of nothing would be the last
            self.send_text(text)
        self.finish_stream()

    def finish_stream(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def drop(self, does: dict[str, Any]) -> None:
        """End the connection in the middle of things, as a proxy or a crashed server would."""
        if does.get("reset"):
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True

    def wait(self, seconds: float) -> None:
        """Sleep, unless the caller leaves: nothing is ever sent to us in the meantime."""
        if select.select([self.connection], [], [], seconds)[0]:
            raise ClientLeft

    def wait_for(self, gate: threading.Event) -> None:
        while not gate.wait(0.01):
            self.wait(0)


def error(kind: str, text: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_script"}


def stream_of(body: dict[str, Any]) -> str:
    """Tell by the system prompt's first words whom the request speaks for."""
    system = body.get("system") or ""
    first = system if isinstance(system, str) else system[0].get("text", "")
    for stream, words in (("partner", "You play "), ("coach", "You coach ")):
        if first.startswith(words):
            return stream
    return "other"


def said(does: dict[str, Any], record: dict[str, Any]) -> list[str]:
    if "chunks" in does:
        return list(does["chunks"])
    text = does.get("text", SAYS[record["stream"]].format(n=record["n"]))
    return re.findall(r"\s*\S+\s*?(?=\s|$)|\s+$", text)


def weigh(body: dict[str, Any]) -> int:
    """Count tokens roughly, as four bytes each of what the model would read."""
    read = [body.get("system"), body.get("messages")]
    return len(json.dumps(read, ensure_ascii=False).encode()) // 4


def usage_of(does: dict[str, Any], record: dict[str, Any]) -> dict[str, Any] | None:
    given = does.get("usage", {})
    if given is False:
        return None
    return {
        "input_tokens": weigh(record["body"]),
        "output_tokens": len(said(does, record)),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    } | given


def message(does: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"msg_{record['stream']}_{record['n']}",
        "type": "message",
        "role": "assistant",
        "model": does.get("model") or record["body"].get("model"),
        "stop_sequence": None,
    }


def whole_message(does: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    answer = message(does, record)
    answer["content"] = [{"type": "text", "text": "".join(said(does, record))}]
    answer["stop_reason"] = does.get("stop_reason", "end_turn")
    usage = usage_of(does, record)
    return answer if usage is None else answer | {"usage": usage}


class ModelServer:
    """The server as a test holds it: a process of its own, started, steered and stopped."""

    def __init__(self) -> None:
        self.port = 0
        self.process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        """What `ANTHROPIC_BASE_URL` takes."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, again on the same port where it ran before."""
        command = [sys.executable, "-m", "e2e.model_server", "--port", str(self.port)]
        root = Path(__file__).resolve().parent.parent
        self.process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.port = int(self.process.stdout.readline())

    def stop(self) -> None:
        """End it: from here on connections are refused."""
        if self.process:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout
            self.process.stdout.close()
            self.process = None

    def script(self, stream: str, **behaviour: Any) -> None:
        """Queue a behaviour for the next request of `stream`, or the default of all."""
        self._call("/script", {"stream": stream, **behaviour})

    def release(self) -> None:
        """Let every reply that waits at its `pause` go on."""
        self._call("/release", {})

    def reset(self) -> None:
        """Forget the script and the requests."""
        self._call("/reset", {})

    def requests(self, stream: str | None = None) -> list[dict[str, Any]]:
        """The requests so far, oldest first, without credentials."""
        found = self._call("/requests")
        return [record for record in found if stream in (None, record["stream"])]

    def wait_for(self, stream: str, count: int = 1, seconds: float = 10) -> list[dict[str, Any]]:
        """The requests of `stream` as soon as there are `count`."""
        deadline = time.monotonic() + seconds
        while len(found := self.requests(stream)) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} {stream} requests came"
            time.sleep(0.01)
        return found

    def _call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data)
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # callers that leave are part of the script


def main() -> None:
    parser = argparse.ArgumentParser(description="A scripted model server on loopback.")
    parser.add_argument("--port", type=int, default=0)
    Handler.script = Script()
    server = Server(("127.0.0.1", parser.parse_args().port), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
