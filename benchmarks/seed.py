"""Rooms to talk in, made on a server's database: `python -m benchmarks.seed COUNT [TURNS …]`.

Prints JSON: `rooms`, each a conversation of a guest with an invitation and a session; `read`,
conversations that hold so many turns already; `staff`, the session of an administrator.
"""

import json
import os
import sys
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.db import transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.models import User  # noqa: E402
from conversations.models import ConversationSession, Kind, Message, MessageRole  # noqa: E402
from invitations.claims import HELD  # noqa: E402
from invitations.models import Invitation  # noqa: E402
from scenarios.models import Scenario  # noqa: E402

# As long as prompts of the library are.
PROMPT = "You have had a long day, and you are fond of your own way of seeing things. " * 40
LINES = {
    MessageRole.USER: "I would like us to talk about the weekend, if you have a minute for it. "
    * 2,
    MessageRole.PARTNER: "There is nothing to talk about, as far as I can see. I said so. " * 3,
    MessageRole.COACH: "“If you have a minute” leaves an easy way out: name a time instead. " * 3,
}


def staff() -> User:
    email = "bench@parley.localhost"
    return User.objects.filter(email=email).first() or User.objects.create_superuser(email, None)


def session(**data: Any) -> str:
    store = SessionStore()
    store.update(data)
    store.create()
    store.save()
    return str(store.session_key)


def sign_in(user: User) -> str:
    """A session that `user` is signed in with."""
    return session(
        **{
            SESSION_KEY: str(user.pk),
            BACKEND_SESSION_KEY: "accounts.backends.RoleBackend",
            HASH_SESSION_KEY: user.get_session_auth_hash(),
        }
    )


def room(scenario: Scenario, owner: User) -> tuple[ConversationSession, dict[str, Any]]:
    invitation = Invitation.objects.create(
        scenario=scenario,
        quota={"tokens": 1_000_000_000, "label": "For a benchmark"},
        created_by=owner,
        claimed_at=timezone.now(),
    )
    conversation = ConversationSession.begin(scenario, user=None, invitation=invitation)
    return conversation, {
        "conversation": conversation.pk,
        "session": session(**{HELD: [invitation.held_as]}),
    }


def fill(conversation: ConversationSession, turns: int) -> None:
    """Let `turns` turns have been said, the coach's note on each of the learner's."""
    for _ in range(turns // 2):
        parent = None
        for role in (MessageRole.USER, MessageRole.PARTNER, MessageRole.COACH):
            kind = Kind.NOTE if role == MessageRole.COACH else Kind.TURN
            message = Message.objects.create(
                session=conversation,
                role=role,
                kind=kind,
                content=LINES[role],
                parent_id=parent,
                finished_at=None if role == MessageRole.USER else timezone.now(),
            )
            parent = parent or message.pk
    conversation.total_messages = conversation.messages.count()
    conversation.save(update_fields=["total_messages"])


@transaction.atomic
def main(count: int, lengths: list[int]) -> None:
    owner = staff()
    scenario, _ = Scenario.objects.update_or_create(
        slug="benchmark",
        defaults={
            "name": "Benchmark",
            "description": "For measuring.",
            "partner_persona": "Sam",
            "partner_system_prompt": PROMPT,
            "coach_system_prompt": PROMPT,
            "partner_opens": False,
        },
    )
    read = []
    for turns in lengths:
        conversation, entry = room(scenario, owner)
        fill(conversation, turns)
        read.append({"turns": turns, **entry})
    made = {
        "rooms": [room(scenario, owner)[1] for _ in range(count)],
        "read": read,
        "staff": sign_in(owner),
    }
    print(json.dumps(made))


if __name__ == "__main__":
    main(int(sys.argv[1]), [int(turns) for turns in sys.argv[2:]])
