"""The forms for a group link, a new one and one that people have joined."""

from typing import Any

from django import forms

from invitations.admin_forms import QUOTA_FIELDS, tokens_field
from invitations.admin_offers import OfferForm
from invitations.groups import GroupLink
from invitations.presses import key_field

FIELDS = ("label", "places", "days", *OfferForm.Meta.fields)


class GroupForm(OfferForm):
    class Meta(OfferForm.Meta):
        model = GroupLink
        fields = FIELDS
        help_texts = {
            "places": "Each who comes takes one, with a budget of their own.",
            "expires_at": "In UTC. From then on nobody new comes in.",
        }


class NewGroupForm(GroupForm):
    page_key = key_field()

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        self.instance.key = data.get("page_key")
        return data


class ChangeGroupForm(GroupForm):
    """An existing group link: what changes holds for who comes from now on.

    Only what was changed on the page is written, as of an invitation.
    """

    preset = None  # type: ignore[assignment]
    tokens = tokens_field(
        label="Budget for each, in tokens", help_text="For who comes from now on."
    )
    quota_label = forms.CharField(label="Budget's name", max_length=200, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tokens"].initial = self.instance.limit
        self.fields["quota_label"].initial = self.instance.quota.get("label", "")
        for field in self.fields.values():
            field.show_hidden_initial = True

    def clean_places(self) -> int:
        places = int(self.cleaned_data["places"])
        if "places" not in self.changed_data:
            return self.instance.places
        # The row is locked while this runs, so that nobody comes in meanwhile.
        if places < self.instance.taken:
            raise forms.ValidationError(
                f"{self.instance.taken} places are taken already, so it cannot be less. "
                "To let nobody else in, revoke the link."
            )
        return places

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = forms.ModelForm.clean(self) or self.cleaned_data
        quota = dict(self.instance.quota)
        if "tokens" in self.changed_data and data.get("tokens"):
            quota["tokens"] = data["tokens"]
        if "quota_label" in self.changed_data:
            quota["label"] = data.get("quota_label", "")
        self.instance.quota = quota
        return data

    def write(self) -> None:
        """Store what was changed and nothing else."""
        self.instance.save(update_fields={QUOTA_FIELDS.get(n, n) for n in self.changed_data})
        self.instance.refresh_from_db()
