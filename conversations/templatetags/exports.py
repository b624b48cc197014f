"""Rows of the export, for people."""

import json
import re
from datetime import datetime
from typing import Any, Final

from django import template
from django.apps import apps
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import formats, timezone
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from conversations.markdown import plain
from conversations.models import Message
from conversations.templatetags.turns import said

register = template.Library()

# What `conversations.markdown` would make more of than paragraphs.
MARKUP: Final = re.compile(r"[*_\\]|^ {0,3}(?:[-+>]|\d{1,9}[.)])", re.MULTILINE)

# Of the machinery; they stand in the JSON.
DRY: Final = {"id", "is_superuser", "is_active", "session_era", "updated_at", "held_as"}


@register.filter
def facts(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and values of a row in words, those that say something."""
    return [
        (name.removesuffix("_id").replace("_", " ").capitalize(), _words(value))
        for name, value in row.items()
        if name not in DRY and value not in (None, "", [], {})
    ]


@register.filter
def table(label: str) -> str:
    """A table's name for people: "accounts.device" is "Devices"."""
    return capfirst(apps.get_model(label)._meta.verbose_name_plural)


@register.filter
def told(message: Message) -> SafeString:
    """The text of a message as safe HTML; quick where there is no Markdown in it, as mostly."""
    return said(message) if MARKUP.search(message.content) else plain(message.content)


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
