"""A budget as learners see it: exchanges left, in words, not tokens."""

from dataclasses import dataclass
from typing import Final

from accounts.models import User
from invitations.models import Invitation
from invitations.quota import EACH_NEXT, FIRST_EXCHANGE, exchanges_from
from usage.holds import UNLIMITED, Purse, available
from usage.models import StreamType, UsageLog, allowance_of

# Words for large numbers would only pretend precision.
MANY: Final = 20
WARN_AT_PERCENT: Final = 80


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left. `percent` is the share used, from 0 to 100."""

    exchanges_left: int
    percent: int
    limited: bool
    advice: str

    @property
    def exhausted(self) -> bool:
        return self.limited and self.exchanges_left == 0

    @property
    def warning(self) -> bool:
        """Worth a word: four fifths are used, or only two exchanges are left."""
        return self.limited and (self.percent >= WARN_AT_PERCENT or self.exchanges_left <= 2)

    @property
    def words(self) -> str:
        if not self.limited:
            return "no limit"
        if self.exchanges_left == 0:
            return "no exchanges left"
        if self.exchanges_left == 1:
            return "about 1 exchange left"
        if self.exchanges_left > MANY:
            return f"more than {MANY} exchanges left"
        return f"about {self.exchanges_left} exchanges left"


def budget(purse: Purse, *, session_id: int) -> Budget:
    """What is left in `purse` for the conversation `session_id`.

    The next exchange is taken to cost a little more than the last one did, partner and coach
    together; before the first one, what the invitation promises by.
    """
    left = available(purse)
    limit, advice = _limit(purse)
    last = _last_exchange(session_id)
    cost = last + EACH_NEXT if last else FIRST_EXCHANGE
    used = 0 if limit is None else round(100 * (limit - left) / limit) if limit else 100
    return Budget(
        exchanges_left=exchanges_from(left, cost),
        percent=min(100, max(0, used)),
        limited=limit is not None and left < UNLIMITED,
        advice=advice,
    )


def _limit(purse: Purse) -> tuple[int | None, str]:
    """The whole budget in tokens (None: no limit), and whom to ask when it is used up."""
    if purse.invitation_id:
        invitation = (
            Invitation.objects.filter(pk=purse.invitation_id).select_related("created_by").first()
        )
        if invitation is None:
            return 0, "This invitation is gone. Ask for a new one."
        who = invitation.created_by.name or "whoever invited you"
        if not invitation.is_open:
            return (
                invitation.limit,
                f"This invitation's time is over. You can end the conversation and read it; "
                f"to go on, ask {who}.",
            )
        return (
            invitation.limit,
            f"This invitation's budget is used up. You can end the conversation and read your "
            f"debrief; for more, ask {who}.",
        )
    user = User.objects.filter(pk=purse.user_id).first()
    if user is None:
        return 0, "Sign in to go on."
    return (
        allowance_of(user).tokens,
        "Your allowance is used up for now. It grows back with time: come back later, or ask "
        "for an invitation.",
    )


def _last_exchange(session_id: int) -> int:
    """Tokens of the newest partner call and the newest coach call together; 0 before any."""
    logs = UsageLog.objects.filter(session=session_id, is_estimate=False, output_tokens__gt=0)
    total = 0
    for stream in (StreamType.PARTNER, StreamType.COACH):
        newest = logs.filter(stream_type=stream).order_by("timestamp").last()
        if newest:
            total += newest.input_tokens + newest.output_tokens
    return total
