"""The form on which staff write a scenario."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget, AdminTextInputWidget
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scenarios.catalogue import CATALOGUE
from scenarios.models import Scenario

PROMPT = "vLargeTextField prompt"


class ModelNameInput(AdminTextInputWidget):
    """A text field that suggests the catalogue's models and takes any other name too."""

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["widget"]["attrs"]["list"] = f"id_{name}_suggestions"
        return context

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        options = format_html_join(
            "",
            '<option value="{}">{}</option>',
            ((model.id, model.name) for model in CATALOGUE.values()),
        )
        field = super().render(name, value, attrs, renderer)
        return format_html('{}<datalist id="id_{}_suggestions">{}</datalist>', field, name, options)


class ScenarioForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Scenario
        fields = "__all__"  # noqa: DJ007 (the admin's fieldsets choose)
        widgets = {
            "partner_model": ModelNameInput,
            "coach_model": ModelNameInput,
            "description": AdminTextareaWidget(attrs={"rows": 5}),
            "partner_system_prompt": AdminTextareaWidget(attrs={"rows": 22, "class": PROMPT}),
            "coach_system_prompt": AdminTextareaWidget(attrs={"rows": 14, "class": PROMPT}),
        }

    def clean_partner_model(self) -> str:
        return str(self.cleaned_data["partner_model"]).strip()

    def clean_coach_model(self) -> str:
        return str(self.cleaned_data["coach_model"]).strip()
