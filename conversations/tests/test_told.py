"""What the export says of an invitation: only what was written to this person."""

import pytest

from accounts.tests.people import person
from config.tests.desk import make_conversation, make_scenario
from conversations.belongings import Belongings
from conversations.told import account
from conversations.viewings import Viewing, ViewingKind
from invitations.models import Invitation
from invitations.tests import making

pytestmark = pytest.mark.django_db


@pytest.fixture
def dana():
    return person("dana@example.com")


@pytest.mark.parametrize(
    ("to", "note"),
    [
        ("Dana@example.com", "Good luck!"),
        ("", "Good luck!"),  # a link that was passed on by hand, or a place of a group
        ("rita@example.com", ""),  # to Rita, who passed it on
    ],
)
def test_a_note_is_told_to_whom_it_was_written(dana, to, note):
    making.invitation(recipient_email=to, personal_note="Good luck!", linked_user=dana)
    (received,) = account(Belongings(dana))["invitations_received"]
    assert received["note"] == note


def test_a_note_to_them_is_told_though_somebody_else_took_it_up(dana):
    rita = person("rita@example.com")
    making.invitation(recipient_email=dana.email, personal_note="Good luck!", linked_user=rita)
    (passed_on,) = account(Belongings(dana))["invitations_taken_by_others"]
    assert passed_on["note"] == "Good luck!"
    assert Invitation.objects.count() == 1


def test_a_reader_is_told_that_they_read_and_not_whose_it_was(dana):
    rita = person("rita@example.com")
    conversation = make_conversation(make_scenario(), user=rita)
    Viewing.record(conversation, dana, ViewingKind.TRANSCRIPT)
    (reading,) = account(Belongings(dana))["records"]["conversations.viewing"]
    assert reading["kind"] == "transcript"
    assert not {"number", "conversation_id", "conversation"} & reading.keys()
