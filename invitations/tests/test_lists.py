"""A list on its way from one page to the next: what was seen is what is sent."""

import csv
from io import StringIO

import pytest
from django.core import signing
from hypothesis import assume, example, given
from hypothesis import strategies as st

from invitations.addresses import sort
from invitations.lists import read, read_file, read_on, sealed, written
from invitations.tests.test_addresses import emails, people
from invitations.tests.test_tables import cells

FILE = """\ufeffName;E-Mail;Note
Ann Ash;ann@example.org;
Lee;;ask chef@example.org
Two;z1@example.org, z2@example.org;
Bob;bob@example.org;
"""


def meaning(entries):
    return [(entry.name, entry.email, entry.problem) for entry in entries]


def posted(text):
    """As a browser sends a text box, and as Django takes it."""
    return text.replace("\n", "\r\n").strip()


@pytest.fixture
def seen():
    return read_file(FILE.encode())


def test_who_was_left_out_stays_left_out(seen):
    again = read_on(posted(written(seen)), sealed(seen))

    assert meaning(again) == meaning(seen)
    assert people(again) == [("Ann Ash", "ann@example.org"), ("Bob", "bob@example.org")]


def test_a_line_that_is_corrected_is_read_anew_and_no_other(seen):
    text = written(seen).replace("ask chef@example.org", "lee@example.org")

    again = read_on(posted(text), sealed(seen))

    assert people(again)[1] == ("Lee", "lee@example.org")
    assert meaning(again)[2:] == meaning(seen)[2:]


def test_a_table_that_is_added_below_is_read_as_one(seen):
    text = written(seen) + "\nVorname;Nachname;E-Mail\nCy;Dee;cy@example.org"

    assert people(read_on(posted(text), sealed(seen)))[-1] == ("Cy Dee", "cy@example.org")


def test_of_two_lines_that_read_the_same_each_stays_what_it_was():
    seen = read_file(b"name,email,note\n,,kim@example.org\n,kim@example.org,\n")
    assert written(seen) == "kim@example.org\nkim@example.org"

    assert meaning(read_on(written(seen), sealed(seen))) == meaning(seen)


def test_a_long_line_of_rubbish_stays_left_out_and_comes_back_short():
    seen = read_file(f"Name;E-mail\n{'Lee ' * 20_000};ask chef@example.org\n".encode())
    assert len(written(seen)) < 250

    assert people(read_on(posted(written(seen)), sealed(seen))) == []


@pytest.mark.parametrize(
    "seal", ["", "rubbish", signing.dumps([["rubbish", "", "kim@example.org", ""]])]
)
def test_a_seal_that_is_not_ours_counts_for_nothing(seal):
    assert people(read_on("rubbish\nann@example.org", seal)) == [("", "ann@example.org")]


def as_csv(head, rows, mark):
    out = StringIO()
    csv.writer(out, delimiter=mark).writerows(rows)
    return head.replace(";", mark) + out.getvalue()


tables = st.builds(
    as_csv,
    st.sampled_from(["", "Name;E-mail\n", "sep=;\n", "Nom;Courriel;Tuteur\n"]),
    st.lists(st.lists(cells, min_size=1, max_size=4), max_size=8),
    st.sampled_from(",;\t"),
)


@example("Name,E-mail\n\x1b\r\n")
@given(st.one_of(tables, st.text(), st.lists(cells).map("\n".join)))
def test_what_is_sent_is_what_was_seen(text):
    """Whatever the list is made of, and however often it is looked at again."""
    for seen in (read(text), read_file(text.encode(errors="replace"))):
        again = read_on(posted(written(seen)), sealed(seen))
        assert meaning(again) == meaning(seen)
        assert sort(again).people == sort(read_on(written(again), sealed(again))).people


@given(tables, emails, st.randoms(use_true_random=False))
def test_correcting_a_line_changes_that_line_alone(text, email, choice):
    seen = read(text)
    lines = written(seen).splitlines()
    # Of two lines that read the same, the one below would take the place of the other.
    unlike = [line for line in lines if lines.count(line) == 1]
    assume(unlike and email not in lines)
    index = lines.index(choice.choice(unlike))
    lines[index] = email

    again = meaning(read_on(posted("\n".join(lines)), sealed(seen)))

    rest = meaning(seen)
    assert again == [*rest[:index], ("", email, ""), *rest[index + 1 :]]
