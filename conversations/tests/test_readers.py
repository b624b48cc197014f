"""What learners are told of who may read what they write is what the permissions say."""

import pytest
from django.contrib.auth.models import Group, Permission

from accounts.models import Role, User
from conversations.models import ConversationSession
from conversations.readers import may_read, readers, who_may_read

pytestmark = pytest.mark.django_db
PAIR = ["view_transcript", "view_conversationsession"]
BOTH = Permission.objects.filter(codename__in=PAIR)


def person(name, *permissions, **fields):
    user = User.objects.create_user(f"{name}@example.org", name=name, **fields)
    user.user_permissions.set(permissions)
    return user


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"is_staff": True, "role": Role.ADMIN}, True),
        ({"is_staff": True, "is_superuser": True}, True),
        ({"is_staff": True, "is_active": False, "role": Role.ADMIN}, False),
        ({"role": Role.ADMIN}, False),
        ({"is_staff": True, "permissions": PAIR}, True),
        (
            {"is_staff": True, "permissions": [PAIR[0], "change_conversationsession"]},
            True,
        ),
        ({"is_staff": True, "groups": PAIR}, True),
        ({"is_staff": True, "permissions": ["view_transcript"]}, False),
        ({"is_staff": True, "permissions": ["view_conversationsession"]}, False),
        ({"permissions": PAIR}, False),
        ({"is_staff": True}, False),
    ],
)
def test_the_question_at_hand_is_the_question_to_the_database(conversation, fields, expected):
    fields = dict(fields)
    names = fields.pop("permissions", [])
    grouped = fields.pop("groups", [])
    user = person("Kim", *Permission.objects.filter(codename__in=names), **fields)
    if grouped:
        group = Group.objects.create(name="Readers")
        group.permissions.set(Permission.objects.filter(codename__in=grouped))
        user.groups.add(group)
    user = User.objects.get(pk=user.pk)
    assert may_read(user, conversation) is expected
    assert readers().filter(pk=user.pk).exists() is expected


def test_a_private_scenario_is_read_by_administrators_alone(scenario, owner):
    scenario.owner = owner
    scenario.save()
    own = ConversationSession.begin(scenario, user=owner, invitation=None)
    reader = person("Kim", *BOTH.all(), is_staff=True)
    admin = person("Ada", is_staff=True, role=Role.ADMIN)
    assert [may_read(user, own) for user in (reader, admin)] == [False, True]
    assert list(readers(private=True)) == [admin]


def test_nobody_is_said(staff):
    assert who_may_read(staff).startswith("Nobody")


def test_the_inviter_is_named_where_they_may(staff):
    staff.user_permissions.set(BOTH.all())
    assert who_may_read(staff) == (
        "Sam Staff may read it, and nobody else on the staff of this site."
    )
    person("Ada", is_staff=True, role=Role.ADMIN)
    assert who_may_read(staff) == (
        "Sam Staff and one other member of staff of this site may read it."
    )


def test_the_inviter_is_named_where_they_may_not(staff):
    person("Ada", is_staff=True, role=Role.ADMIN)
    person("Bea", is_staff=True, role=Role.ADMIN)
    assert who_may_read(staff) == (
        "Two members of staff of this site may read it; Sam Staff may not."
    )


def test_without_an_inviter_there_is_a_number():
    person("Ada", is_staff=True, role=Role.ADMIN)
    assert who_may_read(None) == "One member of staff of this site may read it."


def test_the_invitation_and_the_conversation_say_so(client, guest, invitation, conversation):
    person("Ada", is_staff=True, role=Role.ADMIN)
    words = "One member of staff of this site may read it; Sam Staff may not."
    assert words in client.get(invitation.get_absolute_url()).content.decode()
    assert words in guest.get(conversation.get_absolute_url()).content.decode()


def test_a_guest_is_told_of_the_link_and_nobody_else(client, guest, conversation):
    words = "Whoever has your link can come in by it too, without a record,"
    assert words in guest.get(conversation.get_absolute_url()).content.decode()

    keeper = person("Dana")
    conversation.user = keeper
    conversation.save()
    client.force_login(keeper, backend="accounts.backends.RoleBackend")
    page = client.get(conversation.get_absolute_url()).content.decode()
    assert "Who sees this" in page
    assert words not in page
