"""A script: the stock of lines one persona, and the coach beside it, may say."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from conversations.understudy.moves import Move, Said

STAGES = ("opening", "hard", "neutral", "soft", "giving_way")


@dataclass(frozen=True, slots=True)
class Topic:
    """What somebody has to say about one subject, and how when they are angry."""

    words: tuple[str, ...]
    lines: tuple[str, ...]
    hard: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """Lines by stage, by the learner's move and by subject, with the coach's material."""

    stages: Mapping[str, tuple[str, ...]]
    answers: Mapping[str, tuple[str, ...]]
    topics: tuple[Topic, ...]
    softens: frozenset[str]
    hardens: frozenset[str]
    facts: tuple[str, ...]
    called: str
    coach: Mapping[str, tuple[str, ...]]
    tries: Mapping[str, tuple[str, ...]]

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Self:
        """Build a script from plain data, for instance a parsed TOML table.

        Args:
            data: any of the stages ``opening hard neutral soft giving_way`` as lists of lines,
                ``answers`` (move to lines), ``topics``, ``softens``, ``hardens``, ``facts``,
                ``called`` and ``coach`` with its table ``try``. What is missing counts as empty.
        """
        coach = data.get("coach", {})
        return cls(
            stages={stage: tuple(data.get(stage, ())) for stage in STAGES},
            answers={move: tuple(lines) for move, lines in data.get("answers", {}).items()},
            topics=tuple(
                Topic(tuple(t["words"]), tuple(t["lines"]), tuple(t.get("hard", ())))
                for t in data.get("topics", ())
            ),
            softens=frozenset(data.get("softens", ())),
            hardens=frozenset(data.get("hardens", ())),
            facts=tuple(data.get("facts", ())),
            called=data.get("called", ""),
            coach={key: tuple(lines) for key, lines in coach.items() if key != "try"},
            tries={key: tuple(lines) for key, lines in coach.get("try", {}).items()},
        )


@cache
def generic() -> Script:
    """The script of somebody nobody has written lines for."""
    return Script.from_mapping(stock("generic"))


def stock(name: str) -> dict[str, Any]:
    """The data of a stock file of this package, ``generic`` or ``notes``."""
    return tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8"))


def fresh(lines: Iterable[str], said: Sequence[str]) -> str | None:
    """The first line that was not said yet; None when there is none left."""
    return next((line for line in lines if not any(was_said(line, text) for text in said)), None)


def was_said(line: str, text: str) -> bool:
    """Whether an earlier turn is this line: whole, cut off, or with a quotation filled in."""
    text = text.strip()
    if line in text:
        return True
    if "{quote}" in line:
        before, _, after = line.partition("{quote}")
        return before in text and after in text
    return len(text) >= 12 and line.startswith(text)


def mirror(said: Said) -> str:
    """The learner's own words, if they are few and plain enough to be said back; else empty."""
    sentence = said.sentence.rstrip(" .!?…")
    plain = re.fullmatch(r"[A-Za-z',’ -]{6,48}", sentence)
    echoes = plain and said.move in (Move.STATEMENT, Move.SPECIFIC, Move.I_STATEMENT, Move.FEELING)
    return sentence if echoes and 2 <= len(sentence.split()) <= 7 else ""
