"""CSV and other tables: which column holds what, and what is wrong with each row (case 45)."""

import csv
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invitations.lists import decoded, read, read_file
from invitations.tests.test_addresses import emails, people, plain_names

ROWS = [("Ash, Ann", "a@example.org"), ('Bob "B" Birch', "b@example.org"), ("Zoë", "z@example.org")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    "head", [("name", "email"), ("email", "name"), ("Phone", "E-mail", "Name"), ()]
)
def test_a_file_is_read_however_it_was_saved(encoding, delimiter, head):
    out = StringIO()
    write = csv.writer(out, delimiter=delimiter).writerow
    order = [column.lower().replace("-", "") for column in head] or ["name", "email"]
    if head:
        write(head)
    for name, email in ROWS:
        write([{"name": name, "email": email, "phone": "12"}[column] for column in order])

    assert people(read_file(out.getvalue().encode(encoding))) == ROWS


def test_a_bad_row_of_a_file_has_its_number():
    found = read_file(b"name,email\nAnn,a@example.org\nBob,\n,,\nCy,cy@\n")
    assert [(entry.line, entry.problem) for entry in found if entry.problem] == [
        (3, "There is no email address here."),
        (5, "“cy@” is no email address."),
    ]


def test_a_file_may_be_a_plain_list():
    assert people(read_file(b"a@example.org; b@example.org\n")) == [
        ("", "a@example.org"),
        ("", "b@example.org"),
    ]


def test_a_row_that_is_too_short_is_a_problem_not_an_error():
    assert [entry.problem for entry in read_file(b"name,phone,email\nAnn\n")] == [
        "There is no email address here."
    ]


def problems(entries):
    return [(entry.text, entry.problem) for entry in entries if entry.problem]


SEVERAL = "There is more than one email address here."
ELSEWHERE = "There is no email address in its column."
PEOPLE = [(f"Person {number}", f"p{number}@example.org") for number in range(300)]
LINES = "".join(f"{name};{email};\n" for name, email in PEOPLE)
MESSY = "Lee;;ask chef@example.org\nTwo;z1@example.org, z2@example.org;\n"


@pytest.mark.parametrize(
    "head",
    ["sep=;\n", "sep=;\nName;E-Mail;Note\n", "Name;E-Mail-Adresse;\n", "", "Nom;Courriel;\n"],
)
@pytest.mark.parametrize("messy", [MESSY, ""])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_one_bad_cell_is_one_bad_row(head, messy, encoding):
    """Not three hundred people without a name, and three hundred lines that name nobody."""
    found = read_file((head + messy + LINES).encode(encoding))
    assert people(found) == PEOPLE
    assert (
        problems(found)
        == [
            ("Lee, ask chef@example.org", ELSEWHERE),
            ("Two, z1@example.org, z2@example.org", SEVERAL),
        ][: 2 if messy else 0]
    )


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("head", ["", "Teilnehmer;E-Mail-Adresse\n"])
def test_rows_that_are_pasted_keep_their_names(mark, head):
    text = (head + "".join(f"{name};{email}\n" for name, email in PEOPLE)).replace(";", mark)
    assert people(read(text)) == PEOPLE


@pytest.mark.parametrize(
    "head", ["Nom;Courriel;Tuteur", "Name;Email;Guardian's email", "氏名;メール;保護者"]
)
def test_who_stands_in_another_column_is_not_invited(head):
    rows = "".join(f"{name};{email};g-{email}\n" for name, email in PEOPLE)
    assert people(read_file(f"{head}\n{rows}".encode())) == PEOPLE


def test_two_addresses_in_each_row_that_no_heading_tells_apart_invite_nobody():
    found = read_file("".join(f"{name};{email};g-{email}\n" for name, email in PEOPLE).encode())
    assert people(found) == []
    assert {problem for _, problem in problems(found)} == {SEVERAL}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Vorname;Nachname;E-Mail-Adresse\nKim;Lee;{}", "Kim Lee"),
        ("Name;Vorname;Adresse;E-Mail\nLee;Kim;Weg 1;{}", "Kim Lee"),
        ("Nom;Prénom;Adresse électronique\nLee;Kim;{}", "Kim Lee"),
        ("Nombre;Apellidos;Correo electrónico\nKim;Lee;{}", "Kim Lee"),
        ("Cognome;Nome;Indirizzo e-mail\nLee;Kim;{}", "Kim Lee"),
        ("Imię i nazwisko;Adres e-mail\nKim Lee;{}", "Kim Lee"),
        ("Имя;Фамилия;Эл. почта\nKim;Lee;{}", "Kim Lee"),
        ("E-postadress;Namn\n{};Kim Lee", "Kim Lee"),
        (
            "First Name,Middle,Last Name,E-mail Address,E-mail 2 Address\nKim,,Lee,{},g@x.org",
            "Kim Lee",
        ),
        ("Full name,First name,Email\nKim Lee,Kim,{}", "Kim Lee"),
        ("Name,Address,Email\nKim Lee,1 Mill Lane,{}", "Kim Lee"),
        ("Address\n{}", ""),
        ("Email\nKim Lee <{}>", "Kim Lee"),
        ("The evening class;;\n\nName;Email;Note\nKim Lee;{};", "Kim Lee"),
        ("17;Kim;Lee;{};2026-11-24", "Kim Lee"),
    ],
)
def test_a_heading_says_who_somebody_is(text, name):
    assert people(read_file(text.format("kim@example.org").encode())) == [(name, "kim@example.org")]


def test_a_title_above_the_heading_is_named_as_nobody():
    found = read_file(b"The evening class;;\n\nName;Email;Note\nKim;kim@example.org;\n")
    assert [(entry.line, entry.text) for entry in found if entry.problem] == [
        (1, "The evening class")
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a@example.org; b@example.org\nc@example.org; d@example.org\n",
        "a@example.org;\nb@example.org;\nc@example.org;\nd@example.org;\n",
        "a@example.org, b@example.org,\nc@example.org, d@example.org\n",
    ],
)
def test_addresses_side_by_side_are_people_and_no_table(text):
    assert len(people(read_file(text.encode()))) == len(people(read(text))) == 4


def test_what_cannot_be_read_to_its_end_says_so():
    found = read_file(b"name,email\nAnn,a@example.org\nBob," + b"x" * 200_000)
    assert people(found) == [("Ann", "a@example.org")]
    assert problems(found) == [("The rest of the file", "The file cannot be read from here on.")]


@given(st.binary())
def test_no_file_breaks_it(content):
    assert "\0" not in decoded(content)
    read_file(content)


cells = st.one_of(
    emails,
    plain_names,
    st.sampled_from(["", "ask chef@example.org", "kim@", "a@x.org, b@x.org", '"', "Kim <k@x.org>"]),
    st.text(max_size=8),
)


@given(
    st.lists(st.tuples(plain_names, st.one_of(emails, cells), cells), max_size=8),
    st.sampled_from(["Name", "Teilnehmer", "Nom"]),
    st.sampled_from(",;\t"),
)
def test_only_the_column_of_the_addresses_invites(rows, head, mark):
    out = StringIO()
    csv.writer(out, delimiter=mark).writerows([(head, "E-mail", "Note"), *rows])

    meant = {email for _, email, _ in rows} | {"k@x.org"}
    found = read_file(out.getvalue().encode(errors="replace"))
    assert {email for _, email in people(found)} <= {email.strip() for email in meant}


@given(
    st.lists(st.tuples(plain_names, emails), min_size=3, max_size=8),
    st.lists(st.tuples(plain_names, st.sampled_from(["", "kim@", "a@x.org, b@x.org"])), max_size=2),
    st.sampled_from(";\t"),
    st.sampled_from([read, lambda text: read_file(text.encode())]),
)
def test_bad_rows_take_nothing_from_the_good_ones(good, bad, mark, reader):
    rows = [*bad, *good]
    found = reader("".join(f"{name}{mark}{email}\n" for name, email in rows))
    assert people(found) == good
    assert len(found) == len(rows)
