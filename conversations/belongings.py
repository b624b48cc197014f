"""What is a person's, in every app: for the export, and for the erasure."""

from datetime import datetime
from functools import cached_property, reduce
from operator import or_

from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Coalesce

from accounts import former
from accounts.models import FormerAddress, User
from conversations.models import ConversationQuerySet, ConversationSession
from invitations.models import Invitation, InvitationQuerySet
from usage.models import UsageLog


class Belongings:
    """The rows of one account. Only proven addresses count: others may be somebody else's.

    Those that were given up count as well. Of one that somebody else has proven since, what went
    there before is still the person's, and what came later is not.
    """

    def __init__(self, user: User) -> None:
        self.user = user
        had = former.given_up_by(user)
        kept = {email for email, until in had.items() if until is None}
        # By these, and by no others, a text speaks of the person.
        self.addresses = sorted(former.proven_by(user) | kept)
        self._lost = {email: until for email, until in had.items() if until}

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

    def was_written_to(self, invitation: Invitation) -> bool:
        """Whether `invitation` went to an address that was the person's then."""
        return invitation.pk in self._written_to

    @cached_property
    def _written_to(self) -> set[str]:
        return set(Invitation.objects.filter(self._is_addressed).values_list("pk", flat=True))

    @property
    def _is_addressed(self) -> Q:
        to: list[tuple[str, datetime | None]] = [(email, None) for email in self.addresses]
        to += self._lost.items()
        return reduce(or_, (self._went_to(*one) for one in to), Q(pk__in=[]))

    def _went_to(self, email: str, until: datetime | None) -> Q:
        """Condition on `Invitation`: to `email` before `until`, and not while it was another's."""
        went = Coalesce(OuterRef("sent_at"), OuterRef("created_at"))
        others = FormerAddress.objects.filter(email=email, until__gte=went).exclude(user=self.user)
        sent = Q(recipient_email__iexact=email)
        if until:
            others = others.filter(until__lt=until)
            sent &= Q(created_at__lte=until) & (Q(sent_at=None) | Q(sent_at__lte=until))
        return sent & ~Q(Exists(others))
