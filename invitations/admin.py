"""Invitations and quota presets in the admin."""

from typing import Any, Final

from django.contrib import admin, messages
from django.db import transaction
from django.forms.widgets import Script
from django.http import HttpRequest, HttpResponse

from config.admin import READS_TRANSCRIPTS, DeskAdmin, PersonalAdmin, number
from config.history import forget_names
from invitations.admin_bulk import BatchAdmin, DeliveryAdmin
from invitations.admin_columns import AskedFilter, InvitationColumns, StatusFilter
from invitations.admin_forms import (
    ChangeInvitationForm,
    NewInvitationForm,
    PlainAutocomplete,
    PresetForm,
)
from invitations.admin_groups import GroupLinkAdmin
from invitations.admin_pages import InvitationPages
from invitations.bulk import Batch, Delivery
from invitations.groups import GroupLink
from invitations.models import Invitation, QuotaPreset
from invitations.presses import MadeOnce
from scenarios.models import Scenario

WHOM: Final = frozenset({"recipient_email", "recipient_name"})


@admin.register(Invitation)
class InvitationAdmin(PersonalAdmin, MadeOnce, InvitationColumns, InvitationPages):
    nameless = False
    secret = ("token", "held_as", "place_key")
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
        AskedFilter,
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
    list_select_related = ["scenario", "created_by", "group"]
    date_hierarchy = "created_at"
    autocomplete_fields = ["scenario"]
    carried = ("usage.Hold",)
    add_fieldsets = [
        ("Who", {"fields": ["recipient_email", "recipient_name", "page_key"]}),
        ("What", {"fields": ["scenario", "preset", "tokens", "expires_at", "personal_note"]}),
    ]
    fieldsets = [
        ("State", {"fields": ["status", "budget", "link", "kept_link", "conversations"]}),
        ("Who", {"fields": ["recipient_email", "recipient_name", "personal_note"]}),
        ("What", {"fields": ["scenario", "tokens", "quota_label", "expires_at"]}),
        (
            "History",
            {
                "fields": [
                    "created_by",
                    "created_at",
                    "sent_at",
                    "opened_at",
                    "claimed_at",
                    "linked_user",
                    "time_asked_at",
                    "budget_asked_at",
                    "revoked_at",
                ]
            },
        ),
    ]
    readonly_fields = [
        "status",
        "budget",
        "link",
        "kept_link",
        "conversations",
        "created_by",
        "created_at",
        "sent_at",
        "opened_at",
        "claimed_at",
        "linked_user",
        "time_asked_at",
        "budget_asked_at",
        "revoked_at",
    ]

    class Media:
        js = [
            Script("js/admin-copy.js", type="module"),
            Script("js/admin-autocomplete.js", type="module"),
        ]

    # --- Forms -------------------------------------------------------------------------------

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        kwargs["form"] = ChangeInvitationForm if obj else NewInvitationForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return self.add_fieldsets
        hidden = {"kept_link"} if self.may_see_link(request, obj) else {"link"}
        if not self.has_change_permission(request, obj):
            hidden |= {"kept_link", "tokens", "quota_label"}  # the budget is shown above
        return [
            (title, {**options, "fields": [f for f in options["fields"] if f not in hidden]})
            for title, options in self.fieldsets
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        # Who may not read a conversation may not have its link sent to an address of theirs.
        if obj is not None and obj.claimed_at and not request.user.has_perm(READS_TRANSCRIPTS):
            return [*self.readonly_fields, "recipient_email"]
        return self.readonly_fields

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
            kwargs["widget"] = PlainAutocomplete(db_field, self.admin_site)
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
        else:
            form.write()
            if WHOM & set(form.changed_data):
                # An erasure looks for the old name where it finds the person's invitations.
                forget_names([obj])
        if form.wants_sending:
            self.send_later(request, [obj])

    def response_add(
        self, request: HttpRequest, obj: Invitation, post_url_continue: str | None = None
    ) -> HttpResponse:
        response = super().response_add(request, obj, post_url_continue)
        return self.to_preview(obj) if wants_preview(request) else response

    def response_change(self, request: HttpRequest, obj: Invitation) -> HttpResponse:
        response = super().response_change(request, obj)
        may_see = self.may_see_link(request, obj)
        return self.to_preview(obj) if wants_preview(request) and may_see else response

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        if add:
            return super().construct_change_message(request, form, formsets, add)
        return form.history

    def owner_of(self, row: Invitation) -> Any:
        return row.linked_user

    @transaction.atomic
    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """Locks the group before its place, in the order in which who comes by the link does."""
        if request.method == "POST":
            groups = GroupLink.objects.filter(invitations=object_id)
            groups.select_for_update(of=("self",)).first()
        return super().delete_view(request, object_id, extra_context)

    def delete_model(self, request: HttpRequest, obj: Invitation) -> None:
        super().delete_model(request, obj)
        if group := obj.group:
            group.refresh_from_db(fields=["taken"])
            self.log_change(request, group, "A place was deleted, and is free again.")
            words = f"{number(group.taken)} of {number(group.places)} are taken."
            messages.info(request, f"Its place in “{group}” is free again: {words}")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not while a reply is being paid from it."""
        allowed = super().has_delete_permission(request, obj)
        return allowed and (obj is None or not obj.holds.held().exists())


def wants_preview(request: HttpRequest) -> bool:
    """Whether *Save and see the mail* was pressed."""
    return request.POST.get("_continue") == "preview"


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


admin.site.register(GroupLink, GroupLinkAdmin)
admin.site.register(Batch, BatchAdmin)
admin.site.register(Delivery, DeliveryAdmin)
