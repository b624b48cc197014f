"""What a person may do in a conversation, and what is refused without a trace."""

from uuid import uuid4

import pytest

from conversations import turns
from conversations.models import Kind, Message, MessageRole, MessageStatus
from conversations.turns import Refused


def test_it_stores_the_turn_and_begins_one_reply(conversation):
    step = turns.send(conversation.pk, uuid4(), "  Hello, Ray.\r\nHow are you? ")
    assert step.message.content == "Hello, Ray.\nHow are you?"
    reply = step.replies[0].message
    assert (reply.role, reply.status, reply.parent_id) == (
        MessageRole.PARTNER,
        MessageStatus.STREAMING,
        step.message.pk,
    )
    conversation.refresh_from_db()
    assert conversation.total_messages == 2


def test_the_same_client_id_is_one_message_and_one_reply(conversation):
    client_id = uuid4()
    first = turns.send(conversation.pk, client_id, "Hello")
    again = turns.send(conversation.pk, client_id, "Hello")
    assert again.message == first.message
    assert again.replies == ()
    assert conversation.messages.count() == 2


def test_the_same_words_with_another_id_are_said_twice(conversation, say):
    turns.send(conversation.pk, uuid4(), "Hello")
    conversation.messages.streaming().update(
        status=MessageStatus.COMPLETE, content="Hi", lease_expires_at=None
    )
    turns.send(conversation.pk, uuid4(), "Hello")
    assert conversation.messages.filter(content="Hello").count() == 2


def test_it_refuses_a_turn_while_the_partner_speaks(conversation):
    turns.send(conversation.pk, uuid4(), "Hello")
    with pytest.raises(Refused) as refusal:
        turns.send(conversation.pk, uuid4(), "Hello?")
    assert refusal.value.code == "busy"
    assert conversation.messages.count() == 2


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        ("  \n ", "empty"),
        ("\x00", "empty"),
        (None, "empty"),
        (7, "empty"),
        ("x" * 10_001, "too_long"),
        ("\ud800", "text"),
    ],
)
def test_it_refuses_what_cannot_be_a_message(conversation, text, code):
    with pytest.raises(Refused) as refusal:
        turns.send(conversation.pk, uuid4(), text)
    assert refusal.value.code == code
    assert not conversation.messages.exists()


def test_a_message_of_ten_thousand_characters_is_taken(conversation):
    assert turns.send(conversation.pk, uuid4(), "é" * 10_000).message.content == "é" * 10_000


@pytest.mark.parametrize("act", [turns.send, turns.ask])
def test_an_ended_conversation_takes_nothing_more(conversation, act):
    turns.end(conversation.pk)
    with pytest.raises(Refused) as refusal:
        act(conversation.pk, uuid4(), "Hello")
    assert refusal.value.code == "ended"
    assert not conversation.messages.exists()


def test_a_repeat_after_the_end_still_gives_the_first_result(conversation):
    client_id = uuid4()
    first = turns.send(conversation.pk, client_id, "Hello")
    turns.end(conversation.pk)
    assert turns.send(conversation.pk, client_id, "Hello").message == first.message


def test_the_partner_opens_once(conversation):
    conversation.partner_opens = True
    conversation.save()
    assert len(turns.open_conversation(conversation.pk).replies) == 1
    assert turns.open_conversation(conversation.pk) is None


def test_nobody_opens_unless_the_scenario_says_so(conversation):
    assert turns.open_conversation(conversation.pk) is None


def test_a_retry_is_a_new_row_beside_the_failed_one(conversation, say):
    line = say("user", "Hello")
    failed = say("partner", "Half", parent=line, status=MessageStatus.FAILED, failure="busy")
    reply = turns.retry(conversation.pk, failed.pk).replies[0].message
    failed.refresh_from_db()
    assert (failed.status, failed.content) == (MessageStatus.FAILED, "Half")
    assert reply.parent_id == line.pk
    assert reply.content == ""


def test_a_retry_twice_is_refused_while_it_runs(conversation, say):
    failed = say("partner", "", parent=say("user", "Hello"), status=MessageStatus.FAILED)
    turns.retry(conversation.pk, failed.pk)
    with pytest.raises(Refused):
        turns.retry(conversation.pk, failed.pk)
    assert conversation.messages.streaming().count() == 1


def test_a_reply_that_came_whole_is_not_tried_again(conversation, say):
    whole = say("partner", "Hi", parent=say("user", "Hello"))
    with pytest.raises(Refused) as refusal:
        turns.retry(conversation.pk, whole.pk)
    assert refusal.value.code == "nothing_to_retry"


def test_a_failed_turn_that_was_left_behind_is_not_tried_again(conversation, say):
    failed = say("partner", "", parent=say("user", "Hello"), status=MessageStatus.FAILED)
    say("user", "Hello?")
    with pytest.raises(Refused):
        turns.retry(conversation.pk, failed.pk)


def test_another_conversations_reply_is_not_tried_again(conversation, say, scenario):
    failed = say("partner", "", parent=say("user", "Hello"), status=MessageStatus.FAILED)
    other = type(conversation).begin(scenario, user=None, invitation=None)
    with pytest.raises(Refused):
        turns.retry(other.pk, failed.pk)


def test_a_question_is_answered_at_once_when_the_coach_is_free(conversation):
    step = turns.ask(conversation.pk, uuid4(), "What now?")
    answer = step.replies[0].message
    assert (answer.role, answer.kind, answer.parent_id) == (
        MessageRole.COACH,
        Kind.ASIDE,
        step.message.pk,
    )


def test_a_question_waits_for_the_coach(conversation, say):
    say("coach", "", status=MessageStatus.STREAMING)
    step = turns.ask(conversation.pk, uuid4(), "What now?")
    assert step.message is not None
    assert step.replies == ()


def test_the_coach_does_not_block_the_next_turn(conversation, say):
    say("coach", "", status=MessageStatus.STREAMING)
    assert turns.send(conversation.pk, uuid4(), "Hello").replies


def test_ending_stops_the_partner_and_counts_the_time(conversation):
    turns.send(conversation.pk, uuid4(), "Hello")
    step = turns.end(conversation.pk)
    conversation.refresh_from_db()
    assert conversation.status == "ended"
    assert conversation.duration_seconds is not None
    assert len(step.stop) == 1
    assert turns.end(conversation.pk).stop == ()


def test_ending_begins_a_debrief_of_what_was_said(conversation, say):
    say("partner", "Hi", parent=say("user", "Hello"))
    report = turns.end(conversation.pk).replies[0].message
    assert report.kind == Kind.DEBRIEF


def test_a_conversation_without_a_word_has_no_debrief(conversation):
    assert turns.end(conversation.pk).replies == ()


def test_a_stop_reaches_only_a_running_reply_of_this_conversation(conversation, say, scenario):
    reply = say("partner", "", status=MessageStatus.STREAMING)
    other = type(conversation).begin(scenario, user=None, invitation=None)
    assert turns.request_stop(other.pk, reply.pk) is None
    assert turns.request_stop(conversation.pk, reply.pk) == reply
    reply.refresh_from_db()
    assert reply.stop_requested_at is not None


def test_the_database_itself_refuses_a_second_running_reply(conversation, say):
    from django.db import IntegrityError, transaction

    say("partner", "", status=MessageStatus.STREAMING)
    with pytest.raises(IntegrityError), transaction.atomic():
        say("partner", "", status=MessageStatus.STREAMING)
    assert Message.objects.count() == 1
