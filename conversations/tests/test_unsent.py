"""A plain form that fails with the database: all of it is given back."""

import re
from uuid import uuid4

import pytest
from django.db import IntegrityError, InterfaceError, OperationalError
from django.test import Client
from django.urls import reverse

from conversations import leases, turns
from conversations.models import Message, MessageRole

TEXT = '\n  <b>What worries "you"?</b>\nReally.'


@pytest.fixture
def failing(monkeypatch):
    """Have each step of a learner's fail with an error."""

    def fail(error):
        def failed(*args):
            raise error

        for name in ("send", "ask", "end", "retry"):
            monkeypatch.setattr(turns, name, failed)

    return fail


def hidden(html):
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', html))


@pytest.mark.parametrize("error", [OperationalError, InterfaceError, IntegrityError, TimeoutError])
@pytest.mark.parametrize("action", ["send", "ask"])
def test_it_gives_back_what_was_written(guest, conversation, failing, action, error):
    failing(error("database is locked"))
    fields = {"action": action, "client_id": str(uuid4())}
    response = guest.post(conversation.get_absolute_url(), fields | {"text": TEXT})
    html = response.content.decode()
    assert response.status_code == 503
    assert "Not sent yet" in html
    assert "locked" not in html
    assert "\n\n  &lt;b&gt;What worries &quot;you&quot;?&lt;/b&gt;\nReally.</textarea>" in html
    assert hidden(html).items() >= fields.items()
    assert not Message.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_is_given_back_can_be_sent(guest, conversation, failing, monkeypatch):
    client = Client(enforce_csrf_checks=True)
    client.cookies = guest.cookies
    page = client.get(conversation.get_absolute_url()).content.decode()
    fields = hidden(page) | {"action": "send", "text": "Hello."}
    failing(OperationalError())
    html = client.post(conversation.get_absolute_url(), fields).content.decode()
    monkeypatch.undo()
    again = hidden(html) | {"text": "Hello."}
    assert again["client_id"] == fields["client_id"]
    assert client.post(conversation.get_absolute_url(), again).status_code == 303
    assert Message.objects.filter(role=MessageRole.USER).count() == 1


def test_it_needs_no_database_for_the_answer(guest, conversation, monkeypatch):
    def away(pk):
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(leases, "lost", away)
    fields = {"action": "send", "client_id": str(uuid4()), "text": "Hello."}
    assert guest.post(conversation.get_absolute_url(), fields).status_code == 503
    with pytest.raises(OperationalError):
        guest.get(conversation.get_absolute_url())


def test_where_nothing_was_written_it_can_be_pressed_again(guest, conversation, failing):
    failing(OperationalError())
    address = reverse("conversations:debrief", args=[conversation.pk])
    for where, action in ((conversation.get_absolute_url(), "end"), (address, "retry")):
        response = guest.post(where, {"action": action, "message": "12"})
        html = response.content.decode()
        assert response.status_code == 503
        assert "Try again" in html
        assert "<textarea" not in html
        assert hidden(html)["message"] == "12"
        assert f'action="{where}"' in html
