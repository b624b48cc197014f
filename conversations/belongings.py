"""What is a person's, in every app: for the export, and for the erasure."""

from functools import reduce
from operator import or_

from allauth.account.models import EmailAddress
from django.db.models import Q

from accounts.models import User
from conversations.models import ConversationQuerySet, ConversationSession
from invitations.models import Invitation, InvitationQuerySet
from usage.models import UsageLog


class Belongings:
    """The rows of one account. Only proven addresses count: others may be somebody else's."""

    def __init__(self, user: User) -> None:
        self.user = user
        proven = EmailAddress.objects.filter(user=user, verified=True)
        self.addresses = sorted({email.lower() for email in proven.values_list("email", flat=True)})

    @property
    def received(self) -> InvitationQuerySet:
        """Invitations that the account took up, and those to it that nobody else's account did."""
        mine = Q(linked_user=self.user) | (Q(linked_user=None) & self._is_addressed)
        return Invitation.objects.filter(mine)

    @property
    def taken_by_others(self) -> InvitationQuerySet:
        """Invitations to the account's address that somebody else's account took up."""
        theirs = Invitation.objects.exclude(linked_user=None).exclude(linked_user=self.user)
        return theirs.filter(self._is_addressed)

    @property
    def sent(self) -> InvitationQuerySet:
        return Invitation.objects.sent_by(self.user)

    @property
    def conversations(self) -> ConversationQuerySet:
        """Those of the account, and those held as a guest on an invitation to it."""
        as_guest = Q(user=None, invitation__in=self.received)
        return ConversationSession.objects.filter(Q(user=self.user) | as_guest)

    @property
    def calls(self) -> Q:
        """Condition on `UsageLog`: the model calls that the account, or its invitations, paid."""
        invitations = self.received.order_by().values("pk")
        return Q(user_id=self.user.pk) | Q(user_id=None, invitation_id__in=invitations)

    def calls_without_conversation(self) -> "list[UsageLog]":
        """What was logged of conversations that are gone."""
        return list(UsageLog.objects.filter(self.calls, session=None).order_by("timestamp"))

    @property
    def _is_addressed(self) -> Q:
        nobody = Q(pk__in=[])
        return reduce(or_, (Q(recipient_email__iexact=one) for one in self.addresses), nobody)
