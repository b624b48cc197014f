"""The model: calls as text, their final usage, errors as kinds.

Knows nothing of the database or of sockets. Without a key or a server of one's own the
understudy answers through the same SDK.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

import anthropic
import httpx2
from django.conf import settings

from conversations import failures
from conversations.prompts import Request
from conversations.understudy import MODEL as UNDERSTUDY
from conversations.wire import client, is_understudy, watched
from usage.holds import CallUsage

logger = logging.getLogger(__name__)

# Waits before the second and later tries, in seconds, each drawn between half and the whole.
BACKOFF: Final = (0.5, 1, 2, 4, 8)


# Seconds that a reply which is whole waits for the end of its line, which can be used again then.
FAREWELL: Final = 0.5

# Before a status came. After it, whatever reading what a provider sends comes to.
BROKEN: Final = (anthropic.AnthropicError, httpx2.HTTPError, AssertionError, ValueError)

INPUT: Final = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
OUTPUT: Final = ("output_tokens",)
# Bytes of text that a token has on average, at the very most; about four are usual.
MOST_BYTES: Final = 8
# Characters for each token of `max_tokens`, beyond which a provider heeds it not at all.
MOST_CHARACTERS: Final = 1024
# What the log of usage has room for.
MOST_TOKENS: Final = 2**31 - 1


class Trouble(StrEnum):
    """Why a call gave no whole reply."""

    BUSY = "busy"
    DROPPED = failures.DROPPED
    UNREACHABLE = "unreachable"
    SLOW = "slow"
    KEY = "key"
    MODEL = "model"
    SPEND_LIMIT = "spend_limit"
    TOO_LONG = "too_long"
    REJECTED = "rejected"
    CUT = "cut"
    STALLED = "stalled"
    OVERTIME = "overtime"


# What an error event says in place of an answer, whose status was 200, as its status would.
EVENTS: Final = {
    "overloaded_error": Trouble.BUSY,
    "rate_limit_error": Trouble.BUSY,
    "api_error": Trouble.BUSY,
    "timeout_error": Trouble.BUSY,
    "authentication_error": Trouble.KEY,
    "permission_error": Trouble.KEY,
    "billing_error": Trouble.KEY,
    "not_found_error": Trouble.MODEL,
    "request_too_large": Trouble.TOO_LONG,
}


class CallError(Exception):
    """A call that ended in trouble. Carries no text of the provider, which may quote a prompt."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.trouble = trouble


async def count_tokens(request: Request) -> int | None:
    """Input tokens of `request` by the provider's own count; None where it has no such thing.

    Never fewer than text of any language has: a hold that is too small would be overspent.
    """
    try:
        async with asyncio.timeout(10):
            counted = (await client().messages.count_tokens(**request.counted())).input_tokens
    except Exception as error:  # whatever a server of one's own makes of the question
        logger.info("The provider counts no tokens: %s", type(error).__name__)
        return None
    if not is_count(counted) or counted == 0:
        return None
    return max(counted, request.size // MOST_BYTES)


class Call:
    """One model call. Iterate over `text()`; what is known of the call stands in its fields."""

    def __init__(
        self,
        request: Request,
        *,
        on_call: Callable[[], Awaitable[None]],
        on_wait: Callable[[], Awaitable[None]],
    ) -> None:
        """`on_call` is awaited before each request, `on_wait` before each wait for the next.

        What either raises ends the call.
        """
        self.request = request
        # Until the provider says which one answers.
        self.model = UNDERSTUDY if is_understudy() else request.model
        self.stop_reason = ""
        self.first_token_ms: int | None = None
        self.made = False  # a request went out, whatever became of it
        self.answered = False  # the provider took the request and began to answer
        self._in_flight = False  # it was sent, and not turned down
        self._heard = False  # its status came, and said that all was well
        self.finished = False  # it said that it was done, so its counts are final
        self._on_call, self._on_wait = on_call, on_wait
        self._started = time.monotonic()
        self._counts: dict[str, Any] = {}

    @property
    def duration_ms(self) -> int:
        """Milliseconds since the call was made."""
        return round((time.monotonic() - self._started) * 1000)

    @property
    def usage(self) -> CallUsage | None:
        """What the call cost; None where the provider never told and may have charged.

        Input is known once the answer begins. Where the final count of output never came, all
        that it might have been is charged. One that is no number of tokens makes all unknown.
        """
        if not self.answered and not self._in_flight:
            return CallUsage(0, 0)
        if not all(is_count(value) for value in self._counts.values()):
            return None
        fresh, write, read = (self._counts.get(key, 0) for key in INPUT)
        if not fresh + write + read:
            return None
        output = self._counts.get("output_tokens") if self.finished else None
        return CallUsage(
            input_tokens=fresh + write + read,
            output_tokens=self.request.max_tokens if output is None else output,
            cache_write_tokens=write,
            cache_read_tokens=read,
            is_estimate=output is None,
        )

    async def text(self) -> AsyncGenerator[str]:
        """Yield the reply's text as it arrives. Raises `CallError`, also in mid-stream."""
        await self._on_call()
        self._started = time.monotonic()
        overall = self._started + settings.REPLY_SECONDS
        deadline = min(overall, self._started + settings.REPLY_FIRST_TOKEN_SECONDS)
        stream, first = await self._open(deadline)
        async with contextlib.aclosing(self._chunks(stream, first)) as chunks:
            while True:
                try:
                    async with asyncio.timeout(deadline - time.monotonic()):
                        chunk = await anext(chunks)
                except StopAsyncIteration:
                    break
                except TimeoutError:
                    if self.finished:
                        break
                    raise CallError(self._late(overall)) from None
                if self.first_token_ms is None:
                    self.first_token_ms = self.duration_ms
                yield chunk
                deadline = min(overall, time.monotonic() + settings.REPLY_CHUNK_SECONDS)
        if not self.stop_reason and not self.finished:
            raise CallError(Trouble.CUT)

    def _late(self, overall: float) -> Trouble:
        if time.monotonic() >= overall:
            return Trouble.OVERTIME
        return Trouble.SLOW if self.first_token_ms is None else Trouble.STALLED

    async def _open(self, deadline: float) -> tuple[anthropic.AsyncStream[Any], Any]:
        """Make the request, again where the provider is busy, all before `deadline`.

        Never again once one was sent and not turned down: it may have been charged for. Returns
        the stream and its first event, None where it is empty.
        """
        for wait in (*BACKOFF, None):
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    return await self._request()
            except TimeoutError:
                trouble = Trouble.SLOW if self._in_flight else Trouble.UNREACHABLE
                raise CallError(trouble) from None
            except Exception as error:
                if not (self._heard or isinstance(error, BROKEN)):
                    raise
                trouble = self._failed(error)
                if trouble is Trouble.MODEL and self._fall_back():
                    continue
                again_in = _again_in(error, wait)
                if (
                    trouble not in (Trouble.BUSY, Trouble.UNREACHABLE)
                    or again_in is None
                    or time.monotonic() + again_in >= deadline
                ):
                    logger.warning("Model call failed: %s (%s)", trouble, type(error).__name__)
                    raise CallError(trouble) from None
                await self._wait(again_in, deadline, trouble)
        raise CallError(Trouble.BUSY)

    async def _request(self) -> tuple[anthropic.AsyncStream[Any], Any]:
        self._heard = False
        with watched(self._on_wire):
            stream = await client().messages.create(**self.request.body(), stream=True)
        self._heard = self.made = self._in_flight = True  # the understudy has no wire
        try:
            # An error may be the first event, where others have it as the status.
            return stream, await anext(stream, None)
        except BaseException:
            await stream.close()
            raise

    def _on_wire(self) -> None:
        self.made = self._in_flight = True

    def _failed(self, error: Exception) -> Trouble:
        """What a request came to that has no answer; what was sent and got none is in flight."""
        # A status that says so, be its own text whole or not, or an error in place of an answer.
        said_no = isinstance(error, anthropic.APIStatusError) or (
            isinstance(error, httpx2.HTTPError) and not self._heard
        )
        self._in_flight = self._in_flight and not said_no
        if not self._in_flight:
            return _trouble(error)
        if not isinstance(error, (anthropic.AnthropicError, httpx2.HTTPError)):
            return Trouble.CUT
        late = isinstance(error, (anthropic.APITimeoutError, httpx2.TimeoutException))
        return Trouble.SLOW if late else Trouble.DROPPED

    async def _wait(self, seconds: float, deadline: float, trouble: Trouble) -> None:
        """Let a busy provider be, while no call is under way."""
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                await self._on_wait()
                await asyncio.sleep(seconds)
                await self._on_call()
        except TimeoutError:
            raise CallError(trouble) from None

    def _fall_back(self) -> bool:
        fallback = settings.FALLBACK_MODEL
        if not fallback or self.request.model == fallback:
            return False
        logger.warning("Model %s is not to be had; asking %s", self.request.model, fallback)
        self.request = replace(self.request, model=fallback)
        self.model = fallback
        return True

    async def _chunks(self, stream: anthropic.AsyncStream[Any], first: Any) -> AsyncGenerator[str]:
        """The text of the raw events, their counts noted on the way.

        Without NUL and half a character, which JSON can escape: neither fits a database or a frame.
        """
        events = _chained(first, stream)
        room = MOST_CHARACTERS * self.request.max_tokens
        try:
            async with stream:
                async for event in events:
                    match event.type:
                        case "content_block_delta" if event.delta.type == "text_delta":
                            if event.delta.text:
                                text = event.delta.text.replace("\x00", "")
                                yield text[:room].encode(errors="replace").decode()
                                room -= len(text)
                                if room < 0:
                                    self.stop_reason = "max_tokens"
                                    return
                        case "message_start" | "message_delta" | "message_stop":
                            self._note(event)
                            if self.finished:
                                await self._see_off(events)
                                return
        except Exception as error:  # whatever an event may be
            if self.finished:
                return
            begun = self.answered or self.first_token_ms is not None
            trouble = Trouble.CUT if begun else self._failed(error)
            logger.warning("Model call broke off: %s (%s)", trouble, type(error).__name__)
            raise CallError(trouble) from None

    def _note(self, event: Any) -> None:
        """Take over what an event tells of the call. With its reason to stop a reply is whole."""
        match event.type:
            case "message_start":
                self.answered = True
                self.model = _named(getattr(event.message, "model", None)) or self.model
                self._count(getattr(event.message, "usage", None), INPUT)
            case "message_delta":
                self.stop_reason = _named(event.delta.stop_reason) or self.stop_reason
                self._count(getattr(event, "usage", None), INPUT + OUTPUT)
                self.finished = bool(self.stop_reason)
            case "message_stop":
                self.finished = True

    async def _see_off(self, events: AsyncIterator[Any]) -> None:
        """Read to the end of the line, however that comes: nothing of the reply is missing."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(FAREWELL):
                async for event in events:
                    if event.type == "message_delta":
                        self._note(event)

    def _count(self, usage: Any, keys: Iterable[str]) -> None:
        """Take over the counts that an event carries, be they any or not; they are cumulative."""
        found = {key: getattr(usage, key, None) for key in keys}
        self._counts |= {key: value for key, value in found.items() if value is not None}


def is_count(value: object) -> bool:
    """Whether a provider's JSON value is a number of tokens; a bool is an int to Python."""
    return type(value) is int and 0 <= value <= MOST_TOKENS


def _named(value: object) -> str:
    return value if isinstance(value, str) else ""


async def _chained(first: Any, rest: AsyncIterator[Any]) -> AsyncGenerator[Any]:
    if first is not None:
        yield first
    async for event in rest:
        yield event


def _trouble(error: Exception) -> Trouble:
    said = _named(getattr(error, "type", None))
    if said == "overloaded_error":
        return Trouble.BUSY
    if isinstance(error, anthropic.APIStatusError) and error.status_code == HTTPStatus.OK:
        return EVENTS.get(said, Trouble.REJECTED)
    # The order matters: some are subclasses of others.
    kinds: tuple[tuple[type[Exception], Trouble], ...] = (
        (anthropic.EnforcedSpendLimitReachedError, Trouble.SPEND_LIMIT),
        (anthropic.RateLimitError, Trouble.BUSY),
        (anthropic.InternalServerError, Trouble.BUSY),
        (anthropic.AuthenticationError, Trouble.KEY),
        (anthropic.PermissionDeniedError, Trouble.KEY),
        (anthropic.NotFoundError, Trouble.MODEL),
        (anthropic.ContentTooLargeError, Trouble.TOO_LONG),
        (anthropic.APIConnectionError, Trouble.UNREACHABLE),
        (httpx2.HTTPError, Trouble.UNREACHABLE),
        (AssertionError, Trouble.CUT),
    )
    for kind, trouble in kinds:
        if isinstance(error, kind):
            return trouble
    return Trouble.REJECTED


def _again_in(error: Exception, wait: float | None) -> float | None:
    """Seconds until the next try: what the provider asks for, else our own with jitter."""
    if wait is None:
        return None
    jittered = wait * random.uniform(0.5, 1)
    response = getattr(error, "response", None)
    asked = response.headers.get("retry-after") if response is not None else None
    try:
        return max(jittered, float(asked)) if asked else jittered
    except ValueError:
        return jittered
