"""The hold for the most that a reply can cost, taken before it is asked for."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.db import transaction

from conversations.models import ConversationSession, Message
from conversations.prompts import BLOCK_OVERHEAD, Request, Said
from invitations.models import Invitation
from usage.holds import take_hold
from usage.models import Hold

# A provider's count is an estimate; this much may be added when it is charged.
COUNT_MARGIN: Final = 1.05


class Lost(Exception):
    """The reply is not this process's any more: another one has closed it."""


def measure(request: Request, since: int) -> dict[str, Any]:
    """What a reply's row keeps of its request, for the next one of its stream.

    Its size bounds the next call; `since` is the row that both begin at.
    """
    size = {"size": request.size, "blocks": request.blocks}
    return {"model": request.model, "since": since, **size}


def last_call(role: str, before: Sequence[Said]) -> dict[str, Any]:
    """What was measured of the newest call of a stream; empty before the first."""
    calls = (row for row in reversed(before) if row.role == role and row.metadata)
    return next((row.metadata for row in calls if row.metadata), {})


def bound(request: Request, since: int, last: Mapping[str, Any]) -> int:
    """The most input tokens that `request` can have, which begins at the row `since`.

    What the last call of its stream really had, plus the bytes that came since: a token has
    at least one byte. Without such a call, all bytes.
    """
    known = last.get("input_tokens")
    if not known or (last.get("model"), last.get("since", 0)) != (request.model, since):
        return request.bound
    grown = max(0, request.size - int(last["size"]))
    blocks = max(0, request.blocks - int(last["blocks"]))
    return min(request.bound, int(known) + grown + BLOCK_OVERHEAD * (blocks + 2))


def reserve(
    conversation: ConversationSession, request: Request, stream_type: str, input_bound: int
) -> Hold | None:
    """A hold for `request` with so many tokens of input; None, where that does not fit."""
    return take_hold(
        conversation.purse,
        bound=input_bound + request.max_tokens,
        max_tokens=request.max_tokens,
        session_id=conversation.pk,
        stream_type=stream_type,
        model=request.model,
    )


def lack(conversation: ConversationSession) -> str:
    """Why nothing could be held for it: "over", where its invitation is, else "budget"."""
    invitation = Invitation.objects.filter(pk=conversation.invitation_id).first()
    return "over" if invitation and not invitation.is_open else "budget"


@transaction.atomic
def reserve_counted(
    message_id: int, request: Request, since: int, counted: int | None
) -> Hold | None:
    """A hold where the exact count of the input makes it fit; None where it does not.

    The reply keeps all of its `max_tokens`: one that had less might be cut in mid-sentence, and
    what cannot finish is not begun. That costs a budget nothing but its last few hundred tokens.
    A hold that the reply has already is given again: an answer may get lost on its way. Raises
    `Lost` if another process has closed the reply.
    """
    # Locked first, as by all who close a reply, for two who wait for each other wait for ever.
    ours = Message.objects.ours().select_for_update(of=("self",), no_key=True)
    reply = ours.select_related("session", "hold").filter(pk=message_id).first()
    if reply is None:
        raise Lost
    if reply.hold is not None:
        return reply.hold
    before = list(reply.session.messages.filter(pk__lt=reply.pk, metadata__isnull=False))
    most = bound(request, since, last_call(reply.role, before))
    if counted is not None:
        most = min(most, round(counted * COUNT_MARGIN) + BLOCK_OVERHEAD)
    hold = reserve(reply.session, request, reply.stream_type, most)
    if hold is not None:
        Message.objects.filter(pk=reply.pk).update(hold=hold, metadata=measure(request, since))
    return hold
