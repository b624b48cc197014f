"""What staff see of an invitation in the list and on its form."""

from typing import Any, Final

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from config.admin import DeskAdmin, badge, number, when
from invitations.groups import GroupLink
from invitations.models import Invitation, Status, Wish

TONES = {
    Status.DRAFT: "quiet",
    Status.SENT: "busy",
    Status.OPENED: "busy",
    Status.CLAIMED: "good",
    Status.LINKED: "good",
    Status.EXPIRED: "quiet",
    Status.REVOKED: "bad",
    Status.USED_UP: "warning",
}


# The learner chooses another scenario then.
WITHDRAWN: Final = "Scenario not offered"


def is_withdrawn(offer: Invitation | GroupLink) -> bool:
    """Whether it names a scenario that it does not open."""
    return offer.scenario_id is not None and offer.offered_scenario is None


class StatusFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(value), str(label)) for value, label in Status.choices]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Invitation]
    ) -> QuerySet[Invitation]:
        value = self.value()
        return queryset.in_status(value) if value in Status.values else queryset  # type: ignore[attr-defined]


class AskedFilter(admin.SimpleListFilter):
    title = "asked for"
    parameter_name = "asked"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(wish.value), str(wish.label).capitalize()) for wish in Wish]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Invitation]
    ) -> QuerySet[Invitation]:
        value = self.value()
        return queryset.asking_for(Wish(value)) if value in Wish.values else queryset  # type: ignore[attr-defined]


class InvitationColumns(DeskAdmin):
    @admin.display(description="Recipient", ordering="recipient_email")
    def recipient(self, invitation: Invitation) -> SafeString:
        name, email = invitation.recipient_name, invitation.recipient_email
        if name and email:
            return format_html('{}<br><span class="quiet">{}</span>', name, email)
        if not name and not email and invitation.group:
            return format_html("Somebody of {}", invitation.group)
        return format_html("{}", name or email or "Anybody with the link")

    def standing_of(self, invitation: Invitation) -> Status:
        """The state that learners read on their page."""
        return invitation.status

    @admin.display(description="Status")
    def status(self, invitation: Invitation) -> SafeString:
        standing = self.standing_of(invitation)
        status = badge(standing.label, TONES[standing])
        more = [badge(f"Asks for {wish.value}", "warning") for wish in invitation.wishes]
        if invitation.is_open and is_withdrawn(invitation):
            more.append(badge(WITHDRAWN, "warning"))
        return format_html_join(" ", "{}", ([shown] for shown in (status, *more)))

    @admin.display(description="Budget used")
    def budget(self, invitation: Invitation) -> SafeString:
        words = f"{number(invitation.settled)} of {number(invitation.limit)}"
        if invitation.held:
            words += f", {number(invitation.held)} set aside"
        return format_html(
            '<progress class="budget" max="{}" value="{}" aria-label="Budget used"></progress>'
            ' <span class="budget-words">{}</span>',
            invitation.limit,
            min(invitation.limit, invitation.settled + invitation.held),
            words,
        )

    @admin.display(description="Last sent", ordering="sent_at")
    def sent(self, invitation: Invitation) -> str:
        return when(invitation.sent_at, time=False)

    @admin.display(description="Expires", ordering="expires_at")
    def expires(self, invitation: Invitation) -> str:
        return when(invitation.expires_at, time=False)

    @admin.display(description="Link")
    def link(self, invitation: Invitation) -> str:
        if not invitation.is_open:
            return "Closed: it lets nobody in any more."
        pages = format_html(
            '<a href="{}">See the mail</a> · <a href="{}">Print a sheet with a QR code</a>',
            reverse("admin:invitations_invitation_preview", args=[invitation.pk]),
            reverse("admin:invitations_invitation_sheet", args=[invitation.pk]),
        )
        if invitation.opens_what_was_said:
            words = "It opens what was said, and so whoever looks at it is recorded as a reader."
            return format_html("{}<br>{}", words, pages)
        return format_html(
            '<span class="copy"><input type="text" id="invitation-link" class="vTextField" readonly'
            ' value="{}" aria-label="Link" autocomplete="off">'
            ' <button type="button" class="button" data-copy="invitation-link" hidden>Copy link'
            '</button> <span role="status" class="copy-status"></span></span>'
            '<div class="help">Whoever has it may come in: pass it to the recipient alone. '
            "{}</div>",
            invitation.url,
            pages,
        )

    @admin.display(description="Link")
    def kept_link(self, invitation: Invitation) -> str:
        """In place of the link for who may not read what it opens."""
        if not invitation.is_open:
            return "Closed: it lets nobody in any more."
        return (
            "Somebody has taken it up, so that it is for who may read transcripts. "
            "“Send the link again” mails it to the recipient."
        )

    @admin.display(description="Conversations")
    def conversations(self, invitation: Invitation) -> str:
        count = invitation.sessions.count()
        if not count:
            return "None yet"
        url = reverse("admin:conversations_conversationsession_changelist")
        return format_html(
            '<a href="{}?invitation__id__exact={}">{}</a>', url, invitation.pk, number(count)
        )
