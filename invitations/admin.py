"""Invitations and quota presets in the admin."""

from collections.abc import Sequence
from functools import partial
from smtplib import SMTPException
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import ActionLocation
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.forms.widgets import Script
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from config.admin import DeskAdmin, badge, number
from invitations.admin_forms import ChangeInvitationForm, NewInvitationForm, PresetForm
from invitations.models import Invitation, QuotaPreset, Status
from scenarios.models import Scenario

TONES = {
    Status.OPEN: "busy",
    Status.CLAIMED: "good",
    Status.EXPIRED: "quiet",
    Status.REVOKED: "bad",
    Status.USED_UP: "warning",
}
EVERYWHERE = [ActionLocation.CHANGE_LIST, ActionLocation.CHANGE_FORM]
READS_TRANSCRIPTS = "conversations.view_transcript"


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


@admin.register(Invitation)
class InvitationAdmin(DeskAdmin):
    list_display = [
        "recipient",
        "scenario",
        "status",
        "budget",
        "sent_at",
        "expires_at",
        "created_by",
    ]
    list_filter = [
        StatusFilter,
        ("scenario", admin.RelatedOnlyFieldListFilter),
        ("created_by", admin.RelatedOnlyFieldListFilter),
    ]
    search_fields = [
        "recipient_email",
        "recipient_name",
        "scenario__name",
        "created_by__email",
        "linked_user__email",
        "=id",
    ]
    search_help_text = "Recipient, scenario, inviter or account; or the whole id of an invitation."
    list_select_related = ["scenario", "created_by"]
    date_hierarchy = "created_at"
    actions = ["send_again", "renew", "revoke"]
    carried = ("usage.Hold",)
    add_fieldsets = [
        ("Who", {"fields": ["recipient_email", "recipient_name"]}),
        ("What", {"fields": ["scenario", "preset", "tokens", "expires_at", "personal_note"]}),
    ]
    fieldsets = [
        ("State", {"fields": ["status", "budget", "link", "conversations"]}),
        ("Who", {"fields": ["recipient_email", "recipient_name", "personal_note"]}),
        ("What", {"fields": ["scenario", "tokens", "quota_label", "expires_at"]}),
        (
            "History",
            {
                "fields": [
                    "created_by",
                    "created_at",
                    "sent_at",
                    "claimed_at",
                    "linked_user",
                    "revoked_at",
                ]
            },
        ),
    ]
    readonly_fields = [
        "status",
        "budget",
        "link",
        "conversations",
        "created_by",
        "created_at",
        "sent_at",
        "claimed_at",
        "linked_user",
        "revoked_at",
    ]

    class Media:
        js = [Script("js/admin-copy.js", type="module")]

    # --- What is shown -----------------------------------------------------------------------

    @admin.display(description="Recipient", ordering="recipient_email")
    def recipient(self, invitation: Invitation) -> SafeString:
        name, email = invitation.recipient_name, invitation.recipient_email
        if name and email:
            return format_html('{}<br><span class="quiet">{}</span>', name, email)
        return format_html("{}", name or email or "Anybody with the link")

    @admin.display(description="Status")
    def status(self, invitation: Invitation) -> SafeString:
        return badge(invitation.status.label, TONES[invitation.status])

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

    @admin.display(description="Link")
    def link(self, invitation: Invitation) -> str:
        if not invitation.is_open:
            return "Closed: it lets nobody in any more."
        return format_html(
            '<span class="copy"><input type="text" id="invitation-link" class="vTextField" readonly'
            ' value="{}" aria-label="Link" autocomplete="off">'
            ' <button type="button" class="button" data-copy="invitation-link" hidden>Copy link'
            '</button> <span role="status" class="copy-status"></span></span>'
            '<div class="help">Whoever has it may come in: pass it to the recipient alone.</div>',
            invitation.url,
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

    # --- Forms -------------------------------------------------------------------------------

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        kwargs["form"] = ChangeInvitationForm if obj else NewInvitationForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return self.add_fieldsets
        hidden = set() if self._may_see_link(request, obj) else {"link"}
        if not self.has_change_permission(request, obj):
            hidden |= {"tokens", "quota_label"}  # the budget is shown above
        return [
            (title, {**options, "fields": [f for f in options["fields"] if f not in hidden]})
            for title, options in self.fieldsets
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        # Who may not read a conversation may not have its link sent to an address of theirs.
        if obj is not None and obj.claimed_at and not request.user.has_perm(READS_TRANSCRIPTS):
            return [*self.readonly_fields, "recipient_email"]
        return self.readonly_fields

    def _may_see_link(self, request: HttpRequest, invitation: Invitation) -> bool:
        """A claimed link opens what was said, so that it is for readers of transcripts."""
        return self.has_change_permission(request, invitation) and (
            invitation.claimed_at is None or request.user.has_perm(READS_TRANSCRIPTS)
        )

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """Locked while it is edited: a form must not write old counts over a reply's new ones."""
        if request.method != "POST":
            return super().get_object(request, object_id, from_field)
        return self.get_queryset(request).select_for_update().filter(pk=object_id).first()

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "scenario":
            object_id = request.resolver_match and request.resolver_match.kwargs.get("object_id")
            offered = Scenario.objects.active()
            if object_id:
                offered |= Scenario.objects.filter(invitations=object_id)
            kwargs["queryset"] = offered.distinct()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Invitation, form: Any, change: bool) -> None:
        if not change:
            assert request.user.is_authenticated
            obj.created_by = request.user
        super().save_model(request, obj, form, change)
        if form.wants_sending:
            # After the commit: a slow mail server must not keep the database waiting.
            transaction.on_commit(partial(self._send, request, [obj]))

    def render_change_form(self, request: HttpRequest, context: Any, **kwargs: Any) -> HttpResponse:
        return super().render_change_form(
            request, {**context, "show_save_and_send": True}, **kwargs
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not while a reply is being paid from it."""
        allowed = super().has_delete_permission(request, obj)
        return allowed and (obj is None or not obj.holds.held().exists())

    # --- Actions -----------------------------------------------------------------------------

    @admin.action(
        description="Send the link again",
        description_plural="Send the links again",
        permissions=["change"],
        location=EVERYWHERE,
    )
    def send_again(self, request: HttpRequest, invitations: QuerySet[Invitation]) -> None:
        chosen = list(invitations.select_related("scenario", "created_by"))
        transaction.on_commit(partial(self._send, request, chosen))

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


@admin.register(QuotaPreset)
class QuotaPresetAdmin(DeskAdmin):
    form = PresetForm
    list_display = ["name", "label", "tokens", "is_default", "sort_order"]
    list_editable = ["sort_order"]
    search_fields = ["name", "label"]
    actions = ["delete_selected"]
    fields = ["name", "label", "description", "tokens", "is_default", "sort_order"]

    @admin.display(description="Tokens")
    def tokens(self, preset: QuotaPreset) -> str:
        return number(preset.quota.get("tokens"))

    def save_model(
        self, request: HttpRequest, obj: QuotaPreset, form: ModelForm, change: bool
    ) -> None:  # type: ignore[type-arg]
        if obj.is_default:
            QuotaPreset.objects.exclude(pk=obj.pk).filter(is_default=True).update(is_default=False)
        super().save_model(request, obj, form, change)
