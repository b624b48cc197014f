"""What staff do with invitations from a list or a form: send, replace the link, revoke."""

from collections.abc import Sequence
from functools import partial
from smtplib import SMTPException

from django.contrib import admin, messages
from django.contrib.admin.options import ActionLocation
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from config.admin import DeskAdmin
from invitations.models import Invitation

EVERYWHERE = [ActionLocation.CHANGE_LIST, ActionLocation.CHANGE_FORM]


class InvitationActions(DeskAdmin):
    actions = ["send_again", "renew", "revoke"]

    @admin.action(
        description="Send the link again",
        description_plural="Send the links again",
        permissions=["change"],
        location=EVERYWHERE,
    )
    def send_again(self, request: HttpRequest, invitations: QuerySet[Invitation]) -> None:
        chosen = list(invitations.select_related("scenario", "created_by"))
        self.send_later(request, chosen)

    @admin.action(
        description="Replace the link by a new one…",
        description_plural="Replace the links by new ones…",
        permissions=["change"],
        location=EVERYWHERE,
    )
    def renew(self, request: HttpRequest, invitations: QuerySet[Invitation]) -> HttpResponse | None:
        if "confirmed" not in request.POST:
            return self._ask(request, invitations, "renew")
        for invitation in invitations:
            invitation.new_link()
            self.log_change(request, invitation, "Replaced the link.")
        messages.success(request, "The old links are closed. Send the new ones when you are ready.")
        return None

    @admin.action(
        description="Revoke…",
        description_plural="Revoke selected invitations…",
        permissions=["change"],
        location=EVERYWHERE,
    )
    def revoke(
        self, request: HttpRequest, invitations: QuerySet[Invitation]
    ) -> HttpResponse | None:
        if "confirmed" not in request.POST:
            return self._ask(request, invitations, "revoke")
        for invitation in invitations:
            invitation.revoke()
            self.log_change(request, invitation, "Revoked.")
        messages.success(request, "Revoked: nobody gets in by these links any more.")
        return None

    def _ask(
        self, request: HttpRequest, invitations: QuerySet[Invitation], action: str
    ) -> HttpResponse:
        """The page that asks before a link is closed; it posts the same action once more."""
        on_form = f"{ActionLocation.CHANGE_FORM.value}-action" in request.POST
        context = {
            **self.admin_site.each_context(request),
            "title": "Revoke?" if action == "revoke" else "Replace the link?",
            "opts": self.opts,
            "invitations": invitations.select_related("scenario"),
            "action": action,
            "action_field": "CHANGE_FORM-action" if on_form else "action",
        }
        return TemplateResponse(request, "admin/invitations/invitation/confirm.html", context)

    def send_later(self, request: HttpRequest, invitations: Sequence[Invitation]) -> None:
        """Send once the transaction is over: a slow mail server must not block the database."""
        transaction.on_commit(partial(self._send, request, invitations))

    def _send(self, request: HttpRequest, invitations: Sequence[Invitation]) -> None:
        for invitation in invitations:
            if reason := invitation.why_not_sendable:
                messages.warning(request, f"{invitation}: not sent. {reason}")
            else:
                self._send_one(request, invitation)

    def _send_one(self, request: HttpRequest, invitation: Invitation) -> None:
        address = invitation.recipient_email
        try:
            invitation.send()
        except (OSError, SMTPException) as error:
            messages.error(
                request,
                f"The mail to {address} could not be sent ({error.__class__.__name__}). The "
                "invitation is kept: check the mail settings and send the link again, or copy it.",
            )
        else:
            self.log_change(request, invitation, f"Sent to {address}.")
            messages.success(request, f"Sent to {address}.")
