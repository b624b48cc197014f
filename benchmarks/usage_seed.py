"""A million calls, and whom they were for: `python -m benchmarks.usage_seed [CALLS]`.

Fills the database of the environment, in under a minute, with rows as a year of use leaves
them: conversations of forty calls each on invitations and allowances, a hold for each call,
a message for each. Prints JSON: `staff`, the session of an administrator.
"""

import contextlib
import json
import os
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import batched
from typing import Any, Final

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection, models, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.ids import new_id  # noqa: E402
from accounts.models import Role, User  # noqa: E402
from benchmarks.seed import LINES, PROMPT, sign_in, staff  # noqa: E402
from conversations.models import ConversationSession, Kind, Message, MessageRole  # noqa: E402
from invitations.models import Invitation  # noqa: E402
from scenarios.models import Scenario  # noqa: E402
from usage.models import Hold, HoldState, UsageLog  # noqa: E402

CALLS: Final = 40  # of a conversation
DAYS: Final = 365
MODELS: Final = {"partner": "claude-sonnet-5-5", "coach": "claude-haiku-5-5"}
Row = Sequence[Any]


def insert(model: type[models.Model], fields: Sequence[str], rows: Iterable[Row]) -> None:
    """Store rows the quickest way that the database has, every field given."""
    columns = ", ".join(f'"{model._meta.get_field(name).column}"' for name in fields)
    table = f'"{model._meta.db_table}"'
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            return
        marks = ", ".join(["%s"] * len(fields))
        adapt = connection.ops.adapt_datetimefield_value
        for piece in batched(rows, 20_000, strict=False):
            cursor.executemany(
                f"INSERT INTO {table} ({columns}) VALUES ({marks})",
                [[adapt(v) if isinstance(v, datetime) else v for v in row] for row in piece],
            )


@contextlib.contextmanager
def unsafe_but_quick() -> Iterator[None]:
    """On SQLite, write without a journal: who pulls the plug meanwhile seeds again."""
    sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        if sqlite:
            cursor.execute("PRAGMA journal_mode=OFF")
            cursor.execute("PRAGMA synchronous=OFF")
        yield
        if sqlite:
            cursor.execute("PRAGMA journal_mode=WAL")


@contextlib.contextmanager
def without_indexes(model: type[models.Model]) -> Iterator[None]:
    """Make the table's indexes anew afterwards: that takes a fraction of keeping them."""
    ask = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = %s"
    if connection.vendor == "postgresql":
        ask = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s"
    with connection.cursor() as cursor:
        cursor.execute(ask, [model._meta.db_table])
        found = {name: sql for name, sql in cursor if sql and " UNIQUE " not in sql}
        for name in found:
            cursor.execute(f'DROP INDEX "{name}"')
        yield
        for sql in found.values():
            cursor.execute(sql)


def people(count: int) -> list[str]:
    ids = [new_id() for _ in range(count)]
    User.objects.bulk_create(
        User(id=key, email=f"{key}@parley.localhost", name=f"Person {n}", role=Role.USER)
        for n, key in enumerate(ids)
    )
    return ids


def invitations(count: int, scenarios: list[Scenario], owner: User) -> list[str]:
    rows = [
        Invitation(
            scenario=scenarios[n % len(scenarios)],
            recipient_email=f"guest{n}@parley.localhost",
            recipient_name=f"Guest {n}",
            quota={"tokens": 100_000, "label": "For a benchmark"},
            created_by=owner,
            claimed_at=timezone.now(),
            created_at=timezone.now() - timedelta(minutes=count - n),
        )
        for n in range(count)
    ]
    Invitation.objects.bulk_create(rows, batch_size=500)
    return [row.pk for row in rows]


def conversations(
    count: int, scenarios: list[Scenario], payers: list[dict[str, str]]
) -> list[ConversationSession]:
    """So many in the order of their days, the last of them today."""
    now = timezone.now()
    rows = []
    for n in range(count):
        scenario = scenarios[n % len(scenarios)]
        started = now - timedelta(seconds=(count - n) * DAYS * 86_400 / count + 3600)
        values = {name: getattr(scenario, name) for name in ConversationSession.SNAPSHOT}
        rows.append(
            ConversationSession(
                scenario=scenario,
                scenario_name=scenario.name,
                scenario_description="",
                started_at=started,
                status="ended",
                ended_at=started + timedelta(minutes=CALLS),
                total_messages=CALLS,
                **payers[n % len(payers)],
                **(values | {"partner_system_prompt": "", "coach_system_prompt": ""}),
            )
        )
    return ConversationSession.objects.bulk_create(rows, batch_size=500)


def calls(talks: list[ConversationSession]) -> Iterator[dict[str, Any]]:
    """The calls of all conversations, oldest first: the partner's and the coach's in turn."""
    chance = random.Random(1)
    for talk in talks:
        for n in range(CALLS):
            stream = "coach" if n % 2 else "partner"
            if n == CALLS - 1:
                stream = "debrief"
            size = 400 + 60 * n
            yield {
                "talk": talk,
                "stream": stream,
                "model": MODELS.get(stream, MODELS["coach"]),
                "input": size,
                "cached": size // 2,
                "output": chance.randrange(40, 120),
                "estimate": chance.random() < 0.001,
                "at": talk.started_at + timedelta(minutes=n),
            }


def main(count: int) -> None:
    owner = staff()
    defaults = {"partner_persona": "Sam", "partner_opens": False}
    defaults |= {"partner_system_prompt": PROMPT, "coach_system_prompt": PROMPT}
    scenarios = [
        Scenario.objects.get_or_create(
            slug=f"benchmark-{n}",
            defaults=defaults
            | {
                "name": f"Benchmark {n}",
                "partner_system_prompt": PROMPT,
                "coach_system_prompt": PROMPT,
            },
        )[0]
        for n in range(6)
    ]
    rooms = count // CALLS
    with transaction.atomic():
        payers = [{"user_id": key} for key in people(rooms // 10)]
        payers += [{"invitation_id": k} for k in invitations(rooms // 2, scenarios, owner)]
        random.Random(2).shuffle(payers)
        talks = conversations(rooms, scenarios, payers)
    with unsafe_but_quick():
        for model, fields, row in TABLES:
            with without_indexes(model), transaction.atomic():
                insert(model, fields, (row(n, call) for n, call in enumerate(calls(talks))))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    print(json.dumps({"staff": sign_in(owner), "calls": UsageLog.objects.count()}))


def key_of(number: int) -> str:
    return f"bench{number:019d}"


HOLD: Final = (
    *("id", "invitation", "user", "session", "stream_type", "model", "tokens", "max_tokens"),
    *("state", "created_at", "settled_at"),
)


def hold(number: int, call: dict[str, Any]) -> Row:
    talk = call["talk"]
    payer = (talk.invitation_id, talk.user_id, talk.pk)
    state = HoldState.HELD if number % 300_000 == 9 else HoldState.SETTLED
    state = HoldState.RELEASED if number % 100 == 7 else state
    tokens, end = (call["input"] + 400, 400), None if state == HoldState.HELD else call["at"]
    life = (state.value, call["at"], end)
    return (key_of(number), *payer, call["stream"], call["model"], *tokens, *life)


LOG: Final = (
    *("id", "user_id", "invitation_id", "session", "scenario_id", "model", "stream_type"),
    *("input_tokens", "output_tokens", "cache_write_tokens", "cache_read_tokens"),
    *("is_estimate", "stop_reason", "first_token_ms", "duration_ms", "hold_id", "timestamp"),
)


def log(number: int, call: dict[str, Any]) -> Row:
    talk = call["talk"]
    whose = (talk.user_id, talk.invitation_id, talk.pk, talk.scenario_id)
    counts = (call["input"], call["output"], 0, call["cached"], call["estimate"])
    end = ("end_turn", 400, 2500, key_of(number), call["at"])
    return (key_of(number), *whose, call["model"], call["stream"], *counts, *end)


MESSAGE: Final = (
    *("session", "role", "kind", "content", "status", "failure", "timestamp", "restarts"),
    *("begin_again", "lease_owner"),
)


def message(number: int, call: dict[str, Any]) -> Row:
    role = MessageRole.PARTNER if call["stream"] == "partner" else MessageRole.COACH
    kind = {"partner": Kind.TURN, "coach": Kind.NOTE, "debrief": Kind.DEBRIEF}[call["stream"]]
    said = (role.value, kind.value, LINES[role], "complete", "")
    return (call["talk"].pk, *said, call["at"], 0, False, "")


TABLES: Final = ((Hold, HOLD, hold), (UsageLog, LOG, log), (Message, MESSAGE, message))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
