"""Nothing of a person is missing from their export, and nothing is left after their erasure."""

import json
from io import BytesIO

import pytest
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models

from accounts.models import User
from conversations import erasure, export
from conversations.tests.canaries import NOT_EXPORTED, NOTE, PLAIN, Cast, dump, tables, unpacked
from invitations.groups import GroupLink
from invitations.models import Invitation
from invitations.tokens import new_token
from usage.models import PayerUsage, UsageLog
from usage.sums import close_days

# In the JSON beside the pages alone.
FOR_MACHINES = {
    "conversations.Message.metadata",
    "conversations.Message.audio_url",
    "conversations.Message.failure",
    "conversations.ConversationSession.partner_model",
    "conversations.ConversationSession.coach_model",
}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bystander(staff, scenario):
    return Cast("wren", staff, staff=True)


@pytest.fixture(params=["learner", "staff"])
def person(request, staff, scenario, bystander):
    cast = Cast("dodo", staff, staff=request.param == "staff")
    cast.is_invited(by=staff)
    cast.is_invited(by=staff, linked_user=bystander.user)
    if cast.staff:
        bystander.is_invited(by=cast.user)
    assert close_days()
    return cast


def exported(user):
    file = BytesIO()
    export.write(user, file)
    return unpacked(file.getvalue())


def missing(words, text):
    """The fields whose canaries are not in `text`."""
    return sorted(label for word, label in words.items() if word not in text)


def heard(words, text):
    """The fields whose canaries are."""
    return sorted(label for word, label in words.items() if word in text)


def test_everything_of_a_person_is_in_the_export(person, bystander):
    files = exported(person.user)
    as_json = "\n".join(text for name, text in files.items() if name.endswith(".json"))
    assert missing(person.all(exported=True), as_json.lower()) == []
    as_html = "\n".join(text for name, text in files.items() if name.endswith(".html"))
    unread = missing(person.all(exported=True), as_html.lower())
    assert [label for label in unread if label not in FOR_MACHINES] == []


def test_nothing_of_others_is_in_the_export(person, bystander):
    text = "\n".join(exported(person.user).values()).lower()
    assert heard(bystander.all(), text) == []
    secret = {word: label for word, label in person.all().items() if label in NOT_EXPORTED}
    assert secret
    assert heard(secret, text) == []


def test_nothing_is_left_after_an_erasure_and_everything_of_others_is(person, bystander):
    before = dump()
    assert missing(person.all() | bystander.all(), before) == []
    assert erasure.erase(person.user.pk)

    after = dump()
    assert heard(person.all(), after) == []
    assert missing(bystander.all(), after) == []


def test_figures_stay_with_nothing_that_tells_whose(person):
    """The calls that still ran are charged in full, like any whose count is lost."""
    logged = UsageLog.objects.count()
    erasure.erase(person.user.pk)
    assert UsageLog.objects.count() == logged + 4
    nobodys = UsageLog.objects.filter(user_id=None, invitation_id=None, session=None, hold_id=None)
    assert nobodys.count() == 12
    assert not UsageLog.objects.filter(scenario_id=person.private.pk).exists()
    assert close_days()
    assert PayerUsage.objects.get(user_id=None, invitation_id=None).calls == 4
    assert nobodys.filter(is_estimate=True, input_tokens=6, output_tokens=3).count() == 4


def test_no_id_of_theirs_is_left_but_that_of_an_empty_row(person):
    erasure.erase(person.user.pk)
    if person.staff:
        ours = {
            "invitations_invitation",
            "invitations_grouplink",
            "invitations_batch",
            "django_admin_log",
            "accounts_user",
        }
        assert {table for table, text in tables() if person.user.pk in text} == ours
    else:
        assert person.user.pk not in dump()


def test_the_group_that_an_invitation_is_of_is_named(person):
    """Its name is staff's, and stays theirs."""
    made = {"label": "Nursing, spring term", "token": new_token(), "created_by": person.host}
    group = person.make(GroupLink, **made)
    Invitation.objects.filter(pk=person.claimed.pk).update(group=group)
    files = exported(person.user)
    assert "Nursing, spring term" in files["account.json"]
    assert "Nursing, spring term" in files["index.html"]
    assert erasure.erase(person.user.pk)
    assert GroupLink.objects.get(pk=group.pk).label == "Nursing, spring term"


def test_what_one_did_as_staff_is_told_without_to_whom(person, bystander):
    LogEntry.objects.create(
        user=person.user,
        content_type=ContentType.objects.get_for_model(Invitation),
        object_id=bystander.claimed.pk,
        action_flag=CHANGE,
        object_repr="Invitation for somebody else",
        change_message="Budget: more",
    )
    files = exported(person.user)
    deed = json.loads(files["account.json"])["done_as_staff"][-1]
    assert (deed["did"], deed["to"]) == ("Change", "invitation")
    assert "What you did in the admin" in files["index.html"]
    assert "somebody else" not in "\n".join(files.values())


def test_every_exception_is_still_about_a_field():
    for label in [*NOT_EXPORTED, *PLAIN]:
        if "about" not in label:
            model, field = label.rsplit(".", 1)
            assert apps.get_model(model)._meta.get_field(field)


def test_whoever_their_invitations_were_from_they_are_still(person, bystander):
    erasure.erase(person.user.pk)
    husk = User.objects.filter(pk=person.user.pk).first()
    assert (husk is not None) == person.staff
    if husk:
        assert husk.is_erased
        assert (husk.is_active, husk.is_staff, husk.has_usable_password()) == (False,) * 3
        assert husk.invitations_created.count() == 1


def test_what_keeps_a_row_from_being_deleted_is_a_record_of_staffs():
    """Whoever refers to people by RESTRICT or PROTECT keeps an empty row of them."""
    keeping = {
        (relation.related_model, relation.field.name)
        for relation in User._meta.related_objects
        if relation.on_delete in (models.RESTRICT, models.PROTECT, models.DO_NOTHING)
    }
    assert keeping <= set(erasure.STAFF_RECORDS)


def test_a_note_goes_with_whoever_wrote_it_and_with_whom_it_was_to(person):
    assert NOTE in dump()
    erasure.erase(person.user.pk)
    assert NOTE not in dump()
