"""The socket of somebody from staff who watches: it shows what a page gets, and does nothing."""

import logging
from typing import Any

from django.db import Error as DatabaseTrouble

from accounts import second_factor
from conversations.audit import Pass
from conversations.consumers import READING, ConversationConsumer
from conversations.database import in_thread
from conversations.readers import may_read
from conversations.turns import Refused
from conversations.viewings import Viewing, ViewingKind
from conversations.visitors import Visitor

logger = logging.getLogger(__name__)


class WatchingConsumer(ConversationConsumer):
    """One watching page, let in by the record that it was opened."""

    def admission(self, visitor: Visitor) -> Pass | None:
        user = visitor.user
        if second_factor.is_missing_in(visitor.session, user):
            return None  # as in the admin, from which this page came
        viewing = (
            Viewing.objects.select_related("conversation")
            .filter(
                pk=self.scope["url_route"]["kwargs"]["viewing"],
                viewer=user.pk,
                kind=ViewingKind.LIVE,
            )
            .first()
        )
        conversation = viewing.conversation if viewing else None
        if viewing is None or conversation is None or not may_read(user, conversation):
            return None
        if not Viewing.objects.recent().renew([viewing.pk]):
            # Somebody comes back to a page that they left long ago: that is a new viewing.
            viewing = Viewing.record(conversation, user, ViewingKind.LIVE)
        self.viewing = viewing.pk
        key = visitor.session.session_key
        return Pass(conversation.pk, key, visitor.account, viewing=viewing.pk, role=visitor.role)

    async def perform(self, frame: dict[str, Any]) -> None:
        if frame["type"] not in READING:  # everything else is the learner's to do
            raise Refused("read_only", "You are watching. Only the learner can do this.")
        await super().perform(frame)

    async def disconnect(self, code: int) -> None:
        admitted = self.outgoing is not None
        await super().disconnect(code)
        if not admitted:
            return
        try:
            await in_thread(Viewing.objects.leave, [self.viewing])
        except DatabaseTrouble as error:
            # It runs out by itself in a few seconds.
            logger.warning("Who left was not noted: %s", type(error).__name__)
