"""The scenario library: six conversations that come with the product, one TOML file each."""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.core.validators import validate_slug

LIBRARY: Final = Path(__file__).parent / "library"
# In characters. The prompts are sent with every turn.
PARTNER_PROMPT_MOST: Final = 2_600
COACH_PROMPT_MOST: Final = 1_500
# The fields of a scenario that the library fills, in the order they count for the digest.
FIELDS: Final = (
    "name",
    "description",
    "partner_persona",
    "partner_opens",
    "partner_system_prompt",
    "coach_system_prompt",
)
STAGES: Final = ("opening", "hard", "neutral", "soft", "giving_way")
_WORDS: Final = ("softens", "hardens", "facts")
_LINES: Final = (*STAGES, *_WORDS)


class LibraryError(Exception):
    """A file of the library is not as it should be; says which file, which key and what."""


@dataclass(frozen=True)
class LibraryScenario:
    """One scenario as its file has it, with the lines of its stand-in."""

    slug: str
    name: str
    description: str
    partner_persona: str
    partner_opens: bool
    partner_system_prompt: str
    coach_system_prompt: str
    understudy: Mapping[str, Any]

    @property
    def fields(self) -> dict[str, str | bool]:
        """What a row of `Scenario` takes from the library, without the slug."""
        return {name: getattr(self, name) for name in FIELDS}

    @cached_property
    def digest(self) -> str:
        """What `digest` gives for the library's own content."""
        return digest(self)


def digest(scenario: object) -> str:
    """A fingerprint of a scenario's content, to tell whether somebody changed it.

    Args:
        scenario: a `LibraryScenario`, or a row of `Scenario`.

    Returns:
        SHA-256 in hexadecimal, 64 characters, of the fields that the library fills. Line ends
        and outer white space do not count: a browser's form changes them without being asked.
    """
    content = [_plain(getattr(scenario, name)) for name in FIELDS]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def _plain(value: str | bool) -> str | bool:
    return value.replace("\r\n", "\n").strip() if isinstance(value, str) else value


def read_library(folder: Path = LIBRARY) -> list[LibraryScenario]:
    """Every scenario of the library, by slug.

    Raises:
        LibraryError: naming the file and the key, if one is missing, empty, too long, of the
            wrong kind or unknown, or if two files claim the same persona.
    """
    found = [_File(path).scenario() for path in sorted(folder.glob("*.toml"))]
    personas: dict[str, str] = {}
    for scenario in found:
        first = personas.setdefault(scenario.partner_persona, scenario.slug)
        if first != scenario.slug:
            raise LibraryError(
                f"{scenario.slug}.toml: partner_persona: {first}.toml already has"
                f" “{scenario.partner_persona}”."
            )
    return found


def scripts(folder: Path = LIBRARY) -> dict[str, Mapping[str, Any]]:
    """The stand-in's lines by persona.

    Raises:
        LibraryError: as `read_library`.
    """
    return {scenario.partner_persona: scenario.understudy for scenario in read_library(folder)}


class _File:
    """One file while it is being checked; every complaint names the file and the key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.data = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise LibraryError(f"{path.name}: is not valid TOML: {error}") from error

    def scenario(self) -> LibraryScenario:
        known = {"slug", *FIELDS, "understudy"}
        self._refuse_unknown("", self.data, known)
        slug = self._text("slug", 100)
        try:
            validate_slug(slug)
        except ValidationError as error:
            raise self._wrong("slug", "letters, digits and hyphens only") from error
        if slug != self.path.stem:
            raise self._wrong("slug", f"must be the file's name, “{self.path.stem}”")
        opens = self.data.get("partner_opens")
        if not isinstance(opens, bool):
            raise self._wrong("partner_opens", "true or false is required")
        return LibraryScenario(
            slug=slug,
            name=self._text("name", 200),
            description=self._text("description", 1_000),
            partner_persona=self._text("partner_persona", 200),
            partner_opens=opens,
            partner_system_prompt=self._text("partner_system_prompt", PARTNER_PROMPT_MOST),
            coach_system_prompt=self._text("coach_system_prompt", COACH_PROMPT_MOST),
            understudy=self._understudy(),
        )

    def _understudy(self) -> Mapping[str, Any]:
        table = self._table("understudy", self.data.get("understudy"))
        self._refuse_unknown(
            "understudy.", table, {*_LINES, "called", "answers", "topics", "coach"}
        )
        for key in STAGES:
            self._list(f"understudy.{key}", table.get(key))
        for key in _WORDS:
            self._list(f"understudy.{key}", table.get(key, []), empty=True)
        self._lists("understudy.answers", table.get("answers"))
        topics = table.get("topics", [])
        if not isinstance(topics, list):
            raise self._wrong("understudy.topics", "a list of tables is required")
        for number, topic in enumerate(topics, start=1):
            self._lists(f"understudy.topics {number}", topic, {"words", "lines"}, {"hard"})
        coach = self._table("understudy.coach", table.get("coach"))
        self._lists("understudy.coach.try", coach.get("try"))
        self._lists("understudy.coach", {k: v for k, v in coach.items() if k != "try"})
        return table

    def _lists(
        self,
        key: str,
        value: object,
        needed: Iterable[str] = (),
        more: Iterable[str] | None = None,
    ) -> None:
        """Check a table of lists of lines; with `more`, only the keys named are allowed."""
        table = self._table(key, value)
        for name in {**dict.fromkeys(needed), **table}:
            self._list(f"{key}.{name}", table.get(name))
        if more is not None:
            self._refuse_unknown(f"{key}.", table, {*needed, *more})

    def _list(self, key: str, value: object, *, empty: bool = False) -> None:
        if not isinstance(value, list) or not (value or empty):
            raise self._wrong(key, "a list of lines is required")
        for line in value:
            if not isinstance(line, str) or not line.strip():
                raise self._wrong(key, "every line must be a text that is not empty")

    def _table(self, key: str, value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(key, "a table is required")
        return value

    def _text(self, key: str, most: int) -> str:
        value = self.data.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(key, "a text is required")
        text = value.strip()
        if len(text) > most:
            raise self._wrong(key, f"{len(text)} characters, at most {most} are allowed")
        return text

    def _refuse_unknown(self, prefix: str, table: Mapping[str, Any], known: set[str]) -> None:
        for key in table:
            if key not in known:
                raise self._wrong(f"{prefix}{key}", "is not a key of the library")

    def _wrong(self, key: str, what: str) -> LibraryError:
        return LibraryError(f"{self.path.name}: {key}: {what}.")
