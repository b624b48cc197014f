"""What the history says of a changed invitation: from what to what.

Budget and expiry stand with both values, since they are what people ask about later. Of names,
addresses and notes it says only that they changed: the history outlives them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from django.utils import timezone

from invitations.models import Invitation

QUIET: Final = {
    "recipient_email": "Recipient",
    "recipient_name": "Recipient's name",
    "personal_note": "Personal note",
}


def moved(what: str, before: object, after: object) -> str:
    """Return a line of the history: "Budget: 25,000 tokens → 35,000 tokens."."""
    return f"{what}: {before or 'none'} → {after or 'none'}."


def moment(when: datetime) -> str:
    """Return a time as the history and the messages to staff have it."""
    local = timezone.localtime(when)
    return f"{local.day} {local:%B %Y, %H:%M %Z}"


def budget(limit: int) -> str:
    return f"{limit:,} tokens"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What may be read of an invitation in the history, as it stood before an edit."""

    facts: dict[str, str]
    hidden: dict[str, str]

    @classmethod
    def of(cls, invitation: Invitation) -> Self:
        facts = {
            "Budget": budget(invitation.limit),
            "Budget's name": invitation.quota.get("label", ""),
            "Expiry": moment(invitation.expires_at),
            "Scenario": str(invitation.scenario or ""),
        }
        return cls(facts, {name: getattr(invitation, name) for name in QUIET})

    def until(self, after: "Snapshot") -> str:
        """Return in words what is different in `after`; "" where nothing is."""
        lines = [
            moved(name, before, after.facts[name])
            for name, before in self.facts.items()
            if before != after.facts[name]
        ]
        lines += [
            f"{QUIET[name]} changed."
            for name, before in self.hidden.items()
            if before != after.hidden[name]
        ]
        return " ".join(lines)
