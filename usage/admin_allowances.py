"""Allowances in the admin: by role, and exceptions for one person."""

from typing import Any

from django import forms
from django.contrib import admin
from django.forms.widgets import Script
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from accounts.admin import UserAdmin
from accounts.models import Role
from config.admin import DeskAdmin, PersonalAdmin, badge, number, when
from usage.holds import UNLIMITED, Purse, available
from usage.models import DEFAULT_ALLOWANCES, Allowance, PersonalAllowance, Window

TOLD = ("tokens", "window_hours", "expires_at", "role")


class WindowAdmin(DeskAdmin):
    """Tokens in a rolling window, in words; each change of it with both values in the history."""

    told: tuple[str, ...] = TOLD

    @admin.display(description="Tokens", ordering="tokens")
    def limit(self, allowance: Window) -> str:
        return "No limit" if allowance.tokens is None else number(allowance.tokens)

    @admin.display(description="In any", ordering="window_hours")
    def window(self, allowance: Window) -> str:
        days, hours = divmod(allowance.window_hours, 24)
        words = [f"{days} days" if days > 1 else f"{days} day"] if days else []
        words += [f"{hours} hours" if hours > 1 else f"{hours} hour"] if hours else []
        return " ".join(words)


@admin.register(Allowance)
class AllowanceAdmin(WindowAdmin):
    list_display = ["role", "limit", "window"]
    fields = ["role", "tokens", "window_hours"]
    actions = ["delete_selected"]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, which also says what holds for the roles that it does not name."""
        named = set(Allowance.objects.values_list("role", flat=True))
        defaults = [
            self.limit(Allowance(role=role, tokens=DEFAULT_ALLOWANCES[role])).lower()
            + f" for {Role(role).label.lower()}s"
            for role in Role.values
            if role not in named
        ]
        return super().changelist_view(request, {"defaults": defaults, **(extra_context or {})})


@admin.register(PersonalAllowance)
class PersonalAllowanceAdmin(PersonalAdmin, WindowAdmin):
    list_display = ["user", "limit", "window", "until", "condition", "reason"]
    list_select_related = ["user"]
    search_fields = ["user__email", "user__name", "reason"]
    search_help_text = "Address or name; or a reason."
    autocomplete_fields = ["user"]
    fields = ["user", "tokens", "window_hours", "expires_at", "reason"]
    actions = ["delete_selected"]

    class Media:
        js = [Script("js/admin-autocomplete.js", type="module")]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["user"] if obj else []

    @admin.display(description="Until", ordering="expires_at")
    def until(self, allowance: PersonalAllowance) -> str:
        return when(allowance.expires_at) if allowance.expires_at else "No end"

    @admin.display(description="State")
    def condition(self, allowance: PersonalAllowance) -> SafeString:
        return badge("In force", "good") if allowance.is_in_force else badge("Over")


class InlineForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form that staff added is meant, also where it keeps all defaults: no limit."""

    def has_changed(self) -> bool:
        return self.instance.pk is None or super().has_changed()


class PersonalAllowanceInline(admin.StackedInline):  # type: ignore[type-arg]
    """On a person's own page, with what is left to them."""

    model = PersonalAllowance
    form = InlineForm
    verbose_name_plural = "Allowance of their own, in place of the role's"
    fields = ["tokens", "window_hours", "expires_at", "reason", "left"]
    readonly_fields = ["left"]
    extra = 0

    @admin.display(description="Left now")
    def left(self, allowance: PersonalAllowance) -> str:
        if allowance.user_id is None:
            return "–"
        left = available(Purse(None, allowance.user_id))
        return "No limit" if left >= UNLIMITED else f"{number(left)} tokens"


UserAdmin.inlines.append(PersonalAllowanceInline)
UserAdmin.told += TOLD
