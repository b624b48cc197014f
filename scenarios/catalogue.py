"""The models that Parley knows, and how to ask each for plain chat.

Source: the provider's model pages, November 2026. What they cost stands in
`usage.models.Price`. A model that is not listed (one on a local server, say) is asked without any
of these options.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.conf import settings


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model of the catalogue."""

    id: str
    name: str
    # Turns thinking off by the model's own rules: it would spend the reply's `max_tokens`.
    chat_options: Mapping[str, object] = field(default_factory=dict)


CATALOGUE = {
    model.id: model
    for model in (
        ModelInfo(
            "claude-sonnet-5-5",
            "Claude Sonnet 5.5",
            {"thinking": {"type": "between_tools"}, "output_config": {"effort": "low"}},
        ),
        ModelInfo(
            "claude-haiku-5-5",
            "Claude Haiku 5.5",
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}},
        ),
        ModelInfo(
            "claude-sonnet-5",
            "Claude Sonnet 5",
        ),
        ModelInfo(
            "claude-haiku-4-5",
            "Claude Haiku 4.5",
        ),
    )
}

# Answer 404 since the date named; a stored scenario may still ask for one.
RETIRED = {"claude-sonnet-4-20250514": "15 June 2026"}


def model_choices() -> list[tuple[str, str]]:
    """The models that answer here, as choices: what the settings name, and the catalogue.

    Where the settings name a model that is not in the catalogue (a server of one's own), the
    catalogue's are not there.
    """
    configured = [settings.PARTNER_MODEL, settings.COACH_MODEL]
    known = list(CATALOGUE) if settings.PARTNER_MODEL in CATALOGUE else []
    offered = dict.fromkeys(model for model in [*configured, *known] if model not in RETIRED)
    return [(model, CATALOGUE[model].name if model in CATALOGUE else model) for model in offered]


def chat_options(model: str) -> Mapping[str, object]:
    """Request options that make `model` answer at once, without thinking; empty if unknown."""
    info = CATALOGUE.get(model)
    return info.chat_options if info else {}
