"""Group links in the admin: the link, its poster, its places and who took them."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from config.admin import badge, number, when
from invitations.admin_actions import EVERYWHERE
from invitations.admin_columns import WITHDRAWN, is_withdrawn
from invitations.admin_group_forms import ChangeGroupForm, NewGroupForm
from invitations.admin_offers import AsInvitations
from invitations.groups import GroupLink, GroupStatus
from invitations.presses import MadeOnce
from invitations.qr import qr_svg

TONES = {
    GroupStatus.OPEN: "good",
    GroupStatus.FULL: "warning",
    GroupStatus.EXPIRED: "quiet",
    GroupStatus.REVOKED: "bad",
}


class GroupStatusFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(value), str(label)) for value, label in GroupStatus.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[GroupLink]) -> QuerySet[GroupLink]:
        value = self.value()
        return queryset.in_status(value) if value in GroupStatus.values else queryset  # type: ignore[attr-defined]


class GroupLinkAdmin(AsInvitations, MadeOnce):
    list_display = ["label", "status", "scenario", "seats", "expires", "created_by"]
    list_filter = [
        GroupStatusFilter,
        ("scenario", admin.RelatedOnlyFieldListFilter),
        ("created_by", admin.RelatedOnlyFieldListFilter),
    ]
    search_fields = ["label", "scenario__name", "created_by__email", "=id"]
    search_help_text = "Name, scenario or inviter; or the whole id of a group link."
    list_select_related = ["scenario", "created_by"]
    actions = ["revoke"]
    secret = ("token",)
    told = ("label", "places", "days", "scenario", "tokens", "quota_label", "expires_at")
    add_fieldsets = [
        ("Who", {"fields": ["label", "places", "page_key"]}),
        ("What", {"fields": ["scenario", "preset", "tokens", "personal_note"]}),
        ("How long", {"fields": ["expires_at", "days"]}),
    ]
    fieldsets = [
        ("State", {"fields": ["status", "seats", "link", "poster", "came"]}),
        ("Who", {"fields": ["label", "places"]}),
        ("What", {"fields": ["scenario", "tokens", "quota_label", "personal_note"]}),
        ("How long", {"fields": ["expires_at", "days"]}),
        ("History", {"fields": ["created_by", "created_at", "revoked_at"]}),
    ]
    readonly_fields = [
        "status",
        "seats",
        "link",
        "poster",
        "came",
        "created_by",
        "created_at",
        "revoked_at",
    ]

    class Media:
        js = [forms.widgets.Script("js/admin-copy.js", type="module")]

    # --- What is shown -----------------------------------------------------------------------

    @admin.display(description="Status")
    def status(self, group: GroupLink) -> SafeString:
        shown = badge(group.status.label, TONES[group.status])
        if group.is_open and is_withdrawn(group):
            return format_html("{} {}", shown, badge(WITHDRAWN, "warning"))
        return shown

    @admin.display(description="Places taken", ordering="taken")
    def seats(self, group: GroupLink) -> SafeString:
        return format_html(
            '<progress class="budget" max="{}" value="{}" aria-label="Places taken"></progress>'
            ' <span class="budget-words">{} of {}</span>',
            group.places,
            group.taken,
            number(group.taken),
            number(group.places),
        )

    @admin.display(description="Join until", ordering="expires_at")
    def expires(self, group: GroupLink) -> str:
        return when(group.expires_at, time=False)

    @admin.display(description="Link")
    def link(self, group: GroupLink) -> SafeString | str:
        if not group.is_open:
            return "It lets nobody new in. Who has a place keeps it."
        return format_html(
            '<span class="copy"><input type="text" id="group-link" class="vTextField" readonly'
            ' value="{}" aria-label="Link" autocomplete="off">'
            ' <button type="button" class="button" data-copy="group-link" hidden>Copy link'
            '</button> <span role="status" class="copy-status"></span></span>'
            '<div class="help">Good for a mail to the class or a page of yours: whoever has it '
            "may take a place, as long as there are any.</div>",
            group.url,
        )

    @admin.display(description="Poster")
    def poster(self, group: GroupLink) -> SafeString | str:
        if not group.is_open:
            return "–"
        url = reverse("admin:invitations_grouplink_poster", args=[group.pk])
        return format_html('<a href="{}">To print, with a QR code</a>', url)

    @admin.display(description="Who came")
    def came(self, group: GroupLink) -> SafeString | str:
        count = group.invitations.count()
        if not count:
            return "Nobody yet"
        url = reverse("admin:invitations_invitation_changelist")
        words = f"{number(count)} invitations" if count > 1 else "1 invitation"
        return format_html('<a href="{}?group__id__exact={}">{}</a>', url, group.pk, words)

    # --- Forms -------------------------------------------------------------------------------

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        kwargs["form"] = ChangeGroupForm if obj else NewGroupForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return self.add_fieldsets
        if self.has_change_permission(request, obj):
            return self.fieldsets
        hidden = {"link", "poster", "tokens", "quota_label"}
        return [
            (title, {**options, "fields": [f for f in options["fields"] if f not in hidden]})
            for title, options in self.fieldsets
        ]

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """Locked while it is edited: a form must not write an old count of places."""
        if request.method != "POST":
            return super().get_object(request, object_id, from_field)
        return self.get_queryset(request).select_for_update().filter(pk=object_id).first()

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "scenario" and field is not None:
            # To choose, not to change from here.
            field.widget = field.widget.widget
        return field

    def save_model(self, request: HttpRequest, obj: GroupLink, form: Any, change: bool) -> None:
        if change:
            form.write()
            return
        assert request.user.is_authenticated
        obj.created_by = request.user
        super().save_model(request, obj, form, change)

    # --- Poster ------------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        poster = self.admin_site.admin_view(self.poster_view)
        name = "invitations_grouplink_poster"
        return [path("<str:object_id>/poster/", poster, name=name), *super().get_urls()]

    def poster_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A sheet to print, for whoever may pass the link on."""
        groups = self.get_queryset(request).select_related("scenario", "created_by")
        group = groups.filter(pk=object_id).first()
        if group is None or not self.has_change_permission(request, group) or not group.is_open:
            raise Http404
        context = {"group": group, "qr": qr_svg(group.url)}
        response = render(request, "admin/invitations/grouplink/poster.html", context)
        response["Cache-Control"] = "no-store"
        return response

    # --- Actions -----------------------------------------------------------------------------

    @admin.action(
        description="Revoke…",
        description_plural="Revoke selected group links…",
        permissions=["change"],
        location=EVERYWHERE,
    )
    def revoke(self, request: HttpRequest, groups: QuerySet[GroupLink]) -> HttpResponse | None:
        if "confirmed" not in request.POST:
            return self._ask(request, groups)
        places_too = "places_too" in request.POST
        for group in groups:
            group.revoke()
            self.log_change(request, group, "Revoked.")
            if places_too:
                self._revoke_places(request, group)
        words = "nobody gets in by these places either." if places_too else "who came stays in."
        messages.success(request, f"Revoked: nobody new comes in, and {words}")
        return None

    def _revoke_places(self, request: HttpRequest, group: GroupLink) -> None:
        for place in group.invitations.filter(revoked_at=None):
            place.revoke()
            self.log_change(request, place, "Revoked, with all places of its group link.")

    def _ask(self, request: HttpRequest, groups: QuerySet[GroupLink]) -> HttpResponse:
        on_form = "CHANGE_FORM-action" in request.POST
        context = {
            **self.admin_site.each_context(request),
            "title": "Revoke?",
            "opts": self.opts,
            "groups": groups,
            "action_field": "CHANGE_FORM-action" if on_form else "action",
        }
        return TemplateResponse(request, "admin/invitations/grouplink/confirm.html", context)
