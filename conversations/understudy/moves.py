"""What a learner did with a line: asked, acknowledged, accused, gave in, and so on.

English only, by plain patterns: the stand-in must be quick, predictable and offline, not clever.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from conversations.understudy.patterns import FAINT, HOT, PATTERNS, WARM, Move

# Reading stops here, so that a pasted book costs no more than a long message.
READ_CHARACTERS = 2_000
READ_SENTENCES = 40


__all__ = ["HOT", "WARM", "Move", "Reading", "Said", "mentions", "quote", "read"]

_WH = re.compile(r"\b(?:what|how|why)\b")
# “I'm not saying you never listen” is no accusation.
_DENIED = re.compile(
    r"\b(?:not|n't|never) (?:think|thinking|say|saying|mean|meaning|believe|blame|blaming"
    r"|accus\w+)\b|\bnot your fault\b|\b(?:isn't|wasn't|n't) (?:all )?your fault\b"
)
# “It's not my fault” is a defence and no apology; this is about what comes before the words.
_DEFENDED = re.compile(
    r"(?:\b(?:not|never|hardly|nobody|no one|(?:how|why) (?:is|was|would))|n't)\b"
    r"(?:(?!\b(?:but|and|because)\b)[^.,;:!?]){0,40}$"
)
# A full stop ends a sentence, though not the one in “Dr. Weber”.
_BREAK = re.compile(
    r"(?<!\bDr\.)(?<!\bMr\.)(?<!\bMs\.)(?<!\bMrs\.)(?:(?<=[.!?…؟？])|(?<=[.!?…][\"”')]))\s+|\n+"
)
# A quotation that has to be cut is cut before one of these.
_JOINTS = frozenset(
    (
        *("when", "if", "because", "that", "and", "but", "so", "to", "at", "in", "on", "for"),
        *("with", "about", "until", "than", "who", "which", "as", "or", "from", "by", "of"),
        *("where", "while", "though"),
    )
)
# Before one of these, or after a comma, a clause is over and nothing is missing from it.
_CLAUSE_STARTS = frozenset(("when", "if", "because", "but", "until", "while", "though"))
_CLAUSE = re.compile(r"[,;:–—]\s+(?:and |but |so )?|\s(?:and|but)\s")
_QUESTION_ENDS = ("?", "؟", "？")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence of the learner, what it did, and where in it that shows."""

    move: Move
    sentence: str
    start: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """A whole message as the stand-in understands it: its sentences and the one that counts."""

    text: str
    said: tuple[Said, ...]
    main: Said

    @property
    def moves(self) -> tuple[Move, ...]:
        """The different moves in the message, in the order they come."""
        return tuple(dict.fromkeys(said.move for said in self.said))


def read(text: str, facts: Sequence[str] = ()) -> Reading:
    """Classify a learner's message.

    Args:
        text: any text at all; only its first 2,000 characters are read.
        facts: words that make a plain statement a specific fact in this scenario.

    Returns:
        The reading; ``main`` is the sentence a listener would react to: what stings first,
        then the last thing that was asked or offered, and feelings before facts.
    """
    sentences = _sentences(text[:READ_CHARACTERS])
    said = tuple(_classify(sentence, facts) for sentence in sentences[:READ_SENTENCES])
    only = said[0] if len(said) == 1 else None
    if not said:
        main = Said(Move.SHORT, "")
        return Reading(text, (main,), main)
    if only and only.move is Move.STATEMENT and len(only.sentence.split()) <= 3:
        main = Said(Move.SHORT, only.sentence)
        return Reading(text, (main,), main)
    return Reading(text, said, _main(said))


def _main(said: tuple[Said, ...]) -> Said:
    for urgent in (frozenset({Move.OUT_OF_ROLE}), HOT):
        for item in said:
            if item.move in urgent:
                return item
    telling = [item for item in said if item.move not in FAINT]
    if telling and telling[-1].move is Move.SPECIFIC:
        return next((s for s in reversed(telling) if s.move is Move.FEELING), telling[-1])
    if telling:
        return telling[-1]
    plain = [item for item in said if item.move is Move.STATEMENT]
    return plain[-1] if plain else said[0]


def _sentences(text: str) -> list[str]:
    return [found for piece in _BREAK.split(text) if (found := piece.strip())]


def _classify(sentence: str, facts: Sequence[str]) -> Said:
    # Same length, so that positions in the plain copy are positions in the learner's own text.
    plain = _lowered(sentence.replace("’", "'").replace("‘", "'"))
    letters = len(_LETTER.findall(plain))
    if len(_LATIN.findall(plain)) * 2 < letters or not (letters or any(map(str.isdigit, plain))):
        return Said(Move.UNCLEAR, sentence)
    asks = plain.rstrip("\"”')").endswith(_QUESTION_ENDS)
    for move, pattern in PATTERNS:
        if asks and move in (Move.FAREWELL, Move.SPECIFIC, Move.I_STATEMENT):
            continue
        match = pattern.search(plain)
        if move is Move.APOLOGISED:
            match = _meant(pattern, plain)
        if match is None or (move is Move.ACCUSED and _DENIED.search(plain)):
            continue
        if move is Move.CLOSED_QUESTION and asks and _WH.search(plain, match.end()):
            move = Move.OPEN_QUESTION
        elif move is Move.I_STATEMENT and mentions(plain, facts):
            move = Move.SPECIFIC
        return Said(move, sentence, match.start())
    if asks:
        return Said(Move.OPEN_QUESTION if _WH.search(plain) else Move.CLOSED_QUESTION, sentence)
    if mentions(plain, facts):
        return Said(Move.SPECIFIC, sentence)
    return Said(Move.STATEMENT, sentence)


def _meant(pattern: re.Pattern[str], plain: str) -> re.Match[str] | None:
    """The first apology in a sentence that is not taken back by a “not” before it."""
    return next(
        (
            match
            for match in pattern.finditer(plain)
            if not _DEFENDED.search(plain[max(0, match.start() - 50) : match.start()])
        ),
        None,
    )


def mentions(text: str, words: Sequence[str]) -> bool:
    """Whether any of the words or phrases occurs in the text as a whole word, in any case."""
    low = text[:READ_CHARACTERS].replace("’", "'").lower()
    return bool(words) and _any_of(tuple(words)).search(low) is not None


@cache
def _any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)")


def _lowered(text: str) -> str:
    """The text in lower case and as long as before, which `lower` alone does not promise."""
    low = text.lower()
    return low if len(low) == len(text) else "".join(c.lower()[:1] for c in text)


def quote(said: Said, words: int = 8) -> str:
    """A short piece of a sentence exactly as the learner wrote it.

    Args:
        said: the sentence and the place where its move shows.
        words: the most words to take.

    Returns:
        At most that many words and 80 characters, a substring of the sentence without its final
        punctuation, and with “…” after it where it breaks off inside a clause; empty for an
        empty sentence.
    """
    sentence = said.sentence
    start = _start(said, words)
    rest = sentence[start:].lstrip("\"“”'‘ ")
    found = re.match(rf"\S+(?:\s+\S+){{0,{words}}}", rest)
    if found is None:
        return ""
    spans = [match.end() for match in re.finditer(r"\S+", found.group())]
    broken = False
    if len(spans) > words:
        taken = [word.lower() for word in rest.split(maxsplit=words + 1)[: words + 1]]
        ends = [
            i
            for i in range(3, words + 1)
            if taken[i] in _CLAUSE_STARTS or taken[i - 1][-1] in ",;:–—"
        ]
        joints = ends or [i for i in range(3, words + 1) if taken[i] in _JOINTS]
        broken = not ends
        rest = rest[: spans[(joints[-1] if joints else words) - 1]]
    if len(rest) > 80:
        # At the end of a word, unless there is only one.
        rest, broken = rest[: max(rest.rfind(" ", 0, 81), 0) or 80], True
    piece = rest.rstrip(" .,;:!?…\"”'’")
    return f"{piece}…" if piece and broken else piece


def _start(said: Said, words: int) -> int:
    """Where a quotation begins: with the clause in which the move shows, if need be with it."""
    sentence, shown = said.sentence, said.start
    if len(sentence.split()) <= words:
        return 0
    clauses = [match.end() for match in _CLAUSE.finditer(sentence, 0, shown)]
    begin = clauses[-1] if clauses else 0
    if len(sentence[begin:shown].split()) <= words - 4:
        return begin
    # Never begin inside a word.
    return sentence.rfind(" ", 0, shown) + 1
