"""A row of any model, with a row of its own for everything that it refers to."""

from typing import Any
from uuid import uuid4

from django.db import models
from django.db.models.fields import NOT_PROVIDED
from django.utils import timezone

# What a model's constraints ask for beyond its fields' types.
SPECIAL: dict[str, dict[str, Any]] = {
    "usage.Hold": {"user": None},
    "conversations.Viewing": {"kind": "transcript"},
}


def make(model: type[models.Model], number: int, **values: Any) -> Any:
    """Store a row that has `number` in whatever must be unique.

    Relations are filled, optional ones too, so that a list that follows them row by row shows.
    """
    values = SPECIAL.get(model._meta.label, {}) | values
    for field in model._meta.concrete_fields:
        if field.name in values or isinstance(field, models.AutoField):
            continue
        if field.is_relation:
            if field.related_model is not model:
                values[field.name] = make(field.related_model, number)
        elif not field.null and (field.default is NOT_PROVIDED) and not field.choices:
            values[field.name] = value(field, number)
        elif field.choices and field.default is NOT_PROVIDED:
            values[field.name] = field.choices[number % len(field.choices) if field.unique else 0][
                0
            ]
    return model._default_manager.create(**values)


def value(field: Any, number: int) -> Any:
    match field:
        case models.EmailField():
            return f"row{number}-{uuid4().hex[:8]}@example.org"
        case models.CharField() | models.TextField():
            return f"{field.name}-{number}-{uuid4().hex}"[: field.max_length]
        case models.DateTimeField():
            return timezone.now()
        case models.DateField():
            return timezone.now().date()
        case models.BooleanField():
            return False
        case models.JSONField(name="quota"):
            return {"tokens": 25_000, "label": "Short"}
        case models.JSONField():
            return {}
        case models.UUIDField():
            return uuid4()
        case _:
            return 1
