"""Apps, recovery codes, and the admin that opens only to those who have shown a second factor."""

import re
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.test import Client

from accounts.fresh import SIGNED_IN_AT
from accounts.models import Role, User
from accounts.second_factor import MFAAdapter
from accounts.tests.people import PASSWORD, person, staff

pytestmark = pytest.mark.django_db


def sign_in(client: Client, user: User):
    return client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})


def app_code(secret: str) -> str:
    """What an authenticator app shows now (RFC 6238)."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def set_up_app(client: Client) -> str:
    """Set an app up as a person does; return its secret."""
    page = client.get("/accounts/2fa/totp/activate/", follow=True)
    if "reauthenticate" in page.request["PATH_INFO"]:
        client.post(page.request["PATH_INFO"], {"password": PASSWORD})
        page = client.get("/accounts/2fa/totp/activate/")
    secret = page.context["form"].secret
    answer = client.post("/accounts/2fa/totp/activate/", {"code": app_code(secret)})
    assert answer["Location"] == "/accounts/2fa/recovery-codes/"
    return secret


@pytest.fixture
def sam(client):
    user = staff()
    sign_in(client, user)
    return user


@pytest.fixture
def asked_for(settings):
    settings.STAFF_SECOND_FACTOR = True


def test_with_an_app_a_password_is_not_enough(client, sam):
    secret = set_up_app(client)
    other = Client()
    response = sign_in(other, sam)
    assert response["Location"] == "/accounts/2fa/authenticate/"
    assert other.get("/account/").status_code == 302
    other.post("/accounts/2fa/authenticate/", {"code": "000000"})
    assert other.get("/account/").status_code == 302
    other.post("/accounts/2fa/authenticate/", {"code": app_code(secret)})
    assert other.get("/account/").status_code == 200


def test_a_recovery_code_stands_in_for_it_once(client, sam):
    set_up_app(client)
    codes = client.get("/accounts/2fa/recovery-codes/").context["unused_codes"]
    for number, status in ((1, 200), (2, 302)):
        other = Client()
        sign_in(other, sam)
        other.post("/accounts/2fa/authenticate/", {"code": codes[0]})
        assert other.get("/account/").status_code == status, number


def test_codes_are_not_guessed_at_without_end(client, sam):
    secret = set_up_app(client)
    other = Client()
    sign_in(other, sam)
    for number in range(5):
        other.post("/accounts/2fa/authenticate/", {"code": f"00000{number}"})
    other.post("/accounts/2fa/authenticate/", {"code": app_code(secret)})
    assert other.get("/account/").status_code == 302


def test_a_leaked_database_holds_no_usable_secret(client, sam, settings):
    secret = set_up_app(client)
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in stored
    assert MFAAdapter().decrypt(MFAAdapter().encrypt("words")) == "words"
    kept = MFAAdapter().encrypt("words")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another one, as long as it has to be, and then some"
    assert MFAAdapter().decrypt(kept) == "words"
    settings.SECRET_KEY_FALLBACKS = []
    assert MFAAdapter().decrypt(kept) != MFAAdapter().decrypt(kept) != "words"


def test_the_admin_asks_for_nothing_more_unless_told_to(client, sam):
    assert client.get("/admin/").status_code == 200


@pytest.mark.parametrize(
    "path", ["/admin/", "/admin/accounts/user/", "/admin/accounts/user/add/", "/admin/jsi18n/"]
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_without_one_staff_do_nothing_in_the_admin(client, sam, asked_for, path, method):
    response = getattr(client, method)(path, {"email": "x@example.com"})
    assert (response.status_code, response["Location"]) == (302, "/accounts/2fa/")
    assert User.objects.count() == 1


def test_they_can_still_sign_out(client, sam, asked_for):
    client.post("/admin/logout/")
    assert client.get("/account/").status_code == 302


def test_they_are_led_to_set_one_up_and_back(client, sam, asked_for):
    page = client.get("/admin/accounts/user/", follow=True).content.decode()
    assert "The admin opens only to those with a second factor" in page
    set_up_app(client)
    page = client.get("/accounts/2fa/recovery-codes/").content.decode()
    assert 'href="/admin/accounts/user/">I have kept them' in page
    assert client.get("/admin/accounts/user/").status_code == 200


def test_a_session_that_never_showed_it_has_to(client, sam, asked_for):
    """Somebody's session from before they set one up, perhaps stolen."""
    before = Client()
    sign_in(before, sam)
    secret = set_up_app(client)
    response = before.get("/admin/accounts/user/")
    assert (
        response["Location"] == "/accounts/2fa/reauthenticate/?next=%2Fadmin%2Faccounts%2Fuser%2F"
    )
    response = before.post(response["Location"], {"code": app_code(secret), "next": "/admin/"})
    assert response["Location"] == "/admin/"
    assert before.get("/admin/").status_code == 200


def test_showing_it_at_sign_in_is_enough(client, sam, asked_for):
    secret = set_up_app(client)
    other = Client()
    sign_in(other, sam)
    other.post("/accounts/2fa/authenticate/", {"code": app_code(secret)})
    assert other.get("/admin/").status_code == 200


def test_turning_it_off_closes_the_admin(client, sam, asked_for):
    set_up_app(client)
    client.post("/accounts/2fa/totp/deactivate/")
    assert not Authenticator.objects.exists()
    assert client.get("/admin/")["Location"] == "/accounts/2fa/"


def test_recovery_codes_alone_are_no_second_factor(client, sam, asked_for):
    set_up_app(client)
    Authenticator.objects.filter(type=Authenticator.Type.TOTP).delete()
    assert client.get("/admin/")["Location"] == "/accounts/2fa/"


def test_people_who_are_not_staff_get_what_they_always_got(client, asked_for):
    user = person(role=Role.USER)
    sign_in(client, user)
    assert client.get("/admin/").status_code == 302
    assert client.get("/account/").status_code == 200


def test_a_passkey_is_another_way_in_for_learners_and_a_second_factor_for_staff():
    learner, sam = person(), staff()
    for user in (learner, sam):
        Authenticator.objects.create(user=user, type=Authenticator.Type.WEBAUTHN, data={})
    assert not MFAAdapter().is_mfa_enabled(learner, [Authenticator.Type.WEBAUTHN])
    assert MFAAdapter().is_mfa_enabled(sam, [Authenticator.Type.WEBAUTHN])
    assert not MFAAdapter().is_mfa_enabled(sam, [Authenticator.Type.TOTP])


def test_every_page_of_it_is_ours(client, sam):
    from accounts.tests.test_pages import check_page

    set_up_app(client)
    key = Authenticator.objects.create(
        user=sam, type=Authenticator.Type.WEBAUTHN, data={"name": "<b>Key</b>", "credential": {}}
    )
    for url in (
        "/account/",
        "/accounts/2fa/",
        "/accounts/2fa/recovery-codes/",
        "/accounts/2fa/recovery-codes/generate/",
        "/accounts/2fa/totp/deactivate/",
        "/accounts/2fa/reauthenticate/",
        "/accounts/2fa/webauthn/",
        f"/accounts/2fa/webauthn/keys/{key.pk}/edit/",
        f"/accounts/2fa/webauthn/keys/{key.pk}/remove/",
    ):
        response = client.get(url)
        assert response.status_code == 200, url
        check_page(response.content.decode())
        assert "<b>Key" not in response.content.decode()


def test_somebody_elses_passkey_is_nowhere(client, sam):
    set_up_app(client)
    key = Authenticator.objects.create(
        user=person(), type=Authenticator.Type.WEBAUTHN, data={"name": "Key", "credential": {}}
    )
    for what in ("edit", "remove"):
        assert client.post(f"/accounts/2fa/webauthn/keys/{key.pk}/{what}/").status_code == 404


def test_a_passkey_is_renamed_and_removed(client, sam, mailoutbox):
    set_up_app(client)
    key = Authenticator.objects.create(
        user=sam, type=Authenticator.Type.WEBAUTHN, data={"name": "Key", "credential": {}}
    )
    url = f"/accounts/2fa/webauthn/keys/{key.pk}"
    assert client.post(f"{url}/edit/?next=/account/", {"name": "Laptop"})["Location"] == "/account/"
    key.refresh_from_db()
    assert str(key) == "Laptop"
    assert client.post(f"{url}/edit/", {"name": "n" * 101}).status_code == 200
    assert client.post(f"{url}/remove/?next=/account/")["Location"] == "/account/"
    assert not Authenticator.objects.filter(pk=key.pk).exists()
    assert "A passkey was removed" in mailoutbox[-1].subject


def test_an_administrator_takes_a_lost_one_off_and_never_reads_it(client, sam):
    secret = set_up_app(client)
    factor = Authenticator.objects.get(type=Authenticator.Type.TOTP)
    page = client.get(f"/admin/mfa/authenticator/{factor.pk}/change/").content.decode()
    assert secret not in page
    assert factor.data["secret"] not in page
    client.post(f"/admin/mfa/authenticator/{factor.pk}/delete/", {"post": "yes"})
    assert not Authenticator.objects.exists()
    assert client.get("/admin/mfa/authenticator/add/").status_code == 403


def test_other_staff_do_not_take_it_off(sam):
    from django.contrib.auth.models import Permission

    helper = person("helper@example.com", is_staff=True)
    helper.user_permissions.add(*Permission.objects.filter(content_type__app_label="mfa"))
    factor = Authenticator.objects.create(user=sam, type=Authenticator.Type.TOTP, data={})
    client = Client()
    sign_in(client, helper)
    client.post(f"/admin/mfa/authenticator/{factor.pk}/delete/", {"post": "yes"})
    assert Authenticator.objects.filter(pk=factor.pk).exists()


def test_the_picture_needs_no_inline_style(client, sam):
    page = client.get("/accounts/2fa/totp/activate/", follow=True)
    client.post(page.request["PATH_INFO"], {"password": PASSWORD})
    html = client.get("/accounts/2fa/totp/activate/").content.decode()
    assert 'src="data:image/svg+xml;base64,' in html
    assert not re.search(r"\bstyle=", html)


@pytest.mark.parametrize("path", ["/accounts/2fa/totp/activate/", "/accounts/2fa/webauthn/add/"])
def test_a_screen_that_is_found_open_sets_up_nothing(client, mailoutbox, path):
    """Somebody without a password signed in by code an hour ago, and left."""
    user = person()
    user.set_unusable_password()
    user.save()
    client.post("/accounts/login/code/", {"email": user.email})
    code = re.search(r"^ +(\S+)$", mailoutbox[-1].body, re.MULTILINE)[1]
    client.post("/accounts/login/code/confirm/", {"code": code})
    assert client.get(path).status_code == 200
    session = client.session
    session[SIGNED_IN_AT] -= 3600
    session.save()
    assert client.get(path)["Location"].startswith("/accounts/login/?next=%2Faccounts%2F2fa%2F")
    assert client.get("/account/").status_code == 302
