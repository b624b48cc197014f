"""How fast one may send, claim and connect, by the page's forms and by its socket."""

import asyncio
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.test import Client
from django.utils import timezone

from config.limits import Limit
from conversations import doors, pace, turns
from conversations.consumers import ConversationConsumer
from conversations.intake import FLOODED
from conversations.models import ConversationSession, Message
from conversations.replies import runner
from conversations.tests.test_consumers import Page, cookie_of
from conversations.turns import Refused

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def one_a_minute(monkeypatch):
    """Every limit of a visitor's at one, so that the second is one too many."""
    for name in ("IN_A_CONVERSATION", "OF_A_VISITOR", "CONNECTS"):
        monkeypatch.setattr(pace, name, Limit(name, 1, 3600))
    monkeypatch.setattr(doors, "CLAIMS", Limit("claims", 1, 3600))


def send(client, conversation, text, **more):
    fields = {"action": "send", "client_id": str(uuid4()), "text": text} | more
    return client.post(conversation.get_absolute_url(), fields)


def test_a_form_too_many_is_refused_with_words_and_keeps_what_was_written(
    one_a_minute, guest, conversation
):
    assert send(guest, conversation, "Hello?").status_code == 303
    response = send(guest, conversation, "Hello again")
    page = response.content.decode()
    assert response.status_code == 429
    assert "Wait a minute" in page
    assert ">Hello again</textarea>" in page
    assert Message.objects.filter(role="user").count() == 1


@pytest.mark.parametrize("name", ["IN_A_CONVERSATION", "OF_A_VISITOR"])
def test_a_conversation_and_a_visitor_are_counted_each(guest, conversation, monkeypatch, name):
    monkeypatch.setattr(pace, name, Limit(name, 1, 3600))
    who = {"IN_A_CONVERSATION": ("one", "another"), "OF_A_VISITOR": ("one", "one")}[name]
    where = {"IN_A_CONVERSATION": (1, 1), "OF_A_VISITOR": (1, 2)}[name]
    pace.check(where[0], who[0])
    with pytest.raises(Refused):
        pace.check(where[1], who[1])


def test_ending_is_never_too_fast(one_a_minute, guest, conversation):
    send(guest, conversation, "Hello?")
    assert guest.post(conversation.get_absolute_url(), {"action": "end"}).status_code == 303


def test_a_start_too_many_is_refused_with_words(guest, conversation, monkeypatch):
    monkeypatch.setattr(pace, "STARTS", Limit("starts", 1, 3600))
    link = conversation.invitation.get_absolute_url()
    begin = (link, f"/scenarios/{conversation.scenario.slug}/")
    for url, answers in zip(begin, ([303, 429], [429]), strict=True):
        for expected in answers:
            ConversationSession.objects.update(status="ended", ended_at=timezone.now())
            response = guest.post(url)
            assert response.status_code == expected, url
    assert "Wait a minute" in response.content.decode()
    assert ConversationSession.objects.count() == 2


def test_going_on_with_what_was_begun_counts_nothing(guest, conversation, monkeypatch):
    monkeypatch.setattr(pace, "STARTS", Limit("starts", 1, 3600))
    for _ in range(3):
        assert guest.post(conversation.invitation.get_absolute_url()).status_code == 303


async def test_a_frame_too_many_is_refused_and_the_socket_stays(one_a_minute, guest, conversation):
    page = Page(conversation, cookie_of(guest))
    assert await page.connect()
    first, second = str(uuid4()), str(uuid4())
    await page.send(type="send", id=first, text="Hello?")
    await page.until("accepted", id=first)
    await page.send(type="send", id=second, text="Hello again")
    refused = await page.until("refused", id=second)
    assert (refused["code"], "Wait a minute" in refused["text"]) == ("too_often", True)
    await page.send(type="sync", newest=0, streaming={})
    await page.until("synced")
    assert await conversation.messages.filter(role="user").acount() == 1
    await runner().wait()
    await page.socket.disconnect()


async def test_what_is_sent_again_is_neither_refused_nor_counted(guest, conversation, monkeypatch):
    for name in ("IN_A_CONVERSATION", "OF_A_VISITOR"):
        monkeypatch.setattr(pace, name, Limit(name, 2, 3600))
    page = Page(conversation, cookie_of(guest))
    await page.connect()
    first, second = str(uuid4()), str(uuid4())

    async def send(client_id, kind="send"):
        await page.send(type=kind, id=client_id, text="Hello?")
        return await page.until("accepted", id=client_id)

    stored = await send(first)
    for _ in range(5):
        assert await send(first) == stored
    asked = await send(second, "ask")
    # Used up by now, for what is new.
    await page.send(type="send", id=str(uuid4()), text="One too many")
    assert (await page.until("refused"))["code"] == "too_often"
    assert (await send(first), await send(second, "ask")) == (stored, asked)
    await runner().wait()
    await page.socket.disconnect()


def test_what_is_sent_again_in_a_full_conversation_makes_no_room_in_others(
    guest, conversation, monkeypatch
):
    monkeypatch.setattr(pace, "IN_A_CONVERSATION", Limit("conversation", 1, 3600))
    monkeypatch.setattr(pace, "OF_A_VISITOR", Limit("visitor", 2, 3600))
    work, client_id = pace.paced(turns.send, "somebody"), uuid4()
    for _ in range(5):
        work(conversation.pk, client_id, "Hello?")
    pace.check(0, "somebody")
    with pytest.raises(Refused):
        pace.check(-1, "somebody")


def test_a_form_that_is_sent_again_is_no_form_too_many(one_a_minute, guest, conversation):
    same = {"client_id": str(uuid4())}
    assert {send(guest, conversation, "Hello?", **same).status_code for _ in range(3)} == {303}


async def test_sends_by_form_and_by_socket_are_counted_together(one_a_minute, guest, conversation):
    await sync_to_async(send)(guest, conversation, "Hello?")
    page = Page(conversation, cookie_of(guest))
    await page.connect()
    await page.send(type="ask", id=str(uuid4()), text="And now?")
    assert (await page.until("refused"))["code"] == "too_often"
    await page.socket.disconnect()


async def test_a_socket_too_many_is_closed_with_a_code(one_a_minute, guest, conversation):
    first = Page(conversation, cookie_of(guest))
    assert await first.connect()
    second = Page(conversation, cookie_of(guest))
    assert await second.connect()
    async with asyncio.timeout(5):
        closed = await second.socket.receive_output(5)
    assert closed == {"type": "websocket.close", "code": FLOODED}
    await first.send(type="sync", newest=0, streaming={})
    await first.until("synced")
    await first.socket.disconnect()
    await second.socket.disconnect()


async def test_strangers_count_for_their_address_and_what_is_too_much_is_not_looked_up(
    guest, conversation, monkeypatch
):
    monkeypatch.setattr(pace, "CONNECTS_FROM", Limit("few_connects", 2, 3600))
    looked_up = []
    real = ConversationConsumer.admission

    def admission(consumer, visitor):
        looked_up.append(visitor)
        return real(consumer, visitor)

    monkeypatch.setattr(ConversationConsumer, "admission", admission)
    for _ in range(3):
        assert not await Page(conversation).connect()
    assert not await Page(conversation, cookie_of(guest)).connect()
    assert len(looked_up) == 2


def test_a_claim_too_many_gets_a_page_and_claims_nothing(one_a_minute, invitation, settings):
    settings.TRUSTED_PROXIES = 1
    url = invitation.get_absolute_url()
    assert (
        Client().post("/invite/un:known/", headers={"x-forwarded-for": "9.9.9.9"}).status_code
        == 404
    )
    response = Client().post(url, headers={"x-forwarded-for": "8.8.8.8, 9.9.9.9"})
    invitation.refresh_from_db()
    assert (response.status_code, invitation.claimed_at) == (429, None)
    assert response["Referrer-Policy"] == "no-referrer"
    assert "One moment" in response.content.decode()
    assert Client().get(url, headers={"x-forwarded-for": "9.9.9.9"}).status_code == 200
    assert Client().post(url, headers={"x-forwarded-for": "9.9.9.8"}).status_code == 303


def test_a_class_behind_one_address_comes_in_at_once(invitation):
    url = invitation.get_absolute_url()
    assert {Client().post(url).status_code for _ in range(30)} == {303}
