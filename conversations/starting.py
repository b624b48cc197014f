"""Who may start a conversation, on what and with whose tokens."""

from collections.abc import Collection
from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.db.models import Exists, OuterRef

from accounts.models import User
from conversations.models import ConversationSession
from invitations.models import Invitation, InvitationQuerySet, Status
from scenarios.models import Scenario
from usage.holds import Purse, available


@dataclass(frozen=True, slots=True)
class Means:
    """What a conversation would be started with; `why_not` is for a person where it cannot."""

    user: User | None
    invitation: Invitation | None
    why_not: str = ""

    @property
    def can_start(self) -> bool:
        return not self.why_not


def usable(user: User | AnonymousUser, held_invitations: Collection[str]) -> InvitationQuerySet:
    """Open invitations that a visitor holds, as a guest or by their account."""
    mine = Invitation.objects.open().held_by(held_invitations)
    if user.is_authenticated:
        mine = mine | Invitation.objects.open().filter(linked_user=user)
    return mine.select_related("scenario", "created_by")


def waiting(user: User | AnonymousUser, held_invitations: Collection[str]) -> list[Invitation]:
    """Held invitations on which no conversation has been started yet."""
    started = ConversationSession.objects.filter(invitation=OuterRef("pk"))
    return list(usable(user, held_invitations).exclude(Exists(started)))


def means(
    user: User | AnonymousUser, held_invitations: Collection[str], scenario: Scenario | None = None
) -> Means:
    """How this visitor may start `scenario` (any, where None): an invitation first, else allowance.

    An invitation to one scenario opens that one only; one without, or whose scenario staff have
    withdrawn, opens all that they offer. A private one comes out of its owner's allowance alone.
    """
    account = user if user.is_authenticated else None
    if scenario and not Scenario.objects.open_to(user).filter(pk=scenario.pk).exists():
        return Means(account, None, "This scenario is not open any more.")
    private = scenario is not None and scenario.is_private
    for invitation in () if private else usable(user, held_invitations):
        fits = scenario is None or invitation.offered_scenario in (None, scenario)
        if fits and invitation.status != Status.USED_UP:
            # One that a browser holds as a guest's stays a guest's, whoever has signed in since.
            return Means(account if invitation.linked_user_id else None, invitation)
    if account is None:
        return Means(None, None, "Sign in, or open the invitation that was sent to you.")
    if available(Purse(None, account.pk)) > 0:
        return Means(account, None)
    return Means(
        account,
        None,
        "You have no allowance left just now. Come back later, or ask for an invitation.",
    )


@transaction.atomic
def start(scenario: Scenario, means: Means) -> ConversationSession:
    """Start `scenario`, or go on with the active conversation on the same purse and scenario."""
    if means.invitation is not None:
        Invitation.objects.select_for_update().get(pk=means.invitation.pk)
        mine = ConversationSession.objects.filter(invitation=means.invitation)
    else:
        # Not for somebody who is being erased meanwhile.
        User.objects.select_for_update().get(pk=means.user and means.user.pk, is_active=True)
        mine = ConversationSession.objects.filter(user=means.user, invitation=None)
    under_way = mine.active().filter(scenario=scenario).first()
    if under_way is not None:
        return under_way
    return ConversationSession.begin(scenario, user=means.user, invitation=means.invitation)
