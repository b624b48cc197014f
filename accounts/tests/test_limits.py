"""How often one may try to sign in: a class at once, but nobody who guesses."""

import pytest

from accounts.tests.people import PASSWORD, person

pytestmark = pytest.mark.django_db

TOO_OFTEN = "Too many failed login attempts"


def guess(client, email="dana@example.com", address="", password="guess"):
    headers = {"x-forwarded-for": address} if address else {}
    return client.post(
        "/accounts/login/", {"login": email, "password": password}, headers=headers
    ).content.decode()


def test_a_class_of_thirty_behind_one_address_signs_in_at_once(client, mailoutbox):
    for number in range(30):
        email = f"pupil{number}@example.com"
        person(email)
        client.cookies.clear()
        response = client.post("/accounts/login/code/", {"email": email})
        assert response.status_code == 302
        client.cookies.clear()
        response = client.post("/accounts/login/", {"login": email, "password": PASSWORD})
        assert response["Location"] == "/"
    assert len(mailoutbox) == 30


def test_one_account_is_guessed_at_five_times_from_wherever(client, settings):
    settings.TRUSTED_PROXIES = 1
    person()
    pages = [guess(client, address=f"203.0.113.{number}") for number in range(6)]
    assert [TOO_OFTEN in page for page in pages] == [False] * 5 + [True]
    assert TOO_OFTEN in guess(client, password=PASSWORD, address="203.0.113.99")


@pytest.mark.parametrize("proxies", [0, 1])
def test_an_address_that_is_made_up_does_not_help(client, settings, proxies):
    settings.TRUSTED_PROXIES = proxies
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": "5/m/ip"}
    pages = [
        guess(client, f"{number}@example.com", f"198.51.100.{number}, 203.0.113.7")
        for number in range(6)
    ]
    assert [TOO_OFTEN in page for page in pages] == [False] * 5 + [True]


def test_behind_a_proxy_others_are_not_slowed_down(client, settings):
    settings.TRUSTED_PROXIES = 1
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": "2/m/ip"}
    for number in range(4):
        page = guess(client, f"{number}@example.com", "203.0.113.7")
    assert TOO_OFTEN in page
    assert TOO_OFTEN not in guess(client, "nora@example.com", "203.0.113.8")


def test_codes_are_not_mailed_without_end(client, mailoutbox):
    person()
    for _ in range(6):
        client.cookies.clear()
        client.post("/accounts/login/code/", {"email": "dana@example.com"})
    assert len(mailoutbox) == 3
