"""Purses to take holds from, as tests of budgets need them."""

from typing import Any

from accounts.models import Role, User
from invitations.models import Invitation
from usage.holds import Purse, take_hold
from usage.models import Allowance, Hold


def invite(staff: User, tokens: int = 1000, **fields: Any) -> Invitation:
    return Invitation.objects.create(
        created_by=staff, quota={"tokens": tokens, "label": ""}, **fields
    )


def learner(**fields: Any) -> User:
    return User.objects.create_user("learner@example.org", **({"role": Role.USER} | fields))


def purse_of(kind: str, staff: User, tokens: int = 1000) -> Purse:
    """A purse of so many tokens: an "invitation" or an "allowance"."""
    if kind == "invitation":
        return Purse(invite(staff, tokens).pk, None)
    Allowance.objects.update_or_create(role=Role.USER, defaults={"tokens": tokens})
    return Purse(None, learner().pk)


def hold(purse: Purse, bound: int, max_tokens: int = 1) -> Hold | None:
    return take_hold(
        purse,
        bound=bound,
        max_tokens=max_tokens,
        session_id=None,
        stream_type="partner",
        model="m",
    )
