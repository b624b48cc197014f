"""Whether those who listen still may: a socket reads its session only once, when it connects.

Every process looks again every second, at all its sockets with three queries: signing out, a new
password, a deactivated person, a revoked or expired invitation close what they opened.
"""

import asyncio
import logging
from collections.abc import Collection
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import DatabaseError
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.models import User
from conversations.database import in_thread
from conversations.live import Listener
from conversations.models import ConversationSession
from invitations.claims import held_invitations

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 1.0
SIGNED_OUT: Final = 4401
GONE: Final = 4404


@dataclass(frozen=True, slots=True)
class Pass:
    """What let a socket in: a session, perhaps a person, and the conversation."""

    conversation: int
    session_key: str | None
    user_id: str | None


def expired(passes: Collection[Pass]) -> dict[Pass, int]:
    """The passes that let nobody in any more, each with the code to close its socket with."""
    keys = {one.session_key for one in passes if one.session_key}
    sessions: dict[str, dict[str, Any]] = {
        session.session_key: session.get_decoded()
        for session in Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    }
    users = User.objects.in_bulk([one.user_id for one in passes if one.user_id])
    conversations = ConversationSession.objects.select_related("invitation").in_bulk(
        [one.conversation for one in passes]
    )
    codes: dict[Pass, int] = {}
    for one in passes:
        session = sessions.get(one.session_key or "", {})
        user = users.get(one.user_id or "")
        conversation = conversations.get(one.conversation)
        if not _is_signed_in(session, one.user_id, user):
            codes[one] = SIGNED_OUT
        elif conversation is None or not conversation.is_visible_to(
            one.user_id, held_invitations(session)
        ):
            codes[one] = GONE
    return codes


def _is_signed_in(session: dict[str, Any], user_id: str | None, user: User | None) -> bool:
    """Whether the session still is that of the same person, or of the same guest."""
    if not session or session.get(SESSION_KEY) != user_id:
        return False
    if user_id is None:
        return True
    return (
        user is not None
        and user.is_active
        and constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
    )


class Auditor:
    """Watches over the sockets of one event loop."""

    def __init__(self) -> None:
        self._admitted: dict[Listener, Pass] = {}
        self._task: asyncio.Task[None] | None = None

    def admit(self, listener: Listener, by: Pass) -> None:
        """Look after a socket until `dismiss`."""
        self._admitted[listener] = by
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._look(), context=Context())

    def dismiss(self, listener: Listener) -> None:
        """The socket is closed."""
        self._admitted.pop(listener, None)

    async def _look(self) -> None:
        while self._admitted:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                codes = await in_thread(expired, set(self._admitted.values()))
            except DatabaseError as error:
                logger.warning("Sockets were not looked at: %s", type(error).__name__)
                continue
            for listener, by in tuple(self._admitted.items()):
                if by in codes:
                    listener.hang_up(codes[by])


_auditors: WeakKeyDictionary[asyncio.AbstractEventLoop, Auditor] = WeakKeyDictionary()


def auditor() -> Auditor:
    """The auditor of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _auditors:
        _auditors[loop] = Auditor()
    return _auditors[loop]
