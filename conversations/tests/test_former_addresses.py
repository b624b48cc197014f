"""What went to an address that a person had is theirs still, and goes with them."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.mail import EmailMessage
from django.utils import timezone

from accounts.mail import FolderBackend
from accounts.models import FormerAddress
from accounts.tests.people import person, staff
from conversations import erasure
from conversations.belongings import Belongings
from conversations.told import account
from invitations.mailing import message
from invitations.models import Invitation
from invitations.tests import making

OLD = "old@example.com"
DAY = timedelta(days=1)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def dana():
    """Somebody who had another address until yesterday."""
    user = person("new@example.com", name="Dana")
    FormerAddress.objects.create(user=user, email=OLD, until=timezone.now() - DAY)
    return user


def invited(*, days_ago, sent=None, **fields):
    """An invitation to the old address that was made, and perhaps last sent, so long ago."""
    times = {"created_at": timezone.now() - days_ago * DAY}
    times["sent_at"] = None if sent is None else timezone.now() - sent * DAY
    return making.invitation(recipient_email=OLD.upper(), **times | fields)


@pytest.mark.parametrize(("made", "sent"), [(3, None), (3, 2), (3, 0), (0, None)])
def test_while_nobody_else_proves_the_address_all_that_goes_there_is_theirs(dana, made, sent):
    """Staff have it in their lists, and mostly the person has the mailbox."""
    one = invited(days_ago=made, sent=sent)
    assert list(Belongings(dana).received) == [one]


@pytest.mark.parametrize(
    ("made", "sent", "whose"),
    [
        (3, None, "dana"),
        (3, 2, "dana"),
        (3, 0, "later"),  # its mail came to who has the address now
        (0, None, "later"),
    ],
)
@pytest.mark.parametrize("gone", [False, True])
def test_of_two_who_had_it_each_has_what_came_in_their_time(dana, made, sent, whose, gone):
    later = person("later@example.com" if gone else OLD)
    if gone:
        FormerAddress.objects.create(user=later, email=OLD)
    one = invited(days_ago=made, sent=sent)
    found = {user: list(Belongings(user).received) for user in (dana, later)}
    assert found == {dana: [one] * (whose == "dana"), later: [one] * (whose == "later")}


def test_it_is_told_as_written_to_them(dana):
    invited(days_ago=2, linked_user=dana, personal_note="Good luck!", recipient_name="Dana D.")
    (received,) = account(Belongings(dana))["invitations_received"]
    told = (received["to_name"], received["to_address"], received["note"])
    assert told == ("Dana D.", OLD.upper(), "Good luck!")


def test_a_note_to_who_has_the_address_now_is_not_told(dana):
    person(OLD)
    invited(days_ago=0, linked_user=dana, personal_note="Good luck!")
    (received,) = account(Belongings(dana))["invitations_received"]
    assert (received["to_address"], received["note"]) == ("", "")


def test_it_goes_with_them(dana):
    one = invited(days_ago=2, recipient_name="Dana D.", personal_note="Good luck!")
    taken = invited(days_ago=2, recipient_name="Dana D.", linked_user=person("rita@example.com"))
    LogEntry.objects.log_actions(staff("x@example.com").pk, [one], CHANGE, f"Sent to {OLD}.")
    assert erasure.erase(dana.pk)
    for left in Invitation.objects.filter(pk__in=[one.pk, taken.pk]):
        assert (left.recipient_email, left.recipient_name, left.personal_note) == ("", "", "")
    assert OLD not in LogEntry.objects.get().change_message
    assert not FormerAddress.objects.exists()


def test_what_is_anothers_by_now_stays(dana, client):
    later = person(OLD)
    one = invited(days_ago=0, recipient_name="Later")
    LogEntry.objects.log_actions(staff("x@example.com").pk, [later], CHANGE, f"Wrote to {OLD}.")
    client.force_login(later, backend="accounts.backends.RoleBackend")
    session = client.session
    session["about"] = OLD
    session.save()
    assert erasure.erase(dana.pk)
    one.refresh_from_db()
    assert (one.recipient_name, one.revoked_at) == ("Later", None)
    assert LogEntry.objects.get().change_message == f"Wrote to {OLD}."
    assert client.get("/account/").status_code == 200


# --- Mail in the folder ---------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, settings):
    options = {"file_path": str(tmp_path)}
    settings.MAILERS = {"default": {"BACKEND": "accounts.mail.FolderBackend", "OPTIONS": options}}
    return FolderBackend(**options, alias="default")


def test_mail_to_a_former_address_goes(dana, folder, tmp_path):
    folder.send_messages([EmailMessage("Yours", "x", to=[OLD])])
    folder.send_messages([EmailMessage("Another's", "x", to=["eve@example.com"])])
    assert erasure.erase(dana.pk)
    assert [path.name.split("-")[3] for path in tmp_path.iterdir()] == ["another"]


def test_the_mail_of_what_they_took_up_goes_wherever_it_went(dana, folder, tmp_path):
    passed_on = making.invitation(recipient_email="rita@example.com", linked_user=dana)
    others = making.invitation(recipient_email="rita@example.com", recipient_name="Rita")
    folder.send_messages([message(passed_on), message(others)])
    assert erasure.erase(dana.pk)
    (left,) = tmp_path.iterdir()
    assert others.token in left.read_text()
