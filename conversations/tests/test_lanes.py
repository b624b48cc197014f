"""Rows that a conversation gets in its lanes."""

from uuid import uuid4

import pytest

from conversations.lanes import locked
from conversations.models import Message

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("fields", [{}, {"metadata": {"a": ["b", None]}, "client_id": uuid4()}])
def test_a_row_is_stored_as_by_the_orm(conversation, fields):
    row = {"session": conversation, "role": "user", "content": "It's 100 % \u2028", **fields}
    with locked(conversation.pk) as it:
        ours = it.add(Message(**row))
    theirs = Message.objects.create(**row | {"client_id": None})
    stored = Message.objects.values().get(pk=ours.pk)
    assert stored["client_id"] == fields.get("client_id")
    for name, value in Message.objects.values().get(pk=theirs.pk).items():
        assert name in {"id", "timestamp", "client_id"} or stored[name] == value
    ours.content = "changed"
    ours.save()
    assert [row.content for row in Message.objects.order_by("pk")] == ["changed", row["content"]]
