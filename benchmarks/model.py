"""A model server that is never the bottleneck: the Messages stream, paced, from one event loop.

`python -m benchmarks.model PORT`. `POST /set` takes `chunks` and `rate` (a second; 0 for as fast
as possible) of the partner's replies; `GET /arrivals` tells when each request came, by the last
words of its last message. Each chunk of text is the time at which it was sent. Times are
microseconds of the machine's monotonic clock, which all processes share.
"""

import asyncio
import contextlib
import json
import random
import sys
import time
from typing import Any, Final

COACH_CHUNKS: Final = 5
WIDTH: Final = 15  # digits of a time


def now() -> int:
    """The clock that chunks carry."""
    return time.monotonic_ns() // 1000


class Model:
    def __init__(self) -> None:
        self.chunks = 20
        self.rate = 20.0
        self.arrivals: dict[str, int] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                line, _, headers = head.decode("latin-1").partition("\r\n")
                length = 0
                for header in headers.splitlines():
                    name, _, value = header.partition(":")
                    if name.lower() == "content-length":
                        length = int(value)
                body = json.loads(await reader.readexactly(length) or b"{}")
                await self.answer(line.split()[1], body, writer)
        writer.close()

    async def answer(self, path: str, body: Any, writer: asyncio.StreamWriter) -> None:
        if path == "/set":
            self.chunks, self.rate = body["chunks"], body["rate"]
            plain(writer, {})
        elif path == "/arrivals":
            plain(writer, self.arrivals)
        elif "count_tokens" in path:
            plain(writer, {"input_tokens": 100})
        else:
            await self.stream(body, writer)
        await writer.drain()

    async def stream(self, body: Any, writer: asyncio.StreamWriter) -> None:
        started = now()
        is_coach = "You coach" in json.dumps(body.get("system", ""))[:100]
        if is_coach:
            chunks, rate = COACH_CHUNKS, 0.0
        else:
            chunks, rate = self.chunks, self.rate
            self.arrivals[last_words(body)] = started
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        usage = {"input_tokens": 500, "output_tokens": 1}
        message = {
            "id": "msg_bench",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        block = {"type": "text", "text": ""}
        writer.write(
            event("message_start", message=message)
            + event("content_block_start", index=0, content_block=block)
        )
        writer.write(delta())
        loop = asyncio.get_running_loop()
        # Streams that began together do not stay in step.
        next_at = loop.time() + (random.random() / rate if rate else 0)
        for _ in range(chunks - 1):
            if rate:
                await asyncio.sleep(next_at - loop.time())
                next_at += 1 / rate
            if writer.is_closing():
                raise ConnectionError
            writer.write(delta())
        end = {"stop_reason": "end_turn", "stop_sequence": None}
        writer.write(
            event("content_block_stop", index=0)
            + event("message_delta", delta=end, usage={"output_tokens": chunks})
            + event("message_stop")
            + b"0\r\n\r\n"
        )


def event(kind: str, **fields: Any) -> bytes:
    return chunked(f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode())


def delta() -> bytes:
    return chunked(
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":"%015d "}}\n\n' % now()
    )


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def plain(writer: asyncio.StreamWriter, body: Any) -> None:
    data = json.dumps(body).encode()
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
        % (len(data), data)
    )


def last_words(body: Any) -> str:
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


async def main(port: int) -> None:
    server = await asyncio.start_server(Model().serve, "127.0.0.1", port, backlog=1000)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
