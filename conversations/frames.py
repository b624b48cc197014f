"""What goes to a page over a socket: frames made from rows. `docs/protocol.md` lists them."""

from collections.abc import Mapping
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse

from conversations.models import ConversationSession, Message, MessageRole
from conversations.prompts import PARTNER_MOST
from usage.budgets import Budget, budget

Frame = dict[str, Any]


def turn(message: Message, conversation: ConversationSession, after: int | None = None) -> Frame:
    """A message as its server-rendered list item, the same that the page comes with.

    `after` is the id before it in its conversation, where that is known: from it a page tells
    whether it has missed a turn.
    """
    html = render_to_string(
        "conversations/_turn.html", {"message": message, "conversation": conversation}
    )
    return {
        "type": "turn",
        "message": message.pk,
        "after": after,
        "pane": message.pane,
        "role": message.role,
        "kind": message.kind,
        "status": message.status,
        "client_id": str(message.client_id) if message.client_id else None,
        "html": html,
    }


def chunk(message: int, index: int, text: str) -> Frame:
    """Text of a running reply; `index` counts the code points before it."""
    return {"type": "chunk", "message": message, "index": index, "text": text}


def notice(message: int, text: str) -> Frame:
    """Passing words about a running reply."""
    return {"type": "notice", "message": message, "text": text}


def conversation_budget(conversation: ConversationSession) -> Budget:
    """What is left for `conversation`, as its learner sees it."""
    return budget(conversation.purse, session_id=conversation.pk, longest_reply=PARTNER_MOST)


def state(
    conversation: ConversationSession, running: Mapping[str, int], *, with_budget: bool = True
) -> Frame:
    """Whether the conversation goes on, who is replying, and what is left of the budget.

    `running`: the replies that run now, by role.
    """
    budget_html = None
    if with_budget:
        context = {"budget": conversation_budget(conversation), "conversation": conversation}
        budget_html = render_to_string("conversations/_budget.html", context)
    return {
        "type": "state",
        "status": conversation.status,
        "partner": running.get(MessageRole.PARTNER),
        "coach": running.get(MessageRole.COACH),
        "budget": budget_html,
        "debrief_url": None
        if conversation.is_active
        else reverse("conversations:debrief", args=[conversation.pk]),
    }


def accepted(client_id: str | None, message: int | None) -> Frame:
    """What the page sent is stored."""
    return {"type": "accepted", "id": client_id, "message": message}


def refused(client_id: str | None, code: str, words: str) -> Frame:
    """What the page asked for is not done; nothing changed."""
    return {"type": "refused", "id": client_id, "code": code, "text": words}


def watched(words: str) -> Frame:
    """Who of the staff watches, in words; empty where nobody does."""
    return {"type": "watched", "text": words}


def pong() -> Frame:
    """The line is alive, and so is who serves it."""
    return {"type": "pong"}


def resync() -> Frame:
    """The page may have missed something, and had better ask for it."""
    return {"type": "resync"}


def error(code: str, words: str) -> Frame:
    """The page sent something that is no frame of the protocol."""
    return {"type": "error", "code": code, "text": words}
