"""People and things that the tests of conversations name."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Role, User
from conversations import llm, replies
from conversations.lanes import PROCESS
from conversations.models import (
    LEASE,
    ConversationSession,
    Kind,
    Message,
    MessageRole,
    MessageStatus,
)
from conversations.prompts import PARTNER_MOST, partner_request
from invitations.models import Invitation
from scenarios.models import Scenario


@pytest.fixture
def staff(db: None) -> User:
    return User.objects.create_user("staff@example.org", name="Sam Staff", is_staff=True)


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("owner@example.org", name="Olive Owner", role=Role.USER)


@pytest.fixture
def stranger(db: None) -> User:
    return User.objects.create_user("stranger@example.org", role=Role.USER)


@pytest.fixture
def scenario(db: None) -> Scenario:
    return Scenario.objects.create(
        name="A dinner",
        slug="a-dinner",
        description="You visit your uncle.",
        partner_persona="Uncle Ray",
        partner_system_prompt="SECRET-PARTNER You are Ray, loud and lonely.",
        coach_system_prompt="SECRET-COACH Look for open questions.",
    )


@pytest.fixture
def invitation(staff: User, scenario: Scenario) -> Invitation:
    return Invitation.objects.create(
        scenario=scenario,
        created_by=staff,
        quota={"tokens": 25_000, "label": "Short conversation"},
        expires_at=timezone.now() + timedelta(days=1),
    )


@pytest.fixture
def conversation(scenario: Scenario, invitation: Invitation) -> ConversationSession:
    return ConversationSession.begin(scenario, user=None, invitation=invitation)


@pytest.fixture
def say(conversation: ConversationSession) -> Callable[..., Message]:
    """Store a message of the conversation as if it had been said."""

    def store(role: str, content: str, **fields: Any) -> Message:
        if fields.get("status") == MessageStatus.STREAMING:
            fields = {
                "lease_owner": PROCESS,
                "lease_expires_at": timezone.now() + LEASE,
            } | fields
        if role == MessageRole.COACH:
            heard = conversation.messages.filter(role=MessageRole.PARTNER).last()
            fields = {"kind": Kind.NOTE, "heard_through": heard.pk if heard else None} | fields
        if role == MessageRole.USER:
            fields = {"client_id": uuid4()} | fields
        return Message.objects.create(session=conversation, role=role, content=content, **fields)

    return store


@pytest.fixture
def guest(invitation: Invitation) -> Client:
    """A browser that claimed the invitation."""
    client = Client()
    session = client.session
    session["invitations"] = [invitation.held_as]
    session.save()
    return client


@pytest.fixture
def quick_model(settings: Any, model_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model server speaks, soon asked again where it is busy; replies checkpoint often."""
    settings.ANTHROPIC_BASE_URL = model_server.url
    settings.ANTHROPIC_API_KEY = "key"
    monkeypatch.setattr(llm, "BACKOFF", (0.01, 0.01))
    monkeypatch.setattr(replies, "CHECKPOINT_SECONDS", 0.05)


@pytest.fixture
async def tight(conversation: ConversationSession, quick_model: None) -> None:
    """A budget that only an exact count makes a reply to “Hello” fit into."""
    said = [Message(pk=1, role=MessageRole.USER, content="Hello")]
    counted = await llm.count_tokens(partner_request(conversation, said))
    assert counted
    quota = {"tokens": round(counted * 1.05) + 16 + PARTNER_MOST, "label": ""}
    await Invitation.objects.filter(pk=conversation.invitation_id).aupdate(quota=quota)
