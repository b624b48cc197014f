"""The pages, with and without JavaScript, and who may see them."""

import asyncio
import re
import time
from uuid import uuid4

import pytest
from django.test import AsyncClient, Client
from django.urls import reverse

from conversations import replies, turns, views
from conversations.models import ConversationSession, Kind, Message, MessageStatus
from conversations.replies import runner


@pytest.fixture
def form(guest):
    """The same browser without JavaScript: posts the plain form and waits for the replies."""
    client = AsyncClient()
    client.cookies = guest.cookies

    async def post(conversation, action, **fields):
        data = {"action": action, "client_id": str(uuid4()), **fields}
        response = await client.post(conversation.get_absolute_url(), data)
        await runner().wait()
        return response

    post.client = client
    return post


def test_the_page_comes_with_its_turns(guest, conversation, say):
    say("partner", "Fine, **really**.", parent=say("user", "How are <b>you</b>?"))
    say("coach", "“How are you” is open.")
    html = guest.get(conversation.get_absolute_url()).content.decode()
    assert "How are &lt;b&gt;you&lt;/b&gt;?" in html
    assert "<strong>really</strong>" in html
    assert "“How are you” is open." in html
    assert "You are talking to an AI" in html


def test_the_page_shows_no_prompt(guest, conversation):
    assert "SECRET" not in guest.get(conversation.get_absolute_url()).content.decode()


@pytest.mark.parametrize("name", ["show", "debrief", "transcript"])
def test_strangers_find_nothing(conversation, stranger, staff, name):
    address = reverse(f"conversations:{name}", args=[conversation.pk])
    for user in (None, stranger, staff):
        client = Client()
        if user:
            client.force_login(user)
        assert client.get(address).status_code == 404
        assert client.post(address, {"action": "end"}).status_code in (404, 405)
    conversation.refresh_from_db()
    assert conversation.is_active


def test_wrong_methods_are_refused(guest, conversation):
    for name in ("home", "scenarios:list", "conversations:list"):
        assert guest.post(reverse(name)).status_code == 405
    assert guest.delete(conversation.get_absolute_url()).status_code == 405


def test_the_page_asks_the_database_as_often_for_many_turns(
    guest, conversation, say, django_assert_num_queries
):
    def queries():
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as captured:
            guest.get(conversation.get_absolute_url())
        return len(captured)

    say("partner", "Hi.", parent=say("user", "Hello"))
    few = queries()
    for number in range(20):
        say("partner", "Hi.", parent=say("user", f"Hello {number}"))
    assert queries() == few


@pytest.mark.django_db(transaction=True)
async def test_a_plain_form_holds_a_conversation(form, conversation):
    response = await form(conversation, "send", text="What worries you?")
    assert response.status_code == 303
    html = (await form.client.get(response["Location"])).content.decode()
    reply = await conversation.messages.aget(role="partner")
    assert reply.status == MessageStatus.COMPLETE
    assert "What worries you?" in html
    await form(conversation, "ask", text="Was that good?")
    assert await conversation.messages.filter(kind=Kind.ASIDE, role="coach").aexists()
    response = await form(conversation, "end")
    assert response["Location"] == reverse("conversations:debrief", args=[conversation.pk])
    html = (await form.client.get(response["Location"])).content.decode()
    assert "What went well" in html


@pytest.mark.django_db(transaction=True)
async def test_the_same_form_twice_is_one_turn(form, conversation):
    client_id = str(uuid4())
    for _ in range(2):
        response = await form(conversation, "send", text="Hello?", client_id=client_id)
        assert response.status_code == 303
    assert await Message.objects.filter(role="user").acount() == 1


@pytest.mark.django_db(transaction=True)
async def test_a_refused_turn_keeps_the_draft(form, conversation):
    response = await form(conversation, "send", text="x" * 10_001)
    assert response.status_code == 409
    html = response.content.decode()
    assert "10,000 is the most" in html
    assert "x" * 10_001 in html
    assert not await Message.objects.aexists()


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "send", "client_id": "x", "text": "Hello"},
        {"action": "retry", "message": "x"},
        {"action": "stop", "message": ""},
        {"action": "fly"},
        {},
    ],
)
def test_a_broken_form_changes_nothing(guest, conversation, fields):
    assert guest.post(conversation.get_absolute_url(), fields).status_code == 409
    assert not Message.objects.exists()


def test_an_active_conversation_has_no_debrief_yet(guest, conversation):
    response = guest.get(reverse("conversations:debrief", args=[conversation.pk]))
    assert response["Location"] == conversation.get_absolute_url()


def test_the_debrief_shows_its_points_and_the_transcript(guest, conversation, say):
    line = say("user", "What worries you?")
    say("partner", "Money.", parent=line)
    say("coach", "An open question.", parent=line)
    say("coach", "What went well:\n- You asked.\n\nWhat to try next:\n- Wait.", kind=Kind.DEBRIEF)
    turns.end(conversation.pk)
    html = guest.get(reverse("conversations:debrief", args=[conversation.pk])).content.decode()
    for words in ("You asked.", "Wait.", "What worries you?", "Money.", "An open question."):
        assert words in html


def test_the_transcript_downloads_as_text(guest, conversation, say):
    line = say("user", "What worries you?\nReally.")
    say("partner", "Money.", parent=line)
    say("coach", "An open question.", parent=line)
    response = guest.get(reverse("conversations:transcript", args=[conversation.pk]))
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert "attachment" in response["Content-Disposition"]
    text = response.content.decode()
    expected = (
        "You: What worries you?\n  Really.\n\n    Coach: An open question.\n\nUncle Ray: Money.\n"
    )
    assert text.endswith(expected)


def test_home_lists_what_goes_on_first(guest, conversation):
    assert conversation.get_absolute_url() in guest.get("/").content.decode()


def test_home_of_a_newcomer_has_something_to_do(client, scenario):
    assert client.get("/").status_code == 200


def test_a_signed_in_person_starts_a_scenario(client, owner, scenario):
    client.force_login(owner)
    address = reverse("scenarios:detail", args=[scenario.slug])
    assert client.get(address).status_code == 200
    assert not ConversationSession.objects.exists()
    response = client.post(address)
    own = ConversationSession.objects.get()
    assert (own.user, own.invitation, response["Location"]) == (
        owner,
        None,
        own.get_absolute_url(),
    )
    client.post(address)
    assert ConversationSession.objects.count() == 1


def test_a_visitor_without_means_is_told_why(client, scenario):
    response = client.post(reverse("scenarios:detail", args=[scenario.slug]))
    assert response.status_code == 403
    assert "Sign in" in response.content.decode()
    assert not ConversationSession.objects.exists()


def test_an_invitation_to_one_scenario_opens_no_other(guest, scenario):
    other = type(scenario).objects.create(name="Other", slug="other", partner_persona="X")
    assert guest.post(reverse("scenarios:detail", args=["other"])).status_code == 403
    assert other.sessions.count() == 0


def test_an_inactive_scenario_is_not_found(client, owner, scenario):
    scenario.is_active = False
    scenario.save()
    client.force_login(owner)
    assert client.get(reverse("scenarios:detail", args=[scenario.slug])).status_code == 404
    assert scenario.name not in client.get(reverse("scenarios:list")).content.decode()


def test_a_conversation_keeps_its_snapshot(conversation, scenario):
    scenario.partner_system_prompt = "Another person"
    scenario.save()
    conversation.refresh_from_db()
    assert conversation.partner_system_prompt.startswith("SECRET-PARTNER")


def test_a_long_conversation_comes_with_its_latest_turns_and_a_way_to_the_rest(
    guest, conversation, say
):
    for number in range(views.LATEST):
        say("partner", "Hi.", parent=say("user", f"Line {number:03}."))
    html = guest.get(conversation.get_absolute_url()).content.decode()
    assert f"Line {views.LATEST - 1:03}." in html
    assert "Line 000." not in html
    assert "Show the whole conversation" in html
    html = guest.get(conversation.get_absolute_url() + "?all=1").content.decode()
    assert "Line 000." in html
    assert "Show the whole conversation" not in html


def test_a_short_conversation_offers_nothing_earlier(guest, conversation, say):
    for _ in range(views.LATEST // 2):
        say("partner", "Hi.", parent=say("user", "Hello"))
    html = guest.get(conversation.get_absolute_url()).content.decode()
    assert "Show the whole conversation" not in html


@pytest.mark.django_db(transaction=True)
async def test_a_page_in_mid_stream_shows_all_that_has_arrived(
    form, conversation, model_server, settings, monkeypatch
):
    settings.ANTHROPIC_BASE_URL = model_server.url
    monkeypatch.setattr(replies, "CHECKPOINT_SECONDS", 60)
    model_server.script("partner", chunks=["Fresh words ", "later"], pause=1)
    step = await runner().take(turns.send, conversation.pk, uuid4(), "Hello")
    runner().carry_out(step)
    async with asyncio.timeout(5):
        while runner().arrived(conversation.pk) != {step.replies[0].message.pk: "Fresh words "}:
            await asyncio.sleep(0.01)
    html = (await form.client.get(conversation.get_absolute_url())).content.decode()
    model_server.release()
    await runner().wait()
    assert "Fresh words" in html
    assert 'data-points="12"' in html


def test_the_last_page_waits_for_a_note_that_is_still_written(guest, conversation, say):
    line = say("user", "What worries you?")
    say("partner", "Money.", parent=line)
    say("coach", "An op", parent=line, status=MessageStatus.STREAMING)
    assert turns.end(conversation.pk).replies == ()
    html = guest.get(reverse("conversations:debrief", args=[conversation.pk])).content.decode()
    assert "There is no summary" not in html
    assert "comes right after it" in html
    assert "data-unfinished" in html
    assert 'http-equiv="refresh"' in html


@pytest.mark.parametrize("page", ["show", "debrief"])
def test_a_guest_reads_whom_to_ask_for_an_erasure(guest, conversation, staff, page):
    if page == "debrief":
        turns.end(conversation.pk)
    url = reverse(f"conversations:{page}", args=[conversation.pk])
    html = guest.get(url).content.decode()
    assert re.search(
        r"Write to <a [^>]+>Sam Staff</a>\s+to have (it|this conversation) erased", html
    )
    assert "mailto:staff@example.org" in html
    staff.email = "x@erased.invalid"
    staff.save()
    html = guest.get(url).content.decode()
    assert "erased.invalid" not in html
    assert "the people who sent you to this site" in html


@pytest.mark.parametrize("page", ["show", "debrief"])
def test_who_has_an_account_asks_nobody(client, owner, scenario, page):
    client.force_login(owner)
    own = ConversationSession.begin(scenario, user=owner, invitation=None)
    if page == "debrief":
        turns.end(own.pk)
    html = client.get(reverse(f"conversations:{page}", args=[own.pk])).content.decode()
    assert " erased." not in html


def test_at_the_end_of_a_budget_the_page_says_what_to_do_next(guest, conversation, say):
    say("user", "Hello.")
    invitation = conversation.invitation
    invitation.usage = {"input_tokens": invitation.limit}
    invitation.save()
    html = guest.get(conversation.get_absolute_url()).content.decode()
    assert "Hello." in html
    assert "data-exhausted" in html
    assert "ask Sam Staff" in html
    assert ">Finish and look back</button>" in html
    assert ">Ask for more</a>" in html


def test_once_it_has_ended_the_page_no_longer_asks_to_end_it(guest, conversation):
    invitation = conversation.invitation
    invitation.usage = {"input_tokens": invitation.limit}
    invitation.save()
    turns.end(conversation.pk)
    assert "data-exhausted" not in guest.get(conversation.get_absolute_url()).content.decode()


@pytest.mark.django_db(transaction=True)
async def test_who_leaves_before_the_answer_has_sent_all_the_same(form, conversation, monkeypatch):
    stored = asyncio.Event()
    loop, send = asyncio.get_running_loop(), turns.send

    def slowly(*args):
        step = send(*args)
        loop.call_soon_threadsafe(stored.set)
        time.sleep(0.2)
        return step

    monkeypatch.setattr(turns, "send", slowly)
    posting = asyncio.create_task(form(conversation, "send", text="Hello"))
    await stored.wait()
    posting.cancel()
    await asyncio.wait([posting])
    await runner().wait()
    reply = await Message.objects.aget(role="partner")
    assert reply.status == MessageStatus.COMPLETE
