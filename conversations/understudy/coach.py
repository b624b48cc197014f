"""The coach's part: a note on a line, an answer to a private question, a look back at the end."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from conversations.understudy.moves import HOT, WARM, Move, Reading, Said, quote, read
from conversations.understudy.partner import WEIGHTS, Stage, feel
from conversations.understudy.script import Script, fresh, generic, stock

_BLOCK = re.compile(r"<(exchange|opening|question|debrief)>(.*?)</\1>", re.DOTALL)
_LEARNER = re.compile(r"<learner>(.*?)</learner>", re.DOTALL)
_QUESTIONS = (
    ("progress", r"\bhow (?:am|did|was) i\b|\bam i (?:doing|being|too)|\bdid i\b|\bwas that\b"),
    (
        "stuck",
        r"\bwhat (?:should|can|could|do|would|shall|else) i (?:say|do|answer|reply|try)"
        r"(?! (?:if|first|to (?:start|begin|open|end|close|finish)))",
    ),
    ("whatif", r"\bwhat (?:if|do i do if|should i do if|happens if|when)\b|\bif (?:he|she|they)\b"),
    ("close", r"\b(?:end|close|finish|wrap|conclude|agreement|next step)\b"),
    ("why", r"\bwhy\b|\bbehind\b|\bwhat(?:'s| is) (?:going on|wrong|up) with\b|\breally want"),
    ("start", r"\b(?:start|begin|open with|first (?:line|sentence|thing)|opening)\b"),
    ("should", r"\b(?:should|can|may|could|must) i\b|\bis it (?:ok|okay|all right|wise)\b"),
)


@dataclass(frozen=True, slots=True)
class Block:
    """One tagged piece of a request to the coach, its text as it was before escaping."""

    kind: str
    text: str


def blocks(text: str) -> list[Block]:
    """The blocks of one user turn, in order; an exchange's text is the learner's line in it."""
    found = []
    for kind, inner in _BLOCK.findall(text):
        if kind == "exchange":
            inner = "\n".join(_LEARNER.findall(inner))
        found.append(Block(kind, html.unescape(inner).strip()))
    return found


def advise(script: Script, name: str, turns: Sequence[str], notes: Sequence[str]) -> str:
    """What the coach says next.

    Args:
        script: the scenario's script, for alternatives that fit it.
        name: what to call the partner.
        turns: the user turns of the request, each with its blocks.
        notes: the coach's own earlier turns, whose phrases are not used again while others last.
    """
    seen = [block for turn in turns for block in blocks(turn)]
    desk = _Desk(
        script, name, notes, [read(b.text, script.facts) for b in seen if b.kind == "exchange"]
    )
    last = (
        (blocks(turns[-1]) or [Block("question", turns[-1])])[-1] if turns else Block("opening", "")
    )
    if last.kind == "debrief":
        return desk.look_back()
    if last.kind == "question":
        return desk.answer(last.text)
    if last.kind == "opening" or not desk.readings:
        return desk.advice("start")
    return desk.note(desk.readings[-1])


@cache
def _stock() -> dict[str, Any]:
    return stock("notes")


class _Desk:
    """The coach at work on one request: the phrases it has, and those it has used."""

    def __init__(
        self, script: Script, name: str, notes: Sequence[str], readings: Sequence[Reading]
    ) -> None:
        self.script, self.name, self.readings = script, script.called or name, readings
        self.notes = list(notes)

    def note(self, reading: Reading) -> str:
        """Three sentences about one line: what it does, why, and another line to try."""
        said, stocked = reading.main, _stock()
        warm = said.move in WARM
        piece = quote(said)
        what = stocked["what"][said.move] if piece else stocked["empty"]
        own = self.script.coach.get("hot" if said.move in HOT else "warm", ())
        why = _turned([*stocked["why"][said.move]], len(self.notes))
        if own and said.move in HOT | WARM and len(self.notes) % 2 == 0:
            why = [*own, *why]
        elif said.move in HOT | WARM:
            why = [*why, *own]
        lead = stocked["further" if warm or said.move is Move.GREETING else "lead"]
        return " ".join(
            (
                self._say(_turned(what, len(self.notes)), quote=piece),
                self._say(why),
                self._say(_turned(lead, len(self.notes)), line=self._line(self._kinds(said.move))),
            )
        )

    def answer(self, question: str) -> str:
        """A concrete suggestion for what the learner asked in private."""
        low = question[:2000].lower().replace("’", "'")
        kind = next((kind for kind, pattern in _QUESTIONS if re.search(pattern, low)), "stuck")
        if kind == "progress":
            return self._progress()
        if kind in ("should", "whatif"):
            line = self._line(("open_question", "i_statement"))
            tail = self._say(_turned(_stock()["lead"], len(self.notes)), line=line)
            return f"{self._say(_stock()[kind])} {tail}"
        if kind == "stuck" and not self.readings:
            kind = "start"
        return self.advice(kind)

    def advice(self, kind: str) -> str:
        """A piece of advice of this kind (``start why stuck close``) that was not given yet."""
        return self._say([*self.script.coach.get(kind, ()), *generic().coach[kind]])

    def look_back(self) -> str:
        """The end of a conversation: two things that went well and two to try next."""
        well = [*self._well(), *_stock()["fill"]["well"]][:2]
        again = [*self._next(), *self._missing(), *_stock()["fill"]["next"]][:2]
        points = [
            "What went well:",
            *(f"- {point}" for point in well),
            "",
            "What to try next:",
            *(f"- {point}" for point in again),
        ]
        return "\n".join(points)

    def _progress(self) -> str:
        stocked = _stock()
        best, worst = self._ranked(WARM), self._ranked(HOT)
        parts = []
        for found, key in ((best[:1], "progress_good"), (worst[-1:], "progress_bad")):
            for said in found:
                label = stocked["labels"][said.move]
                parts.append(self._say(stocked[key], quote=quote(said), label=label))
        parts = parts or [self._say(stocked["progress_none"])]
        kinds = ("open_question", "feeling") if worst or not best else ("close", "i_statement")
        return " ".join((*parts, self._say(stocked["lead"], line=self._line(kinds))))

    def _well(self) -> list[str]:
        texts = _stock()["well"]
        good = self._ranked(WARM)
        good += [s for s in self._noted() if s.move in texts and s.move not in WARM and quote(s)]
        varied = list({said.move: said for said in reversed(good)}.values())[::-1]
        rest = [said for said in good if said not in varied]
        return list(
            dict.fromkeys(texts[s.move].replace("{quote}", quote(s)) for s in varied + rest)
        )

    def _next(self) -> list[str]:
        texts = _stock()["next"]
        weak = [said for said in self._noted() if said.move in texts and quote(said)]
        # The stings first, and of each kind the latest.
        weak.sort(key=lambda said: WEIGHTS.get(said.move, 0))
        varied = {said.move: said for said in weak}.values()
        return [
            self._fill(
                texts[said.move],
                quote=quote(said),
                line=self._example(_stock()["tries"][said.move][0]),
            )
            for said in list(varied)[:2]
        ]

    def _missing(self) -> list[str]:
        done: set[str] = {said.move for said in self._all()}
        done |= {"close"} if Move.PROPOSAL in done else set()
        return [
            self._fill(text, line=self._example(kind))
            for kind, text in _stock()["missing"].items()
            if kind not in done
        ]

    def _all(self) -> list[Said]:
        return [said for reading in self.readings for said in reading.said]

    def _noted(self) -> list[Said]:
        """Of each line the sentence its note was about, so that no line gets a second name."""
        return [reading.main for reading in self.readings]

    def _ranked(self, moves: frozenset[Move]) -> list[Said]:
        """The learner's lines with these moves, the strongest first, of equals the latest."""
        found = [said for said in self._noted() if said.move in moves and quote(said)]
        found.reverse()
        found.sort(key=lambda s: -WEIGHTS.get(s.move, 0))
        return found

    def _kinds(self, move: Move) -> Sequence[str]:
        kinds: list[str] = _stock()["tries"][move]
        stage = feel(self.readings, self.script).stage
        late = stage is Stage.GIVING_WAY and len(self.readings) > 7
        return ["close", *kinds] if late and move in WARM else kinds

    def _example(self, kind: str) -> str:
        """A line of exactly this kind, a new one if there is any."""
        lines = [line for s in (self.script, generic()) for line in s.tries.get(kind, ())]
        line = fresh(lines, self.notes) or lines[0]
        self.notes.append(line)
        return line

    def _line(self, kinds: Sequence[str]) -> str:
        """An alternative line of one of these kinds that was not suggested yet."""
        turned = _turned(kinds, len(self.notes)) if "close" not in kinds else kinds
        pools = [
            *turned,
            *(k for k in ("open_question", "feeling", "i_statement") if k not in kinds),
        ]
        lines = [
            line for s in (self.script, generic()) for k in pools for line in s.tries.get(k, ())
        ]
        line = fresh(lines, self.notes) or _turned(lines, len(self.notes))[0]
        self.notes.append(line)
        return line

    def _say(self, choices: Sequence[str], **words: str) -> str:
        used = [_bare(note) for note in self.notes]
        named = [self._fill(choice) for choice in choices]
        index = next(
            (i for i, choice in enumerate(named) if not _used(choice, used)),
            len(self.notes) % len(named),
        )
        return self._fill(choices[index], **words)

    def _fill(self, text: str, **words: str) -> str:
        filled = text.replace("{name}", self.name)
        for key, word in words.items():
            filled = filled.replace(f"{{{key}}}", word)
        return filled[:1].upper() + filled[1:]


def _used(choice: str, notes: Sequence[str]) -> bool:
    parts = [part for part in re.split(r"\{\w+\}", choice) if part.strip(" “”.,:")]
    return any(all(part in note for part in parts) for note in notes)


def _bare(note: str) -> str:
    return " ".join(note.split())


def _turned[T](items: Sequence[T], by: int) -> list[T]:
    """The items from another starting point, so that notes in a row begin differently."""
    at = by % len(items) if items else 0
    return [*items[at:], *items[:at]]
