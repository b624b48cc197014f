"""Usage in the admin: every model call, and tokens set aside."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.views.decorators.http import require_safe

from accounts.models import User
from config.admin import badge, number, when
from config.large import LargeRecordAdmin
from invitations.models import Invitation
from usage import costs
from usage.admin_allowances import AllowanceAdmin, PersonalAllowanceAdmin
from usage.admin_filters import DayFilter, ModelFilter
from usage.admin_prices import PriceAdmin
from usage.admin_report import report_view
from usage.exports import WHOSE, csv_response, rows_of_calls
from usage.models import Hold, HoldState, UsageLog

# Django looks for this module alone.
__all__ = ["AllowanceAdmin", "HoldAdmin", "PersonalAllowanceAdmin", "PriceAdmin", "UsageLogAdmin"]

TONES = {HoldState.HELD: "busy", HoldState.SETTLED: "good", HoldState.RELEASED: "quiet"}


@admin.register(UsageLog)
class UsageLogAdmin(LargeRecordAdmin):
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
    sortable_by = ["answered"]
    list_filter = [DayFilter, "stream_type", ModelFilter, "is_estimate"]
    search_fields = ["user_id__exact", "invitation_id__exact", "id__exact"]
    search_help_text = "The whole id of a user, an invitation or a call."

    def get_queryset(self, request: HttpRequest) -> QuerySet[UsageLog]:
        prompts = ("partner_system_prompt", "coach_system_prompt", "scenario_description")
        found = super().get_queryset(request).select_related("session__scenario")
        shared = ("partner_system_prompt", "coach_system_prompt", "description")
        return found.defer(
            *(f"session__{name}" for name in prompts),
            *(f"session__scenario__{name}" for name in shared),
        )

    @admin.display(description="Time", ordering="timestamp")
    def answered(self, log: UsageLog) -> str:
        return when(log.timestamp)

    @admin.display(description="Conversation", ordering="session")
    def conversation(self, log: UsageLog) -> str:
        if log.session is None:
            return "–"
        url = reverse("admin:conversations_conversationsession_change", args=[log.session.pk])
        private = log.session.scenario.is_private
        name = "A private scenario" if private else log.session.scenario_name
        return format_html('<a href="{}">{}</a>', url, name)

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

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changes = super().get_changelist_instance(request)
        prices = costs.PriceList.load()
        for log in changes.result_list:
            log.cost = prices.of(log)
        return changes

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, with totals of what the filters leave, unless that is what a report is for."""
        response = super().changelist_view(request, extra_context)
        context = getattr(response, "context_data", None)
        if context and "cl" in context and not context["cl"].paginator.is_capped:
            groups = costs.by_model(context["cl"].queryset)
            context["usage_groups"] = groups
            context["usage_total"] = costs.total(groups)
        return response

    # --- The report, and the list as a file --------------------------------------------------

    def get_urls(self) -> list[Any]:
        own = [
            path(f"{name}/", self.admin_site.admin_view(view), name=f"usage_usagelog_{name}")
            for name, view in (("report", self.report), ("export", self.export))
        ]
        return [*own, *super().get_urls()]

    @method_decorator(require_safe)
    def report(self, request: HttpRequest) -> HttpResponseBase:
        """Usage of a period, for those who may see the calls that it is made of."""
        return report_view(request, self._reader(request), self.admin_site)

    @method_decorator(require_safe)
    def export(self, request: HttpRequest) -> HttpResponseBase:
        """All calls that the filters of the list leave, as CSV."""
        reader = self._reader(request)
        try:
            logs = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters:
            return redirect("admin:usage_usagelog_changelist")
        return csv_response(request, lambda: rows_of_calls(logs, reader), "usage.csv")

    def _reader(self, request: HttpRequest) -> User:
        if not isinstance(request.user, User) or not self.has_view_permission(request):
            raise PermissionDenied
        return request.user


def told(request: HttpRequest) -> set[str]:
    """Which payers are named to the visitor: those that they may list elsewhere."""
    allowed = {name for name, permission in WHOSE.items() if request.user.has_perm(permission)}
    return {name.removesuffix("_id") for name in allowed}


@admin.register(Hold)
class HoldAdmin(LargeRecordAdmin):
    list_display = ["created", "payer", "stream_type", "model", "amount", "condition"]
    sortable_by = ["created"]
    list_filter = ["state", "created_at"]
    search_fields = ["id__exact"]
    search_help_text = "The whole id of a hold, or the whole address of a user or a recipient."
    list_select_related = ["invitation", "user"]
    ordering = ["-created_at"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Hold], search_term: str
    ) -> tuple[QuerySet[Hold], bool]:
        """By the ids of whom an address belongs to: a join would read every hold.

        An address finds those alone who stand in the list for whoever asks.
        """
        address = search_term.strip()
        if "@" not in address:
            return super().get_search_results(request, queryset, search_term)
        users = User.objects.filter(email=User.objects.normalize_email(address))
        invited = Invitation.objects.filter(recipient_email__iexact=address)
        # Looked up first: within the same query, a database reads all holds to compare them.
        found = {"user": users, "invitation": invited}
        ids = {name: list(found[name].values_list("pk", flat=True)) for name in told(request)}
        users_found, invited_found = ids.get("user", []), ids.get("invitation", [])
        return queryset.filter(Q(user__in=users_found) | Q(invitation__in=invited_found)), False

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return sorted({"user", "invitation"} - told(request))

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changes = super().get_changelist_instance(request)
        names = told(request)
        for hold in changes.result_list:
            whose = [getattr(hold, name) for name in ("invitation", "user") if name in names]
            hold.paid_by = next((str(row) for row in whose if row), "–")
        return changes

    @admin.display(description="Time", ordering="created_at")
    def created(self, hold: Hold) -> str:
        return when(hold.created_at)

    @admin.display(description="Paid by")
    def payer(self, hold: Any) -> str:
        return str(hold.paid_by)

    @admin.display(description="Tokens", ordering="tokens")
    def amount(self, hold: Hold) -> str:
        return number(hold.tokens)

    @admin.display(description="State", ordering="state")
    def condition(self, hold: Hold) -> str:
        return badge(hold.get_state_display(), TONES[HoldState(hold.state)])
