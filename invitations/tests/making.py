"""Invitations and what they need, for tests."""

from accounts.models import User
from accounts.tests.people import staff
from invitations.models import Invitation
from scenarios.models import Scenario


def scenario(**fields) -> Scenario:
    defaults = {
        "name": "A raise",
        "slug": "raise",
        "description": "You want more money.",
        "partner_persona": "Morgan",
        "partner_system_prompt": "Morgan is your manager.",
        "coach_system_prompt": "Look for clear requests.",
    }
    return Scenario.objects.create(**defaults | fields)


def invitation(**fields) -> Invitation:
    """An open invitation of `Sam Staff`'s to a scenario of its own."""
    if "created_by" not in fields:
        fields["created_by"] = User.objects.filter(is_staff=True).first() or staff()
    if "scenario" not in fields:
        fields["scenario"] = Scenario.objects.first() or scenario()
    return Invitation.objects.create(**{"quota": {"tokens": 25_000}} | fields)
