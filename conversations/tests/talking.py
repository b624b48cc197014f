"""Steps of a conversation as tests take them, and what came of them."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from asgiref.sync import sync_to_async

from conversations import turns
from conversations.lanes import Step
from conversations.models import ConversationSession, Message, MessageRole
from conversations.replies import runner
from invitations.models import Invitation


class Listening:
    """A socket that keeps what it is given."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.codes: list[int] = []

    def deliver(self, text: str) -> None:
        self.heard.append(text)

    def hang_up(self, code: int) -> None:
        self.codes.append(code)


async def act(step: Callable[..., Step | None], *args: Any) -> Step | None:
    """Take a step of `turns` and carry it out; its replies run on."""
    done = await runner().take(step, *args)
    runner().carry_out(done)
    return done


async def rows(conversation: ConversationSession, **wanted: Any) -> list[Message]:
    return await sync_to_async(lambda: list(conversation.messages.filter(**wanted)))()


async def partner_of(conversation: ConversationSession) -> Message:
    """The partner's newest reply."""
    return (await rows(conversation, role=MessageRole.PARTNER))[-1]


async def talk(conversation: ConversationSession, text: str = "Hello") -> Message:
    """Say something; returns the partner's reply once nothing runs any more."""
    await act(turns.send, conversation.pk, uuid4(), text)
    await runner().wait()
    return await partner_of(conversation)


def counts(input_tokens: int, output_tokens: int) -> dict[str, int]:
    return {"input_tokens": input_tokens, "output_tokens": output_tokens}


async def usage_of(conversation: ConversationSession) -> dict[str, int]:
    return (await Invitation.objects.aget(pk=conversation.invitation_id)).usage


async def row_when(conversation: ConversationSession, is_so: Callable[[Message], Any]) -> Message:
    """The partner's newest reply as soon as it is as wanted."""
    async with asyncio.timeout(5):
        while not is_so(row := await partner_of(conversation)):
            await asyncio.sleep(0.01)
    return row
