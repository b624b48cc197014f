"""Where one is signed in: what the account page lists, and how one ends it."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts.models import Device
from accounts.signed_in import devices_of
from accounts.tests.people import PASSWORD, person

pytestmark = pytest.mark.django_db

PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)


def browser(user, user_agent=PHONE, address="203.0.113.77") -> Client:
    client = Client(headers={"user-agent": user_agent}, REMOTE_ADDR=address)
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    assert client.get("/account/").status_code == 200
    return client


def is_signed_in(client) -> bool:
    return client.get("/account/").status_code == 200


@pytest.fixture
def dana():
    return person()


@pytest.fixture
def here(dana):
    return browser(dana, "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Firefox/143.0", "2001:db8:7::9")


def test_it_lists_the_browsers_without_their_whole_address(dana, here):
    browser(dana)
    page = here.get("/account/").content.decode()
    assert "Safari on iPhone" in page
    assert "from 203.0.x.x" in page
    assert "Firefox on Linux <span" in page.replace("\n", " ")
    assert "from 2001:0db8:0007:x" in page
    assert page.count("This device") == 1
    stored = str(list(Device.objects.values()))
    assert "203.0.113.77" not in stored
    assert "2001:db8:7::9" not in stored


def test_another_browser_is_signed_out_and_only_that_one(dana, here):
    phone, tablet = browser(dana), browser(dana)
    device = Device.objects.get(session_key=phone.session.session_key)
    response = here.post(f"/account/devices/{device.pk}/sign-out/")
    assert (response.status_code, response["Location"]) == (303, "/account/")
    assert [is_signed_in(one) for one in (here, phone, tablet)] == [True, False, True]


def test_signing_out_everywhere_leaves_nobody_in(dana, here):
    phone = browser(dana)
    response = here.post("/account/sign-out-everywhere/")
    assert (response.status_code, response["Location"]) == (303, "/accounts/login/")
    assert not is_signed_in(here)
    assert not is_signed_in(phone)
    assert "signed out on every device" in here.get("/accounts/login/").content.decode()
    assert not Device.objects.exists()
    assert is_signed_in(browser(dana))


def test_it_also_ends_sessions_that_no_list_tells_of(dana, here):
    phone = browser(dana)
    Device.objects.all().delete()
    here.post("/account/sign-out-everywhere/")
    assert not is_signed_in(phone)


def test_it_ends_nobody_elses(dana, here):
    nora = browser(person("nora@example.com"))
    here.post("/account/sign-out-everywhere/")
    assert is_signed_in(nora)


def test_somebody_elses_device_is_a_404(dana, here):
    nora = person("nora@example.com")
    phone = browser(nora)
    device = nora.devices.get()
    assert here.post(f"/account/devices/{device.pk}/sign-out/").status_code == 404
    assert is_signed_in(phone)


@pytest.mark.parametrize("path", ["/account/sign-out-everywhere/", "/account/devices/x/sign-out/"])
def test_it_takes_a_post_by_somebody_who_is_signed_in(here, client, path):
    assert here.get(path).status_code == 405
    assert client.post(path)["Location"].startswith("/accounts/login/")


def test_those_that_are_over_are_not_listed(dana, here):
    for end in ("sign out", "expire", "delete"):
        phone = browser(dana)
        session = Session.objects.filter(session_key=phone.session.session_key)
        if end == "sign out":
            phone.post("/accounts/logout/")
        elif end == "expire":
            session.update(expire_date=timezone.now() - timedelta(seconds=1))
        else:
            session.delete()
    assert [device.name for device in devices_of(dana)] == ["Firefox on Linux"]
    assert Device.objects.count() == 1


def test_a_new_password_takes_the_others_off_the_list(dana, here):
    browser(dana)
    here.post(
        "/accounts/password/change/",
        {
            "oldpassword": PASSWORD,
            "password1": "quite another one",
            "password2": "quite another one",
        },
    )
    assert is_signed_in(here)
    dana.refresh_from_db()
    assert [device.name for device in devices_of(dana)] == ["Firefox on Linux"]


def test_last_seen_moves_at_most_every_few_minutes(dana, here):
    Device.objects.update(last_seen_at=timezone.now() - timedelta(hours=2))
    here.get("/scenarios/")
    assert Device.objects.get().last_seen_at < timezone.now() - timedelta(hours=1)
    cache.clear()
    here.get("/scenarios/")
    assert Device.objects.get().last_seen_at > timezone.now() - timedelta(minutes=1)


def test_guests_and_strangers_leave_no_row(client):
    client.get("/scenarios/")
    session = client.session
    session["anything"] = 1
    session.save()
    client.get("/scenarios/")
    assert not Device.objects.exists()


def test_the_list_takes_as_many_queries_for_many_as_for_one(dana, here, django_assert_num_queries):
    for _ in range(4):
        browser(dana)
    with django_assert_num_queries(2):
        assert len(devices_of(dana)) == 5


def test_a_name_that_a_browser_makes_up_is_only_text(dana):
    client = browser(dana, "<script>alert(1)</script>")
    assert "<script>alert" not in client.get("/account/").content.decode()
