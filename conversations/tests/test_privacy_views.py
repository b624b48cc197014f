"""My data, on the account's pages."""

import json
import time
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.core.cache import cache
from django.test import AsyncClient, Client
from django.utils import timezone

from accounts.models import Role, User
from accounts.tests.people import PASSWORD, person
from accounts.tests.test_sign_in import code_in
from conversations.models import ConversationSession, Message
from conversations.tests.canaries import unpacked

pytestmark = pytest.mark.django_db(transaction=True)
EXPORT, ERASE, KEEP = "/account/data/export/", "/account/data/erase/", "/account/data/keep/"


@pytest.fixture(autouse=True)
def _no_limits_from_before():
    cache.clear()


@pytest.fixture
def dana():
    return person(name="Dana")


def signed_in(user, ago=0, client=None):
    """A browser that signed in so many seconds ago."""
    client = client or Client()
    client.force_login(user, backend=django_settings.AUTHENTICATION_BACKENDS[0])
    session = client.session
    session["signed_in_at"] = time.time() - ago
    session.save()
    return client


def without_password(user):
    user.set_unusable_password()
    user.save()
    return user


async def fetched(user):
    """The export, as the server sends it."""
    client = AsyncClient()
    await sync_to_async(signed_in)(user, client=client)
    response = await client.post(EXPORT)
    assert response.status_code == 200
    body = b"".join([piece async for piece in response.streaming_content])
    assert response["Content-Length"] == str(len(body))
    return response, unpacked(body)


# --- Export ---------------------------------------------------------------------------------


async def test_it_downloads_a_zip_under_a_plain_name(dana):
    response, files = await fetched(dana)
    assert response["Content-Type"] == "application/zip"
    name = f"parley-{timezone.now():%Y-%m-%d}.zip"
    assert response["Content-Disposition"] == f'attachment; filename="{name}"'
    assert "no-store" in response["Cache-Control"]
    assert set(files) == {"index.html", "account.json"}
    told = json.loads(files["account.json"])
    assert (told["format"], told["version"]) == ("parley-export", 1)
    assert told["profile"]["email"] == "dana@example.com"


async def test_what_was_said_cannot_run_or_fetch_anything(dana, scenario):
    rude = "<script>alert(1)</script> ![x](https://evil.example/x.png) [y](javascript:alert(2))"

    def talk():
        scenario.name, scenario.slug = "../../<b>A dinner</b>", "x"
        scenario.save()
        own = ConversationSession.begin(scenario, user=dana, invitation=None)
        for role in ("user", "partner"):
            Message.objects.create(session=own, role=role, content=rude)
        Message.objects.create(session=own, role="coach", kind="debrief", content=rude)
        return own.pk

    pk = await sync_to_async(talk)()
    _, files = await fetched(dana)
    assert f"conversations/{pk}-ba-dinnerb.html" in files
    for name, text in files.items():
        assert ".." not in name
        if name.endswith(".html"):
            assert "<script" not in text
            assert "<img" not in text
            assert "<b>A dinner" not in text
            assert "default-src 'none'" in text
            assert not [tag for tag in ('src="', 'href="http', 'href="javascript') if tag in text]


def test_a_stranger_is_sent_to_sign_in(client):
    for url in (EXPORT, ERASE, KEEP):
        assert client.post(url)["Location"].startswith("/accounts/login/")


def test_other_methods_are_refused(dana):
    client = signed_in(dana)
    assert client.get(EXPORT).status_code == 405
    assert client.get(KEEP).status_code == 405
    assert client.put(ERASE).status_code == 405


def test_who_signed_in_long_ago_shows_their_password_again(dana):
    client = signed_in(dana, ago=3600)
    response = client.post(EXPORT)
    assert response["Location"].startswith("/accounts/reauthenticate/")
    client.post(response["Location"], {"password": PASSWORD})
    assert User.objects.get().erase_at is None
    assert client.post(ERASE)["Location"] == "/account/"


def test_without_a_password_they_sign_in_again(dana):
    client = signed_in(without_password(dana), ago=3600)
    response = client.post(ERASE)
    assert response["Location"] == "/accounts/login/?next=%2Faccount%2Fdata%2Ferase%2F"
    assert "Please sign in again" in client.get(response["Location"]).content.decode()
    assert User.objects.get().erase_at is None
    assert client.post(ERASE)["Location"].startswith("/accounts/login/")


def test_who_has_just_signed_up_is_not_asked_again(client, mailoutbox):
    client.post("/accounts/signup/", {"email": "new@example.com"})
    client.post("/accounts/confirm-email/", {"code": code_in(mailoutbox)})
    assert client.post(ERASE)["Location"] == "/account/"


def test_nobody_downloads_all_day(dana):
    client = signed_in(dana)
    codes = [client.post(EXPORT).status_code for _ in range(7)]
    assert codes == [200] * 5 + [429] * 2


# --- Erasure --------------------------------------------------------------------------------


def test_the_page_says_what_goes_what_stays_and_until_when(dana):
    html = signed_in(dana).get(ERASE).content.decode()
    for words in ("What goes", "What stays", "Until when", "7 more days"):
        assert words in html
    assert User.objects.get().erase_at is None


def test_asking_signs_out_elsewhere_and_shows_on_every_page(dana, mailoutbox):
    here, elsewhere = signed_in(dana), signed_in(dana)
    assert here.post(ERASE).status_code == 303
    assert len(mailoutbox) == 1
    assert elsewhere.get("/account/").status_code == 302
    for page in ("/account/", "/", "/scenarios/", ERASE):
        assert "Keep my account" in here.get(page).content.decode()
    dana.refresh_from_db()
    again = signed_in(dana)
    assert "Keep my account" in again.get("/").content.decode()


def test_keeping_it_ends_it(dana):
    client = signed_in(dana)
    client.post(ERASE)
    html = client.post(KEEP, follow=True).content.decode()
    assert "Your account stays" in html
    assert "Keep my account" not in html
    assert User.objects.get().erase_at is None


def test_too_late_is_too_late(dana):
    client = signed_in(dana)
    User.objects.update(erase_at=timezone.now() - timedelta(seconds=1))
    assert "Your account stays" not in client.post(KEEP, follow=True).content.decode()
    assert User.objects.get().erase_at is not None


def test_the_only_administrator_stays(dana):
    User.objects.update(role=Role.ADMIN)
    response = signed_in(dana).post(ERASE)
    assert response.status_code == 409
    assert "only administrator" in response.content.decode()
    assert User.objects.get().erase_at is None


def test_the_account_page_leads_to_both(dana):
    html = signed_in(dana).get("/account/").content.decode()
    assert f'action="{EXPORT}"' in html
    assert f'href="{ERASE}"' in html
