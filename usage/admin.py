"""Usage in the admin: every model call, and tokens set aside."""

from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.html import format_html

from config.admin import RecordAdmin, badge, number, when
from usage import costs
from usage.admin_allowances import AllowanceAdmin, PersonalAllowanceAdmin
from usage.admin_prices import PriceAdmin
from usage.exports import csv_response, rows_of_calls
from usage.models import Hold, HoldState, UsageLog

if TYPE_CHECKING:
    from accounts.models import User

# Django looks for this module alone.
__all__ = ["AllowanceAdmin", "HoldAdmin", "PersonalAllowanceAdmin", "PriceAdmin", "UsageLogAdmin"]

TONES = {HoldState.HELD: "busy", HoldState.SETTLED: "good", HoldState.RELEASED: "quiet"}


@admin.register(UsageLog)
class UsageLogAdmin(RecordAdmin):
    list_display = [
        "answered",
        "stream_type",
        "model",
        "conversation",
        "tokens_in",
        "tokens_out",
        "price",
        "seconds",
    ]
    list_filter = ["timestamp", "stream_type", "model", "is_estimate"]
    search_fields = ["=user_id", "=invitation_id", "=id"]
    search_help_text = "The whole id of a user, an invitation or a call."
    date_hierarchy = "timestamp"
    list_select_related = ["session"]
    show_full_result_count = False
    actions = ["export"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[UsageLog]:
        prompts = ("partner_system_prompt", "coach_system_prompt", "scenario_description")
        return super().get_queryset(request).defer(*(f"session__{name}" for name in prompts))

    @admin.display(description="Time", ordering="timestamp")
    def answered(self, log: UsageLog) -> str:
        return when(log.timestamp)

    @admin.display(description="Conversation", ordering="session")
    def conversation(self, log: UsageLog) -> str:
        if log.session is None:
            return "–"
        url = reverse("admin:conversations_conversationsession_change", args=[log.session.pk])
        return format_html('<a href="{}">{}</a>', url, log.session.scenario_name)

    @admin.display(description="Tokens in", ordering="input_tokens")
    def tokens_in(self, log: UsageLog) -> str:
        cached = log.cache_read_tokens
        return number(log.input_tokens) + (f" ({number(cached)} cached)" if cached else "")

    @admin.display(description="Tokens out", ordering="output_tokens")
    def tokens_out(self, log: UsageLog) -> str:
        if log.is_estimate:
            return format_html("{} {}", number(log.output_tokens), badge("estimate"))
        return number(log.output_tokens)

    @admin.display(description="Cost")
    def price(self, log: Any) -> str:
        return costs.dollars(log.cost)

    @admin.display(description="Seconds", ordering="duration_ms")
    def seconds(self, log: UsageLog) -> str:
        return "–" if log.duration_ms is None else f"{log.duration_ms / 1000:.1f}"

    @admin.action(description="Export as CSV", permissions=["view"])
    def export(self, request: HttpRequest, logs: QuerySet[UsageLog]) -> HttpResponseBase:
        reader = cast("User", request.user)
        return csv_response(request, lambda: rows_of_calls(logs, reader), "usage.csv")

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changes = super().get_changelist_instance(request)
        prices = costs.PriceList.load()
        for log in changes.result_list:
            log.cost = prices.of(log)
        return changes

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, with totals of everything that the filters leave, not only of one page."""
        response = super().changelist_view(request, extra_context)
        context = getattr(response, "context_data", None)
        if context and "cl" in context:
            groups = costs.by_model(context["cl"].queryset)
            context["usage_groups"] = groups
            context["usage_total"] = costs.total(groups)
        return response


@admin.register(Hold)
class HoldAdmin(RecordAdmin):
    list_display = ["created_at", "payer", "stream_type", "model", "amount", "condition"]
    list_filter = ["state", "stream_type", "created_at"]
    search_fields = ["=id", "=user__email", "=invitation__recipient_email"]
    search_help_text = "The whole id of a hold, or the whole address of a user or a recipient."
    list_select_related = ["invitation", "user"]
    ordering = ["-created_at"]
    show_full_result_count = False

    @admin.display(description="Paid by")
    def payer(self, hold: Hold) -> str:
        return str(hold.invitation or hold.user or "–")

    @admin.display(description="Tokens", ordering="tokens")
    def amount(self, hold: Hold) -> str:
        return number(hold.tokens)

    @admin.display(description="State", ordering="state")
    def condition(self, hold: Hold) -> str:
        return badge(hold.get_state_display(), TONES[HoldState(hold.state)])
