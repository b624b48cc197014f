"""Budgets: a hold before each model call, settled once after it.

At every instant settled + held tokens ≤ the limit. An invitation's counts live in its `usage`
and move by conditional UPDATEs; a user's allowance is counted from the log and the open holds
while the user's row is locked.
"""

import logging
from dataclasses import dataclass
from typing import Any, Final

from django.db import models, transaction
from django.db.models import F, Subquery, Sum
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Greatest, JSONObject
from django.utils import timezone

from accounts.models import User
from config.prepared import (
    PreparedModels,
    PreparedUpdate,
    given_number,
    given_text,
    given_time,
    insert,
)
from invitations.models import Invitation
from invitations.quota import tokens
from usage.models import Hold, HoldState, UsageLog, allowance_of

logger = logging.getLogger(__name__)

UNLIMITED: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Purse:
    """Who pays for a conversation: its invitation, else its user's allowance."""

    invitation_id: str | None
    user_id: str | None


@dataclass(frozen=True, slots=True)
class CallUsage:
    """What the provider counted for one call, in tokens; input is all of it, cached or not."""

    input_tokens: int
    output_tokens: int
    cache_write_tokens: int = 0
    cache_read_tokens: int = 0
    # The final count never came, so that some of it is the most that it can have been.
    is_estimate: bool = False


@dataclass(frozen=True, slots=True)
class CallRecord:
    """What is logged of a call beside its tokens. `usage` is None where the count was lost."""

    model: str
    usage: CallUsage | None
    stop_reason: str = ""
    first_token_ms: int | None = None
    duration_ms: int | None = None


def available(purse: Purse) -> int:
    """Tokens left to hold: the limit less what is settled and held, never below zero."""
    if purse.invitation_id:
        found = _open(pk=purse.invitation_id, now=timezone.now())
        return max([0, *(one.limit - one.settled - one.held for one in found)])
    user = User.objects.filter(pk=purse.user_id, is_active=True).first()
    return _allowance_left(user) if user else 0


def _allowance_left(user: User) -> int:
    allowance = allowance_of(user)
    if allowance.tokens is None:
        return UNLIMITED
    # In one statement, so at one moment: what is settled between two would be in neither sum.
    taken = (
        User.objects.filter(pk=user.pk)
        .annotate(
            taken=_sum_for(allowance.spent_by(user.pk), F("input_tokens") + F("output_tokens"))
            + _sum_for(Hold.objects.held().filter(user=user), F("tokens"))
        )
        .values_list("taken", flat=True)
        .get()
    )
    return max(0, allowance.tokens - taken)


def _sum_for(rows: models.QuerySet[Any], amount: Combinable) -> Coalesce:
    """The sum of `amount` over `rows` of one user, as a subquery; 0 where there are none."""
    total = rows.order_by().values("user_id").annotate(total=Sum(amount)).values("total")
    return Coalesce(Subquery(total), 0, output_field=models.BigIntegerField())


def _added() -> dict[str, JSONObject]:
    """An invitation's `usage` with what is given added to it, computed by the database."""
    zero = models.Value(0, output_field=models.BigIntegerField())
    usage = JSONObject(
        input_tokens=tokens("usage", "input_tokens") + given_number("input"),
        output_tokens=tokens("usage", "output_tokens") + given_number("output"),
        held_tokens=Greatest(tokens("usage", "held_tokens") + given_number("held"), zero),
    )
    return {"usage": usage}


# To compile these took longer than to carry them out, for each turn of each learner.
_open: Final = PreparedModels(
    Invitation,
    lambda: Invitation.objects.open(given_time("now")).filter(pk=given_text("pk")),
)
_add: Final = PreparedUpdate(lambda: Invitation.objects.filter(pk=given_text("pk")), _added)
_add_if_it_fits: Final = PreparedUpdate(
    lambda: (
        Invitation.objects.open(given_time("now"))
        .with_room_for(given_number("held"))
        .filter(pk=given_text("pk"))
    ),
    _added,
)


@transaction.atomic(savepoint=False)
def take_hold(
    purse: Purse, *, bound: int, max_tokens: int, session_id: int, stream_type: str, model: str
) -> Hold | None:
    """Set `bound` tokens aside for one call, or return None, having changed nothing.

    `bound` is the most that the call can cost in input and output together; `max_tokens` is
    the output's share of it.
    """
    if purse.invitation_id:
        added = {"input": 0, "output": 0, "held": bound}
        if not _add_if_it_fits(pk=purse.invitation_id, now=timezone.now(), **added):
            return None
    else:
        user = User.objects.select_for_update().filter(pk=purse.user_id, is_active=True).first()
        if user is None or _allowance_left(user) < bound:
            return None
    hold = Hold(
        invitation_id=purse.invitation_id,
        user_id=None if purse.invitation_id else purse.user_id,
        session_id=session_id,
        stream_type=stream_type,
        model=model,
        tokens=bound,
        max_tokens=max_tokens,
    )
    insert(hold)
    return hold


@transaction.atomic(savepoint=False)
def settle(hold: Hold, record: CallRecord, *, user_id: str | None) -> bool:
    """Replace a hold by what its call cost, and log the call. Returns whether this call did it.

    Only the first settlement of a hold counts. Unknown usage charges the whole hold: its
    output share as output, the rest as input. So does usage beyond the hold, which was the
    most that the call could cost: no provider's count overspends a budget.
    """
    if not _close(hold, HoldState.SETTLED):
        return False
    usage = _charged(hold, record.usage)
    if hold.invitation_id:
        spent = {"input": usage.input_tokens, "output": usage.output_tokens}
        _add(pk=hold.invitation_id, **spent, held=-hold.tokens)
    UsageLog.objects.create(
        user_id=user_id,
        invitation_id=hold.invitation_id,
        session_id=hold.session_id,
        model=_fitting("model", record.model or hold.model),
        stream_type=hold.stream_type,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        is_estimate=usage.is_estimate,
        stop_reason=_fitting("stop_reason", record.stop_reason),
        first_token_ms=record.first_token_ms,
        duration_ms=record.duration_ms,
        hold_id=hold.pk,
        # Read by the same statement: no further way to the database while a budget waits.
        scenario_id=Subquery(Hold.objects.filter(pk=hold.pk).values("session__scenario")),
    )
    return True


def _charged(hold: Hold, usage: CallUsage | None) -> CallUsage:
    if usage is not None and usage.input_tokens + usage.output_tokens <= hold.tokens:
        return usage
    if usage is not None:
        logger.warning("A provider counted more than the %s tokens held for a call", hold.tokens)
    return CallUsage(hold.tokens - hold.max_tokens, hold.max_tokens, is_estimate=True)


def _fitting(field: str, text: str) -> str:
    """As much of what a provider said as the log has room for: no name may keep a hold open."""
    column: Any = UsageLog._meta.get_field(field)
    storable = text.replace("\x00", "").encode(errors="replace").decode()
    return storable[: column.max_length]


@transaction.atomic(savepoint=False)
def release(hold: Hold) -> bool:
    """Give a hold back whose call never reached the provider. Returns whether this call did it."""
    if not _close(hold, HoldState.RELEASED):
        return False
    if hold.invitation_id:
        _add(pk=hold.invitation_id, input=0, output=0, held=-hold.tokens)
    return True


def _close(hold: Hold, state: HoldState) -> bool:
    now = timezone.now()
    return bool(Hold.objects.held().filter(pk=hold.pk).update(state=state, settled_at=now))
