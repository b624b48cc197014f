"""The partner's part: a temper replayed from the learner's turns, and the line that fits it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from conversations.understudy.moves import HOT, WARM, Move, Reading, mentions, read
from conversations.understudy.script import STAGES, Script, Topic, fresh, generic, mirror, was_said

OPENING_CUE = "(The conversation begins. You speak first.)"
WEIGHTS = {
    Move.FEELING: 2,
    Move.APOLOGISED: 1,
    Move.SPECIFIC: 1,
    Move.I_STATEMENT: 1,
    Move.OPEN_QUESTION: 1,
    Move.PROPOSAL: 1,
    Move.ORDERED: -1,
    Move.ACCUSED: -2,
    Move.THREATENED: -3,
}
COLDEST, WARMEST = -5, 9
HARD_AT, SOFT_AT, GIVING_AT = -2, 3, 8
# Nobody gives way before they have said what it is about.
OPENED_UP = 3


class Stage(StrEnum):
    """How far somebody has come, from closed to ready to move."""

    HARD = "hard"
    NEUTRAL = "neutral"
    SOFT = "soft"
    GIVING_WAY = "giving_way"


@dataclass(frozen=True, slots=True)
class Temper:
    """Where the learner's turns have brought the partner: a warmth and what earned it."""

    warmth: int
    earned: frozenset[Move]
    turns: int
    touched: bool

    @property
    def stage(self) -> Stage:
        """The stage this temper amounts to.

        Giving way takes more than warmth: at least five turns, three different things done
        well, and one of those that soften this person in particular.
        """
        if self.warmth <= HARD_AT:
            return Stage.HARD
        if self.warmth < SOFT_AT:
            return Stage.NEUTRAL
        ready = self.turns >= 5 and len(self.earned) >= 3 and self.touched
        return Stage.GIVING_WAY if ready and self.warmth >= GIVING_AT else Stage.SOFT


def feel(readings: Sequence[Reading], script: Script) -> Temper:
    """Replay the learner's turns; the same turns always give the same temper.

    Saying the same words again earns nothing, and the same kind of line three times running
    earns less each time.
    """
    warmth, heard = -1, set[str]()
    earned: set[Move] = set()
    runs: dict[Move, int] = {}
    for reading in readings:
        moves = reading.moves
        hot = [move for move in moves if move in HOT]
        runs = {move: runs.get(move, 0) + 1 for move in moves}
        words = " ".join(reading.text.lower().split())
        if hot:
            warmth += min(WEIGHTS[m] - (m in script.hardens) for m in hot)
        elif words not in heard:
            gains = [
                max(0, WEIGHTS[m] + (m in script.softens) - (runs[m] - 1))
                for m in moves
                if m in WARM
            ]
            warmth += min(3, sum(gains)) - any(m in script.hardens for m in moves)
            earned.update(m for m in moves if m in WARM)
        heard.add(words)
        warmth = max(COLDEST, min(WARMEST, warmth))
    touched = not script.softens or bool(earned & script.softens)
    return Temper(warmth, frozenset(earned), len(readings), touched)


def reply(script: Script, learner: Sequence[str], said: Sequence[str]) -> str:
    """The partner's next line.

    Args:
        script: whose lines to speak.
        learner: the learner's turns so far, the opening cue left out; none means to open.
        said: the partner's own turns so far, which are not repeated while there is another.
    """
    if not learner:
        return _choose([script.stages["opening"], generic().stages["opening"]], said, "")
    readings = [read(text, script.facts) for text in learner]
    temper = feel(readings, script)
    last = readings[-1]
    chain = [
        *_first_reply(script, last, said),
        *_lines(script, last, temper, said),
        *_lines(generic(), last, temper, said),
        *(own.stages[stage] for own in (script, generic()) for stage in _near(temper.stage)),
    ]
    return _choose(chain, said, mirror(last.main))


def _first_reply(script: Script, last: Reading, said: Sequence[str]) -> list[Sequence[str]]:
    bland = last.main.move in (Move.GREETING, Move.SHORT)
    return [script.stages["opening"]] if bland and not said else []


def _lines(
    script: Script, last: Reading, temper: Temper, said: Sequence[str]
) -> list[Sequence[str]]:
    """The lists to try, best first, for the learner's last message."""
    move, stage = last.main.move, temper.stage
    stages = script.stages
    if move is Move.FAREWELL and stage in (Stage.SOFT, Stage.GIVING_WAY):
        return [script.answers.get("farewell_warm", ())]
    answers = script.answers.get(move, ())
    if move is Move.OUT_OF_ROLE or (move is Move.THREATENED):
        return [answers, stages["hard"]]
    topics = _topics(script, last.text)
    if move in HOT or stage is Stage.HARD:
        angry = [topic.hard for topic in topics]
        if move in HOT:
            return [*angry, answers, stages["hard"]]
        return [*angry, answers, *(topic.lines for topic in topics), stages["hard"]]
    about = [topic.lines for topic in topics]
    if stage is Stage.GIVING_WAY and move in WARM and move is not Move.OPEN_QUESTION:
        opened = sum(any(was_said(line, text) for text in said) for line in stages["soft"])
        order = ("giving_way", "soft") if opened >= OPENED_UP else ("soft", "giving_way")
        told = [stages[name] for name in order]
        return [*about, *told, answers] if move is Move.SPECIFIC else [*told, *about, answers]
    if move is Move.PROPOSAL:
        return [answers, *about, stages[stage]]
    if move is Move.OFF_TOPIC and not about:
        return [answers, stages["neutral"]]
    if stage is Stage.SOFT and move in WARM and temper.turns % 2:
        return [*about, stages["soft"], answers]
    return [*about, answers, stages[stage]]


def _topics(script: Script, text: str) -> list[Topic]:
    """The subjects a message touches, the longest phrase that matched first."""
    hits = [
        (max((len(word) for word in topic.words if mentions(text, (word,))), default=0), topic)
        for topic in script.topics
    ]
    return [topic for length, topic in sorted(hits, key=lambda hit: -hit[0]) if length]


def _near(stage: Stage) -> Sequence[str]:
    order = {
        Stage.HARD: ("hard", "neutral"),
        Stage.NEUTRAL: ("neutral", "hard", "soft"),
        Stage.SOFT: ("soft", "neutral"),
        Stage.GIVING_WAY: ("giving_way", "soft", "neutral"),
    }[stage]
    return [*order, *(s for s in STAGES if s not in order and s != "opening")]


def _choose(chain: Sequence[Sequence[str]], said: Sequence[str], echo: str) -> str:
    lines = [line for lines in chain for line in lines if echo or "{quote}" not in line]
    line = fresh(lines, said)
    if line is None:
        # Everything was said once: take what was said longest ago.
        line = min(lines, key=lambda known: _last_said(known, said))
    return line.replace("{quote}", echo)


def _last_said(line: str, said: Sequence[str]) -> int:
    return max((i for i, text in enumerate(said) if was_said(line, text)), default=-1)
