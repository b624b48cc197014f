"""Rows and texts of the export, for people."""

import re
from html import unescape

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from conversations.markdown import render
from conversations.models import Message
from conversations.templatetags.exports import MARKUP, facts, told

LINES = st.text(st.sampled_from("ab *_-+>\\1.)#&<'\n"), max_size=30)


def words(html: str) -> list[str]:
    """What is read, without the tags."""
    return unescape(re.sub(r"<[^>]*>", " ", html)).split()


@given(LINES)
def test_what_has_no_markdown_reads_the_same_either_way(text):
    reply = Message(role="partner", status="complete", content=text)
    assert words(told(reply)) == words(render(text))
    assert MARKUP.search(text) or "<em>" not in render(text)


@pytest.mark.parametrize("text", ["*so*", "- one\n- two", "a\n> b", "1. first", "a\\*b"])
def test_markdown_is_read_as_on_the_page(text):
    assert told(Message(role="coach", status="complete", content=text)) == render(text)


def test_a_learners_line_stays_as_it_was_typed():
    assert told(Message(role="user", content="*so*")) == "<p>*so*</p>"


def test_values_are_words():
    row = {"user_id": "u", "sent_at": timezone.now(), "is_staff": False, "id": 7, "gone": None}
    found = dict(facts(row))
    assert found["User"] == "u"
    assert found["Is staff"] == "no"
    assert found["Sent at"].endswith("UTC")
    assert found.keys() == {"User", "Is staff", "Sent at"}
    assert facts({"quota": {"tokens": 5, "label": "Short"}}) == [
        ("Quota", "tokens: 5; label: Short")
    ]
