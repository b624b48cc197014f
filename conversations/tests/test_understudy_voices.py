"""The two voices: a partner with a temper, and a coach who names the same move."""

import re
from html import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversations.understudy.coach import advise, blocks
from conversations.understudy.moves import HOT, Move, read
from conversations.understudy.partner import Stage, feel, reply
from conversations.understudy.script import Script, generic
from scenarios.library import STAGES, read_library

SCRIPTS = {s.partner_persona: Script.from_mapping(s.understudy) for s in read_library()}
each = pytest.mark.parametrize("name", [*SCRIPTS, ""], ids=lambda n: n or "generic")

EARNEST = [
    "Hello, thank you for taking the time.",
    "What has this been like for you?",
    "That sounds really hard.",
    "I felt unsure about it myself, and I'd like to be honest.",
    "On Tuesday I noticed two things, and I said nothing.",
    "What would help you most right now?",
    "I'm sorry, I should have come to you sooner.",
    "I can see how much you care about this.",
    "How do you see the next weeks?",
    "I want us to find something together.",
    "You must be tired of explaining it.",
    "Could we agree on one small step for Friday?",
]
HARSH = [
    "You always do this.",
    "That's ridiculous, you never listen.",
    "Calm down.",
    "You need to stop it now.",
    "It's your own fault.",
    "If you don't change, I'm going to leave.",
]
VARIED = [
    "Hi there.",
    "What is going on?",
    "You never tell me anything!",
    "ok",
    "Is it about last week?",
    "I'm sorry, that was unfair.",
    "I felt left out.",
    "The plan is clear.",
    "Are you an AI?",
    "What would you need from me?",
    "Nice weather today.",
    "You're right.",
    "That must be hard for you.",
    "It happened on Monday, twice.",
    "Stop it.",
    "Could we try it until Friday?",
    "Why did it come to this?",
    "It makes a real difference to everyone.",
    "I'd like us to be fair with each other.",
    "Goodbye for now.",
]


def script_of(name: str) -> Script:
    return SCRIPTS.get(name) or generic()


def play(script: Script, turns: list[str]) -> list[str]:
    said = [reply(script, [], [])]
    for number in range(1, len(turns) + 1):
        said.append(reply(script, turns[:number], said))
    return said


def exchange(text: str) -> str:
    learner = f"<learner>{escape(text, quote=False)}</learner>"
    return f"<exchange>\n{learner}\n<partner>Hm.</partner>\n</exchange>"


def notes_on(script: Script, turns: list[str]) -> list[str]:
    notes: list[str] = []
    for number in range(1, len(turns) + 1):
        notes.append(advise(script, "Ray", [exchange(t) for t in turns[:number]], notes))
    return notes


def sentences(note: str) -> int:
    outside = re.sub(r"“[^”]*[^.!?”]”", "", note)
    return len(re.findall(r"(?<!Mrs)[.!?]”?(?=\s|$)", outside))


@each
@pytest.mark.parametrize("turns", [EARNEST, HARSH * 2, VARIED], ids=["earnest", "harsh", "varied"])
def test_a_long_talk_repeats_no_line(name, turns):
    said = play(script_of(name), turns)
    assert len(set(said)) == len(said)


@each
def test_sincerity_opens_somebody_up_and_is_answered_so(name):
    script = script_of(name)
    readings = [read(text, script.facts) for text in EARNEST]
    stages = [feel(readings[:n], script).stage for n in range(1, len(readings) + 1)]
    assert stages[0] is Stage.NEUTRAL
    assert stages[-1] is Stage.GIVING_WAY
    assert Stage.SOFT in stages[1:6]
    assert Stage.GIVING_WAY not in stages[:4]
    said = play(script, EARNEST)
    assert set(said) & set(script.stages["soft"])
    assert set(said) & set(script.stages["giving_way"])


@each
def test_accusations_harden(name):
    script = script_of(name)
    assert feel([read(text) for text in HARSH[:2]], script).stage is Stage.HARD
    said = play(script, HARSH)
    assert not set(said) & {*script.stages["soft"], *script.stages["giving_way"]}
    angry = [*script.stages["hard"], *(line for topic in script.topics for line in topic.hard)]
    angry += [line for move in HOT for line in script.answers[move]]
    assert set(said[1:]) <= set(angry)


@pytest.mark.parametrize("line", ["You're right.", "That sounds hard.", "ok", "The plan is clear."])
def test_the_same_line_again_and_again_earns_nothing(line):
    stage = feel([read(line)] * 12, SCRIPTS["Uncle Ray"]).stage
    assert stage is Stage.NEUTRAL


def test_the_same_kind_of_line_earns_less_each_time():
    lines = ["That sounds hard.", "You must be tired.", "You seem sad.", "You look worried."]
    warmth = [feel([read(t) for t in lines[:n]], SCRIPTS["Helen Brandt"]).warmth for n in (1, 2, 4)]
    assert warmth == [1, 2, 2]


def test_nobody_gives_way_before_they_have_opened_up():
    script = SCRIPTS["Marcus"]
    assert reply(script, EARNEST, []) in script.stages["soft"] + script.answers["proposal"]
    assert reply(script, EARNEST[:11], []) in script.stages["soft"]
    assert reply(script, EARNEST[:11], script.stages["soft"][:3]) in script.stages["giving_way"]


def test_a_sting_undoes_what_was_earned():
    script = SCRIPTS["Uncle Ray"]
    earned = feel([read(t) for t in EARNEST], script).warmth
    assert feel([read(t) for t in [*EARNEST, *HARSH[:3]]], script).warmth < earned - 4


def test_the_partner_opens_when_nothing_was_said():
    assert reply(SCRIPTS["Uncle Ray"], [], []) == SCRIPTS["Uncle Ray"].stages["opening"][0]


def test_a_subject_gets_an_answer_about_it():
    said = reply(SCRIPTS["Uncle Ray"], ["How is Danny?"], [])
    assert said.startswith("Danny.")


def test_out_of_role_questions_stay_in_the_room():
    script = SCRIPTS["Helen Brandt"]
    assert reply(script, ["What are your instructions?"], []) in script.answers["out_of_role"]


def test_a_cut_off_turn_counts_as_said():
    script = SCRIPTS["Marcus"]
    first = reply(script, ["You always do this."], [])
    assert reply(script, ["You always do this."], [first[:25]]) != first


@given(st.lists(st.text(max_size=80), max_size=6))
@settings(max_examples=40)
def test_the_partner_answers_anything_and_the_same_each_time(turns):
    script = SCRIPTS["Uncle Ray"]
    assert reply(script, turns, []) == reply(script, turns, [])
    assert "{" not in reply(script, turns, [])


@each
def test_every_move_has_a_note_that_quotes_the_learner(name):
    for text in VARIED:
        piece = re.match(r".*?“([^”]*)”", notes_on(script_of(name), [text])[0])
        assert piece
        assert piece.group(1).removesuffix("…") in text
        assert len(piece.group(1).split()) <= 8


@each
def test_a_note_has_at_most_three_sentences_and_one_alternative(name):
    script = script_of(name)
    lines = {line for s in (script, generic()) for kind in s.tries.values() for line in kind}
    for note in notes_on(script, VARIED):
        assert sentences(note) <= 3, note
        assert sum(f"“{line}”" in note for line in lines) == 1, note
        assert "Coach" not in note


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("You always do this.", "accus"),
        ("Calm down.", "order"),
        ("That must be hard.", "feeling"),
        ("What happened?", "open"),
        ("Is it true?", "closed"),
        ("I felt left out.", "I"),
    ],
)
def test_the_note_names_the_move(text, word):
    first = notes_on(SCRIPTS["Marcus"], [text])[0].split(". ")[0]
    assert re.search(rf"\b{word}|speaks for yourself", first)


@each
def test_notes_in_a_row_do_not_look_alike(name):
    notes = notes_on(script_of(name), EARNEST)
    assert len(set(notes)) == len(notes)
    bare = [re.sub(r"“[^”]*”", "“”", note) for note in notes]
    assert len(set(bare)) == len(bare)
    assert len({note[note.rfind("“") :] for note in notes}) == len(notes)


def test_an_empty_line_gets_a_note_without_a_quotation():
    assert notes_on(SCRIPTS["Marcus"], [" "])[0].startswith("An empty line leaves Marcus guessing")


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("How do I start?", "start"),
        ("Why is he so angry?", "why"),
        ("What should I say next?", "stuck"),
        ("How should I end this?", "close"),
    ],
)
def test_a_private_question_is_answered_from_the_situation(question, kind):
    script = SCRIPTS["Graham Pike"]
    turns = [exchange("Hello."), f"<question>{question}</question>"]
    assert advise(script, "Graham Pike", turns, ["A note."]) in script.coach[kind]


def test_how_am_i_doing_quotes_the_best_and_the_worst_line():
    turns = [exchange("That must be hard."), exchange("You never listen.")]
    answer = advise(
        SCRIPTS["Marcus"], "Marcus", [*turns, "<question>How am I doing?</question>"], []
    )
    assert "“That must be hard”" in answer
    assert "“You never listen”" in answer


def test_of_equally_good_lines_the_latest_is_praised():
    turns = [exchange("That must be hard."), exchange("You sound exhausted.")]
    answer = advise(
        SCRIPTS["Marcus"], "Marcus", [*turns, "<question>How am I doing?</question>"], []
    )
    assert "“You sound exhausted”" in answer


FORM = re.compile(
    r"What went well:\n- [^\n]+\n- [^\n]+\n\nWhat to try next:\n- [^\n]+\n- [^\n]+", re.DOTALL
)


@each
@pytest.mark.parametrize("turns", [EARNEST, HARSH, VARIED, ["ok"], []], ids=str)
def test_the_look_back_has_exactly_its_form(name, turns):
    asked = [*map(exchange, turns), "<debrief>The rehearsal is over.</debrief>"]
    text = advise(script_of(name), "Ray", asked, [])
    assert FORM.fullmatch(text)
    points = [line for line in text.splitlines() if line.startswith("- ")]
    assert len(set(points)) == 4


def test_the_look_back_praises_and_criticises_the_learners_own_lines():
    turns = ["That sounds really hard.", "You always do this.", "What happened then?"]
    text = advise(SCRIPTS["Marcus"], "Marcus", [*map(exchange, turns), "<debrief></debrief>"], [])
    well, _, again = text.partition("\n\n")
    assert "“That sounds really hard”" in well
    assert "“What happened then”" in well
    assert "“You always do this” is an accusation" in again


def test_the_look_back_calls_a_line_what_its_note_called_it():
    line = exchange("I hear that the budget is tight. What worries you most about it?")
    script = SCRIPTS["Marcus"]
    note = advise(script, "Marcus", [line], [])
    progress = advise(script, "Marcus", [line, "<question>How am I doing?</question>"], [note])
    look_back = advise(script, "Marcus", [line, "<debrief></debrief>"], [note])
    for text in (note, progress, look_back):
        assert "“What worries you most about it”" in text
        assert re.search(r"open(ly)?\b", text)
        assert "“I hear" not in text


def test_an_opening_gets_advice_on_how_to_begin():
    script = SCRIPTS["Uncle Ray"]
    assert (
        advise(script, "Uncle Ray", ["<opening>Sit down.</opening>"], [])
        == script.coach["start"][0]
    )


@given(st.text(max_size=200))
@settings(max_examples=60)
def test_the_learners_text_survives_its_tags(text):
    assert blocks(exchange(text))[0].text == text.strip()


@given(st.lists(st.text(max_size=60), max_size=4), st.text(max_size=60))
@settings(max_examples=40)
def test_the_coach_answers_anything_and_the_same_each_time(turns, last):
    asked = [*map(exchange, turns), last]
    assert advise(SCRIPTS["Marcus"], "Marcus", asked, []) == advise(
        SCRIPTS["Marcus"], "Marcus", asked, []
    )


@each
def test_a_script_answers_every_move_it_could_meet(name):
    script = script_of(name)
    optional = {Move.STATEMENT, Move.FORMULA}
    assert set(Move) - optional <= set(script.answers)
    assert set(script.answers) <= {*Move, "farewell_warm"}
    assert all(script.stages[stage] for stage in STAGES)
    assert script.softens | script.hardens <= set(Move)
    assert {"start", "why", "stuck", "close", "hot", "warm"} <= set(script.coach)
    assert {"feeling", "open_question", "i_statement", "specific", "close"} == set(script.tries)
