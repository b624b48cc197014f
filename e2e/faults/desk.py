"""Makes conversations for the harness, and has visitors at them, beside the servers.

A process on the same database: one JSON object a line in, one line of JSON out.
"""

import json
import os
import sys
from typing import Any

import django


def rooms(count: int, tokens: int) -> list[dict[str, Any]]:
    """Begin conversations, each on an invitation of its own with a visitor who holds it."""
    scenario, _ = Scenario.objects.update_or_create(
        slug="faults",
        defaults={
            "name": "A bumpy line",
            "description": "Things break while people talk.",
            "partner_persona": "Sam",
            "partner_system_prompt": "Sam is calm.",
            "coach_system_prompt": "Look for requests.",
        },
    )
    staff = User.objects.filter(is_staff=True).earliest("created_at")
    return [_room(scenario, staff, tokens) for _ in range(count)]


def _room(scenario: Any, staff: Any, tokens: int) -> dict[str, Any]:
    invitation = Invitation.objects.create(
        scenario=scenario, quota={"tokens": tokens, "label": "For a test"}, created_by=staff
    )
    invitation.claim()
    conversation = ConversationSession.begin(scenario, user=None, invitation=invitation)
    visitor = SessionStore()
    visitor["invitations"] = [invitation.held_as]
    visitor.create()
    cookie = f"{settings.SESSION_COOKIE_NAME}={visitor.session_key}"
    return {"conversation": conversation.pk, "invitation": invitation.pk, "cookie": cookie}


def guests(invitation: str, scenario: str = "faults") -> int:
    """Begin one more conversation on an invitation; returns its id."""
    return ConversationSession.begin(
        Scenario.objects.get(slug=scenario),
        user=None,
        invitation=Invitation.objects.get(pk=invitation),
    ).pk


def watcher(name: str) -> str:
    """Make somebody from staff who may read along; returns the cookie that signs them in."""
    address = f"{name.lower()}@example.org"
    kim = User.objects.filter(email=address).first()
    kim = kim or User.objects.create_user(address, name=name, is_staff=True, role="ADMIN")
    visitor = SessionStore()
    visitor[SESSION_KEY] = kim.pk
    visitor[BACKEND_SESSION_KEY] = "accounts.backends.RoleBackend"
    visitor[HASH_SESSION_KEY] = kim.get_session_auth_hash()
    visitor.create()
    return f"{settings.SESSION_COOKIE_NAME}={visitor.session_key}"


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()

    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore
    from django.db import OperationalError, connections

    from accounts.models import User
    from conversations.models import ConversationSession
    from invitations.models import Invitation
    from scenarios.models import Scenario

    tasks = {task.__name__: task for task in (rooms, guests, watcher)}
    for line in sys.stdin:
        order = json.loads(line)
        task = tasks[order.pop("do")]
        try:
            answer = task(**order)
        except OperationalError:
            # A line from before the database went away.
            connections["default"].close()
            getattr(connections["default"], "close_pool", lambda: None)()
            answer = task(**order)
        print(json.dumps(answer), flush=True)
        connections.close_all()
