"""Which of the staff may read what was said, and what learners are told of it."""

from typing import Any, Final

from django.contrib.auth.models import Permission
from django.contrib.humanize.templatetags.humanize import apnumber
from django.db.models import Q, QuerySet
from django.utils.text import capfirst

from accounts.models import Role, User
from conversations.models import ConversationSession
from invitations.mailing import INVITER
from scenarios.models import Scenario

TRANSCRIPT: Final = "view_transcript"
# Either opens a conversation's pages in the admin.
PAGES: Final = ("view_conversationsession", "change_conversationsession")


def may_read(user: Any, conversation: ConversationSession) -> bool:
    """Whether `user` may read `conversation` in the admin, and watch it."""
    if not (isinstance(user, User) and user.is_active and user.is_staff):
        return False
    if user.is_administrator:
        return True
    return (
        user.has_perm(f"conversations.{TRANSCRIPT}")
        and any(user.has_perm(f"conversations.{name}") for name in PAGES)
        and Scenario.objects.shared().filter(pk=conversation.scenario_id).exists()
    )


def readers(*, private: bool = False) -> QuerySet[User]:
    """Those of the staff who may read conversations; on a private scenario, administrators."""
    administrators = Q(role=Role.ADMIN) | Q(is_superuser=True)
    allowed = administrators if private else administrators | (_holds([TRANSCRIPT]) & _holds(PAGES))
    return User.objects.filter(allowed, is_active=True, is_staff=True)


def who_may_read(inviter: User | None, *, private: bool = False) -> str:
    """A sentence for the learner on who of the staff may read, as it is at this moment."""
    people = set(readers(private=private).values_list("pk", flat=True))
    if not people:
        return "Nobody on the staff of this site may read it at present."
    if inviter is None:
        return f"{_members(len(people))} of this site may read it."
    name = inviter.name or INVITER
    if inviter.pk not in people:
        return f"{_members(len(people))} of this site may read it; {name} may not."
    name = inviter.name or capfirst(INVITER)
    others = len(people) - 1
    if not others:
        return f"{name} may read it, and nobody else on the staff of this site."
    return f"{name} and {_members(others, other=True)} of this site may read it."


def _members(count: int, *, other: bool = False) -> str:
    number = str(apnumber(count))
    kind = "other member" if other else "member"
    sentence = f"{number} {kind}{'' if count == 1 else 's'} of staff"
    return sentence if other else sentence.capitalize()


def _holds(codenames: Any) -> Q:
    """Users who have one of the permissions, by themselves or by a group."""
    wanted = Permission.objects.filter(
        content_type__app_label="conversations", codename__in=codenames
    )
    return Q(
        pk__in=User.objects.filter(
            Q(user_permissions__in=wanted) | Q(groups__permissions__in=wanted)
        ).values("pk")
    )
