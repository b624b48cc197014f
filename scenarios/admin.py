"""Scenarios in the admin: written, checked, copied and retired by staff."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import ActionLocation
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from config.admin import PersonalAdmin, badge, is_administrator, number, warning_list, when
from scenarios.checks import model_problem, scenario_problems
from scenarios.forms import ScenarioForm
from scenarios.models import Scenario


class ScenarioFilter(admin.RelatedFieldListFilter):
    """Filters by scenario, without naming to staff what others wrote for themselves."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        limit = {} if is_administrator(request) else {"owner": None}
        ordering = self.field_admin_ordering(field, request, model_admin)
        return field.get_choices(include_blank=False, ordering=ordering, limit_choices_to=limit)


@admin.register(Scenario)
class ScenarioAdmin(PersonalAdmin):
    form = ScenarioForm
    list_display = ["name", "partner_persona", "models", "conversations", "is_active", "updated"]
    list_filter = ["is_active", "partner_opens", "partner_model"]
    search_fields = ["name", "slug", "partner_persona", "description"]
    prepopulated_fields = {"slug": ["name"]}
    readonly_fields = ["problems", "origin", "conversations", "created_at", "updated_at"]
    actions = ["duplicate", "activate", "deactivate"]
    save_on_top = True
    list_select_related = ["owner"]
    fieldsets = [
        (
            "What the learner reads",
            {
                "fields": [
                    "name",
                    "slug",
                    "description",
                    ("partner_persona", "partner_opens"),
                    "is_active",
                ],
                "description": "A conversation under way keeps the words it started with: "
                "what you change here holds for the next one.",
            },
        ),
        (
            "The partner",
            {
                "fields": ["partner_system_prompt", "partner_model"],
                "description": "Parley adds the rules of the game itself: short spoken answers, "
                "no narration, never out of the role. Write about the person.",
            },
        ),
        (
            "The coach",
            {
                "fields": ["coach_system_prompt", "coach_model"],
                "description": "The coach reads every exchange; the partner never reads the coach.",
            },
        ),
        ("State", {"fields": ["conversations", "origin", "created_at", "updated_at"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Scenario]:
        """What somebody wrote for themselves is for administrators alone."""
        # Counted apart: a join would sort thousands of conversations by the scenario's prompts.
        sessions = Scenario._meta.get_field("sessions").related_model._default_manager
        each = sessions.filter(scenario=OuterRef("pk")).order_by().values("scenario")
        count = Subquery(each.annotate(count=Count("pk")).values("count"))
        found = super().get_queryset(request).annotate(sessions_count=Coalesce(count, 0))
        return found if is_administrator(request) else found.filter(owner=None)

    def is_personal(self, row: Scenario) -> bool:
        return row.is_private

    def owner_of(self, row: Scenario) -> Any:
        return row.owner

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [*self.list_display, *(["origin"] if is_administrator(request) else [])]

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        private = [("owner", admin.EmptyFieldListFilter)] if is_administrator(request) else []
        return [*self.list_filter, *private]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Scenario], search_term: str
    ) -> tuple[QuerySet[Scenario], bool]:
        """An invitation's form is offered what everybody may play: nothing retired or private."""
        if request.resolver_match and request.resolver_match.url_name == "autocomplete":
            queryset = queryset.filter(is_active=True, owner=None).order_by("name")
        return super().get_search_results(request, queryset, search_term)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is not None and any(scenario_problems(obj)):
            return [(None, {"fields": ["problems"]}), *fieldsets]
        return fieldsets

    @admin.display(description="Models")
    def models(self, scenario: Scenario) -> SafeString:
        lines = SafeString("")
        for model in dict.fromkeys([scenario.partner_model, scenario.coach_model]):
            problem = model_problem(model)
            mark = badge(_mark(problem), "warning") if problem else ""
            lines += format_html('<span class="model-name">{} {}</span>', model, mark)
        return lines

    @admin.display(description="Conversations", ordering="sessions_count")
    def conversations(self, scenario: Scenario) -> str:
        count = getattr(scenario, "sessions_count", 0)
        if not count:
            return "0"
        url = reverse("admin:conversations_conversationsession_changelist")
        return format_html(
            '<a href="{}?scenario__id__exact={}">{}</a>', url, scenario.pk, number(count)
        )

    @admin.display(description="Models")
    def problems(self, scenario: Scenario) -> str:
        return warning_list(scenario_problems(scenario))

    @admin.display(description="Changed", ordering="updated_at")
    def updated(self, scenario: Scenario) -> str:
        return when(scenario.updated_at)

    @admin.display(description="From")
    def origin(self, scenario: Scenario) -> str:
        if scenario.owner:
            return f"Private: {scenario.owner}"
        return "Parley's library" if scenario.library_digest else "Written here"

    def save_model(self, request: HttpRequest, obj: Scenario, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        for problem in scenario_problems(obj):
            messages.warning(request, problem)
        if "is_active" in form.changed_data and not obj.is_active:
            self._tell_of_invitations(request, [obj])

    def _tell_of_invitations(self, request: HttpRequest, withdrawn: list[Scenario]) -> None:
        """Say how many were promised what is not offered any more."""
        # They know us, and we not them: only the relation tells.
        invitations: Any = Scenario._meta.get_field("invitations").related_model._default_manager
        count = invitations.open().filter(scenario__in=withdrawn).count()
        if count:
            are = "1 open invitation is" if count == 1 else f"{number(count)} open invitations are"
            messages.warning(
                request, f"{are} to what you withdrew: there one chooses another scenario now."
            )

    @admin.action(
        description="Duplicate this scenario",
        description_plural="Duplicate selected scenarios",
        permissions=["add"],
        location=[ActionLocation.CHANGE_LIST, ActionLocation.CHANGE_FORM],
    )
    def duplicate(self, request: HttpRequest, scenarios: QuerySet[Scenario]) -> HttpResponse | None:
        """Copy each, inactive until somebody has gone over it."""
        copies = [_copy(scenario) for scenario in scenarios]
        for copy in copies:
            self.log_addition(request, copy, "Duplicated.")
        if len(copies) == 1:
            messages.success(request, "This is the copy. Turn it on when it is ready.")
            return redirect("admin:scenarios_scenario_change", copies[0].pk)
        messages.success(request, f"{len(copies)} copies made. Turn them on when they are ready.")
        return None

    @admin.action(description="Offer selected scenarios", permissions=["change"])
    def activate(self, request: HttpRequest, scenarios: QuerySet[Scenario]) -> None:
        self._switch(request, scenarios, active=True)

    @admin.action(description="Offer selected scenarios to nobody new", permissions=["change"])
    def deactivate(self, request: HttpRequest, scenarios: QuerySet[Scenario]) -> None:
        self._switch(request, scenarios, active=False)

    def _switch(self, request: HttpRequest, scenarios: QuerySet[Scenario], *, active: bool) -> None:
        changed = list(scenarios.exclude(is_active=active))
        for scenario in changed:
            scenario.is_active = active
            scenario.save(update_fields=["is_active", "updated_at"])
            self.log_change(request, scenario, "Offered." if active else "No longer offered.")
        if not active:
            self._tell_of_invitations(request, changed)
        word = "offered now" if active else "no longer offered"
        messages.success(request, f"{len(changed)} of the selected scenarios: {word}.")


def _mark(problem: str) -> str:
    return "retired" if "retired" in problem else "unknown"


def _copy(scenario: Scenario) -> Scenario:
    taken = set(
        Scenario.objects.filter(slug__startswith=scenario.slug[:80]).values_list("slug", flat=True)
    )
    slug = next(
        candidate
        for number in range(1, len(taken) + 2)
        if (candidate := f"{scenario.slug[:80]}-copy{number if number > 1 else ''}") not in taken
    )
    fields = (
        "description",
        "partner_persona",
        "partner_system_prompt",
        "coach_system_prompt",
        "partner_model",
        "coach_model",
        "partner_opens",
    )
    return Scenario.objects.create(
        name=f"{scenario.name[:190]} (copy)",
        slug=slug,
        is_active=False,
        **{field: getattr(scenario, field) for field in fields},
    )
