"""The form on which staff write a scenario."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget, AdminTextInputWidget

from scenarios.catalogue import CATALOGUE
from scenarios.models import Scenario

PROMPT = "vLargeTextField prompt"


class ModelNameInput(AdminTextInputWidget):
    """A text field that suggests the catalogue's models and takes any other name too."""

    template_name = "admin/widgets/model_name.html"

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        widget = context["widget"]
        widget["suggestions"] = CATALOGUE.values()
        widget["attrs"]["list"] = f"{widget['attrs'].get('id', f'id_{name}')}_suggestions"
        return context


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
