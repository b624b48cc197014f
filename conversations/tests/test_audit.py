"""Sockets close when what let them in is gone."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from importlib import import_module

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session
from django.db import InterfaceError, OperationalError
from django.test import Client
from django.utils import timezone

from accounts.models import Role
from config.asgi import application
from conversations import audit
from conversations.audit import CHANGED, GONE, SIGNED_OUT, Pass, expired
from conversations.models import ConversationSession


@pytest.fixture
def member(owner):
    client = Client()
    client.force_login(owner, backend=django_settings.AUTHENTICATION_BACKENDS[0])
    return client


@pytest.fixture
def guest_pass(guest, conversation):
    return Pass(conversation.pk, guest.session.session_key, None)


@pytest.fixture
def own_pass(member, owner, scenario):
    own = ConversationSession.begin(scenario, user=owner, invitation=None)
    return Pass(own.pk, member.session.session_key, owner.pk)


def test_those_who_may_stay_may_stay(guest_pass, own_pass):
    assert expired([guest_pass, own_pass]) == {}


def test_signing_out_ends_it(own_pass, member):
    member.logout()
    assert expired([own_pass]) == {own_pass: SIGNED_OUT}


def test_a_new_password_ends_it(own_pass, owner):
    owner.set_password("something new and long")
    owner.save()
    assert expired([own_pass]) == {own_pass: SIGNED_OUT}


def test_signing_out_everywhere_ends_it(own_pass, owner):
    owner.end_sessions()
    assert expired([own_pass]) == {own_pass: SIGNED_OUT}


def test_another_role_ends_it_and_lets_the_page_come_back_as_what_it_is_now(own_pass, owner):
    as_user = replace(own_pass, role=Role.USER)
    assert expired([as_user]) == {}
    owner.role = Role.GUEST
    owner.save()
    assert expired([as_user]) == {as_user: CHANGED}
    assert expired([replace(own_pass, role=Role.GUEST)]) == {}
    owner.is_active = False
    owner.save()
    assert expired([as_user]) == {as_user: SIGNED_OUT}


def test_an_account_comes_back_to_read_what_it_said_on_an_invitation_that_is_withdrawn(
    own_pass, invitation, owner
):
    invitation.claim(owner)
    ConversationSession.objects.filter(pk=own_pass.conversation).update(invitation=invitation)
    assert expired([own_pass]) == {}
    invitation.revoke()
    assert expired([own_pass]) == {own_pass: CHANGED}
    assert expired([replace(own_pass, withdrawn=True)]) == {}


def test_a_session_whose_time_is_over_ends_it(own_pass):
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    assert expired([own_pass]) == {own_pass: SIGNED_OUT}


def test_a_deactivated_person_is_out(own_pass, owner):
    owner.is_active = False
    owner.save()
    assert expired([own_pass]) == {own_pass: SIGNED_OUT}


def test_a_deleted_person_is_out(own_pass, owner):
    owner.delete()
    assert expired([own_pass]) == {own_pass: SIGNED_OUT}


@pytest.mark.parametrize("change", ["revoke", "new link", "expire", "link", "delete"])
def test_an_invitation_that_is_gone_takes_its_guests_with_it(guest_pass, invitation, owner, change):
    if change == "revoke":
        invitation.revoke()
    elif change == "new link":
        invitation.new_link()
    elif change == "expire":
        invitation.expires_at = timezone.now() - timedelta(seconds=1)
        invitation.save()
    elif change == "link":
        invitation.claim(owner)
    else:
        invitation.delete()
    assert expired([guest_pass]) == {guest_pass: GONE}


def test_a_session_of_somebody_else_is_no_pass(own_pass, guest):
    foreign = Pass(own_pass.conversation, guest.session.session_key, own_pass.user_id)
    assert expired([foreign]) == {foreign: SIGNED_OUT}


def test_an_expired_session_is_no_pass(guest_pass):
    engine = import_module(django_settings.SESSION_ENGINE)
    engine.SessionStore(guest_pass.session_key).delete()
    assert expired([guest_pass]) == {guest_pass: SIGNED_OUT}


def test_sockets_that_are_looked_at_in_turn_are_all_looked_at(guest_pass, own_pass, monkeypatch):
    monkeypatch.setattr(audit, "AT_A_TIME", 1)
    gone = replace(own_pass, session_key="gone")
    found = audit.look([guest_pass, gone, own_pass])
    assert found.codes == {gone: audit.SIGNED_OUT}
    assert found.terms.keys() == {guest_pass.conversation, own_pass.conversation}


def test_many_sockets_take_as_many_queries_as_one(
    guest_pass, own_pass, scenario, owner, django_assert_num_queries
):
    more = [
        Pass(
            ConversationSession.begin(scenario, user=owner, invitation=None).pk,
            own_pass.session_key,
            owner.pk,
        )
        for _ in range(20)
    ]
    with django_assert_num_queries(3):
        assert expired([guest_pass, own_pass, *more]) == {}


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("revoked", [False, True])
@pytest.mark.parametrize("days", [-1, 1])
@pytest.mark.parametrize("holds", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_the_rule_at_hand_is_the_rule_in_the_database(
    conversation, invitation, owner, stranger, linked, revoked, days, holds, own
):
    invitation.linked_user = owner if linked else None
    invitation.revoked_at = timezone.now() if revoked else None
    invitation.expires_at = timezone.now() + timedelta(days=days)
    invitation.save()
    if own:
        conversation.user = owner
        conversation.save()
    held = [invitation.held_as] if holds else []
    row = ConversationSession.objects.get(pk=conversation.pk)
    for user in (owner, stranger):
        found = ConversationSession.objects.visible_to(user, held).filter(pk=row.pk).exists()
        assert row.is_visible_to(user.pk, held) == found


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("close", ["revoke", "new_link"])
async def test_the_socket_of_a_closed_link_closes_within_two_seconds(
    guest, invitation, conversation, close
):
    cookie = f"sessionid={guest.cookies['sessionid'].value}"
    socket = WebsocketCommunicator(
        application,
        f"/ws/conversations/{conversation.pk}/",
        headers=[(b"cookie", cookie.encode()), (b"origin", b"http://localhost:8000")],
    )
    assert (await socket.connect())[0]
    await sync_to_async(getattr(invitation, close))()
    async with asyncio.timeout(2):
        assert await socket.receive_output(2) == {"type": "websocket.close", "code": GONE}
    await socket.disconnect()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", ["tokens", "time", "nothing"])
async def test_a_page_asks_for_its_budget_once_staff_have_changed_it(
    guest, invitation, conversation, change
):
    cookie = f"sessionid={guest.cookies['sessionid'].value}"
    socket = WebsocketCommunicator(
        application,
        f"/ws/conversations/{conversation.pk}/",
        headers=[(b"cookie", cookie.encode()), (b"origin", b"http://localhost:8000")],
    )
    assert (await socket.connect())[0]
    if change == "tokens":
        await sync_to_async(invitation.add_tokens)(1_000)
    elif change == "time":
        await sync_to_async(invitation.extend)(timedelta(days=1))
    else:
        # A reply that is paid for meanwhile is told of by its own frames.
        await type(invitation).objects.aupdate(usage={"input_tokens": 5})
    assert (await socket.receive_json_from(2))["type"] == "watched"
    if change == "nothing":
        assert await socket.receive_nothing(1.5)
    else:
        assert await socket.receive_json_from(2) == {"type": "resync"}
    await socket.disconnect()


@pytest.mark.django_db(transaction=True)
async def test_a_withdrawn_invitation_closes_its_account_too_which_comes_back_once_to_read(
    member, owner, invitation, conversation
):
    """What was said stays its own to read; it may say nothing more."""
    await sync_to_async(invitation.claim)(owner)
    await ConversationSession.objects.aupdate(user=owner)
    cookie = f"sessionid={member.cookies['sessionid'].value}".encode()
    headers = [(b"cookie", cookie), (b"origin", b"http://localhost:8000")]
    path = f"/ws/conversations/{conversation.pk}/"
    socket = WebsocketCommunicator(application, path, headers=headers)
    assert (await socket.connect())[0]
    await sync_to_async(invitation.revoke)()
    async with asyncio.timeout(2):
        assert await socket.receive_output(2) == {"type": "websocket.close", "code": CHANGED}
    await socket.disconnect()

    again = WebsocketCommunicator(application, path, headers=headers)
    assert (await again.connect())[0]
    await again.send_json_to({"type": "sync", "newest": 0, "streaming": {}})
    state = await again.receive_json_from(2)
    assert "This invitation was withdrawn." in state["budget"]
    assert "Ask for more" not in state["budget"]
    assert (await again.receive_json_from(2))["type"] == "synced"
    assert (await again.receive_json_from(2))["type"] == "watched"
    assert await again.receive_nothing(1.5)
    await again.disconnect()


class Ear:
    """A listener that notes with what it was closed."""

    code = None

    def deliver(self, text: str) -> None:
        pass

    def hang_up(self, code: int) -> None:
        self.code = code


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [OperationalError, InterfaceError, RuntimeError])
async def test_the_look_goes_on_after_whatever_went_wrong(guest_pass, monkeypatch, error):
    there, looks = audit.look, []

    def look(passes):
        looks.append(passes)
        if len(looks) == 1:
            raise error("away")
        return there(passes)

    monkeypatch.setattr(audit, "look", look)
    monkeypatch.setattr(audit, "EVERY_SECONDS", 0.01)
    ear = Ear()
    await Session.objects.all().adelete()
    audit.auditor().admit(ear, guest_pass)
    async with asyncio.timeout(5):
        while ear.code is None:
            await asyncio.sleep(0.01)
    audit.auditor().dismiss(ear)
    assert ear.code == SIGNED_OUT
