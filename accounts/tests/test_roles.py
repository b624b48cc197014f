import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import authenticate
from django.contrib.auth.models import Permission

from accounts.models import Role, User
from accounts.tests.people import PASSWORD, person

pytestmark = pytest.mark.django_db


def test_a_new_user_is_a_guest_as_in_the_schema():
    assert User.objects.create_user("new@example.com").role == Role.GUEST


def test_the_first_sign_in_with_a_proven_address_makes_a_user():
    guest = person(role=Role.GUEST)
    guest.signed_in()
    guest.refresh_from_db()
    assert guest.role == Role.USER
    assert guest.last_login_at is not None


def test_an_unproven_address_stays_a_guest():
    guest = person(role=Role.GUEST, verified=False)
    guest.signed_in()
    assert guest.role == Role.GUEST


def test_somebody_whom_staff_made_a_guest_stays_one():
    guest = person(role=Role.GUEST)
    guest.signed_in()
    guest.role = Role.GUEST
    guest.save()
    guest.signed_in()
    guest.refresh_from_db()
    assert guest.role == Role.GUEST


def test_a_role_given_by_staff_survives_the_first_sign_in():
    user = person(role=Role.POWER_USER)
    user.signed_in()
    assert user.role == Role.POWER_USER


def test_an_address_in_admin_emails_becomes_an_administrator(settings):
    settings.ADMIN_EMAILS = ["dana@example.com"]
    user = person("Dana@Example.com")
    user.signed_in()
    user.refresh_from_db()
    assert (user.role, user.is_staff) == (Role.ADMIN, True)


def test_an_unproven_address_in_admin_emails_becomes_nothing(settings):
    settings.ADMIN_EMAILS = ["dana@example.com"]
    user = person(verified=False, role=Role.GUEST)
    user.signed_in()
    user.refresh_from_db()
    assert (user.role, user.is_staff) == (Role.GUEST, False)


def test_another_proven_address_proves_nothing_for_the_one_in_admin_emails(settings):
    settings.ADMIN_EMAILS = ["boss@example.com"]
    user = person("boss@example.com", verified=False, role=Role.GUEST)
    EmailAddress.objects.create(user=user, email="mine@example.com", verified=True)
    user.signed_in()
    user.refresh_from_db()
    assert user.role == Role.GUEST


def test_every_way_to_sign_in_is_recorded(client):
    user = person()
    client.force_login(user)
    user.refresh_from_db()
    assert user.last_login_at is not None


def test_an_administrator_has_every_permission_and_others_only_their_own():
    admin, user = person("admin@example.com", role=Role.ADMIN), person()
    assert admin.has_perm("scenarios.change_scenario")
    assert admin.has_module_perms("usage")
    assert not user.has_perm("scenarios.change_scenario")
    user.user_permissions.add(Permission.objects.get(codename="change_scenario"))
    user = User.objects.get(pk=user.pk)
    assert user.has_perm("scenarios.change_scenario")


def test_a_deactivated_administrator_has_no_permission():
    assert not person(role=Role.ADMIN, is_active=False).has_perm("scenarios.change_scenario")


def test_mailboxes_that_differ_in_case_are_one_person():
    person("dana@example.com")
    assert authenticate(None, username="DANA@example.com", password=PASSWORD)
