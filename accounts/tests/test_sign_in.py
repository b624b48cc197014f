"""Signing up and in, through allauth's own pages and the mail they send."""

import re

import pytest
from allauth.account.models import EmailAddress

from accounts.models import Role, User
from accounts.tests.people import PASSWORD, person, staff

pytestmark = pytest.mark.django_db


def code_in(mailoutbox) -> str:
    """The code of the newest mail: alone on its line."""
    return re.search(r"^ +(\S+)$", mailoutbox[-1].body, re.MULTILINE)[1]


def sign_up(client, email="new@example.com", **fields):
    return client.post("/accounts/signup/", {"email": email, **fields})


def test_a_sign_up_with_a_confirmed_address_is_a_user(client, mailoutbox):
    response = sign_up(client, name="Nora New")
    assert response["Location"] == "/accounts/confirm-email/"
    assert User.objects.get().role == Role.GUEST
    assert mailoutbox[0].to == ["new@example.com"]
    response = client.post("/accounts/confirm-email/", {"code": code_in(mailoutbox)})
    assert response["Location"] == "/"
    user = User.objects.get()
    assert (user.role, user.name, user.is_staff) == (Role.USER, "Nora New", False)
    assert user.has_proven_email
    assert client.get("/account/").status_code == 200


def test_without_the_code_nobody_comes_in(client, mailoutbox):
    sign_up(client, password1=PASSWORD)
    client.post("/accounts/confirm-email/", {"code": "WRONG"})
    assert client.get("/account/").status_code == 302
    assert User.objects.get().role == Role.GUEST


def test_a_sign_up_named_in_admin_emails_opens_the_admin(client, mailoutbox, settings):
    settings.ADMIN_EMAILS = ["new@example.com"]
    sign_up(client)
    client.post("/accounts/confirm-email/", {"code": code_in(mailoutbox)})
    user = User.objects.get()
    assert (user.role, user.is_staff) == (Role.ADMIN, True)
    assert client.get("/admin/").status_code == 200


def test_a_code_by_email_signs_in_and_returns_to_where_one_came_from(client, mailoutbox):
    person()
    response = client.post("/accounts/login/code/?next=/account/", {"email": "dana@example.com"})
    assert response.status_code == 302
    response = client.post(response["Location"], {"code": code_in(mailoutbox), "next": "/account/"})
    assert response["Location"] == "/account/"
    assert client.get("/account/").status_code == 200


def test_the_mail_with_the_code_says_that_a_machine_sent_it(client, mailoutbox):
    person()
    client.post("/accounts/login/code/", {"email": "dana@example.com"})
    assert mailoutbox[0].message()["Auto-Submitted"] == "auto-generated"


def test_three_wrong_codes_end_the_try(client, mailoutbox):
    person()
    client.post("/accounts/login/code/", {"email": "dana@example.com"})
    for _ in range(3):
        client.post("/accounts/login/code/confirm/", {"code": "WRONG"})
    client.post("/accounts/login/code/confirm/", {"code": code_in(mailoutbox)})
    assert client.get("/account/").status_code == 302


def test_one_code_is_enough_for_an_account_that_staff_made(client, mailoutbox):
    User.objects.create_user("made@example.com")
    client.post("/accounts/login/code/", {"email": "made@example.com"})
    client.post("/accounts/login/code/confirm/", {"code": code_in(mailoutbox)})
    assert client.get("/account/").status_code == 200
    assert len(mailoutbox) == 1
    assert User.objects.get().role == Role.USER


def test_a_password_set_before_the_address_was_proven_opens_nothing(client, mailoutbox):
    """Somebody signs up with another's address and waits for its owner to make it good."""
    sign_up(client, email="victim@example.com", password1=PASSWORD)
    client.cookies.clear()
    client.post("/accounts/login/code/", {"email": "victim@example.com"})
    client.post("/accounts/login/code/confirm/", {"code": code_in(mailoutbox)})
    assert client.get("/account/").status_code == 200
    assert not User.objects.get().has_usable_password()


def test_a_password_of_ones_own_survives_a_sign_in_by_code(client, mailoutbox):
    user = person()
    user.signed_in()
    client.post("/accounts/login/code/", {"email": user.email})
    client.post("/accounts/login/code/confirm/", {"code": code_in(mailoutbox)})
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_a_password_signs_in_and_returns_to_where_one_came_from(client):
    person()
    response = client.post(
        "/accounts/login/",
        {"login": "Dana@example.com", "password": PASSWORD, "next": "/scenarios/"},
    )
    assert response["Location"] == "/scenarios/"


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "javascript:1"])
def test_it_never_returns_to_another_site(client, target):
    person()
    response = client.post(
        "/accounts/login/", {"login": "dana@example.com", "password": PASSWORD, "next": target}
    )
    assert response["Location"] == "/"


def test_a_known_and_an_unknown_address_look_the_same(client, mailoutbox):
    person()
    known = client.post("/accounts/login/code/", {"email": "dana@example.com"})
    client.cookies.clear()
    unknown = client.post("/accounts/login/code/", {"email": "nobody@example.com"})
    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    assert "no account" in mailoutbox[-1].body


def test_a_second_sign_up_with_an_address_tells_only_its_owner(client, mailoutbox):
    person()
    response = sign_up(client, email="dana@example.com", password1=PASSWORD + "!")
    assert response["Location"] == "/accounts/confirm-email/"
    assert mailoutbox[-1].to == ["dana@example.com"]
    assert "already" in mailoutbox[-1].body
    assert User.objects.get().check_password(PASSWORD)


def test_password_guessing_is_slowed_down(client):
    person()
    for _ in range(6):
        response = client.post(
            "/accounts/login/", {"login": "dana@example.com", "password": "guess"}
        )
    assert "Too many failed login attempts" in response.content.decode()


def test_an_inactive_account_cannot_sign_in(client):
    person(is_active=False)
    client.post("/accounts/login/", {"login": "dana@example.com", "password": PASSWORD})
    assert client.get("/account/").status_code == 302


def test_a_forgotten_password_is_replaced_by_a_code(client, mailoutbox):
    user = person()
    client.post("/accounts/password/reset/", {"email": user.email})
    response = client.post("/accounts/password/reset/confirm/", {"code": code_in(mailoutbox)})
    client.post(
        response["Location"], {"password1": "quite another one", "password2": "quite another one"}
    )
    user.refresh_from_db()
    assert user.check_password("quite another one")


def test_a_new_address_counts_once_its_code_is_typed(client, mailoutbox):
    user = person()
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    change = {"action_add": "", "email": "dora@example.com"}
    response = client.post("/accounts/email/", change)
    assert response["Location"].startswith("/accounts/reauthenticate/")
    client.post(response["Location"], {"password": PASSWORD})
    user.refresh_from_db()
    assert user.email == "dana@example.com"
    client.post("/accounts/confirm-email/", {"code": code_in(mailoutbox)})
    user.refresh_from_db()
    assert user.email == "dora@example.com"
    assert list(EmailAddress.objects.values_list("email", flat=True)) == ["dora@example.com"]


def test_the_admin_asks_for_the_same_sign_in(client):
    staff()
    response = client.get("/admin/", follow=True)
    assert response.redirect_chain[-1][0] == "/accounts/login/?next=%2Fadmin%2F"
    response = client.post(
        "/accounts/login/",
        {"login": "sam@example.com", "password": PASSWORD, "next": "/admin/"},
        follow=True,
    )
    assert response.request["PATH_INFO"] == "/admin/"
    assert response.status_code == 200


def test_signing_out_needs_a_post(client):
    client.force_login(person())
    client.get("/accounts/logout/")
    assert client.get("/account/").status_code == 200
    client.post("/accounts/logout/")
    assert client.get("/account/").status_code == 302
