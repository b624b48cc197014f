"""The form on which a person writes a scenario for themselves: the staff's, with fewer models."""

from typing import Any, Final

from django import forms

from scenarios.catalogue import model_choices
from scenarios.forms import ScenarioForm
from scenarios.models import Scenario, private_slug

# Characters of each prompt, which is sent with every turn.
LONGEST_PROMPT: Final = 8_000
LONGEST_DESCRIPTION: Final = 4_000
MOST_SCENARIOS: Final = 50


def _area(rows: int, most: int) -> forms.Textarea:
    return forms.Textarea(attrs={"rows": rows, "maxlength": most, "dir": "auto"})


class PrivateScenarioForm(ScenarioForm):
    class Meta:
        model = Scenario
        fields = (
            "name",
            "description",
            "partner_persona",
            "partner_opens",
            "partner_system_prompt",
            "partner_model",
            "coach_system_prompt",
            "coach_model",
        )
        labels = {
            "name": "Title",
            "description": "The situation",
            "partner_persona": "The other person’s name",
            "partner_opens": "The other person speaks first",
            "partner_system_prompt": "Who the other person is",
            "partner_model": "Who plays them",
            "coach_system_prompt": "What the coach looks for",
            "coach_model": "Who coaches",
        }
        help_texts = {"partner_opens": ""}
        widgets = {
            "name": forms.TextInput(attrs={"dir": "auto"}),
            "partner_persona": forms.TextInput(attrs={"dir": "auto"}),
            "description": _area(4, LONGEST_DESCRIPTION),
            "partner_system_prompt": _area(10, LONGEST_PROMPT),
            "coach_system_prompt": _area(6, LONGEST_PROMPT),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("partner_model", "coach_model"):
            # A model that has gone since is not offered again: its choice must be made anew.
            self.fields[name] = forms.ChoiceField(
                label=self.fields[name].label,
                choices=model_choices(),
                initial=self.fields[name].initial,
            )
        most = {"description": LONGEST_DESCRIPTION}
        for name in ("description", "partner_system_prompt", "coach_system_prompt"):
            field = self.fields[name]
            assert isinstance(field, forms.CharField)
            field.max_length = most.get(name, LONGEST_PROMPT)
            field.validators.append(_at_most(field.max_length))

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        owner = self.instance.owner
        if self.instance.pk is None and owner and owner.scenarios.count() >= MOST_SCENARIOS:
            raise forms.ValidationError(
                f"You have {MOST_SCENARIOS} scenarios, which is the most. Delete one first."
            )
        return data

    def save(self, commit: bool = True) -> Scenario:
        if self.instance.pk is None:
            self.instance.slug = private_slug(self.cleaned_data["name"])
        scenario: Scenario = super().save(commit)
        return scenario


def _at_most(most: int) -> Any:
    def check(text: str) -> None:
        if len(text) > most:
            raise forms.ValidationError(
                f"This has {len(text):,} characters; {most:,} is the most. Shorten it."
            )

    return check
