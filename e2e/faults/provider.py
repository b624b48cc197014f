"""The scripted model server with a ledger, and with moods: random misbehaviour from a seed.

The ledger is what a provider would bill by: of each call whether it was answered, the input it
counted, and the output it had written when the call ended. Learners' texts in these tests name
their conversation (`#c12`), and so the ledger knows whose call it was.
"""

import random
import re
import subprocess
import sys
from typing import Any

from e2e import model_server
from e2e.faults.machines import ROOT, free_port

ALPHABET = "abcdefghijklmnopqrstuvwxyz" * 3 + "äöüßéñçøłžабвгд日本語漢字ひらがな한국어שלוםمرحبا"
ALPHABET += "😀👩\u200d👩\u200d👧🏳️\u200d🌈é&<\"'…–„“"
# What a call may meet in a mood, and how likely that is beside the rest.
MOODS: dict[str, int] = {
    "cut": 3,
    "reset": 2,
    "stall": 1,
    "no_stop": 2,
    "error": 2,
    "empty": 1,
    "refusal": 1,
    "max_tokens": 2,
    "busy": 3,
    "overloaded": 2,
    "broken": 2,
    "no_answer": 1,
    "slow": 1,
    "no_usage": 1,
}


def words(rng: random.Random, count: int) -> list[str]:
    """Text that no two calls share, in chunks, none of it Markdown."""
    text = ["".join(rng.choices(ALPHABET, k=rng.randint(1, 9))) for _ in range(count)]
    return [text[0], *(f" {word}" for word in text[1:])]


def behaviour(rng: random.Random, rate: float, delay: float, most: int) -> dict[str, Any]:
    """What one call meets: whole text, or with the probability `rate` something worse."""
    chunks = words(rng, rng.randint(5, most))
    does: dict[str, Any] = {"chunks": chunks, "delay": rng.uniform(0.2, 1) * delay, "mood": "well"}
    if rng.random() >= rate:
        return does
    mood = rng.choices(list(MOODS), list(MOODS.values()))[0]
    at = rng.randint(0, len(chunks) - 1)
    extra: dict[str, dict[str, Any]] = {
        "cut": {"cut": at},
        "reset": {"cut": at, "reset": True},
        "stall": {"stall": at},
        "no_stop": {"no_stop": at},
        "error": {"error": rng.choice(["overloaded_error", "api_error"]), "error_after": at},
        "empty": {"empty": True},
        "refusal": {"stop_reason": "refusal"},
        "max_tokens": {"stop_reason": "max_tokens"},
        "busy": {"status": 429, "retry_after": rng.choice([0, 1, 3600])},
        "overloaded": {"status": 529},
        "broken": {"status": rng.choice([500, 502, 503])},
        "no_answer": {"no_answer": True, "reset": rng.random() < 0.5},
        "slow": {"header_delay": rng.uniform(1, 8)},
        "no_usage": {"usage": False},
    }
    return does | extra[mood] | {"mood": mood}


class Script(model_server.Script):
    def reset(self) -> None:
        super().reset()
        self.moods: dict[str, Any] | None = None

    def add(self, stream: str, behaviour: dict[str, Any]) -> None:
        if stream == "moods":
            self.moods = behaviour
        else:
            super().add(stream, behaviour)

    def record(self, stream: str, record: dict[str, Any]) -> dict[str, Any]:
        does = super().record(stream, record)
        body = record["body"]
        tags = re.findall(r"#c(\d+)", str(body.get("messages")))
        record["conversation"] = int(tags[-1]) if tags else None
        record["input"] = model_server.weigh(body)
        if self.moods and not does:
            rng = random.Random(f"{self.moods['seed']}/{stream}/{record['n']}")
            options = [self.moods[name] for name in ("rate", "delay", "most")]
            does = behaviour(rng, *options)
            if stream == "count":
                does = {"mood": "well"}
        if "chunks" in does and "max_tokens" in body:
            does["chunks"] = does["chunks"][: body["max_tokens"]]
        # What it took and never answered it bills too, for all that anybody knows.
        record["answered"] = bool(does.get("no_answer"))
        record["mood"] = does.get("mood", "scripted")
        return does


class Handler(model_server.Handler):
    def do_GET(self) -> None:
        if self.path != "/ledger":
            return super().do_GET()
        names = ["stream", "conversation", "mood", "answered", "input", "chunks_sent"]
        names += ["done", "closed_early", "at", "n"]
        with self.script.lock:
            return self.answer(
                200, [{key: r.get(key) for key in names} for r in self.script.records]
            )

    def stream(self, does: dict[str, Any], record: dict[str, Any]) -> None:
        record["answered"] = True
        super().stream(does, record)


class Provider(model_server.ModelServer):
    """The provider as a test holds it."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process = None
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "e2e.faults.provider", str(self.port)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        assert self.process.stdout.readline()

    def moods(self, seed: str, rate: float, delay: float = 0.05, most: int = 60) -> None:
        """From now on, what nothing is scripted for is up to chance."""
        self.script("moods", seed=seed, rate=rate, delay=delay, most=most)

    def ledger(self) -> list[dict[str, Any]]:
        """All calls for text, oldest first."""
        found: list[dict[str, Any]] = self._call("/ledger")
        return [call for call in found if call["stream"] != "count"]


if __name__ == "__main__":
    model_server.Handler.script = Script()
    server = model_server.Server(("127.0.0.1", int(sys.argv[1])), Handler)
    print("ready", flush=True)
    server.serve_forever()
