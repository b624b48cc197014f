"""Prepared statements do what the ORM's own would, with the values of each use."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User
from config.prepared import (
    PreparedModels,
    PreparedSelect,
    PreparedUpdate,
    given_number,
    given_text,
    given_time,
    insert,
)
from invitations.models import Invitation
from usage.models import Hold
from usage.tests.purses import invite

pytestmark = pytest.mark.django_db

rename = PreparedUpdate(
    lambda: Group.objects.filter(pk=given_number("pk")),
    lambda: {"name": given_text("name")},
)
extend = PreparedUpdate(
    lambda: Invitation.objects.open(given_time("now")),
    lambda: {"expires_at": given_time("until")},
)

room = PreparedSelect(
    lambda: Invitation.objects.open(given_time("now")).values_list("pk", "expires_at", "quota")
)
same = PreparedModels(Invitation, lambda: Invitation.objects.filter(pk=given_text("pk")))


def test_each_use_has_values_of_its_own():
    first, second = Group.objects.create(name="a"), Group.objects.create(name="b")
    assert rename(pk=first.pk, name="it's") == 1
    assert rename(pk=second.pk, name="%s") == 1
    assert rename(pk=0, name="z") == 0
    assert set(Group.objects.values_list("name", flat=True)) == {"it's", "%s"}


def test_times_are_compared_as_times():
    now = timezone.now()
    invitation = invite(
        User.objects.create_user("staff@example.org"), expires_at=now + timedelta(seconds=1)
    )
    assert extend(now=now + timedelta(seconds=2), until=now) == 0
    assert extend(now=now, until=now + timedelta(days=1)) == 1
    invitation.refresh_from_db()
    assert invitation.expires_at == now + timedelta(days=1)


def test_what_is_selected_is_as_from_the_orm():
    now = timezone.now()
    staff = User.objects.create_user("staff@example.org")
    invitation = invite(staff, expires_at=now + timedelta(seconds=1))
    assert room(now=now + timedelta(seconds=2)) == []
    assert room(now=now) == [[invitation.pk, invitation.expires_at, invitation.quota]]
    (found,) = same(pk=invitation.pk)
    assert found == invitation
    stored = Invitation.objects.get()
    for column in Invitation._meta.concrete_fields:
        assert getattr(found, column.attname) == getattr(stored, column.attname)
    found.save()  # it is no new row
    assert same(pk="%s") == []


def test_a_value_that_is_not_given_is_an_error():
    with pytest.raises(KeyError):
        rename(pk=1)


def test_a_row_with_a_key_of_its_own_is_stored_once():
    hold = Hold(tokens=5, max_tokens=5, stream_type="partner", model="m")
    insert(hold)
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(hold)
    assert Hold.objects.get().pk == hold.pk


def test_what_the_database_computes_is_not_taken_from_the_row():
    for computed in ({}, {"tokens": "40 + 2"}, {}, {"tokens": "40 + 2"}):
        hold = Hold(tokens=5, max_tokens=5, stream_type="partner", model="%s")
        insert(hold, **computed)
        hold.refresh_from_db()
        assert (hold.tokens, hold.model) == (42 if computed else 5, "%s")
