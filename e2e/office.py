"""Staff's desk for browser tests: a process beside the server, on the same database.

It reads one JSON object a line, `{"do": name, …}`, and answers each with one line of JSON. The
tests' own process never touches that database.
"""

import json
import os
import sys
from datetime import timedelta
from typing import Any

import django


def invite(slug: str = "holiday-dinner", tokens: int = 25_000, **fields: Any) -> dict[str, Any]:
    """Make an invitation as the demo's staff account would, and return its link."""
    invitation = Invitation.objects.create(
        scenario=Scenario.objects.get(slug=slug) if slug else None,
        quota={"tokens": tokens, "label": "For a test"},
        created_by=User.objects.filter(is_staff=True).earliest("created_at"),
        **fields,
    )
    return {"id": invitation.pk, "url": invitation.url, "path": invitation.get_absolute_url()}


def scenario(slug: str, **fields: Any) -> None:
    """Make a scenario, or change it."""
    Scenario.objects.update_or_create(
        slug=slug,
        defaults={
            "name": "The neighbour's music",
            "description": "It is late, and it is loud.",
            "partner_persona": "Sam",
            "partner_system_prompt": "Sam likes it loud. SECRET-PARTNER-PROMPT",
            "coach_system_prompt": "Look for requests. SECRET-COACH-PROMPT",
        }
        | fields,
    )


def user(email: str, password: str, **fields: Any) -> str:
    """Make somebody with an account and a proven address."""
    found = User.objects.filter(email=email).first()
    found = found or User.objects.create_user(email, password, **fields)
    EmailAddress.objects.update_or_create(
        user=found, email=email, defaults={"verified": True, "primary": True}
    )
    return found.pk


def change_user(email: str, **fields: Any) -> None:
    """Change somebody's account as staff would in the admin."""
    assert User.objects.filter(email=email).update(**fields) == 1


def end_sessions(email: str | None = None) -> int:
    """Let somebody's sessions run out, or those of all guests."""
    pk = User.objects.get(email=email).pk if email else None
    over = [s.pk for s in Session.objects.all() if s.get_decoded().get("_auth_user_id") == pk]
    return Session.objects.filter(pk__in=over).delete()[0]


def revoke(pk: str) -> None:
    """Take an invitation back."""
    Invitation.objects.get(pk=pk).revoke()


def messages(conversation: int) -> list[dict[str, Any]]:
    """What the database holds of a conversation, oldest first."""
    names = ["id", "role", "kind", "status", "failure", "content", "client_id", "restarts"]
    rows = Message.objects.filter(session_id=conversation).order_by("id")
    return [{name: getattr(row, name) for name in names} for row in rows]


def hush() -> int:
    """Have nothing run any more, nor be followed by anything; the server finds its replies lost."""
    Message.objects.filter(begin_again=True).update(begin_again=False)
    ended = {
        "status": "interrupted",
        "failure": "lost",
        "lease_owner": "",
        "lease_expires_at": None,
    }
    return Message.objects.filter(status="streaming").update(**ended)


def usage(conversation: int) -> list[dict[str, Any]]:
    """The model calls that were logged for a conversation."""
    rows = UsageLog.objects.filter(session_id=conversation).order_by("timestamp")
    return list(rows.values("stream_type", "model", "input_tokens", "output_tokens"))


def invitation(pk: str) -> dict[str, Any]:
    """An invitation's state and what was spent on it."""
    row = Invitation.objects.get(pk=pk)
    moments = {name: getattr(row, f"{name}_at") is not None for name in ("opened", "claimed")}
    return {"status": row.status, "usage": row.usage, **moments}


def change_invitation(pk: str, **fields: Any) -> None:
    """Change an invitation as staff would."""
    assert Invitation.objects.filter(pk=pk).update(**fields) == 1


def new_link(pk: str) -> str:
    """Replace an invitation's link; returns the new one."""
    row = Invitation.objects.get(pk=pk)
    row.new_link()
    return row.url


def dump() -> str:
    """Every column of every row of every table."""
    return canaries.dump()


def let_a_week_pass(email: str) -> None:
    """Make it time to erase somebody."""
    User.objects.filter(email=email).update(erase_at=timezone.now())


def figures() -> dict[str, int]:
    """How many calls are logged, and of how many anything tells whose they were."""
    calls = UsageLog.objects.all()
    nobodys = calls.filter(user_id=None, invitation_id=None, session=None)
    return {"calls": calls.count(), "somebodys": calls.count() - nobodys.count()}


def add_tokens(pk: str, count: int) -> None:
    """Add to an invitation's budget, as staff do."""
    Invitation.objects.get(pk=pk).add_tokens(count)


def group_link(places: int, slug: str = "holiday-dinner", **fields: Any) -> dict[str, Any]:
    """Make a link for so many, and return it."""
    group = GroupLink.objects.create(
        label="The evening class",
        places=places,
        scenario=Scenario.objects.get(slug=slug),
        quota={"tokens": 25_000, "label": "For a test"},
        created_by=User.objects.filter(is_staff=True).earliest("created_at"),
        **fields,
    )
    return {"id": group.pk, "url": group.url, "path": group.get_absolute_url()}


def minutes_later(minutes: int = 5) -> None:
    """Let time pass for those who send bulk invitations."""
    then = timezone.now() - timedelta(minutes=minutes)
    Batch.objects.exclude(lease_expires_at=None).update(lease_expires_at=then)
    Delivery.objects.exclude(begun_at=None).update(begun_at=then)


def lose_messages(lost: bool) -> None:
    """Take the table of messages away, as a database that fails would, or put it back."""
    names = ("conversations_message", "lost_messages")
    old, new = names if lost else names[::-1]
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER TABLE "{old}" RENAME TO "{new}"')


def interrupted_batch(people: list[str]) -> dict[str, Any]:
    """Make a bulk invitation whose sender died before its first mail."""
    staff = User.objects.filter(is_staff=True).earliest("created_at")
    scenario = Scenario.objects.get(slug="holiday-dinner")
    quota = {"tokens": 25_000, "label": "For a test"}
    batch = Batch.objects.create(created_by=staff, scenario=scenario, quota=quota)
    for position, email in enumerate(people, start=1):
        made = Invitation.objects.create(recipient_email=email, **batch.for_each)
        Delivery.objects.create(batch=batch, invitation=made, position=position)
    return {"id": batch.pk, "path": f"/admin/invitations/batch/{batch.pk}/change/"}


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()

    from allauth.account.models import EmailAddress
    from django.contrib.sessions.models import Session
    from django.core.serializers.json import DjangoJSONEncoder
    from django.db import connection
    from django.utils import timezone

    from accounts.models import User
    from conversations.models import Message
    from conversations.tests import canaries
    from invitations.bulk import Batch, Delivery
    from invitations.groups import GroupLink
    from invitations.models import Invitation
    from scenarios.models import Scenario
    from usage.models import UsageLog

    known = (
        invite,
        scenario,
        user,
        messages,
        usage,
        invitation,
        new_link,
        change_user,
        change_invitation,
    )
    leaving = (dump, let_a_week_pass, figures)
    many = (group_link, minutes_later, interrupted_batch)
    known = (*known, hush, lose_messages, end_sessions, revoke, add_tokens, *leaving, *many)
    tasks = {task.__name__: task for task in known}
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(tasks[order.pop("do")](**order), cls=DjangoJSONEncoder), flush=True)
