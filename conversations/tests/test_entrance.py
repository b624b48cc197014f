"""The page behind an invitation's link, and the way from there into the conversation."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.sessions.models import Session
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.utils import timezone

from accounts.models import User
from accounts.tests.people import PASSWORD, person
from config.logs import HideInvitationLinks
from conversations.models import ConversationSession, Message
from conversations.replies import runner
from invitations.models import Invitation
from invitations.tests.racing import all_at_once

pytestmark = pytest.mark.django_db

GONE = timezone.now() - timedelta(minutes=1)
SPENT = {"input_tokens": 25_000}


@pytest.fixture(autouse=True)
def _plain_ground(settings):
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def url(invitation) -> str:
    return invitation.get_absolute_url()


@pytest.fixture
def dana(db) -> User:
    return person("dana@example.com")


def text(response: HttpResponse) -> str:
    return " ".join(response.content.decode().split())


def may_read(client: Client) -> bool:
    """Whether this browser finds the one conversation there is."""
    address = f"/conversations/{ConversationSession.objects.get().pk}/transcript.txt"
    status = client.get(address).status_code
    assert status in (200, 403, 404)
    return status == 200


def everything() -> list[object]:
    """Every row that a visit could change."""
    return [
        *Invitation.objects.values(),
        *ConversationSession.objects.values(),
        *Message.objects.values(),
        *Session.objects.values(),
        *User.objects.values(),
    ]


# --- What the page says --------------------------------------------------------------------


def test_it_says_who_invites_to_what_for_how_long_and_who_will_read(client, invitation, url):
    invitation.personal_note = "Good luck!"
    invitation.expires_at = datetime(2099, 5, 4, 12, tzinfo=UTC)
    invitation.save()
    page = text(client.get(url))
    for words in (
        "Sam Staff",
        "A dinner",
        "You visit your uncle.",
        "Uncle Ray",
        "An AI plays",
        "Short conversation, about 8 exchanges",
        "4 May 2099, 12:00 UTC",
        "Nobody on the staff of this site may read it",
        "Good luck!",
        "Start the conversation",
        "Ask Sam Staff. Once you keep it in an account, you can do that yourself.",
    ):
        assert words in page, words
    assert "SECRET" not in page
    assert "staff@example.org" not in page


def test_it_tells_accounts_that_they_erase_themselves_and_names_nobody_who_left(client, url, dana):
    User.objects.filter(is_staff=True).update(
        email="x@erased.invalid", name="Somebody who has left"
    )
    assert "Ask the people who sent you to this site." in text(client.get(url))
    client.force_login(dana)
    assert "In your account you can erase it yourself" in text(client.get(url))


def test_it_is_for_nobody_elses_eyes(client, url):
    for response in (client.get(url), client.post(url), client.put(url), client.get("/invite/x/")):
        assert response["Referrer-Policy"] == "no-referrer"
        assert "noindex" in response["X-Robots-Tag"]
        assert response["Cache-Control"] == "no-store"
    assert '<meta name="robots" content="noindex' in client.get("/invite/x/").content.decode()


def test_whatever_people_typed_is_only_text(client, invitation, url):
    nasty = "<script>alert(1)</script>"
    User.objects.update(name=nasty)
    invitation.personal_note = invitation.recipient_name = nasty
    invitation.quota = {"tokens": 25_000, "label": nasty}
    invitation.save()
    invitation.scenario.name = invitation.scenario.description = nasty
    invitation.scenario.partner_persona = nasty
    invitation.scenario.save()
    assert "<script>alert" not in client.get(url).content.decode()


@pytest.mark.parametrize("state", ["open", "claimed", "linked", "expired", "used_up", "revoked"])
def test_looking_changes_nothing_however_often(client, invitation, url, dana, state):
    fields = {
        "open": {},
        "claimed": {"claimed_at": timezone.now()},
        "linked": {"linked_user": dana, "claimed_at": timezone.now()},
        "expired": {"expires_at": GONE},
        "used_up": {"usage": SPENT},
        "revoked": {"revoked_at": GONE},
    }[state]
    Invitation.objects.update(**fields)
    before = everything()
    for _ in range(10):
        client.get(url)
        assert client.head(url).content == b""
        client.get("/invite/opened/")
    assert everything() == before
    assert "sessionid" not in client.cookies


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options"])
def test_other_methods_are_refused(client, url, method):
    before = everything()
    response = getattr(client, method)(url)
    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD, POST"
    assert everything() == before


# --- Taking it up --------------------------------------------------------------------------


def test_a_guest_comes_into_the_conversation_and_the_link_is_gone(client, invitation, url):
    response = client.post(url)
    conversation = ConversationSession.objects.get()
    assert response.status_code == 303
    assert response["Location"] == f"/conversations/{conversation.pk}/"
    assert invitation.token not in response["Location"]
    assert (conversation.invitation, conversation.user) == (invitation, None)
    assert may_read(client)
    assert not may_read(Client())


def test_the_session_is_a_new_one_afterwards(client, url):
    client.get("/invite/opened/")
    session = client.session
    session["mine"] = 1
    session.save()
    old = session.session_key
    client.cookies["sessionid"] = old
    client.post(url)
    assert client.session.session_key != old
    assert not Session.objects.filter(pk=old).exists()
    assert client.session["mine"] == 1


def test_a_leaked_session_table_holds_no_link(client, invitation, url, dana):
    client.post(url, {"action": "sign-in"})
    client.post(url)
    for session in Session.objects.all():
        stored = str(session.get_decoded())
        assert invitation.token not in stored
        assert invitation.link not in stored


def test_the_next_device_continues_where_the_first_one_was(client, url):
    client.post(url)
    other = Client()
    assert "Continue the conversation" in text(other.get(url))
    response = other.post(url)
    assert response["Location"] == f"/conversations/{ConversationSession.objects.get().pk}/"
    assert may_read(other)


def test_after_the_end_another_conversation_may_begin(client, url):
    client.post(url)
    ConversationSession.objects.update(status="ended", ended_at=timezone.now())
    assert "Start the conversation" in text(client.get(url))
    client.post(url)
    assert ConversationSession.objects.count() == 2


def test_without_a_scenario_the_learner_chooses(client, invitation, url):
    Invitation.objects.update(scenario=None)
    assert "You choose" in text(client.get(url))
    response = client.post(url)
    assert (response.status_code, response["Location"]) == (303, "/scenarios/")
    assert not ConversationSession.objects.exists()
    invitation.refresh_from_db()
    assert invitation.claimed_at


@pytest.mark.django_db(transaction=True)
async def test_the_partner_speaks_first_where_the_scenario_says_so(invitation, settings):
    settings.UNDERSTUDY_DELAY = 0
    invitation.scenario.partner_opens = True
    await invitation.scenario.asave()
    client = AsyncClient()
    await client.post(invitation.get_absolute_url())
    await runner().wait()
    opening = await Message.objects.aget()
    assert (opening.role, opening.status) == ("partner", "complete")
    await client.post(invitation.get_absolute_url())
    await runner().wait()
    assert await Message.objects.acount() == 1


# --- People with accounts ------------------------------------------------------------------


def test_signed_in_it_becomes_the_accounts(client, invitation, url, dana):
    client.force_login(dana)
    assert "will be kept in your account" in text(client.get(url))
    client.post(url)
    invitation.refresh_from_db()
    assert invitation.linked_user == dana
    assert ConversationSession.objects.get().user == dana


def test_a_guests_conversation_comes_along_into_the_account(client, invitation, url, dana):
    client.post(url)
    conversation = ConversationSession.objects.get()
    client.force_login(dana)
    response = client.post(url)
    assert response["Location"] == f"/conversations/{conversation.pk}/"
    conversation.refresh_from_db()
    assert conversation.user == dana
    assert may_read(client)


def test_the_guests_old_browser_is_shut_out_by_then(client, url, dana):
    client.post(url)
    assert may_read(client)
    other = Client()
    other.force_login(dana)
    other.post(url)
    assert not may_read(client)


def test_a_new_link_shuts_out_who_came_in_by_the_old_one(client, url, invitation):
    client.post(url)
    client.post(url, {"action": "sign-in"})
    invitation.new_link()
    assert not may_read(client)
    assert client.get("/invite/opened/").status_code == 404
    assert client.get(url).status_code == 404
    client.post(invitation.get_absolute_url())
    assert may_read(client)
    assert ConversationSession.objects.count() == 1


def test_signed_in_as_somebody_else_is_a_choice(client, invitation, url, dana):
    Invitation.objects.update(recipient_email="rita@example.com")
    client.force_login(dana)
    page = text(client.get(url))
    assert "signed in as <strong>dana@example.com</strong>, but" in page
    assert "Sign out and continue as a guest" in page
    client.post(url, {"action": "guest"})
    invitation.refresh_from_db()
    assert invitation.linked_user is None
    assert ConversationSession.objects.get().user is None
    assert "_auth_user_id" not in client.session
    assert may_read(client)


def test_the_recipient_is_asked_nothing(client, url, dana):
    Invitation.objects.update(recipient_email="DANA@example.com")
    client.force_login(dana)
    assert "as a guest" not in text(client.get(url))


def test_a_linked_invitation_asks_for_that_account_without_naming_it(client, url, dana):
    Invitation.objects.update(linked_user=dana, claimed_at=timezone.now())
    page = text(client.get(url))
    assert "d…@example.com" in page
    assert "dana@example.com" not in page
    assert "Start the conversation" not in page
    response = client.post(url)
    assert response.status_code == 409
    assert not ConversationSession.objects.exists()


def test_a_guest_cannot_take_a_linked_invitation_back(client, invitation, url, dana):
    Invitation.objects.update(linked_user=dana)
    client.force_login(person("eve@example.com"))
    assert client.post(url, {"action": "guest"}).status_code == 409
    assert "_auth_user_id" in client.session
    invitation.refresh_from_db()
    assert invitation.linked_user == dana


def test_after_signing_in_one_is_back_at_the_same_invitation(client, invitation, url, dana):
    Invitation.objects.update(linked_user=dana, claimed_at=timezone.now())
    response = client.post(url, {"action": "sign-in"})
    assert response["Location"] == "/accounts/login/?next=%2Finvite%2Fopened%2F"
    assert invitation.token not in response["Location"]
    response = client.post(
        response["Location"],
        {"login": "dana@example.com", "password": PASSWORD, "next": "/invite/opened/"},
    )
    assert response["Location"] == "/invite/opened/"
    assert "A dinner" in text(client.get("/invite/opened/"))
    response = client.post("/invite/opened/")
    assert response["Location"] == f"/conversations/{ConversationSession.objects.get().pk}/"


def test_a_guest_who_goes_to_sign_in_keeps_what_they_hold(client, url, invitation, dana):
    client.post(url)
    client.post(url, {"action": "sign-in"})
    assert may_read(client)
    client.post("/accounts/login/", {"login": "dana@example.com", "password": PASSWORD})
    assert client.session["invitations"] == [invitation.held_as]
    assert may_read(client)


def test_who_signed_in_with_the_wrong_account_gets_out_of_it(client, url, dana):
    Invitation.objects.update(linked_user=dana)
    client.force_login(person("eve@example.com"))
    assert "Sign in with the other account" in text(client.get(url))
    client.post(url, {"action": "sign-in"})
    assert "_auth_user_id" not in client.session


def test_nobody_is_at_the_door_of_an_invitation_they_did_not_open(client, invitation):
    response = client.get("/invite/opened/")
    assert response.status_code == 404


# --- What lets nobody in -------------------------------------------------------------------


def test_to_strangers_unknown_malformed_and_revoked_look_exactly_alike(invitation, url):
    unknown = Client().get("/invite/none:nothing/")
    Invitation.objects.update(revoked_at=GONE)
    pages = [Client().get(url), Client().get("/invite/rubbish/"), Client().post(url), unknown]
    assert {page.status_code for page in pages} == {404}
    assert len({mask(page) for page in pages}) == 1
    assert "opens nothing" in text(unknown)
    assert "Sam Staff" not in text(pages[0])


def mask(page: HttpResponse) -> tuple[str, str]:
    """A page and its headers without what is different each time."""
    headers = {k: v for k, v in page.headers.items() if k != "Content-Length"}
    return page.content.decode(), str(sorted(headers.items()))


def test_they_take_the_same_queries(invitation, url, django_assert_num_queries):
    Invitation.objects.update(revoked_at=GONE)
    for address in (url, "/invite/rubbish/", "/invite/none:nothing/"):
        with django_assert_num_queries(1):
            Client().get(address)


def test_a_holder_is_told_that_it_was_withdrawn(client, url):
    client.post(url)
    Invitation.objects.update(revoked_at=GONE)
    response = client.get(url)
    assert response.status_code == 410
    assert "withdrawn" in text(response)
    assert client.post(url).status_code == 410


def test_an_expired_link_says_whom_to_ask(client, url):
    Invitation.objects.update(expires_at=GONE)
    for response in (client.get(url), client.post(url)):
        assert response.status_code == 410
        assert "has expired" in text(response)
        assert "mailto:staff@example.org" in text(response)
    assert not ConversationSession.objects.exists()


def test_a_used_up_one_lets_its_holder_read(client, url):
    client.post(url)
    Invitation.objects.update(usage=SPENT)
    ConversationSession.objects.update(status="ended", ended_at=timezone.now())
    page = text(Client().get(url))
    assert "used up" in page
    assert "Read your conversation" in page
    response = Client().post(url)
    assert response["Location"] == f"/conversations/{ConversationSession.objects.get().pk}/"


def test_a_used_up_one_without_a_conversation_says_whom_to_ask(client, url):
    Invitation.objects.update(usage=SPENT)
    assert "Read your conversation" not in text(client.get(url))
    response = client.post(url)
    assert response.status_code == 409
    assert "mailto:staff@example.org" in text(response)
    assert not ConversationSession.objects.exists()


# --- Forged requests -----------------------------------------------------------------------


@pytest.fixture
def browser() -> Client:
    return Client(enforce_csrf_checks=True)


def token_on(browser: Client, url: str) -> str:
    browser.get(url)
    return browser.cookies["csrftoken"].value


def test_without_a_token_nothing_is_taken_up(browser, url):
    assert browser.post(url).status_code == 403
    assert not ConversationSession.objects.exists()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Origin": "http://testserver"}, 303),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 303),
        ({"Origin": "null"}, 303),
        ({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "null", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "null", "Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Origin": "http://testserver:9"}, 403),
    ],
)
def test_a_page_without_referrer_can_still_send_its_form(browser, url, headers, status):
    token = token_on(browser, url)
    response = browser.post(url, {"csrfmiddlewaretoken": token}, headers=headers)
    assert response.status_code == status
    assert ConversationSession.objects.exists() == (status == 303)
    assert response["Referrer-Policy"] == "no-referrer"


# --- All at once ---------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_posts_at_once_begin_one_conversation(url):
    responses = all_at_once([lambda: Client().post(url) for _ in range(8)])
    assert {response.status_code for response in responses} == {303}
    assert len({response["Location"] for response in responses}) == 1
    assert ConversationSession.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_twenty_browsers_with_accounts_one_wins_and_the_others_read_why(url):
    browsers = []
    for number in range(20):
        browser = Client()
        browser.force_login(person(f"p{number}@example.com"))
        browsers.append(browser)
    responses = all_at_once([lambda b=browser: b.post(url) for browser in browsers])
    statuses = sorted(response.status_code for response in responses)
    assert statuses == [303] + [409] * 19
    assert all(
        "Sign in to open this invitation" in text(response)
        for response in responses
        if response.status_code == 409
    )
    assert ConversationSession.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_guests_and_accounts_at_once_one_account_is_left(url, invitation):
    """Guests share the link until an account takes it over, which shuts all of them out."""
    browsers = [Client() for _ in range(20)]
    for number in range(10):
        browsers[number].force_login(person(f"p{number}@example.com"))
    responses = all_at_once([lambda b=browser: b.post(url) for browser in browsers])
    winners = [b for b, r in zip(browsers, responses, strict=True) if r.status_code == 303]
    assert len([b for b in winners if "_auth_user_id" in b.session]) == 1
    assert {response.status_code for response in responses} <= {303, 409}
    assert [may_read(browser) for browser in browsers].count(True) == 1
    invitation.refresh_from_db()
    assert invitation.linked_user
    assert ConversationSession.objects.get().user == invitation.linked_user


# --- Logs ----------------------------------------------------------------------------------


def test_no_log_line_holds_the_link(client, invitation, url, caplog):
    caplog.handler.addFilter(HideInvitationLinks())
    client.put(url)
    Invitation.objects.update(revoked_at=GONE)
    client.get(url)
    client.post(url)
    assert "/invite/" in caplog.text
    assert invitation.token not in caplog.text
