"""A sign-up that waits for its code, or for none, keeps nobody from signing in."""

import pytest

from accounts.models import User
from accounts.tests.people import PASSWORD, person
from accounts.tests.test_sign_in import code_in

pytestmark = pytest.mark.django_db

DANA, CONFIRM = "dana@example.com", "/accounts/confirm-email/"
BACK = "/scenarios/"


@pytest.fixture(params=["new@example.com", DANA])
def signing_up(request, client):
    """Somebody who waits for the code of a sign-up: with their first, or a known address."""
    person(DANA)
    client.post("/accounts/signup/", {"email": request.param, "next": BACK})
    return client


@pytest.mark.parametrize("page", ["/accounts/login/", "/accounts/login/code/"])
def test_the_ways_to_sign_in_can_be_looked_at(signing_up, page):
    assert signing_up.get(page).status_code == 200
    assert signing_up.get(CONFIRM).status_code == 200


def test_a_passkey_is_asked_for(signing_up):
    headers = {"x-requested-with": "XMLHttpRequest"}
    assert (
        "request_options" in signing_up.get("/accounts/2fa/webauthn/login/", headers=headers).json()
    )


def test_a_password_signs_in(signing_up):
    response = signing_up.post("/accounts/login/", {"login": DANA, "password": PASSWORD})
    assert response["Location"] == "/"
    assert signing_up.get("/account/").status_code == 200


def test_a_wrong_password_ends_no_sign_up(signing_up):
    signing_up.post("/accounts/login/", {"login": DANA, "password": "wrong"})
    assert signing_up.get(CONFIRM).status_code == 200


def test_a_code_signs_in(signing_up, mailoutbox):
    response = signing_up.post("/accounts/login/code/", {"email": DANA})
    assert response["Location"] == "/accounts/login/code/confirm/"
    assert signing_up.get(CONFIRM)["Location"] == "/accounts/login/"
    signing_up.post(response["Location"], {"code": code_in(mailoutbox)})
    assert signing_up.get("/account/").status_code == 200


def test_the_page_says_the_same_to_everybody_and_knows_the_way_back(signing_up):
    html = signing_up.get(f"{CONFIRM}?next={BACK}").content.decode()
    assert "Does the mail say that you have an account already?" in html
    assert 'href="/accounts/login/?next=%2Fscenarios%2F"' in html
    # Whoever starts over, too.
    assert 'name="next" value="/accounts/login/?next=%2Fscenarios%2F"' in html


@pytest.mark.parametrize("email", ["new@example.com", DANA])
def test_a_sign_up_leads_there_with_the_way_back(client, email):
    person(DANA)
    form = {"email": email, "next": BACK}
    assert client.post("/accounts/signup/", form)["Location"] == f"{CONFIRM}?next=%2Fscenarios%2F"


def test_a_sign_up_with_a_code_goes_on_as_ever(signing_up, mailoutbox):
    if User.objects.count() > 1:
        response = signing_up.post(CONFIRM, {"code": code_in(mailoutbox)})
        assert response["Location"] == BACK


def test_the_code_may_be_sent_again_twice_at_once(client, mailoutbox):
    client.post("/accounts/signup/", {"email": "new@example.com"})
    for _ in range(2):
        assert client.post(CONFIRM, {"action": "resend"}).status_code == 302
    assert len(mailoutbox) == 3
    client.post(CONFIRM, {"action": "resend"})
    assert len(mailoutbox) == 3


def test_a_new_address_of_an_account_is_offered_no_other(client):
    client.post("/accounts/login/", {"login": person(DANA).email, "password": PASSWORD})
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    client.post("/accounts/email/", {"action_add": "", "email": "dora@example.com"})
    html = client.get(CONFIRM).content.decode()
    assert "dora@example.com" in html
    assert "Does the mail say" not in html
