"""The history of what staff change in the admin, with what it was before and after."""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, QuerySet
from django.forms import BaseForm
from django.utils import timezone
from django.utils.text import capfirst


def in_words(value: object) -> str:
    """A value as the history tells it: counts with commas, times in UTC, "nothing" for none."""
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, datetime):
        return f"{timezone.localtime(value):%Y-%m-%d %H:%M}"
    return str(value)


def change_message(
    message: list[dict[str, Any]], form: BaseForm, formsets: Any, told: Collection[str]
) -> list[dict[str, Any]]:
    """Django's message of a change, with the values of those fields that `told` names.

    Name no field that holds what somebody wrote or a secret: a history is read by many.
    """
    forms = [form] if form.changed_data else []
    for formset in formsets or []:
        by_object = {inline.instance: inline for inline in formset.forms}
        forms += [by_object[row] for row, _ in formset.changed_objects]
    changed = [entry["changed"] for entry in message if "changed" in entry]
    for entry, source in zip(changed, forms, strict=True):
        names = zip(entry["fields"], source.changed_data, strict=True)
        entry["fields"] = [
            label + values(source, name) if name in told else label for label, name in names
        ]
    return message


def values(form: BaseForm, name: str) -> str:
    before = form.get_initial_for_field(form.fields[name], name)
    return f" from {in_words(before)} to {in_words(form.cleaned_data.get(name))}"


def about(rows: Collection[Model]) -> QuerySet[LogEntry]:
    """The lines about `rows`, which are of one model."""
    kinds = {type(row) for row in rows}
    return LogEntry.objects.filter(
        content_type__in=[ContentType.objects.get_for_model(kind) for kind in kinds],
        object_id__in=[str(row.pk) for row in rows],
    )


def forget_names(rows: Collection[Model]) -> None:
    """Leave in the lines about `rows` what was done, and nobody's name or address."""
    for row in rows:
        lines = about([row])
        lines.update(object_repr=nameless(row))
        lines.filter(change_message__contains="@").update(change_message="")


def nameless(row: Model) -> str:
    """What a row is, without whose."""
    return str(capfirst(row._meta.verbose_name))


def tell_owner(by: Any, owner: Model, row: Model) -> None:
    """Have the history of `owner` say that `row` of theirs was deleted."""
    words = f"Deleted the {row._meta.verbose_name}."
    LogEntry.objects.log_actions(by.pk, [owner], CHANGE, words)
