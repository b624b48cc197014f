"""Sessions are ended by what they hold."""

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session

from accounts import sessions

pytestmark = pytest.mark.django_db


def session(**data):
    store = SessionStore()
    store.update(data)
    store.create()
    return store.session_key


def keys():
    return set(Session.objects.values_list("session_key", flat=True))


def test_those_that_name_somebody_end_and_no_others():
    session(login={"email": "Zoë@Example.org"})
    session(_auth_user_id="abc123")
    other = session(login={"email": "eve@example.org"})
    sessions.end_those_naming(["zoë@example.org", "abc123"])
    assert keys() == {other}


def test_what_cannot_be_read_is_left():
    Session.objects.create(
        session_key="k" * 32, session_data="rubbish", expire_date="2030-01-01T00:00Z"
    )
    sessions.end_those_naming(["dana"])
    assert keys() == {"k" * 32}
