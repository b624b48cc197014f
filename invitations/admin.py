"""Invitations and quota presets in the admin."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms.widgets import Script
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from config.admin import READS_TRANSCRIPTS, DeskAdmin, badge, number, when
from invitations.admin_actions import InvitationActions
from invitations.admin_forms import ChangeInvitationForm, NewInvitationForm, PresetForm
from invitations.models import Invitation, QuotaPreset, Status
from scenarios.models import Scenario

TONES = {
    Status.DRAFT: "quiet",
    Status.SENT: "busy",
    Status.CLAIMED: "good",
    Status.LINKED: "good",
    Status.EXPIRED: "quiet",
    Status.REVOKED: "bad",
    Status.USED_UP: "warning",
}


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
class InvitationAdmin(InvitationActions):
    list_display = [
        "recipient",
        "status",
        "scenario",
        "budget",
        "sent",
        "expires",
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
    autocomplete_fields = ["scenario"]
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
        js = [
            Script("js/admin-copy.js", type="module"),
            Script("js/admin-autocomplete.js", type="module"),
        ]

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

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
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

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "scenario" and field is not None:
            # To look at, not to change from here.
            widget = field.widget
            widget.can_add_related = widget.can_change_related = widget.can_delete_related = False
        return field

    def save_model(self, request: HttpRequest, obj: Invitation, form: Any, change: bool) -> None:
        if not change:
            assert request.user.is_authenticated
            obj.created_by = request.user
        super().save_model(request, obj, form, change)
        if form.wants_sending:
            self.send_later(request, [obj])

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not while a reply is being paid from it."""
        allowed = super().has_delete_permission(request, obj)
        return allowed and (obj is None or not obj.holds.held().exists())


@admin.register(QuotaPreset)
class QuotaPresetAdmin(DeskAdmin):
    form = PresetForm
    list_display = ["name", "label", "tokens", "is_default", "sort_order"]
    search_fields = ["name", "label"]
    actions = ["delete_selected"]
    fields = ["name", "label", "description", "tokens", "is_default", "sort_order"]

    @admin.display(description="Tokens")
    def tokens(self, preset: QuotaPreset) -> str:
        return number(preset.quota.get("tokens"))

    def save_model(self, request: HttpRequest, obj: QuotaPreset, form: Any, change: bool) -> None:
        if obj.is_default:
            QuotaPreset.objects.exclude(pk=obj.pk).filter(is_default=True).update(is_default=False)
        super().save_model(request, obj, form, change)
