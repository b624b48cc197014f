"""Which stored models will not answer, said to staff before a learner finds out."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register
from django.db.models import Q

from scenarios.catalogue import CATALOGUE, RETIRED
from scenarios.models import Scenario

SETTINGS = ("PARTNER_MODEL", "COACH_MODEL", "FALLBACK_MODEL")


def model_problem(model: str) -> str:
    """What is wrong with `model`, in words for staff; an empty string for a known one."""
    if model in CATALOGUE:
        return ""
    if model not in RETIRED:
        return f"“{model}” is not in the catalogue. Make sure that your provider offers it."
    instead = (
        f"{settings.FALLBACK_MODEL} answers in its place."
        if settings.FALLBACK_MODEL
        else "Replies fail until you choose another."
    )
    return f"“{model}” was retired on {RETIRED[model]}. {instead}"


def scenario_problems(scenario: Scenario) -> Iterator[str]:
    """What is wrong with the models of `scenario`, in words that name the part."""
    for part, model in (("Partner", scenario.partner_model), ("Coach", scenario.coach_model)):
        if problem := model_problem(model):
            yield f"{part}: {problem}"


def troubled_scenarios() -> list[tuple[Scenario, list[str]]]:
    """Active scenarios with a retired or unknown model, and what is wrong with each."""
    known = list(CATALOGUE)
    found = Scenario.objects.active().exclude(Q(partner_model__in=known, coach_model__in=known))
    return [(scenario, list(scenario_problems(scenario))) for scenario in found]


@register()
def check_configured_models(**kwargs: Any) -> list[CheckMessage]:
    """Warn at start of a retired model in the settings."""
    return [
        Warning(
            f"{name} is {model}, which was retired on {RETIRED[model]}.",
            hint=f"Set {name} to one of: {', '.join(CATALOGUE)}.",
            id="scenarios.W001",
        )
        for name in SETTINGS
        if (model := getattr(settings, name)) in RETIRED
    ]
