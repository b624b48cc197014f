"""Sessions that know somebody, signed in or about to; the table cannot be asked for them."""

import json
from collections.abc import Collection
from itertools import batched
from typing import Any

from django.contrib.sessions.models import Session

from accounts.naming import naming


def end_those_naming(words: Collection[str]) -> None:
    """End every session in whose data one of `words` stands by itself, in whatever case."""
    named = naming(words)
    keys = [
        session.session_key
        for session in Session.objects.iterator(chunk_size=500)
        if named.search(_text(session.get_decoded()))
    ]
    for some in batched(keys, 500, strict=False):
        Session.objects.filter(session_key__in=some).delete()


def _text(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, default=str)
