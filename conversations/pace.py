"""How fast one may go on: with what asks a model for something, and with connecting.

People are counted by their session or account and by their conversation. An address stands for
a whole class or office, so it has a limit that only a program reaches.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from config import addresses
from config.limits import Limit
from conversations.lanes import Step
from conversations.models import Message
from conversations.turns import Refused

# A reply takes seconds; sixty in a minute is no conversation.
IN_A_CONVERSATION: Final = Limit("calls_in_conversation", 60, 60)
OF_A_VISITOR: Final = Limit("calls_of_visitor", 120, 60)
# Each may cost the partner's first words and, at its end, a debrief. An end needs a beginning.
STARTS: Final = Limit("starts", 20, 60)
TOO_MUCH: Final = "That is too much in a short time. Wait a minute, then go on."
# A page that comes back after a restart of the server connects a dozen times in its first minute.
CONNECTS: Final = Limit("connects_of_visitor", 120, 60)
CONNECTS_FROM: Final = Limit("connects_from", 2400, 60)


def name(user: Any, session: Any) -> str:
    """Whom to count somebody as: their account, else the session of their browser."""
    if user.is_authenticated:
        return f"account {user.pk}"
    return f"session {session.session_key}" if session and session.session_key else ""


def check(conversation: int, who: str) -> None:
    """Count something that costs a model call. Raises `Refused` for one too many."""
    # Both are counted, whichever refuses: what begins nothing is given back to both.
    within = [IN_A_CONVERSATION.take(conversation), OF_A_VISITOR.take(who)]
    if not all(within):
        raise Refused("too_often", TOO_MUCH)


def check_start(payer: str) -> None:
    """Count a conversation that is started on an invitation or by an account, by its id.

    Raises `Refused` for one too many.
    """
    if not STARTS.take(payer):
        raise Refused("too_often", TOO_MUCH)


def paced(work: Callable[..., Step], who: str) -> Callable[..., Step]:
    """A step of `turns` that costs a model call, refused to whoever takes too many.

    What is sent again under its id, as after a lost line, begins nothing: it is neither refused
    nor counted.
    """

    def step(conversation: int, given: UUID | int, *args: Any) -> Step:
        try:
            check(conversation, who)
        except Refused:
            sent = Message.objects.filter(session=conversation)
            if not (isinstance(given, UUID) and sent.filter(client_id=given).exists()):
                raise
        done = work(conversation, given, *args)
        if not done.after:
            IN_A_CONVERSATION.give_back(conversation)
            OF_A_VISITOR.give_back(who)
        return done

    return step


def may_come_from(scope: Mapping[str, Any]) -> bool:
    """Count a socket that asks to be let in, whosever it is; return whether it may ask."""
    return CONNECTS_FROM.take(addresses.network(addresses.of_scope(scope)))


def may_connect(who: str) -> bool:
    """Count a socket of somebody who is let in; return whether they may have one more."""
    return not who or CONNECTS.take(who)
