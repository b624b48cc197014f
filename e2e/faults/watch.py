"""The promises, checked from outside: by triggers, by sampling, and by counting at the end."""

import json
import sqlite3
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from e2e.faults.page import Page

SAMPLE_EVERY = 0.05
# Seconds that a hold may outlive the reply that it was for, within which a process ends it.
GRACE = 2.0

# What no statement may do at any time, noted by the database itself. A row that has ended is
# not rewritten; a budget is not overspent.
SQLITE_TRIGGERS = """
CREATE TABLE faults_audit (what text, detail text);
CREATE TRIGGER faults_terminal AFTER UPDATE ON conversations_message
WHEN OLD.status <> 'streaming' AND (OLD.status, OLD.content, OLD.failure, OLD.finished_at)
  IS NOT (NEW.status, NEW.content, NEW.failure, NEW.finished_at)
BEGIN
  INSERT INTO faults_audit VALUES ('rewritten',
    'message ' || OLD.id || ': ' || OLD.status || ' to ' || NEW.status);
END;
CREATE TRIGGER faults_deleted AFTER DELETE ON conversations_message
BEGIN INSERT INTO faults_audit VALUES ('deleted', 'message ' || OLD.id); END;
CREATE TRIGGER faults_spent AFTER UPDATE ON invitations_invitation
WHEN (NEW.usage->>'input_tokens') + (NEW.usage->>'output_tokens') + (NEW.usage->>'held_tokens')
  > (NEW.quota->>'tokens')
BEGIN INSERT INTO faults_audit VALUES ('overspent', NEW.id || ': ' || NEW.usage); END;
"""
POSTGRESQL_TRIGGERS = """
CREATE TABLE faults_audit (what text, detail text);
CREATE FUNCTION faults_message() RETURNS trigger AS $$ BEGIN
  IF TG_OP = 'DELETE' THEN
    INSERT INTO faults_audit VALUES ('deleted', 'message ' || OLD.id);
  ELSIF OLD.status <> 'streaming' AND (OLD.status, OLD.content, OLD.failure, OLD.finished_at)
      IS DISTINCT FROM (NEW.status, NEW.content, NEW.failure, NEW.finished_at) THEN
    INSERT INTO faults_audit VALUES ('rewritten',
      'message ' || OLD.id || ': ' || OLD.status || ' to ' || NEW.status);
  END IF;
  RETURN NULL;
END $$ LANGUAGE plpgsql;
CREATE TRIGGER faults_message AFTER UPDATE OR DELETE ON conversations_message
  FOR EACH ROW EXECUTE FUNCTION faults_message();
CREATE FUNCTION faults_spent() RETURNS trigger AS $$ BEGIN
  IF (NEW.usage->>'input_tokens')::bigint + (NEW.usage->>'output_tokens')::bigint
      + (NEW.usage->>'held_tokens')::bigint > (NEW.quota->>'tokens')::bigint THEN
    INSERT INTO faults_audit VALUES ('overspent', NEW.id || ': ' || NEW.usage::text);
  END IF;
  RETURN NULL;
END $$ LANGUAGE plpgsql;
CREATE TRIGGER faults_spent AFTER UPDATE ON invitations_invitation
  FOR EACH ROW EXECUTE FUNCTION faults_spent();
"""
OVERSPENT = """
SELECT id, usage, quota FROM invitations_invitation
WHERE CAST(usage->>'input_tokens' AS bigint) + CAST(usage->>'output_tokens' AS bigint)
  + CAST(usage->>'held_tokens' AS bigint) > CAST(quota->>'tokens' AS bigint)
"""
ORPHANED = """
SELECT hold.id FROM usage_hold hold LEFT JOIN conversations_message reply
  ON reply.hold_id = hold.id AND reply.status = 'streaming'
WHERE hold.state = 'held' AND reply.id IS NULL
"""


AWAY_AT_MOST = 20.0


class Unavailable(Exception):
    """The database does not answer just now."""


class Database:
    """A line of the harness's own to the site's database, for reading."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: Any = None
        self._lock = threading.Lock()

    @property
    def is_postgresql(self) -> bool:
        return self.url.startswith("postgres")

    def _connect(self) -> Any:
        if self.is_postgresql:
            import psycopg

            return psycopg.connect(self.url, autocommit=True, connect_timeout=2)
        connection = sqlite3.connect(
            self.url.removeprefix("sqlite://"), isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA busy_timeout = 10000")
        return connection

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement, tried again for a while where the database was away."""
        deadline = time.monotonic() + AWAY_AT_MOST
        while True:
            try:
                return self.rows_now(statement)
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def rows_now(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement without parameters. Raises `Unavailable`."""
        with self._lock:
            try:
                self._connection = self._connection or self._connect()
                found = self._connection.execute(statement)
                return found.fetchall() if found.description else []
            except Exception as error:
                if isinstance(error, sqlite3.Error) or "psycopg" in type(error).__module__:
                    self._connection = None
                    raise Unavailable(str(error)) from error
                raise

    def execute(self, script: str) -> None:
        """Run statements."""
        if self.is_postgresql:
            self.rows(script)
        else:
            with self._lock:
                self._connection = self._connection or self._connect()
                self._connection.executescript(script)

    def install_triggers(self) -> None:
        self.execute(POSTGRESQL_TRIGGERS if self.is_postgresql else SQLITE_TRIGGERS)


class Sampler(threading.Thread):
    """Looks at the budgets and holds many times a second."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.database = Database(url)
        self.samples = 0
        self.problems: list[str] = []
        self._orphans: dict[str, float] = {}
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(SAMPLE_EVERY):
            try:
                self._look()
            except Unavailable:
                # Nobody can end a hold while the database is away.
                self._orphans.clear()
                continue
            self.samples += 1

    def _look(self) -> None:
        for row in self.database.rows_now(OVERSPENT):
            self.problems.append(f"overspent: {row}")
        if self.samples % 10:
            return
        now = time.monotonic()
        orphans = {row[0] for row in self.database.rows_now(ORPHANED)}
        self._orphans = {pk: self._orphans.get(pk, now) for pk in orphans}
        for pk, since in self._orphans.items():
            if now - since > GRACE:
                self.problems.append(f"hold {pk} outlives its reply")
                self._orphans[pk] = now + 3600

    def stop(self) -> None:
        self._over.set()
        self.join()


@dataclass(slots=True)
class Figures:
    """What a run comes to; all but the last line should be plain."""

    turns_sent: int = 0
    accepted: int = 0
    refused: int = 0
    lost: int = 0
    doubled: int = 0
    rewritten: int = 0
    overspent: int = 0
    unlogged: int = 0
    replies: int = 0
    restarted: int = 0
    calls: int = 0
    samples: int = 0
    longest_gap: float = 0.0

    def __str__(self) -> str:
        return (
            f"turns sent {self.turns_sent}, accepted {self.accepted}, refused {self.refused}, "
            f"lost {self.lost}, doubled {self.doubled}\n"
            f"replies {self.replies}, begun again by themselves {self.restarted}, "
            f"ended rows rewritten {self.rewritten}\n"
            f"model calls {self.calls}, not logged once {self.unlogged}, overspent "
            f"{self.overspent} (in {self.samples} samples)\n"
            f"longest time a page was out of step {self.longest_gap:.1f} s"
        )


def brief(text: object) -> str:
    """So much of a text as tells it from others."""
    shown = repr(text)
    return shown if len(shown) < 120 else f"{shown[:60]}…{shown[-40:]} ({len(shown)})"


class Auditor:
    """Counts, once all is quiet, what became of what was sent."""

    def __init__(self, database: Database, pages: Iterable[Page], ledger: list[dict[str, Any]]):
        self.database = database
        self.pages = list(pages)
        self.conversations = {page.conversation for page in self.pages}
        self.ledger = ledger
        self.problems: list[str] = []
        self.figures = Figures()
        ids = self.ids = ", ".join(map(str, self.conversations)) or "0"
        names = ["id", "session_id", "role", "kind", "status", "content", "client_id", "restarts"]
        names += ["parent_id", "hold_id", "failure"]
        self.messages = {
            row[0]: dict(zip(names, row, strict=True))
            for row in database.rows(
                f"SELECT {', '.join(names)} FROM conversations_message"
                f" WHERE session_id IN ({ids}) ORDER BY id"
            )
        }
        for row in self.messages.values():
            row["client_id"] = str(row["client_id"]).replace("-", "") if row["client_id"] else None
        names = ["session_id", "stream_type", "input_tokens", "output_tokens", "is_estimate"]
        names += ["hold_id", "stop_reason"]
        self.logs = [
            dict(zip(names, row, strict=True))
            for row in database.rows(
                f"SELECT {', '.join(names)} FROM usage_usagelog WHERE session_id IN ({ids})"
            )
        ]

    def check(self) -> "Auditor":
        self._sending()
        self._replies()
        self._pages()
        self._calls()
        self._purses()
        for what, detail in self.database.rows("SELECT what, detail FROM faults_audit"):
            self.problems.append(f"{what}: {detail}")
            self.figures.rewritten += what == "rewritten"
            self.figures.overspent += what == "overspent"
        absences = [absence for page in self.pages for absence in page.presence.absences]
        self.figures.longest_gap = max((one.seconds for one in absences), default=0.0)
        return self

    def _sending(self) -> None:
        """Accepted means stored; what was sent again is one message."""
        stored = {row["client_id"]: row for row in self.messages.values() if row["client_id"]}
        said = Counter(row["content"] for row in self.messages.values() if row["role"] == "user")
        texts: dict[str, str] = {}
        for page in self.pages:
            self.problems += [f"page of {page.conversation}: {what}" for what in page.problems]
            texts |= page.sent
            for client_id, message in page.accepted.items():
                if client_id not in page.sent:
                    continue
                row = stored.get(client_id.replace("-", ""))
                if row is None or row["content"] != page.sent[client_id] or row["id"] != message:
                    self.figures.lost += 1
                    self.problems.append(f"lost: {client_id}, accepted as {message}, is {row}")
            for client_id in page.outbox:
                self.problems.append(f"never answered: {client_id} ({page.sent[client_id]!r})")
            self.figures.accepted += len(page.accepted.keys() & page.sent.keys())
            self.figures.refused += len(page.withdrawn)
        self.figures.turns_sent = len(texts)
        for text, count in said.items():
            if count > 1:
                self.figures.doubled += 1
                self.problems.append(f"doubled: {count} times {text!r}")

    def _replies(self) -> None:
        """Every reply has ended, and what was lost of the partner's began again, once."""
        answers: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for row in self.messages.values():
            if row["role"] == "user":
                continue
            self.figures.replies += 1
            self.figures.restarted += row["restarts"]
            if row["status"] == "streaming":
                self.problems.append(f"still streaming: {row}")
            if row["role"] == "partner" and row["parent_id"]:
                answers[row["parent_id"]].append(row)
            if row["restarts"] > 1:
                self.problems.append(f"begun again more than once: {row}")
        for row in self.messages.values():
            if row["role"] == "user" and row["kind"] == "turn" and row["id"] not in answers:
                self.problems.append(f"message {row['id']} was never answered")

    def _pages(self) -> None:
        """What each page shows is what the database holds."""
        for page in self.pages:
            if not page.in_step:
                self.problems.append(f"a page of {page.conversation} never came back")
                continue
            rows = {
                pk: row
                for pk, row in self.messages.items()
                if row["session_id"] == page.conversation
            }
            if missing := rows.keys() - page.turns.keys():
                self.problems.append(f"a page of {page.conversation} lacks {sorted(missing)}")
            for pk, turn in page.turns.items():
                row = rows.get(pk)
                if row is None:
                    self.problems.append(f"a page of {page.conversation} shows {pk}, which is not")
                    continue
                if turn.status != row["status"] or turn.text.strip() != row["content"].strip():
                    self.problems.append(
                        f"message {pk} is {row['status']} {brief(row['content'])}, a page shows"
                        f" it as {turn.status} {brief(turn.text)}"
                    )
                whole = row["status"] in ("complete", "stopped")
                if whole and not row["content"].startswith(turn.grown):
                    self.problems.append(f"message {pk} grew as {brief(turn.grown)} on a page")

    def _calls(self) -> None:
        """Each call is logged once, for what the provider counted, or more where none knows."""
        holds = Counter(log["hold_id"] for log in self.logs)
        self.problems += [f"logged twice: hold {pk}" for pk, n in holds.items() if n > 1]
        billed: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
        for call in self.ledger:
            if call["conversation"] in self.conversations and call["answered"]:
                billed[call["conversation"], call["stream"]].append(call)
        logged: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
        for log in self.logs:
            stream = "partner" if log["stream_type"] == "partner" else "coach"
            logged[log["session_id"], stream].append(log)
        self.figures.calls = sum(map(len, billed.values()))
        for key in billed.keys() | logged.keys():
            self._match(key, billed[key], logged[key])

    def _match(
        self, key: tuple[int, str], calls: list[dict[str, Any]], logs: list[dict[str, Any]]
    ) -> None:
        exact = Counter(
            (log["input_tokens"], log["output_tokens"])
            for log in logs
            if not log["is_estimate"] and log["input_tokens"] + log["output_tokens"]
        )
        rest = []
        for call in calls:
            counted = (call["input"], call["chunks_sent"])
            if exact[counted]:
                exact[counted] -= 1
            else:
                rest.append(counted)
        charged = sorted(
            log["input_tokens"] + log["output_tokens"] for log in logs if log["is_estimate"]
        )
        self.problems += [
            f"{key} was charged {counts}, which the provider never counted"
            for counts in exact.elements()
        ]
        for counts in sorted(rest, key=sum):
            enough = next((charge for charge in charged if charge >= sum(counts)), None)
            if enough is None:
                self.figures.unlogged += 1
                self.problems.append(f"{key}: a call of {counts} is not logged; left {charged}")
            else:
                charged.remove(enough)

    def _purses(self) -> None:
        """No tokens are held any more, and what was settled is what was logged."""
        held = self.database.rows(
            f"SELECT count(*) FROM usage_hold WHERE state = 'held' AND session_id IN ({self.ids})"
        )[0][0]
        if held:
            self.problems.append(f"{held} holds are left")
        spent: Counter[str] = Counter()
        for pk, total in self.database.rows(
            "SELECT invitation_id, sum(input_tokens + output_tokens) FROM usage_usagelog"
            " WHERE invitation_id IS NOT NULL GROUP BY invitation_id"
        ):
            spent[pk] = int(total)
        for pk, usage in self.database.rows(
            "SELECT id, usage FROM invitations_invitation WHERE id IN (SELECT invitation_id"
            f" FROM conversations_conversationsession WHERE id IN ({self.ids}))"
        ):
            counts = json.loads(usage) if isinstance(usage, str) else usage
            settled = counts.get("input_tokens", 0) + counts.get("output_tokens", 0)
            if counts.get("held_tokens", 0) or settled != spent[pk]:
                self.problems.append(f"invitation {pk} has {counts}, its log {spent[pk]}")
