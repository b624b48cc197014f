"""Forms on which staff set budgets and invite: tokens and a label instead of raw JSON."""

from collections.abc import Sequence
from typing import Any, Final

from django import forms
from django.contrib.admin.widgets import (
    AdminRadioSelect,
    AdminTextareaWidget,
    AutocompleteSelect,
)
from django.utils.html import format_html

from invitations.admin_history import Snapshot
from invitations.models import Invitation, QuotaPreset, Wish
from invitations.presses import key_field
from invitations.quota import EACH_NEXT, FIRST_EXCHANGE, MOST_TOKENS, in_words

# A person's note is theirs: it goes to nobody else, and into nobody else's export, unnoticed.
ANOTHERS_NOTE: Final = format_html(
    "It was written to the recipient that you have changed. Write another, or empty it. "
    '<label><input type="checkbox" name="note_stays" value="yes"> {}</label>',
    "It is meant for the new one too",
)
# Fields of the forms that are part of one of the model.
QUOTA_FIELDS: Final = {"tokens": "quota", "quota_label": "quota"}


class PlainAutocomplete(AutocompleteSelect):
    """An autocomplete that has all its choices with it, so that it works without scripts too."""

    def optgroups(self, name: str, value: Sequence[str], attr: Any = None) -> Any:
        return forms.Select.optgroups(self, name, list(value), attr)


def tokens_field(**options: Any) -> forms.IntegerField:
    return forms.IntegerField(min_value=1, max_value=MOST_TOKENS, **options)


class PresetForm(forms.ModelForm):  # type: ignore[type-arg]
    tokens = tokens_field(
        help_text=f"Input and output of partner and coach together. The first exchange costs about "
        f"{FIRST_EXCHANGE:,}, each further one {EACH_NEXT:,} more than the one before."
    )

    class Meta:
        model = QuotaPreset
        fields = ("name", "label", "description", "is_default", "sort_order")
        widgets = {"description": AdminTextareaWidget(attrs={"rows": 3})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.quota:
            self.fields["tokens"].initial = self.instance.quota.get("tokens")

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if data.get("tokens"):
            self.instance.quota = {"tokens": data["tokens"], "label": data.get("label", "")}
        return data

    def _get_validation_exclusions(self) -> set[str]:
        # A new default takes over from the old one (`PresetAdmin.save_model`), so that there
        # being one already is no error.
        return super()._get_validation_exclusions() | {"is_default"}  # type: ignore[misc]


class InvitationForm(forms.ModelForm):  # type: ignore[type-arg]
    """What the forms for a new and for an existing invitation share."""

    tokens = tokens_field(label="Budget in tokens")

    class Meta:
        model = Invitation
        fields = ("recipient_email", "recipient_name", "scenario", "personal_note", "expires_at")
        help_texts = {
            "recipient_email": "Leave empty for a link that you pass on yourself.",
            "expires_at": "In UTC. From then on the link lets nobody in.",
        }
        widgets = {"personal_note": AdminTextareaWidget(attrs={"rows": 4})}

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if self.wants_sending and not data.get("recipient_email"):
            self.add_error("recipient_email", "To whom should it go? Only a link needs no address.")
        return data

    @property
    def wants_sending(self) -> bool:
        """Whether *Save and send* was pressed."""
        return self.data.get("_continue") == "send"


class PresetChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.name}: {obj.quota['tokens']:,} tokens, {in_words({**obj.quota, 'label': ''})}"


def preset_field(label: str = "Budget", **options: Any) -> PresetChoice:
    return PresetChoice(
        QuotaPreset.objects.none(),
        label=label,
        empty_label=None,
        widget=AdminRadioSelect(attrs={"class": "radiolist"}),
        **options,
    )


def offer_presets(field: forms.Field) -> None:
    """Let `field` offer all presets, with the default chosen."""
    assert isinstance(field, PresetChoice)
    field.queryset = presets = QuotaPreset.objects.all()
    field.initial = next((preset.pk for preset in presets if preset.is_default), None)


class NewInvitationForm(InvitationForm):
    """A new invitation: a preset, or a number of tokens of its own."""

    page_key = key_field()
    preset = preset_field(required=False)
    tokens = tokens_field(
        label="Or so many tokens",
        required=False,
        help_text="A number here takes the place of the choice above.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer_presets(self.fields["preset"])

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        self.instance.key = data.get("page_key")
        if data.get("tokens"):
            self.instance.quota = {"tokens": data["tokens"], "label": ""}
        elif preset := data.get("preset"):
            self.instance.quota = {"label": preset.label, **preset.quota}
        elif "tokens" not in self.errors and "preset" not in self.errors:
            self.add_error("preset", "Choose a budget, or fill in a number of tokens below.")
        return data


class ChangeInvitationForm(InvitationForm):
    """An existing invitation: its budget may grow, or shrink to what is spent.

    Only what was changed on the page is written. The page carries what it showed, so that a
    field which somebody else changed meanwhile is not set back by who left it alone.
    """

    quota_label = forms.CharField(label="Budget's name", max_length=200, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.before = Snapshot.of(self.instance)
        self.fields["tokens"].initial = self.instance.limit
        self.fields["quota_label"].initial = self.instance.quota.get("label", "")
        for field in self.fields.values():
            field.show_hidden_initial = True

    def clean_tokens(self) -> int:
        tokens = int(self.cleaned_data["tokens"])
        if "tokens" not in self.changed_data:
            return self.instance.limit
        # The row is locked while this runs, so what is spent cannot grow meanwhile.
        spent = self.instance.settled + self.instance.held
        if tokens < spent:
            raise forms.ValidationError(
                f"{spent:,} tokens are spent or set aside already, so it cannot be less. "
                "To stop the conversation now, revoke the invitation."
            )
        return tokens

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        if self.keeps_anothers_note(data):
            self.add_error("personal_note", ANOTHERS_NOTE)
        quota = dict(self.instance.quota)
        if data.get("tokens"):
            quota["tokens"] = data["tokens"]
        if "quota_label" in self.changed_data:
            quota["label"] = data.get("quota_label", "")
        self.instance.quota = quota
        return data

    def keeps_anothers_note(self, data: dict[str, Any]) -> bool:
        """Whether it is for somebody else now, with the note to who it was for before."""
        before = self.before.hidden
        was, email = before["recipient_email"], data.get("recipient_email", "")
        kept = before["personal_note"] and "personal_note" not in self.changed_data
        moved = "recipient_email" in self.changed_data and email.casefold() != was.casefold()
        return bool(kept and was and moved and not self.data.get("note_stays"))

    def write(self) -> None:
        """Store what was changed and nothing else; a reply counts its tokens meanwhile.

        A new budget or expiry answers the wish for it.
        """
        changed = {QUOTA_FIELDS.get(name, name) for name in self.changed_data}
        for field, wish in (("quota", Wish.BUDGET), ("expires_at", Wish.TIME)):
            if field in changed:
                setattr(self.instance, wish.field, None)
                changed.add(wish.field)
        self.instance.save(update_fields=changed)
        self.instance.refresh_from_db()

    @property
    def history(self) -> str:
        """What the edit changed, in words; once it is written."""
        return self.before.until(Snapshot.of(self.instance)) or "Nothing changed."


class MoreTokensForm(forms.Form):
    """So many tokens more: as many as a preset has, or a number."""

    preset = preset_field(label="Add as many as", required=False)
    tokens = tokens_field(
        label="Or so many tokens more",
        required=False,
        help_text="A number here takes the place of the choice above.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer_presets(self.fields["preset"])

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        preset = data.get("preset")
        data["count"] = data.get("tokens") or (preset.quota["tokens"] if preset else None)
        if not data["count"] and not self.errors:
            self.add_error("preset", "Choose how many, or fill in a number of tokens below.")
        return data
