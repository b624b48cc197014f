"""What a reply will ask for, and the hold for the most that it can cost."""

from dataclasses import replace
from typing import Final

from django.db import transaction

from conversations.leases import keep_hold
from conversations.models import Message, MessageRole
from conversations.prompts import BLOCK_OVERHEAD, Request, coach_request, partner_request
from usage.holds import available, take_hold
from usage.models import Hold, UsageLog

# A provider's count is an estimate; this much may be added when it is charged.
COUNT_MARGIN: Final = 1.05


def prepare(message_id: int) -> tuple[Request, Hold | None]:
    """The request of a reply, and a hold for the most that it can cost if that fits.

    Raises `leases.Lost` if another process has closed the reply.
    """
    reply = Message.objects.select_related("session").get(pk=message_id)
    conversation = reply.session
    messages = list(conversation.messages.all())
    if reply.role == MessageRole.PARTNER:
        request = partner_request(conversation, messages)
    else:
        request = coach_request(conversation, messages, reply)
    return request, _hold(reply, request, _bound(reply, request))


def _bound(reply: Message, request: Request) -> int:
    """The most input tokens that `request` can have.

    What the last call of its stream really had, plus the bytes that came since: a token has
    at least one byte. Without such a call, all bytes.
    """
    last = (
        Message.objects.filter(session=reply.session_id, role=reply.role, pk__lt=reply.pk)
        .filter(metadata__isnull=False, hold__model=request.model)
        .last()
    )
    if last is None or last.metadata is None:
        return request.bound
    log = UsageLog.objects.filter(
        hold_id=last.hold_id, is_estimate=False, input_tokens__gt=0
    ).first()
    if log is None:
        return request.bound
    grown = request.size - last.metadata["size"]
    blocks = request.blocks - last.metadata["blocks"]
    return min(request.bound, log.input_tokens + max(0, grown) + BLOCK_OVERHEAD * (blocks + 2))


@transaction.atomic
def _hold(reply: Message, request: Request, input_bound: int) -> Hold | None:
    hold = take_hold(
        reply.session.purse,
        bound=input_bound + request.max_tokens,
        max_tokens=request.max_tokens,
        session_id=reply.session_id,
        stream_type=reply.stream_type,
        model=request.model,
    )
    if hold is not None:
        # What it measured, so that the next call of the stream can be bounded by this one.
        size = {"size": request.size, "blocks": request.blocks}
        # Undone together if the reply was taken over meanwhile: nobody would settle the hold.
        keep_hold(reply.pk, hold=hold, metadata=size)
    return hold


def shrink(message_id: int, request: Request, counted: int | None) -> tuple[Request, Hold | None]:
    """A hold from the exact count, with a shorter reply if need be; None below the useful least."""
    reply = Message.objects.select_related("session").get(pk=message_id)
    bound = _bound(reply, request)
    if counted is not None:
        bound = min(bound, round(counted * COUNT_MARGIN) + BLOCK_OVERHEAD)
    room = available(reply.session.purse) - bound
    if room < request.least:
        return request, None
    request = replace(request, max_tokens=min(request.max_tokens, room))
    return request, _hold(reply, request, bound)
