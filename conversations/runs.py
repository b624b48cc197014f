"""A reply under way in this process: what has arrived of it, and what its end makes of it."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from conversations import llm
from conversations.lanes import Reply
from conversations.models import MessageStatus
from usage.holds import CallRecord


@dataclass(slots=True)
class Run:
    """A reply under way in this process."""

    reply: Reply
    conversation: int
    parts: list[str] = field(default_factory=list)
    length: int = 0  # code points
    call: llm.Call | None = None
    work: asyncio.Task[Any] | None = None
    stopping: bool = False
    leaving: bool = False  # the process shuts down
    lost: bool = False
    believed: bool = True  # what the provider told of the call

    @property
    def message(self) -> int:
        return self.reply.message.pk

    @property
    def text(self) -> str:
        if len(self.parts) > 1:
            self.parts = ["".join(self.parts)]
        return self.parts[0] if self.parts else ""

    def stop(self) -> None:
        """End the call; what has arrived stays."""
        self.stopping = True
        if self.work is not None:
            self.work.cancel()

    def ending(self) -> tuple[MessageStatus, str]:
        """The state of a reply whose call ended by itself, and why it is not whole."""
        assert self.call is not None
        reason = self.call.stop_reason
        if reason == "refusal":
            return MessageStatus.FAILED, "refusal"
        if not self.text.strip():
            return MessageStatus.FAILED, "empty"
        if reason == "max_tokens":
            return MessageStatus.COMPLETE, "max_tokens"
        if reason == "model_context_window_exceeded":
            return MessageStatus.INTERRUPTED, "too_long"
        return MessageStatus.COMPLETE, ""

    def broken(self) -> MessageStatus:
        """The state of a reply that ended in a way nobody foresaw; what has arrived stays.

        What the provider told of its call may be why it could not be stored, and is left out.
        """
        self.believed = False
        return MessageStatus.INTERRUPTED if self.length else MessageStatus.FAILED

    def record(self, failure: str) -> CallRecord | None:
        """What is logged of the reply's call; None if it made none."""
        if self.call is None or not self.call.made:
            return None
        if not self.believed:
            return CallRecord(self.reply.request.model, None, failure)
        return CallRecord(
            model=self.call.model,
            usage=self.call.usage,
            stop_reason=self.call.stop_reason or ("stopped" if self.stopping else failure),
            first_token_ms=self.call.first_token_ms,
            duration_ms=self.call.duration_ms,
        )
