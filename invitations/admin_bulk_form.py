"""The form on which staff invite many: a list or a file, and what each is invited to."""

from typing import Any, Final
from uuid import uuid4

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget
from django.core.exceptions import ValidationError
from django.utils import timezone

from invitations.addresses import Entry
from invitations.admin_offers import OfferForm
from invitations.bulk import Batch
from invitations.lists import read_file, read_on
from invitations.preview import Preview, look

MOST_PEOPLE: Final = 500
MOST_TEXT: Final = 200_000
MOST_BYTES: Final = 1_000_000


class BulkForm(OfferForm):
    recipients = forms.CharField(
        label="Addresses",
        required=False,
        max_length=MOST_TEXT,
        widget=AdminTextareaWidget(
            attrs={"rows": 10, "spellcheck": "false", "autocomplete": "off"}
        ),
        help_text="One a line, or as you have them: “Kim Lee &lt;kim@example.org&gt;; ann@…”.",
    )
    file = forms.FileField(
        label="Or a file",
        required=False,
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,text/csv,text/plain"}),
        help_text="CSV with a heading such as name and email, in any order, or a plain list.",
    )
    # What the lines were read as when somebody looked; see `invitations.lists`.
    reading = forms.CharField(required=False, widget=forms.HiddenInput)
    key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)

    class Meta(OfferForm.Meta):
        model = Batch
        help_texts = {"expires_at": "In UTC. From then on the links let nobody in."}

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file and file.size > MOST_BYTES:
            raise ValidationError("The file is larger than 1 MB; a list of addresses is not.")
        return file

    def clean_expires_at(self) -> Any:
        moment = self.cleaned_data["expires_at"]
        if moment <= timezone.now():
            raise ValidationError("That is over already: nobody could come in.")
        return moment

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        self.instance.key = data.get("key") or uuid4()
        file = data.get("file")
        self.entries: list[Entry] = read_on(data.get("recipients", ""), data.get("reading", ""))
        if file:
            self.entries += read_file(file.read())
        if not self.entries and not self.errors.keys() & {"recipients", "file"}:
            self.add_error("recipients", "Whom do you invite? Paste addresses, or choose a file.")
        if len(self.entries) > MOST_PEOPLE:
            self.add_error(
                "recipients",
                f"That is {len(self.entries):,} lines; {MOST_PEOPLE} at a time is the most. "
                "Send the first ones, then the others.",
            )
        return data

    def preview(self) -> Preview:
        """What would be sent, of a valid form."""
        self.entries = [
            Entry(line, entry.text, entry.name, entry.email, entry.problem)
            for line, entry in enumerate(self.entries, start=1)
        ]
        return look(self.instance, self.entries)

    def with_list(self, preview: Preview) -> "BulkForm":
        """The same form with the list as it was read, a file's included, to go on with."""
        data = {name: self.data[name] for name in self.data}
        return BulkForm(data | {"recipients": preview.text, "reading": preview.seal})
