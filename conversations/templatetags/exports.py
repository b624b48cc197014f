"""Rows of the export, for people."""

import json
from datetime import datetime
from typing import Any

from django import template
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import formats, timezone

register = template.Library()


@register.filter
def facts(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and values of a row in words, those that say something."""
    return [
        (name.removesuffix("_id").replace("_", " ").capitalize(), _words(value))
        for name, value in row.items()
        if value not in (None, "", [], {})
    ]


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return formats.date_format(timezone.localtime(value), "j F Y, H:i e")
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_words(item)}" for name, item in value.items())
    if isinstance(value, list):
        return "; ".join(map(_words, value))
    return value if isinstance(value, str) else json.dumps(value, cls=DjangoJSONEncoder)
