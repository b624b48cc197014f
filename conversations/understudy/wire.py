"""The Messages wire format, spoken in-process: an httpx2 transport in place of the network."""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import httpx2

from conversations.understudy.coach import advise
from conversations.understudy.partner import OPENING_CUE, reply
from conversations.understudy.script import Script, generic

MODEL = "understudy"
BYTES_PER_TOKEN = 4
ANYBODY = "the other person"


class RefusedError(Exception):
    """A request the API would refuse, with its HTTP status and error type."""

    def __init__(
        self, message: str, status: int = 400, kind: str = "invalid_request_error"
    ) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


class Understudy(httpx2.AsyncBaseTransport):
    """A stand-in model that speaks the Messages wire format in-process.

    The same request always gets the same reply. Hand it to the SDK's client as the transport;
    any key and any base address will do.

    Args:
        scripts: lines by persona name (see ``Script.from_mapping``); a persona without any gets
            generic lines.
        delay: seconds per word.
    """

    def __init__(self, scripts: Mapping[str, Mapping[str, Any]], delay: float = 0.04) -> None:
        self._scripts = {name: Script.from_mapping(lines) for name, lines in scripts.items()}
        self._delay = delay

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one HTTP request; what the API would refuse gets its JSON error."""
        try:
            return await self._route(request)
        except RefusedError as refused:
            error = {"type": refused.kind, "message": str(refused)}
            return httpx2.Response(refused.status, json={"type": "error", "error": error})

    async def _route(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if path == "/v1/models" and request.method == "GET":
            return httpx2.Response(200, json=_models())
        if request.method != "POST" or path not in ("/v1/messages", "/v1/messages/count_tokens"):
            raise RefusedError(f"{request.method} {path} is unknown here.", 404, "not_found_error")
        raw = await request.aread()
        body = _parse(raw)
        counted = tokens(_texts(body))
        if path.endswith("count_tokens"):
            return httpx2.Response(200, json={"input_tokens": counted})
        message, text = self._compose(body, counted, hashlib.sha256(raw).hexdigest()[:24])
        if body.get("stream"):
            stream = _Stream(events(message, text), self._delay)
            return httpx2.Response(
                200, headers={"content-type": "text/event-stream"}, stream=stream
            )
        await asyncio.sleep(self._delay * len(text.split()))
        message["content"] = [{"type": "text", "text": text}]
        return httpx2.Response(200, json=message)

    def _compose(self, body: dict[str, Any], counted: int, mark: str) -> tuple[dict[str, Any], str]:
        """The reply as a message whose text is still to come, and the text."""
        limit = body.get("max_tokens")
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise RefusedError("max_tokens: a whole number of at least 1 is required.")
        whole = self._speak(body)
        text = whole.encode()[: limit * BYTES_PER_TOKEN].decode(errors="ignore")
        usage = {
            "input_tokens": counted,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": tokens([text]),
        }
        return {
            "id": f"msg_{mark}",
            "type": "message",
            "role": "assistant",
            "model": MODEL,  # not the one asked for, which has a price
            "content": [],
            "stop_reason": "end_turn" if text == whole else "max_tokens",
            "stop_sequence": None,
            "usage": usage,
        }, text

    def _speak(self, body: dict[str, Any]) -> str:
        system = "\n".join(_parts(body.get("system", ""), "system"))
        turns = [(m["role"], "\n".join(_parts(m["content"], "content"))) for m in body["messages"]]
        asked = [text for role, text in turns if role == "user"]
        said = [text for role, text in turns if role == "assistant"]
        name = persona(system, self._scripts)
        script = self._scripts[name] if name else generic()
        if system.startswith("You coach "):
            return advise(script, name or ANYBODY, asked, said)
        if asked[0].strip() == OPENING_CUE:
            asked = asked[1:]
        return reply(script, asked, said)


def persona(system: str, known: Iterable[str]) -> str:
    """The longest known persona name, as whole words, in the system text's first paragraph.

    The rest is the scenario's own prompt, which may speak of anybody. Empty if there is none.
    """
    first = system.partition("\n\n")[0]
    names = (name for name in known if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", first))
    return max(names, key=len, default="")


def tokens(texts: Iterable[str]) -> int:
    """An estimate of tokens: a quarter of the UTF-8 bytes, rounded up."""
    return -(-sum(len(text.encode()) for text in texts) // BYTES_PER_TOKEN)


def events(message: dict[str, Any], text: str) -> Iterable[tuple[str, dict[str, Any], bool]]:
    """The events of a streamed reply: name, data, and whether a word is being said with it."""
    usage = message["usage"]
    start = {**message, "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield "message_start", {"message": start}, False
    yield "content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}, False
    for word in re.findall(r"\s*\S+(?:\s+\Z)?|\s+", text):
        yield (
            "content_block_delta",
            {"index": 0, "delta": {"type": "text_delta", "text": word}},
            True,
        )
    yield "content_block_stop", {"index": 0}, False
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield "message_delta", {"delta": delta, "usage": usage}, False
    yield "message_stop", {}, False


class _Stream(httpx2.AsyncByteStream):
    """Server-sent events at reading speed, which end at once when the reader closes."""

    def __init__(self, items: Iterable[tuple[str, dict[str, Any], bool]], delay: float) -> None:
        self._items, self._delay = items, delay
        self._closed = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for name, data, spoken in self._items:
            if spoken:
                await self._pause()
            if self._closed.is_set():
                return
            payload = json.dumps({"type": name, **data}, ensure_ascii=False)
            yield f"event: {name}\ndata: {payload}\n\n".encode()

    async def _pause(self) -> None:
        if self._delay <= 0:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(self._delay):
                await self._closed.wait()
        except TimeoutError:
            pass

    async def aclose(self) -> None:
        self._closed.set()


def _models() -> dict[str, Any]:
    model = {
        "type": "model",
        "id": MODEL,
        "display_name": "Understudy",
        "created_at": "2026-11-01T00:00:00Z",
        "lifecycle": "active",
    }
    return {"data": [model], "has_more": False, "first_id": MODEL, "last_id": MODEL}


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
        # Lone surrogates pass JSON but are no text; find them here, once.
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise RefusedError("The request body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise RefusedError("The request body must be a JSON object.")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise RefusedError("model: a name is required.")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RefusedError("messages: at least one message is required.")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
            raise RefusedError("messages: each needs the role user or assistant.")
        _parts(message.get("content"), "content")
    if messages[0]["role"] != "user":
        raise RefusedError("messages: the first message must use the user role.")
    if messages[-1]["role"] != "user":
        raise RefusedError("messages: the assistant's turn cannot be prefilled.")
    _parts(body.get("system", ""), "system")
    return body


def _texts(body: dict[str, Any]) -> list[str]:
    parts = _parts(body.get("system", ""), "system")
    for message in body["messages"]:
        parts += _parts(message["content"], "content")
    return parts


def _parts(content: object, where: str) -> list[str]:
    """The texts of a string or of a list of text blocks."""
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        raise RefusedError(f"{where}: a string or a list of text blocks is required.")
    parts = []
    for block in content:
        text = (
            block.get("text") if isinstance(block, dict) and block.get("type") == "text" else None
        )
        if not isinstance(text, str):
            raise RefusedError(f"{where}: only text blocks are understood here.")
        parts.append(text)
    return parts
