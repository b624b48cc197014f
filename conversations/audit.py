"""Whether those who listen still may: a socket reads its session only once, when it connects.

Every process looks again every second, at fifty sockets with three queries: signing out, here or
everywhere, a new password or role, a deactivated person, a revoked or expired invitation close what
they opened. Who may see the conversation all the same, in the new role or as the account that keeps
what was said, is let in again as what they are now.
"""

import asyncio
import json
import logging
import time
from collections.abc import Collection
from contextvars import Context
from dataclasses import dataclass, field
from datetime import datetime
from itertools import batched
from typing import Any, Final
from weakref import WeakKeyDictionary

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import Error as DatabaseTrouble
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts import second_factor
from accounts.models import User
from conversations import frames
from conversations.database import in_thread
from conversations.live import RESYNC, Listener
from conversations.models import ConversationSession
from conversations.readers import may_read
from conversations.viewings import LASTS, Viewing, watchers
from invitations.claims import held_invitations

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 1.0
# Sockets that are looked at together.
AT_A_TIME: Final = 50
SIGNED_OUT: Final = 4401
GONE: Final = 4404
# Nothing forbids to come back, and the page does: but as somebody else than it was.
CHANGED: Final = 4409
# The code of a server that restarts: the page comes back by itself.
RESTARTING: Final = 1012
# What staff gave a conversation on an invitation: tokens, and until when.
type Terms = tuple[int, datetime] | None


@dataclass(frozen=True, slots=True)
class Pass:
    """What let a socket in: a session, perhaps a person in a role, and the conversation.

    Who watches is let in by the record of it (`viewing`) in place of a right to take part.
    """

    conversation: int
    session_key: str | None
    user_id: str | None
    viewing: str | None = None
    role: str | None = None
    # Whether its invitation was withdrawn already: then it lets an account read.
    withdrawn: bool = False
    terms: Terms = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Findings:
    """What a look at all sockets found, by pass and by conversation."""

    codes: dict[Pass, int]
    watchers: dict[int, str]
    terms: dict[int, Terms]


def conversations_of(passes: Collection[Pass]) -> dict[int, ConversationSession]:
    # Not the prompts, which took tens of kilobytes for each idle socket.
    rows = ConversationSession.objects.select_related("invitation").only(
        "user", "scenario", "invitation"
    )
    return rows.in_bulk([one.conversation for one in passes])


def expired(
    passes: Collection[Pass], conversations: dict[int, ConversationSession] | None = None
) -> dict[Pass, int]:
    """The passes that let nobody in any more, each with the code to close its socket with."""
    if conversations is None:
        conversations = conversations_of(passes)
    keys = {one.session_key for one in passes if one.session_key}
    sessions: dict[str, dict[str, Any]] = {
        session.session_key: session.get_decoded()
        for session in Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    }
    users = User.objects.in_bulk([one.user_id for one in passes if one.user_id])
    codes: dict[Pass, int] = {}
    for one in passes:
        session = sessions.get(one.session_key or "", {})
        user = users.get(one.user_id or "")
        conversation = conversations.get(one.conversation)
        if not _is_signed_in(session, one.user_id, user):
            codes[one] = SIGNED_OUT
        elif conversation is None or not _may_stay(one, session, user, conversation):
            codes[one] = GONE
        elif _has_new_role(one, user) or _is_newly_withdrawn(one, conversation):
            codes[one] = CHANGED
    return codes


def _may_stay(
    one: Pass, session: dict[str, Any], user: User | None, conversation: ConversationSession
) -> bool:
    if one.viewing is not None:
        lacking = second_factor.is_missing_in(session, user)
        return not lacking and may_read(user, conversation)
    return conversation.is_visible_to(one.user_id, held_invitations(session))


def look(passes: Collection[Pass]) -> Findings:
    """Look at all sockets, and renew the record of who watches here."""
    codes: dict[Pass, int] = {}
    given: dict[int, Terms] = {}
    # Not all rows at once: what they take is kept from the system even between looks.
    for some in batched(passes, AT_A_TIME):
        conversations = conversations_of(some)
        codes |= expired(some, conversations)
        given |= {
            pk: terms_of(invitation.quota, invitation.expires_at)
            if (invitation := one.invitation)
            else None
            for pk, one in conversations.items()
        }
    here = [one.viewing for one in passes if one.viewing and one not in codes]
    if here:
        Viewing.objects.renew(here)
    return Findings(codes, watchers(), given)


def terms_of(quota: dict[str, Any] | None, until: datetime | None) -> Terms:
    """What a page is told of once it changes: an invitation's budget, and when it ends."""
    return (int(quota["tokens"]), until) if quota and until else None


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


def _has_new_role(one: Pass, user: User | None) -> bool:
    return user is not None and one.role not in (None, user.role)


def _is_newly_withdrawn(one: Pass, conversation: ConversationSession) -> bool:
    """Whether the invitation that opened a page was revoked since; who watches came by no such."""
    invitation = conversation.invitation
    revoked = invitation is not None and invitation.revoked_at is not None
    return revoked and not one.withdrawn and one.viewing is None


class Auditor:
    """Looks after the sockets of one event loop, and tells each page who else watches."""

    def __init__(self) -> None:
        self._admitted: dict[Listener, Pass] = {}
        # What each page was told last of who watches.
        self._told: dict[Listener, str] = {}
        # On what terms each page talks, as it knows.
        self._terms: dict[Listener, Terms] = {}
        self._looked_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def admit(self, listener: Listener, by: Pass) -> None:
        """Look after a socket until `dismiss`."""
        self._admitted[listener] = by
        self._terms[listener] = by.terms
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._look(), context=Context())

    def dismiss(self, listener: Listener) -> None:
        """The socket is closed."""
        self._admitted.pop(listener, None)
        self._told.pop(listener, None)
        self._terms.pop(listener, None)

    async def _look(self) -> None:
        self._looked_at = time.monotonic()
        while self._admitted:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                found = await in_thread(look, set(self._admitted.values()))
            except DatabaseTrouble as error:
                logger.warning("Sockets were not looked at: %s", type(error).__name__)
                self._let_nobody_watch_unseen()
                continue
            except Exception:
                # Nothing may end the look but the last socket's end.
                logger.exception("Sockets were not looked at")
                self._let_nobody_watch_unseen()
                continue
            self._looked_at = time.monotonic()
            for listener, by in tuple(self._admitted.items()):
                if by in found.codes:
                    listener.hang_up(found.codes[by])
                elif by.conversation in found.terms:
                    self._tell(listener, found.watchers.get(by.conversation, ""))
                    if by.viewing is None:
                        self._tell_terms(listener, found.terms[by.conversation])

    def _tell(self, listener: Listener, words: str) -> None:
        # At first in any case: the page may show what was true before its line broke.
        if self._told.get(listener) != words:
            self._told[listener] = words
            listener.deliver(json.dumps(frames.watched(words), ensure_ascii=False))

    def _tell_terms(self, listener: Listener, terms: Terms) -> None:
        """Have a page ask for its budget once staff have changed it: it may go on now."""
        if self._terms[listener] != terms:
            self._terms[listener] = terms
            listener.deliver(RESYNC)

    def _let_nobody_watch_unseen(self) -> None:
        """Close watching sockets whose sign of life may have run out: learners see none of them."""
        if time.monotonic() - self._looked_at < LASTS.total_seconds() - 2 * EVERY_SECONDS:
            return
        for listener, by in tuple(self._admitted.items()):
            if by.viewing is not None:
                listener.hang_up(RESTARTING)


_auditors: WeakKeyDictionary[asyncio.AbstractEventLoop, Auditor] = WeakKeyDictionary()


def auditor() -> Auditor:
    """The auditor of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _auditors:
        _auditors[loop] = Auditor()
    return _auditors[loop]
