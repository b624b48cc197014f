"""The library: what its six files must be, and what its reader refuses."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scenarios import library
from scenarios.library import LibraryError, digest, read_library, scripts

SCENARIOS = read_library()
each = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.slug)
VALID = (library.LIBRARY / "holiday-dinner.toml").read_text(encoding="utf-8")


def lines(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from lines(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from lines(inner)


def spoken(scenario: library.LibraryScenario) -> list[str]:
    table = scenario.understudy
    topics = [line for t in table["topics"] for line in [*t["lines"], *t.get("hard", [])]]
    return [*lines({s: table[s] for s in library.STAGES}), *lines(table["answers"]), *topics]


def sentences(text: str) -> int:
    return len(re.findall(r"(?<!Mrs)[.!?]+[”’]?(?=\s|$)", text))


def write(folder: Path, text: str, name: str = "holiday-dinner") -> None:
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")


def test_it_holds_six_scenarios_with_unique_names_and_personas():
    assert len(SCENARIOS) == 6
    for names in ([s.slug for s in SCENARIOS], [s.partner_persona for s in SCENARIOS]):
        assert len(set(names)) == 6


def test_no_prompt_mentions_the_persona_of_another():
    for scenario in SCENARIOS:
        for other in SCENARIOS:
            if other is not scenario:
                text = scenario.partner_system_prompt + scenario.coach_system_prompt
                assert other.partner_persona not in text


def test_some_partners_speak_first_and_some_wait():
    assert {s.partner_opens for s in SCENARIOS} == {True, False}


@each
def test_the_description_is_two_to_four_sentences_to_the_learner(scenario):
    assert 2 <= sentences(scenario.description) <= 4
    assert re.search(r"\b[Yy]ou\b", scenario.description)


@each
def test_the_prompts_are_within_limits_and_say_what_matters(scenario):
    partner, coach = scenario.partner_system_prompt, scenario.coach_system_prompt
    assert 1200 <= len(partner) <= library.PARTNER_PROMPT_MOST
    assert 700 <= len(coach) <= library.COACH_PROMPT_MOST
    for word in ("History:", "hardens", "softens", "Giving way", "One to four sentences"):
        assert word in partner
    for word in ("Quote", "three sentences", "about the line, never about the person"):
        assert word in coach


@each
def test_the_stand_in_has_a_generous_stock(scenario):
    assert len(spoken(scenario)) >= 80
    assert len(set(spoken(scenario))) == len(spoken(scenario))


@each
def test_every_line_is_one_to_four_spoken_sentences(scenario):
    for line in spoken(scenario):
        assert 1 <= sentences(line) <= 4, line
        assert not re.search(r"[\[\]()*<>]", line), line
        assert len(line) <= 320, line


@each
def test_alternatives_are_one_line_without_nested_quotes(scenario):
    for line in lines(scenario.understudy["coach"]["try"]):
        assert sentences(line) == 1, line
        assert "“" not in line, line


@each
def test_its_own_text_counts_as_unchanged_after_a_browser_form(scenario):
    class Row:
        pass

    row = Row()
    for name, value in scenario.fields.items():
        setattr(row, name, value.replace("\n", "\r\n") + "\n" if isinstance(value, str) else value)
    assert digest(row) == scenario.digest
    row.name = "Another name"
    assert digest(row) != scenario.digest


def test_the_lines_come_by_persona():
    assert set(scripts()) == {s.partner_persona for s in SCENARIOS}


def test_it_reads_a_valid_file(tmp_path):
    write(tmp_path, VALID)
    assert [s.slug for s in read_library(tmp_path)] == ["holiday-dinner"]


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('slug = "holiday-dinner"', 'slug = "other"', "slug"),
        ('slug = "holiday-dinner"', 'slug = "no good"', "slug"),
        ('name = "The uncle with strong opinions"', "", "name"),
        ('name = "The uncle with strong opinions"', "name = 3", "name"),
        ("partner_opens = true", 'partner_opens = "yes"', "partner_opens"),
        ('partner_persona = "Uncle Ray"', 'partner_persona = " "', "partner_persona"),
        ('partner_persona = "Uncle Ray"', 'partner_persona = "Uncle Ray"\nmood = 1', "mood"),
        ('called = "Ray"', "tone = []", "understudy.tone"),
        (
            "[[understudy.topics]]\nwords",
            "[[understudy.topics]]\nnouns",
            "understudy.topics 1.words",
        ),
        ("short = [", "short = []\nshorter = [", "understudy.answers.short"),
        ("[understudy.coach.try]\n", "[understudy.coach.trial]\n", "understudy.coach.try"),
    ],
)
def test_it_names_the_file_and_the_key_that_is_wrong(tmp_path, old, new, key):
    assert old in VALID
    write(tmp_path, VALID.replace(old, new, 1))
    with pytest.raises(LibraryError, match=rf"^holiday-dinner\.toml: {re.escape(key)}: "):
        read_library(tmp_path)


def test_it_refuses_a_prompt_that_is_too_long(tmp_path):
    prompt = tomllib.loads(VALID)["coach_system_prompt"]
    write(tmp_path, VALID.replace(prompt, prompt + "x" * 1500))
    with pytest.raises(LibraryError, match=r"coach_system_prompt: \d+ characters, at most 1500"):
        read_library(tmp_path)


def test_it_refuses_a_persona_that_another_file_has(tmp_path):
    write(tmp_path, VALID)
    write(tmp_path, VALID.replace('slug = "holiday-dinner"', 'slug = "next-year"'), "next-year")
    with pytest.raises(LibraryError, match=r"next-year\.toml: partner_persona: holiday-dinner"):
        read_library(tmp_path)


@pytest.mark.parametrize("raw", [b"name = ", b"\xff\xfe"])
def test_it_refuses_what_is_no_toml(tmp_path, raw):
    (tmp_path / "broken.toml").write_bytes(raw)
    with pytest.raises(LibraryError, match=r"broken\.toml: is not valid TOML"):
        read_library(tmp_path)
