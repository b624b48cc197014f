"""Staff watch a conversation live: they see all, do nothing, and the learner sees them."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from allauth.mfa.models import Authenticator
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from accounts.models import Role, User
from config.tests.desk import admin_url, make_scenario
from conversations import audit, prompts, viewings
from conversations.models import ConversationSession, Message
from conversations.replies import runner
from conversations.tests.test_consumers import Page, cookie_of
from conversations.viewings import LASTS, Viewing, ViewingKind, watchers, watchers_of

MODEL = "conversations.conversationsession"
PERMISSIONS = ("view_transcript", "view_conversationsession")


@pytest.fixture
def kim(db):
    kim = User.objects.create_user("kim@example.org", name="Kim", is_staff=True, role=Role.USER)
    kim.user_permissions.set(Permission.objects.filter(codename__in=PERMISSIONS))
    return kim


@pytest.fixture
def desk(kim):
    client = Client()
    client.force_login(kim, backend="accounts.backends.RoleBackend")
    return client


@pytest.fixture
def viewing(kim, conversation):
    return Viewing.record(conversation, kim, ViewingKind.LIVE)


def address(viewing):
    return f"/ws/watch/{viewing.pk}/"


def watch_url(conversation):
    return admin_url(MODEL, "watch", conversation.pk)


# --- The page ---


def test_the_page_shows_both_panes_and_how_to_listen(desk, conversation, say, kim):
    line = say("user", "What **worries** you?")
    say("partner", "Money.", parent=line)
    say("coach", "An open question.", parent=line)
    html = desk.get(watch_url(conversation)).content.decode()
    for words in ("What **worries** you?", "Money.", "An open question.", ">Learner</b>"):
        assert words in html
    viewing = Viewing.objects.get()
    assert address(viewing) in html
    assert (viewing.viewer, viewing.number) == (kim, conversation.pk)
    assert "SECRET" not in html


@pytest.mark.parametrize("missing", PERMISSIONS)
def test_it_needs_both_permissions(desk, conversation, kim, missing):
    kim.user_permissions.remove(Permission.objects.get(codename=missing))
    assert desk.get(watch_url(conversation)).status_code == 403
    assert not Viewing.objects.exists()


def test_a_conversation_that_is_not_there_is_404(desk):
    assert desk.get(admin_url(MODEL, "watch", 99_999)).status_code == 404
    assert desk.get(admin_url(MODEL, "watch", "x")).status_code == 404


def test_one_on_a_private_scenario_is_for_administrators(desk, conversation, owner, kim):
    mine = make_scenario("mine-x7", owner=owner)
    private = ConversationSession.begin(mine, user=owner, invitation=None)
    assert desk.get(watch_url(private)).status_code == 404
    kim.role = Role.ADMIN
    kim.save()
    assert desk.get(watch_url(private)).status_code == 200


def test_the_list_leads_to_it(desk, conversation):
    html = desk.get(admin_url(MODEL, "changelist")).content.decode()
    assert watch_url(conversation) in html


# --- The record ---


def test_administrators_read_the_records_and_nobody_changes_them(desk, viewing, kim):
    url = admin_url("conversations.viewing", "changelist")
    assert desk.get(url).status_code == 403
    kim.role = Role.ADMIN
    kim.save()
    assert "Watched live" in desk.get(url).content.decode()
    for page in ("change", "delete"):
        one = admin_url("conversations.viewing", page, viewing.pk)
        assert desk.post(one, {"post": "yes", "number": 7}).status_code == 403
    assert desk.post(admin_url("conversations.viewing", "add"), {}).status_code == 403


def test_a_record_outlives_the_conversation(viewing, conversation):
    conversation.delete()
    viewing.refresh_from_db()
    assert viewing.number
    assert watchers() == {}


# --- Presence ---


def test_a_watcher_who_died_is_gone_soon(viewing, conversation):
    assert watchers_of(conversation.pk) == "Kim from staff is watching"
    assert timedelta(seconds=10) > LASTS
    Viewing.objects.update(seen_until=timezone.now())
    assert watchers_of(conversation.pk) == ""
    assert watchers() == {}


def test_several_are_named_or_counted(conversation, viewing, kim):
    Viewing.record(conversation, kim, ViewingKind.LIVE)
    assert watchers() == {conversation.pk: "Kim from staff is watching"}
    for name in ("", "Sam"):
        other = User.objects.create_user(f"{name}@x.org", name=name)
        Viewing.record(conversation, other, ViewingKind.LIVE)
    assert watchers_of(conversation.pk) == "Kim and 2 others from staff are watching"


def test_the_learners_page_names_them_without_scripts(guest, conversation, viewing):
    html = guest.get(conversation.get_absolute_url()).content.decode()
    assert "Kim from staff is watching" in html


def test_reading_the_transcript_is_no_watching(guest, desk, conversation):
    desk.get(admin_url(MODEL, "transcript", conversation.pk))
    assert Viewing.objects.get().kind == ViewingKind.TRANSCRIPT
    assert "is watching" not in guest.get(conversation.get_absolute_url()).content.decode()


def test_no_prompt_changes(conversation, say, viewing):
    say("user", "Hello")
    rows = list(Message.objects.filter(session=conversation))
    watched = prompts.partner_request(conversation, rows)
    Viewing.objects.all().delete()
    assert watched == prompts.partner_request(conversation, rows)
    assert "Kim" not in str(watched)


def test_many_watchers_take_few_queries(
    conversation, viewing, desk, kim, django_assert_max_num_queries
):
    one = audit.Pass(conversation.pk, desk.session.session_key, kim.pk, viewing.pk)
    with django_assert_max_num_queries(9):
        found = audit.look([one])
    assert (found.codes, found.watchers) == ({}, {conversation.pk: "Kim from staff is watching"})


# --- The socket ---

live = pytest.mark.django_db(transaction=True)


@pytest.fixture
def quickly(monkeypatch):
    """Looks ten times as often, for signs of life that last as little; gives their seconds."""
    monkeypatch.setattr(audit, "EVERY_SECONDS", 0.1)
    monkeypatch.setattr(audit, "LASTS", LASTS / 10)
    monkeypatch.setattr(viewings, "LASTS", LASTS / 10)
    return LASTS.total_seconds() / 10


@pytest.fixture
async def learner(conversation, guest):
    page = Page(conversation, cookie_of(guest))
    assert await page.connect()
    yield page
    await runner().wait()
    await page.socket.disconnect()


@pytest.fixture
async def watcher(desk, viewing):
    page = Page(None, cookie_of(desk), path=address(viewing))
    assert await page.connect()
    yield page
    await page.socket.disconnect()


@live
async def test_a_watcher_sees_a_turn_stream_and_the_learner_sees_the_watcher(learner, watcher):
    await learner.until("watched", text="Kim from staff is watching")
    await learner.send(type="send", id=str(uuid4()), text="What worries you most?")
    ended = await watcher.until("turn", role="partner", status="complete")
    text = "".join(f["text"] for f in watcher.frames if f["type"] == "chunk")
    assert text
    await watcher.until("turn", role="coach", status="complete")
    assert ended["message"]


@live
@pytest.mark.parametrize("kind", ["send", "ask", "stop", "retry", "end"])
async def test_a_watcher_does_nothing(watcher, conversation, kind):
    await watcher.send(type=kind, id=str(uuid4()), text="Hello", message=1)
    assert (await watcher.until("refused"))["code"] == "read_only"
    await watcher.send(type="sync", newest=0, streaming={})
    assert (await watcher.until("state"))["status"] == "active"
    assert not await Message.objects.aexists()


@live
async def test_who_leaves_is_gone_from_the_learners_page(learner, desk, viewing):
    page = Page(None, cookie_of(desk), path=address(viewing))
    assert await page.connect()
    await learner.until("watched", text="Kim from staff is watching")
    await page.socket.disconnect()
    async with asyncio.timeout(3):
        await learner.until("watched", text="")


@live
async def test_a_watcher_stays_in_sight_longer_than_a_sign_of_life_lasts(
    learner, quickly, watcher, viewing
):
    await learner.until("watched", text="Kim from staff is watching")
    await asyncio.sleep(2 * quickly)
    assert await sync_to_async(watchers_of)(viewing.conversation_id)


@live
@pytest.mark.parametrize(
    "change", ["permission", "staff", "active", "conversation", "session", "role"]
)
async def test_it_closes_within_two_seconds_of_losing_its_right(
    desk, viewing, kim, conversation, change
):
    page = Page(None, cookie_of(desk), path=address(viewing))
    assert await page.connect()
    if change == "permission":
        await sync_to_async(kim.user_permissions.clear)()
    elif change == "conversation":
        await sync_to_async(conversation.delete)()
    elif change == "session":
        await sync_to_async(desk.logout)()
    elif change == "role":
        await User.objects.filter(pk=kim.pk).aupdate(role=Role.POWER_USER)
    else:
        await User.objects.filter(pk=kim.pk).aupdate(**{f"is_{change}": False})
    async with asyncio.timeout(2):
        while (output := await page.socket.receive_output(2))["type"] != "websocket.close":
            pass
    # In another role Kim still may, and the page comes back.
    codes = {"active": audit.SIGNED_OUT, "session": audit.SIGNED_OUT, "role": audit.CHANGED}
    assert output["code"] == codes.get(change, audit.GONE)
    await page.socket.disconnect()


@live
async def test_strangers_have_no_use_for_the_address(viewing, owner, staff, guest):
    for user in (owner, staff):
        client = Client()
        await sync_to_async(client.force_login)(user)
        assert not await Page(None, cookie_of(client), path=address(viewing)).connect()
    assert not await Page(None, cookie_of(guest), path=address(viewing)).connect()
    assert not await Page(None, path="/ws/watch/unknown/").connect()


def show_second_factor(client, user):
    """Have an app's codes set up, and shown in the session of `client`."""
    authenticator = Authenticator.objects.create(user=user, type="totp", data={})
    session = client.session
    session["account_authentication_methods"] = [{"method": "mfa", "at": 1, "type": "totp"}]
    session["account_authentication_methods_user"] = user.pk
    session.save()
    return authenticator


@live
async def test_where_staff_need_a_second_factor_so_does_the_socket(desk, viewing, kim, settings):
    settings.STAFF_SECOND_FACTOR = True
    assert not await Page(None, cookie_of(desk), path=address(viewing)).connect()
    authenticator = await sync_to_async(show_second_factor)(desk, kim)
    page = Page(None, cookie_of(desk), path=address(viewing))
    assert await page.connect()
    await authenticator.adelete()
    async with asyncio.timeout(2):
        while (output := await page.socket.receive_output(2))["type"] != "websocket.close":
            pass
    assert output["code"] == audit.GONE
    await page.socket.disconnect()


@live
async def test_another_reader_needs_a_record_of_their_own(viewing):
    other = await sync_to_async(User.objects.create_superuser)("root@example.org")
    client = Client()
    await sync_to_async(client.force_login)(other, backend="accounts.backends.RoleBackend")
    assert not await Page(None, cookie_of(client), path=address(viewing)).connect()


@live
async def test_a_page_that_comes_back_long_after_is_recorded_anew(desk, viewing):
    await Viewing.objects.aupdate(seen_until=timezone.now() - timedelta(minutes=5))
    page = Page(None, cookie_of(desk), path=address(viewing))
    assert await page.connect()
    assert await Viewing.objects.acount() == 2
    await page.socket.disconnect()


@live
async def test_nobody_watches_unseen_while_the_database_is_away(
    learner, watcher, quickly, monkeypatch
):
    def away(passes):
        raise OperationalError

    await watcher.until("watched")
    monkeypatch.setattr(audit, "look", away)
    async with asyncio.timeout(3):
        while (output := await watcher.socket.receive_output(3))["type"] != "websocket.close":
            pass
    assert output["code"] == audit.RESTARTING
    await learner.send(type="sync", newest=0, streaming={})
    await learner.until("synced")
