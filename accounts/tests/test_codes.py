"""Codes by mail: three tries at each, also where they arrive at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from allauth.account import forms
from django.db import connection
from django.test import Client

from accounts.tests.people import person
from accounts.tests.test_sign_in import code_in

DANA = "dana@example.com"
# Where a code is asked for, and where it is typed.
WAYS = {
    "sign-in": ("/accounts/login/code/", "/accounts/login/code/confirm/", DANA),
    "sign-up": ("/accounts/signup/", "/accounts/confirm-email/", "new@example.com"),
    "password": ("/accounts/password/reset/", "/accounts/password/reset/confirm/", DANA),
}

pytestmark = pytest.mark.django_db


@pytest.fixture(params=WAYS)
def waiting(request, client):
    """A browser in which a code is waited for, and where to type it."""
    person(DANA)
    asks, page, email = WAYS[request.param]
    assert client.post(asks, {"email": email}).status_code == 302
    return client, page


@pytest.mark.parametrize("tries", [2, 3])
def test_a_session_that_forgets_the_tries_gives_no_more_of_them(waiting, mailoutbox, tries):
    """As one does that several requests read at once."""
    client, page = waiting
    before = dict(client.session.items())
    for _ in range(tries):
        assert client.post(page, {"code": "WRONG"}).status_code in (200, 302)
        session = client.session
        session.update(before)
        session.save()
    response = client.post(page, {"code": code_in(mailoutbox)})
    assert response.status_code == (302 if tries < 3 else 200)


@pytest.mark.django_db(transaction=True)
def test_of_thirty_at_once_three_are_judged(client, monkeypatch):
    person(DANA)
    client.post("/accounts/login/code/", {"email": DANA})
    judged = []

    def compare(**codes):
        judged.append(codes)
        return False

    monkeypatch.setattr(forms, "compare_user_code", compare)

    def guess(number):
        browser = Client()
        browser.cookies = client.cookies
        browser.post("/accounts/login/code/confirm/", {"code": f"ZZZZ-{number:04}"})
        connection.close()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(guess, range(30)))
    assert 1 <= len(judged) <= 3
