"""What a bulk invitation would do: whom it invites, whom it leaves out, and why."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from django.db.models import Q, Value
from django.db.models.functions import Lower, StrIndex, Substr

from invitations.addresses import Entry, mailbox, sort
from invitations.bulk import Batch
from invitations.lists import sealed, written
from invitations.mailing import message
from invitations.models import Invitation, Status
from scenarios.models import Scenario


@dataclass(frozen=True)
class Preview:
    """`people` would be invited; `problems`, `repeated` and `invited` would not."""

    offer: Batch
    entries: list[Entry]
    people: list[Entry]
    problems: list[Entry]
    repeated: list[Entry]
    invited: list[tuple[Entry, Invitation]]

    @property
    def text(self) -> str:
        """The list as it stands in the text box: what could be read tidied, what not as it was."""
        return written(self.entries)

    @property
    def seal(self) -> str:
        """What the lines of `text` were read as, for the form that shows them."""
        return sealed(self.entries)

    @property
    def digest(self) -> str:
        """Of all that would be sent, to tell whether it is what somebody has looked at."""
        offer = self.offer
        seen = [str(entry) for entry in self.people]
        seen += [str(offer.scenario_id), str(offer.quota), str(offer.expires_at)]
        return hashlib.sha256("\n".join([*seen, offer.personal_note]).encode()).hexdigest()

    @property
    def left_out(self) -> list[str]:
        """Sentences on whom it leaves out."""
        words = []
        if self.problems:
            lines = ", ".join(str(entry.line) for entry in self.problems[:10])
            more = "…" if len(self.problems) > 10 else ""
            words.append(f"Left out for want of one clear address: line {lines}{more}.")
        if self.invited:
            who = ", ".join(entry.email for entry, _ in self.invited[:10])
            more = "…" if len(self.invited) > 10 else ""
            words.append(f"Left out because they have an open invitation to it: {who}{more}.")
        return words

    @cached_property
    def mail(self) -> tuple[str, str]:
        """Subject and text of the first one's mail, with no link that opens anything."""
        first = self.people[0]
        invitation = Invitation(
            recipient_email=first.email,
            recipient_name=first.name,
            expires_at=self.offer.expires_at,
            **self.offer.for_each,
        )
        mail = message(invitation)
        return str(mail.subject), str(mail.body).replace(invitation.link, "…")


def look(offer: Batch, entries: Iterable[Entry]) -> Preview:
    """Sort `entries`, and set aside whom an open invitation to the same scenario waits for."""
    entries = list(entries)
    found = sort(entries)
    waiting = open_invitations([entry.email for entry in found.people], offer.scenario)
    return Preview(
        offer=offer,
        entries=entries,
        people=[entry for entry in found.people if mailbox(entry.email) not in waiting],
        problems=found.problems,
        repeated=found.repeated,
        invited=[
            (entry, waiting[mailbox(entry.email)])
            for entry in found.people
            if mailbox(entry.email) in waiting
        ],
    )


def open_invitations(emails: Iterable[str], scenario: Scenario | None) -> dict[str, Invitation]:
    """Invitations to `scenario` on which something can still be said, by `mailbox`."""
    wanted = {mailbox(email) for email in emails}
    # The database knows one mailbox of an international domain by what stands before the @.
    abroad = [box[: box.index("@") + 1] for box in wanted if "xn--" in box]
    found = (
        Invitation.objects.open()
        .filter(scenario=scenario)
        .annotate(
            address=Lower("recipient_email"),
            before=Lower(Substr("recipient_email", 1, StrIndex("recipient_email", Value("@")))),
        )
    )
    return {
        box: invitation
        for invitation in found.filter(Q(address__in=wanted) | Q(before__in=abroad))
        if (box := mailbox(invitation.recipient_email)) in wanted
        and invitation.status != Status.USED_UP
    }
