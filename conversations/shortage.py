"""Invitations on which nothing more can be said though tokens are left: too few for an exchange.

What `conversations.entrance.lacks_budget` asks of one, for a list of them, in two queries.
"""

from typing import Any

from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone

from conversations.models import ConversationSession
from conversations.prompts import PARTNER_MOST
from invitations.admin_columns import StatusFilter
from invitations.models import Invitation, InvitationQuerySet, Status
from invitations.quota import EACH_NEXT, FIRST_EXCHANGE
from usage.exhausted import exhausted


def short(invitations: InvitationQuerySet) -> set[str]:
    """Ids of those of `invitations` of which learners read that they are used up."""
    active = ConversationSession.objects.active().filter(invitation=OuterRef("pk"))
    newest = active.order_by("-started_at").values("pk")[:1]
    rows = _may_be_short(invitations).annotate(newest=Subquery(newest)).exclude(newest=None)
    found = {
        session: (pk, quota - spent)
        for pk, session, quota, spent in rows.order_by().values_list(
            "pk", "newest", "quota_tokens", "spent_tokens"
        )
    }
    left = {session: tokens for session, (_, tokens) in found.items()}
    return {found[session][0] for session in exhausted(left, longest_reply=PARTNER_MOST)}


def _may_be_short(invitations: InvitationQuerySet) -> InvitationQuerySet:
    """Fewer rows to look into: the next exchange costs at most twice what all of them did.

    It grows by no more than the last one's size, or else by `EACH_NEXT`, and the partner may
    use the room of its longest reply besides.
    """
    found = invitations.open().with_room_for(1)
    left = F("quota_tokens") - F("spent_tokens")
    most = 2 * F("spent_tokens") + EACH_NEXT + PARTNER_MOST
    found = found.annotate(left_tokens=left, most_tokens=most)
    return found.filter(Q(left_tokens__lt=F("most_tokens")) | Q(left_tokens__lt=FIRST_EXCHANGE))


class LearnersStatusFilter(StatusFilter):
    """By the state that learners read on their page."""

    ids: set[str] | None = None

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        assert isinstance(queryset, InvitationQuerySet)
        if value not in Status.values or value in (Status.REVOKED, Status.EXPIRED):
            return super().queryset(request, queryset)
        ids = self.ids = short(Invitation.objects.all())
        if value != Status.USED_UP:
            return super().queryset(request, queryset).exclude(pk__in=ids)
        spent = Q(spent_tokens__gte=F("quota_tokens"), expires_at__gt=timezone.now())
        return queryset.with_spent().filter(Q(revoked_at=None) & (spent | Q(pk__in=ids)))
