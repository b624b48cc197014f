"""Ending sessions: they know who is signed in, but the table cannot be asked for it."""

import json
from collections.abc import Callable, Collection
from itertools import batched
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session


def end_those_of(user_id: str, *, but: str | None = None) -> None:
    """Sign `user_id` out everywhere, except in the session with the key `but`."""
    _end(lambda key, data: key != but and data.get(SESSION_KEY) == user_id)


def end_those_naming(words: Collection[str]) -> None:
    """End every session in whose data one of `words` stands, in whatever case."""
    sought = {word.lower() for word in words}

    def names_one(key: str, data: dict[str, Any]) -> bool:
        text = json.dumps(data, ensure_ascii=False, default=str).lower()
        return any(word in text for word in sought)

    _end(names_one)


def _end(chosen: Callable[[str, dict[str, Any]], bool]) -> None:
    keys = [
        session.session_key
        for session in Session.objects.iterator(chunk_size=500)
        if chosen(session.session_key, session.get_decoded())
    ]
    for some in batched(keys, 500, strict=False):
        Session.objects.filter(session_key__in=some).delete()
