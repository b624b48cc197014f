"""What a page may send: frames of the protocol, not too large, not too many at a time."""

import json
import time
from collections.abc import Container
from typing import Any, Final, NoReturn
from uuid import UUID

# Characters of a frame: the longest message, escaped, has room to spare.
LARGEST_FRAME: Final = 128 * 1024
# Frames that a page may send at once, and a second; a person with two busy tabs sends few.
BURST: Final = 60.0
RATE: Final = 15.0
# Frames over the rate that are answered with an error before the socket is closed.
PATIENCE: Final = 60.0


class BadFrame(Exception):
    """A frame that is none of the protocol's, or one too many."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(code)
        self.code = code
        self.words = words


def too_fast() -> BadFrame:
    """What a frame is told that comes before it may."""
    return BadFrame("too_fast", "That is too much at once. Wait a moment.")


class Bucket:
    """A token bucket: what a socket may send now."""

    __slots__ = ("_at", "_level")

    def __init__(self) -> None:
        self._level = BURST
        self._at = time.monotonic()

    def take(self) -> None:
        """Count a frame. Raises `BadFrame` if it comes too soon after the others."""
        now = time.monotonic()
        self._level = min(BURST, self._level + (now - self._at) * RATE) - 1
        self._at = now
        if self._level < 0:
            raise too_fast()

    def run_dry(self) -> NoReturn:
        """Have used up what may be sent at once. Raises `BadFrame` for the frame too many."""
        self._level = min(self._level, -1)
        raise too_fast()

    @property
    def is_flooded(self) -> bool:
        """Whether the page has gone on in spite of errors, so that it is better closed."""
        return self._level < -PATIENCE


def parse(text: str | None, types: Container[str]) -> dict[str, Any]:
    """A frame from a page as a dict whose type is one of `types`. Raises `BadFrame`."""
    if text is None:
        raise BadFrame("binary", "Frames are JSON text.")
    if len(text) > LARGEST_FRAME:
        raise BadFrame("too_large", "That frame is too large.")
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        raise BadFrame("bad_json", "That frame is not JSON.") from None
    if not isinstance(frame, dict):
        raise BadFrame("bad_frame", "A frame is an object with a type.")
    kind = frame.get("type")
    if not isinstance(kind, str) or kind not in types:
        raise BadFrame("unknown_type", "There is no frame of that type.")
    return frame


def uuid(frame: dict[str, Any]) -> UUID:
    """The id that the page gave to what it asks for. Raises `BadFrame`."""
    try:
        return UUID(frame["id"])
    except (KeyError, ValueError, TypeError, AttributeError):
        raise BadFrame("bad_id", "“id” must be a UUID.") from None


def whole(frame: dict[str, Any], key: str) -> int:
    """A whole number of zero or more, as JSON number or digits. Raises `BadFrame`."""
    value = frame.get(key)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if type(value) is not int or not 0 <= value < 2**31:
        raise BadFrame("bad_number", f"“{key}” must be a whole number.")
    return value
