"""What staff do with invitations from a list or a form.

Send, extend, add tokens, replace the link, revoke: each change is in the history.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from smtplib import SMTPException
from typing import Final
from uuid import uuid4

from django.contrib import admin, messages
from django.contrib.admin.options import ActionLocation
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from config.admin import READS_TRANSCRIPTS, DeskAdmin
from invitations.admin_forms import MoreTokensForm
from invitations.admin_history import budget, moment, moved
from invitations.models import Invitation
from invitations.presses import KeyedActionForm, pressed_key

TITLES: Final = {
    "revoke": "Revoke?",
    "renew": "Replace the link?",
    "add_tokens": "Add tokens",
}
EVERYWHERE = [ActionLocation.CHANGE_LIST, ActionLocation.CHANGE_FORM]


class InvitationActions(DeskAdmin):
    action_form = KeyedActionForm
    actions = ["send_again", "extend_week", "extend_month", "add_tokens", "renew", "revoke"]

    def may_see_link(self, request: HttpRequest, invitation: Invitation) -> bool:
        """A claimed link opens what was said, so that it is for readers of transcripts."""
        return self.has_change_permission(request, invitation) and (
            invitation.claimed_at is None or request.user.has_perm(READS_TRANSCRIPTS)
        )

    @admin.action(
        description="Send the link again",
        description_plural="Send the links again",
        permissions=["change"],
        location=EVERYWHERE,
    )
    def send_again(self, request: HttpRequest, invitations: QuerySet[Invitation]) -> None:
        chosen = list(invitations.select_related("scenario", "created_by"))
        self.send_later(request, chosen)

    @admin.action(description="Extend by a week", permissions=["change"], location=EVERYWHERE)
    def extend_week(self, request: HttpRequest, invitations: QuerySet[Invitation]) -> None:
        self._extend(request, invitations, timedelta(weeks=1))

    @admin.action(
        description="Extend by a month (30 days)", permissions=["change"], location=EVERYWHERE
    )
    def extend_month(self, request: HttpRequest, invitations: QuerySet[Invitation]) -> None:
        self._extend(request, invitations, timedelta(days=30))

    @transaction.atomic
    def _extend(
        self, request: HttpRequest, invitations: QuerySet[Invitation], by: timedelta
    ) -> None:
        for invitation in self._unrevoked(request, self._pressed(request, invitations)):
            before = invitation.extend(by)
            line = moved("Expiry", moment(before), moment(invitation.expires_at))
            self.log_change(request, invitation, line)
            messages.success(
                request, f"{invitation}: good until {moment(invitation.expires_at)} now."
            )

    def _unrevoked(
        self, request: HttpRequest, invitations: Iterable[Invitation]
    ) -> Iterator[Invitation]:
        """Those that a change can still help; staff are told of the others."""
        for invitation in invitations:
            if invitation.revoked_at:
                messages.warning(request, f"{invitation}: left as it is, since it is revoked.")
            else:
                yield invitation

    def _pressed(
        self, request: HttpRequest, invitations: Iterable[Invitation]
    ) -> Iterator[Invitation]:
        """Those at which the button was not pressed before; staff are told of the others."""
        key = pressed_key(request)
        for invitation in invitations:
            if invitation.press(key):
                yield invitation
            else:
                messages.info(request, f"{invitation}: the button was pressed twice, done once.")

    @admin.action(description="Add tokens…", permissions=["change"], location=EVERYWHERE)
    def add_tokens(
        self, request: HttpRequest, invitations: QuerySet[Invitation]
    ) -> HttpResponse | None:
        form = MoreTokensForm(request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            return self._ask(request, invitations, "add_tokens", form=form)
        with transaction.atomic():
            for invitation in self._unrevoked(request, self._pressed(request, invitations)):
                self._add_tokens(request, invitation, form.cleaned_data["count"])
        return None

    def _add_tokens(self, request: HttpRequest, invitation: Invitation, count: int) -> None:
        try:
            before = invitation.add_tokens(count)
        except ValidationError as error:
            messages.error(request, f"{invitation}: nothing was added. {' '.join(error.messages)}")
            return
        line = moved("Budget", budget(before), budget(invitation.limit))
        self.log_change(request, invitation, line)
        messages.success(request, f"{invitation}: {line} It holds from the next turn on.")

    @admin.action(
        description="Replace the link by a new one…",
        description_plural="Replace the links by new ones…",
        permissions=["change"],
        location=EVERYWHERE,
    )
    def renew(self, request: HttpRequest, invitations: QuerySet[Invitation]) -> HttpResponse | None:
        if "confirmed" not in request.POST:
            return self._ask(request, invitations, "renew")
        for invitation in self._reachable(request, self._pressed(request, invitations)):
            was_opened = moment(invitation.opened_at) if invitation.opened_at else ""
            invitation.new_link()
            old = f" The old one was opened on {was_opened}." if was_opened else ""
            self.log_change(request, invitation, f"Replaced the link.{old}")
            done = "its old link is closed. Send the new one when you are ready."
            messages.success(request, f"{invitation}: {done}")
        return None

    def _reachable(
        self, request: HttpRequest, invitations: Iterable[Invitation]
    ) -> Iterator[Invitation]:
        """Those whose new link somebody would get: its holder by mail, or staff who may see it."""
        for invitation in invitations:
            if invitation.recipient_email or self.may_see_link(request, invitation):
                yield invitation
                continue
            words = (
                "left as it is. Somebody has taken it up, there is no address to send a new link "
                "to, and only who may read transcripts could pass it on."
            )
            messages.warning(request, f"{invitation}: {words}")

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
        self,
        request: HttpRequest,
        invitations: QuerySet[Invitation],
        action: str,
        form: MoreTokensForm | None = None,
    ) -> HttpResponse:
        """The page that asks before anything happens; it posts the same action once more."""
        on_form = f"{ActionLocation.CHANGE_FORM.value}-action" in request.POST
        context = {
            **self.admin_site.each_context(request),
            "title": TITLES[action],
            "form": form,
            "opts": self.opts,
            "invitations": invitations.select_related("scenario"),
            "action": action,
            "action_field": "CHANGE_FORM-action" if on_form else "action",
            "page_key": uuid4(),
        }
        return TemplateResponse(request, "admin/invitations/invitation/confirm.html", context)

    def send_later(self, request: HttpRequest, invitations: Sequence[Invitation]) -> None:
        """Send once the transaction is over: a slow mail server must not block the database."""
        chosen = list(self._pressed(request, invitations))
        transaction.on_commit(partial(self._send, request, chosen))

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
                "invitation is kept: check the mail settings and send the link again.",
            )
        else:
            # Not to whom: who takes it up, or whom it is for later, reads the history.
            self.log_change(request, invitation, "Sent.")
            messages.success(request, f"Sent to {address}.")
