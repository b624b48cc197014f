"""The account page, and allauth's pages in our clothes."""

import re

import pytest
from allauth.socialaccount.models import SocialAccount

from accounts.models import User
from accounts.tests.people import PASSWORD, person

pytestmark = pytest.mark.django_db

ANONYMOUS = [
    "/accounts/login/",
    "/accounts/signup/",
    "/accounts/login/code/",
    "/accounts/password/reset/",
    "/accounts/inactive/",
    "/accounts/3rdparty/login/error/",
    "/accounts/3rdparty/login/cancelled/",
]
SIGNED_IN = [
    "/accounts/email/",
    "/accounts/password/change/",
    "/accounts/logout/",
    "/accounts/3rdparty/",
    "/accounts/reauthenticate/",
    "/account/",
]


@pytest.fixture
def signed_in(client):
    user = person()
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return user


def check_page(html: str) -> None:
    assert '<html lang="en">' in html
    assert html.count("<h1") == 1
    assert "Menu:" not in html
    assert not re.search(r"<script(?![^>]*(src=|type=\"application/json\"))", html)
    assert "style=" not in html
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    for field in re.findall(r"<(?:input|textarea|select)[^>]*>", html):
        if 'type="hidden"' not in field:
            field_id = re.search(r'\bid="([^"]+)"', field)[1]
            assert f'for="{field_id}"' in html


@pytest.mark.parametrize("url", ANONYMOUS)
def test_every_page_before_signing_in_is_ours(client, url):
    response = client.get(url)
    assert response.status_code in (200, 401)
    check_page(response.content.decode())


@pytest.mark.parametrize("url", SIGNED_IN)
def test_every_page_of_an_account_is_ours(client, signed_in, url):
    response = client.get(url)
    assert response.status_code == 200
    check_page(response.content.decode())


def test_a_password_can_be_set_where_there_is_none(client, signed_in):
    signed_in.set_unusable_password()
    signed_in.save()
    client.force_login(signed_in)
    check_page(client.get("/accounts/password/set/").content.decode())


def test_the_pages_that_take_a_code_are_ours(client, mailoutbox):
    person()
    for url, ask in (
        ("/accounts/login/code/", {"email": "dana@example.com"}),
        ("/accounts/password/reset/", {"email": "dana@example.com"}),
        ("/accounts/signup/", {"email": "new@example.com"}),
    ):
        client.cookies.clear()
        response = client.post(url, ask, follow=True)
        check_page(response.content.decode())
        assert "Send another code" in response.content.decode() or "reset" in url


def test_too_many_tries_get_a_page_of_ours(client, settings):
    settings.ACCOUNT_RATE_LIMITS = {"login": "3/m/ip"}
    for _ in range(4):
        response = client.post("/accounts/login/", {"login": "", "password": ""})
    assert response.status_code == 429
    check_page(response.content.decode())


def test_an_error_stands_beside_its_field(client):
    html = client.post("/accounts/signup/", {"email": "nonsense"}).content.decode()
    assert 'aria-invalid="true"' in html
    assert 'id="id_email_error"' in html
    check_page(html)


def test_the_account_page_is_for_people_with_an_account(client):
    assert client.get("/account/")["Location"] == "/accounts/login/?next=/account/"


def test_it_says_how_one_signs_in(client, signed_in):
    html = client.get("/account/").content.decode()
    assert "dana@example.com" in html
    assert "Change password" in html
    assert "Google" not in html
    SocialAccount.objects.create(
        user=signed_in, provider="google", uid="1", extra_data={"email": "d@gmail.example"}
    )
    assert "Connected as d@gmail.example" in client.get("/account/").content.decode()


def test_the_name_can_be_changed(client, signed_in):
    response = client.post("/account/", {"name": "  Dana D. "})
    assert response.status_code == 303
    assert User.objects.get().name == "Dana D."


def test_nothing_but_the_name_can_be_changed(client, signed_in):
    client.post("/account/", {"name": "Dana", "role": "ADMIN", "is_staff": "on", "email": "x@y.z"})
    user = User.objects.get()
    assert (user.role, user.is_staff, user.email) == ("USER", False, "dana@example.com")


def test_a_name_that_is_too_long_is_refused_beside_the_field(client, signed_in):
    response = client.post("/account/", {"name": "n" * 201})
    assert response.status_code == 200
    assert 'id="id_name_error"' in response.content.decode()
    assert User.objects.get().name == ""


def test_a_name_with_markup_is_only_text(client, signed_in):
    client.post("/account/", {"name": "<script>alert(1)</script>"})
    assert "<script>alert" not in client.get("/account/").content.decode()


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_other_methods_are_refused(client, signed_in, method):
    assert getattr(client, method)("/account/").status_code == 405
