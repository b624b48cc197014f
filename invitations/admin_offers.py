"""What the forms for group links and bulk invitations share: a scenario, a budget, a time."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import (
    AdminRadioSelect,
    AdminSplitDateTime,
    AdminTextareaWidget,
)
from django.http import HttpRequest

from invitations.admin_forms import PresetChoice, tokens_field
from invitations.models import QuotaPreset
from invitations.offers import Offer
from scenarios.models import Scenario


class OfferForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new offer: a preset, or a number of tokens of its own."""

    preset = PresetChoice(
        QuotaPreset.objects.none(),
        label="Budget for each",
        required=False,
        empty_label=None,
        widget=AdminRadioSelect(attrs={"class": "radiolist"}),
    )
    tokens = tokens_field(
        label="Or so many tokens",
        required=False,
        help_text="A number here takes the place of the choice above.",
    )

    class Meta:
        fields: tuple[str, ...] = ("scenario", "expires_at", "personal_note")
        field_classes = {"expires_at": forms.SplitDateTimeField}
        widgets = {
            "expires_at": AdminSplitDateTime,
            "personal_note": AdminTextareaWidget(attrs={"rows": 4}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        scenarios = self.fields.get("scenario")  # Who may only look gets no field.
        if isinstance(scenarios, forms.ModelChoiceField):
            scenarios.queryset = self.offered()
            scenarios.empty_label = "The learner chooses"
            scenarios.help_text = ""
        if "preset" in self.fields:
            self._offer_presets()

    def offered(self) -> Any:
        """The scenarios to choose from: the active ones, and the one that it has."""
        scenarios = Scenario.objects.active()
        if self.instance.scenario_id:
            scenarios = scenarios | Scenario.objects.filter(pk=self.instance.scenario_id)
        return scenarios.distinct()

    def _offer_presets(self) -> None:
        field = self.fields["preset"]
        assert isinstance(field, PresetChoice)
        field.queryset = presets = QuotaPreset.objects.all()
        field.initial = next((preset.pk for preset in presets if preset.is_default), None)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if data.get("tokens"):
            self.instance.quota = {"tokens": data["tokens"], "label": ""}
        elif preset := data.get("preset"):
            self.instance.quota = {"label": preset.label, **preset.quota}
        elif "tokens" not in self.errors and "preset" not in self.errors:
            self.add_error("preset", "Choose a budget, or fill in a number of tokens below.")
        return data


class AsInvitations:
    """Who may do something with invitations may do the same with what makes many of them."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.has_module_perms("invitations")

    def has_view_permission(self, request: HttpRequest, obj: Offer | None = None) -> bool:
        user = request.user
        return user.has_perm("invitations.view_invitation") or self.has_change_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("invitations.add_invitation")

    def has_change_permission(self, request: HttpRequest, obj: Offer | None = None) -> bool:
        return request.user.has_perm("invitations.change_invitation")

    def has_delete_permission(self, request: HttpRequest, obj: Offer | None = None) -> bool:
        return False
