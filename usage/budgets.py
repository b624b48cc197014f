"""A budget as learners see it: exchanges left, in words, not tokens."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from accounts.models import User
from config.prepared import PreparedModels, PreparedSelect, given_number, given_text
from invitations.mailing import INVITER, SENDERS
from invitations.models import Invitation
from invitations.quota import EACH_NEXT, FIRST_EXCHANGE, exchanges_from
from usage.holds import UNLIMITED, Purse, available
from usage.models import StreamType, UsageLog, allowance_of

# Words for large numbers would only pretend precision.
MANY: Final = 20
WARN_AT_PERCENT: Final = 80
SILENCE: Final = "Nothing more can be said here; what was said stays for you to read."
# Calls of each voice that tell what the next one will cost.
RECENT: Final = 4
VOICES: Final = (StreamType.PARTNER, StreamType.COACH)


@dataclass(frozen=True, slots=True)
class Ending:
    """Why nothing more can be said, once that is so, and what to do then: in sentences.

    `may_ask`: whether the inviter can be asked for more, which a page of its own does.
    """

    why: str
    advice: str
    may_ask: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left. `percent` is the share used, from 0 to 100."""

    exchanges_left: int
    percent: int
    limited: bool
    # None while more can be said.
    ending: Ending | None

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


def budget(purse: Purse, *, session_id: int, longest_reply: int = 0) -> Budget:
    """What is left in `purse` for the conversation `session_id`, by its own recent exchanges.

    The next exchange is taken to cost what the last one did, partner and coach together, and
    as much more as each of the recent ones cost more than the one before; before the first,
    what the invitation promises by. It only begins while `longest_reply` tokens are there,
    however short replies have been.
    """
    left = available(purse)
    payer = _payer(purse)
    limit = _limit(payer)
    cost, growth, spoken = expected(
        {stream: _calls(session=session_id, stream=stream) for stream in VOICES}
    )
    used = 0 if limit is None else round(100 * (limit - left) / limit) if limit else 100
    exchanges_left = exchanges_from(left, cost, growth, to_begin(spoken, longest_reply))
    return Budget(
        exchanges_left=exchanges_left,
        percent=min(100, max(0, used)),
        limited=limit is not None and left < UNLIMITED,
        ending=None if exchanges_left else _ending(payer),
    )


def _payer(purse: Purse) -> Invitation | User | None:
    if purse.invitation_id:
        return next(iter(_invitation(pk=purse.invitation_id)), None)
    return User.objects.filter(pk=purse.user_id).first()


def _limit(payer: Invitation | User | None) -> int | None:
    """The whole budget in tokens. None: no limit."""
    if isinstance(payer, Invitation):
        return payer.limit
    return allowance_of(payer).tokens if payer else 0


def _ending(payer: Invitation | User | None) -> Ending:
    """What there is to say at the end of a budget."""
    if payer is None:
        return Ending("This invitation or account is gone.", "Ask for a new invitation.")
    if isinstance(payer, Invitation):
        return _invitation_ending(payer)
    return Ending(
        "Your allowance is used up for now.",
        f"{SILENCE} The allowance grows back with time: come back later, or ask for an invitation.",
    )


def _invitation_ending(invitation: Invitation) -> Ending:
    lacks = "’s budget is used up" if invitation.is_open else "’s time is over"
    if invitation.revoked_at:
        lacks = " was withdrawn"
    inviter = invitation.created_by
    who = SENDERS if inviter.has_left else inviter.name or INVITER
    advice = f"{SILENCE} To go on, ask {who}."
    may_ask = invitation.revoked_at is None and not inviter.has_left
    return Ending(f"This invitation{lacks}.", advice, may_ask=may_ask)


def to_begin(spoken: int, longest_reply: int) -> int:
    """What must be there beside an exchange's cost where the partner is expected to say so much."""
    return max(0, longest_reply - spoken) if spoken else 0


def expected(calls: Mapping[str, Iterable[Sequence[int]]]) -> tuple[int, int, int]:
    """What the next exchange will cost, how much more each one after it, and how much of that
    the partner says, all in tokens.

    `calls`: the input and output of each voice's last `RECENT`, newest first.
    """
    cost = growth = spoken = 0
    for stream in VOICES:
        said = [
            (input_tokens + output_tokens, output_tokens)
            for input_tokens, output_tokens in calls.get(stream, ())
        ]
        if not said:
            continue
        more = (said[0][0] - said[-1][0]) // (len(said) - 1) if len(said) > 1 else EACH_NEXT // 2
        cost, growth = cost + said[0][0] + max(0, more), growth + max(0, more)
        if stream == StreamType.PARTNER:
            spoken = said[0][1]
    return (cost, growth, spoken) if cost else (FIRST_EXCHANGE, EACH_NEXT, 0)


# At the end of each reply; to compile these took longer than to carry them out.
_invitation: Final = PreparedModels(
    Invitation, lambda: Invitation.objects.filter(pk=given_text("pk"))
)
# By one index, few of them, newest first.
_calls: Final = PreparedSelect(
    lambda: (
        UsageLog.objects.filter(
            session=given_number("session"),
            stream_type=given_text("stream"),
            is_estimate=False,
            output_tokens__gt=0,
        )
        .order_by("-timestamp")
        .values_list("input_tokens", "output_tokens")[:RECENT]
    )
)
