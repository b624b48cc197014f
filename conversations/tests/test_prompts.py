"""Who sees what, and that each request is a prefix of the next."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from conversations.models import (
    HEARD,
    ConversationSession,
    Kind,
    Message,
    MessageRole,
    MessageStatus,
)
from conversations.prompts import (
    OPENING_CUE,
    Request,
    coach_request,
    partner_request,
)

TALK = ConversationSession(
    partner_persona="Uncle Ray",
    partner_system_prompt="Loud and lonely.",
    coach_system_prompt="Look for open questions.",
    partner_model="claude-sonnet-5-5",
    coach_model="claude-haiku-5-5",
)


def user(pk, text, **fields):
    return Message(pk=pk, role=MessageRole.USER, content=text, **fields)


def partner(pk, text, status=MessageStatus.COMPLETE, **fields):
    return Message(pk=pk, role=MessageRole.PARTNER, content=text, status=status, **fields)


def coach(pk, text, heard=None, status=MessageStatus.COMPLETE, kind=Kind.NOTE, **fields):
    return Message(
        pk=pk,
        role=MessageRole.COACH,
        content=text,
        status=status,
        kind=kind,
        heard_through=heard,
        **fields,
    )


def texts(request: Request) -> list[tuple[str, list[str]]]:
    return [
        (turn["role"], [block["text"] for block in turn["content"]]) for turn in request.messages
    ]


def test_the_partner_sees_the_conversation_and_nothing_else():
    rows = [
        user(1, "Hello"),
        partner(2, "Hi."),
        coach(3, "NOTE", 2, parent_id=1),
        user(4, "PRIVATE QUESTION", kind=Kind.ASIDE),
        coach(5, "PRIVATE ANSWER", 2, kind=Kind.ASIDE, parent_id=4),
        user(6, "How are you?"),
    ]
    request = partner_request(TALK, rows)
    assert texts(request) == [
        ("user", ["Hello"]),
        ("assistant", ["Hi."]),
        ("user", ["How are you?"]),
    ]
    assert "Loud and lonely." in request.system
    assert request.system.startswith("You play Uncle Ray")


def test_an_opening_is_asked_for_by_a_fixed_cue_that_stays():
    assert texts(partner_request(TALK, [])) == [("user", [OPENING_CUE])]
    rows = [partner(1, "You're late."), user(2, "Sorry!")]
    assert texts(partner_request(TALK, rows)) == [
        ("user", [OPENING_CUE]),
        ("assistant", ["You're late."]),
        ("user", ["Sorry!"]),
    ]


def test_what_failed_or_was_lost_is_not_in_the_prompt_and_turns_alternate():
    rows = [
        user(1, "Hello"),
        partner(2, "Ha", MessageStatus.FAILED),
        partner(3, "Half", MessageStatus.INTERRUPTED),
        user(4, "Hello?"),
        partner(5, "Stopped here", MessageStatus.STOPPED),
        partner(6, "", MessageStatus.STREAMING),
    ]
    assert texts(partner_request(TALK, rows)) == [
        ("user", ["Hello", "Hello?"]),
        ("assistant", ["Stopped here"]),
    ]


def test_the_coach_reads_exchanges_and_its_own_notes():
    rows = [
        partner(1, "You're late."),
        user(2, "Sorry <b>!"),
        partner(3, "Fine."),
        coach(4, "Good.", 3),
        user(5, "Am I too soft?", kind=Kind.ASIDE),
        coach(6, "", 3, kind=Kind.ASIDE, status=MessageStatus.STREAMING, parent_id=5),
    ]
    assert texts(coach_request(TALK, rows, rows[-1])) == [
        (
            "user",
            [
                "<opening>You're late.</opening>",
                "<exchange>\n<learner>Sorry &lt;b&gt;!</learner>\n"
                "<partner>Fine.</partner>\n</exchange>",
            ],
        ),
        ("assistant", ["Good."]),
        ("user", ["<question>Am I too soft?</question>"]),
    ]


def test_a_second_try_does_not_repeat_the_question():
    rows = [
        user(1, "Why?", kind=Kind.ASIDE),
        coach(2, "", None, MessageStatus.FAILED, Kind.ASIDE, parent_id=1),
        coach(3, "", None, MessageStatus.STREAMING, Kind.ASIDE, parent_id=1),
    ]
    first, second = (coach_request(TALK, rows, row) for row in rows[1:])
    assert first.messages == second.messages


def test_thinking_is_off_by_each_models_own_rules():
    body = partner_request(TALK, [user(1, "Hello")]).body()
    assert body["thinking"] == {"type": "between_tools"}
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert body["cache_control"] == {"type": "ephemeral"}
    TALK.partner_model = "local-model"
    try:
        assert "thinking" not in partner_request(TALK, [user(1, "Hello")]).body()
    finally:
        TALK.partner_model = "claude-sonnet-5-5"


def flat(request: Request) -> list[tuple[str, str]]:
    return [(role, text) for role, blocks in texts(request) for text in blocks]


replies = st.tuples(
    st.text("ab \n", max_size=5),
    st.sampled_from([s for s in MessageStatus if s != MessageStatus.STREAMING]),
)


@given(
    st.lists(
        st.tuples(
            st.text("xy<&", min_size=1, max_size=4),
            replies,
            st.none() | replies,
            st.none() | replies,
            st.booleans(),
        ),
        max_size=6,
    ),
    st.booleans(),
)
def test_each_request_is_a_prefix_of_the_next(turns, opens):
    """Rows as the lanes make them: one coach reply at a time, made after what it has heard."""
    rows: list[Message] = []
    partner_requests, coach_requests = [], []
    ids = iter(range(1, 1000))

    def last_heard():
        heard = [m for m in rows if m.role == MessageRole.PARTNER and m.status in HEARD]
        return heard[-1].pk if heard else None

    def speak(make, drawn, build, **fields):
        text, status = drawn
        row = make(next(ids), "", status=MessageStatus.STREAMING, **fields)
        rows.append(row)
        build(row)
        row.content, row.status = text, status

    def ask_partner(row):
        partner_requests.append(flat(partner_request(TALK, rows)))

    def ask_coach(row):
        coach_requests.append(flat(coach_request(TALK, rows, row)))

    if opens:
        speak(partner, ("Well?", MessageStatus.COMPLETE), ask_partner)
    for text, said, note, answer, late in turns:
        line = user(next(ids), text)
        rows.append(line)
        speak(partner, said, ask_partner, parent_id=line.pk)
        if note is not None:
            speak(coach, note, ask_coach, heard=last_heard(), parent_id=line.pk)
        if answer is not None:
            question = user(next(ids), "?" * (1 + late), kind=Kind.ASIDE)
            rows.append(question)
            speak(
                coach, answer, ask_coach, heard=last_heard(), kind=Kind.ASIDE, parent_id=question.pk
            )
    for requests in (partner_requests, coach_requests):
        for before, after in pairwise(requests):
            assert after[: len(before)] == before


@given(st.text())
def test_no_text_has_more_tokens_than_its_bound(text):
    request = partner_request(TALK, [user(1, text)])
    stripped = text.rstrip() if text.strip() else ""
    assert request.bound >= len(request.system.encode()) + len(stripped.encode())


@given(st.lists(st.sampled_from(["exchange", "note", "aside"]), max_size=12), st.data())
def test_wherever_a_request_begins_it_is_the_learners_turn_and_roles_alternate(steps, data):
    rows, heard = [], [0]
    lines = [0]
    for step in steps:
        pk = len(rows) + 1
        if step == "exchange":
            rows += [user(pk, f"Line {pk}"), partner(pk + 1, f"Answer {pk}", parent_id=pk)]
            lines.append(pk)
            heard.append(pk + 1)
        elif step == "note" and heard[-1]:
            rows.append(coach(pk, f"Note {pk}", heard=heard[-1], parent_id=lines[-1]))
        elif step == "aside":
            rows.append(user(pk, f"Question {pk}", kind=Kind.ASIDE))
            answer = {"kind": Kind.ASIDE, "parent_id": pk}
            rows.append(coach(pk + 1, f"Advice {pk}", heard=heard[-1] or None, **answer))
    rows.append(user(len(rows) + 1, "The last line"))
    since = data.draw(st.sampled_from(lines))
    request = partner_request(TALK, rows, since)
    assert "The last line" in request.messages[-1]["content"][-1]["text"]
    reply = coach(None, "", heard=heard[-1] or None, kind=Kind.DEBRIEF)
    for built in (request, coach_request(TALK, rows, reply, data.draw(st.sampled_from(heard)))):
        roles = [turn["role"] for turn in built.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
