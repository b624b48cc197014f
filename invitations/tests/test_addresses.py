"""Pasted lists: whom they name, and what is wrong with each line (case 45)."""

import pytest
from django.core.validators import validate_email
from hypothesis import given
from hypothesis import strategies as st

from invitations.addresses import Entry, sort
from invitations.lists import read, read_file


def people(entries):
    return [(entry.name, entry.email) for entry in entries if not entry.problem]


@pytest.mark.parametrize(
    "text",
    [
        "kim@example.org",
        "  kim@example.org\t",
        "<kim@example.org>",
        "mailto:kim@example.org",
        "kim@example.org;",
        "kim@example.org,",
        "(kim@example.org)",
        "'kim@example.org'",
        "kim@example.org.",
        '"kim@example.org"',
        "\ufeffkim@example.org",
        "\u200bkim@example.org",
        "kim@example.org <mailto:kim@example.org>".partition(" ")[0],
    ],
)
def test_one_address_is_one_person(text):
    assert people(read(text)) == [("", "kim@example.org")]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('"Kim Lee" <kim@example.org>', "Kim Lee"),
        ("Kim Lee <kim@example.org>", "Kim Lee"),
        ("Kim Lee kim@example.org", "Kim Lee"),
        ("Kim Lee\tkim@example.org", "Kim Lee"),
        ("kim@example.org\tKim Lee", "Kim Lee"),
        ("kim@example.org (Kim Lee)", "(Kim Lee)"),
        ("Kim Lee, kim@example.org", "Kim Lee"),
        ("kim@example.org, Kim Lee", "Kim Lee"),
        ("Kim Lee: kim@example.org", "Kim Lee"),
        ('"Lee, Kim" <kim@example.org>', "Lee, Kim"),
        ("Lee, Kim <kim@example.org>", "Lee, Kim"),
        ('"Lee; Kim" <kim@example.org>', "Lee; Kim"),
        ('"Kim \\"K\\" Lee" <kim@example.org>', 'Kim "K" Lee'),
        ("'Kim Lee' <kim@example.org>", "Kim Lee"),
        ("Kim   O’Neil  <kim@example.org>", "Kim O’Neil"),
        ("Zoë Łukasz <kim@example.org>", "Zoë Łukasz"),
        ('To: "Lee, Kim" <kim@example.org>', "Lee, Kim"),
        ("Cc: Kim Lee <kim@example.org>;", "Kim Lee"),
        ("BCC:kim@example.org", ""),
        ("[Kim Lee](mailto:kim@example.org)", "Kim Lee"),
        ("[kim@example.org](mailto:kim@example.org)", ""),
        ("Kim Lee <MailTo:kim@example.org>", "Kim Lee"),
        ("[Dr] Kim Lee <kim@example.org>", "[Dr] Kim Lee"),
    ],
)
def test_a_name_comes_along(text, name):
    assert people(sort(read(text)).people) == [(name, "kim@example.org")]


def test_the_to_line_of_a_mail_is_read():
    found = read('To: "Ash, Ann" <a@example.org>, Bob <b@example.org>,\n cy@example.org')
    assert people(found) == [
        ("Ash, Ann", "a@example.org"),
        ("Bob", "b@example.org"),
        ("", "cy@example.org"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a@example.org\nb@example.org",
        "a@example.org\r\n\r\nb@example.org\r\n",
        "a@example.org; b@example.org",
        "a@example.org;b@example.org;",
        "a@example.org, b@example.org",
        "a@example.org b@example.org",
        "<a@example.org>, <b@example.org>",
        "a@example.org,\nb@example.org,\n",
    ],
)
def test_lists_come_in_many_shapes(text):
    assert people(read(text)) == [("", "a@example.org"), ("", "b@example.org")]


@pytest.mark.parametrize(
    "text",
    [
        "Ann Ash <a@example.org>; Bob Birch <b@example.org>",
        "Ann Ash <a@example.org>, Bob Birch <b@example.org>",
        '"Ann Ash" <a@example.org>\n"Bob Birch" <b@example.org>',
        "Ann Ash a@example.org\nBob Birch b@example.org",
        "name,email\nAnn Ash,a@example.org\nBob Birch,b@example.org",
        "E-Mail;Phone;Full name\na@example.org;1;Ann Ash\nb@example.org;2;Bob Birch",
        "Last name\tFirst name\tEmail address\nAsh\tAnn\ta@example.org\nBirch\tBob\tb@example.org",
    ],
)
def test_names_stay_with_their_addresses(text):
    assert people(read(text)) == [("Ann Ash", "a@example.org"), ("Bob Birch", "b@example.org")]


def test_names_with_commas_stay_whole_in_a_row_of_people():
    found = read("Ash, Ann <a@example.org>, Birch, Bob <b@example.org>")
    assert people(found) == [("Ash, Ann", "a@example.org"), ("Birch, Bob", "b@example.org")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rubbish", "no email address here"),
        ("kim(at)example.org", "no email address here"),
        ("kim@", "“kim@” is no email address"),
        ("@example.org", "is no email address"),
        ("kim@example", "is no email address"),
        ("kim@@example.org", "is no email address"),
        ("kim@exa mple.org", "is no email address"),
        (f"{'k' * 250}@example.org", "too long"),
        (f"{'K' * 201} <kim@example.org>", "longer than 200"),
    ],
)
def test_rubbish_is_named_with_its_line(text, words):
    found = read(f"a@example.org\n\n{text}\nb@example.org")
    assert people(found) == [("", "a@example.org"), ("", "b@example.org")]
    (bad,) = [entry for entry in found if entry.problem]
    assert (bad.line, bad.email) == (3, "")
    assert words in bad.problem


def test_a_bad_address_does_not_become_somebodys_name():
    found = read("kim(at)example.org; ann@example.org")
    assert people(found) == [("", "ann@example.org")]
    assert len([entry for entry in found if entry.problem]) == 1


def test_the_same_address_twice_is_one_person_with_the_name_that_is_known():
    found = sort(
        read("kim@example.org\nKIM@Example.org\nKim Lee <Kim@example.org>\nann@example.org")
    )
    assert people(found.people) == [("Kim Lee", "kim@example.org"), ("", "ann@example.org")]
    assert [entry.line for entry in found.repeated] == [2, 3]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("info@bücher.example", "info@xn--bcher-kva.example"),
        ("info@BÜCHER.example", "INFO@XN--BCHER-KVA.example"),
        ("info@例え.jp", "info@xn--r8jz45g.jp"),
    ],
)
def test_a_domain_in_its_own_letters_is_the_one_that_mail_servers_know(one, other):
    for text in (f"{one}\n{other}", f"{other}\n{one}"):
        found = sort(read(text))
        assert len(found.people) == len(found.repeated) == 1


def test_other_domains_are_other_mailboxes():
    found = sort(read("info@bücher.example; info@bucher.example; info@xn--bcher.example"))
    assert len(found.people) == 3


def test_a_domain_that_no_mail_server_can_know_is_no_address():
    (bad,) = read(f"kim@{'ü' * 60}.example")
    assert "is no email address" in bad.problem


# --- Properties ------------------------------------------------------------------------------

emails = st.builds(
    "{}@{}.org".format,
    st.from_regex(r"[a-z][a-z0-9._+'-]{0,10}[a-z0-9]", fullmatch=True).filter(
        lambda s: ".." not in s
    ),
    st.from_regex(r"[a-z]{1,10}", fullmatch=True),
)
letters = st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="@")
words = st.text(letters, min_size=1, max_size=8)
names = st.one_of(st.just(""), st.lists(words, min_size=1, max_size=3).map(" ".join))


@given(st.text())
def test_no_text_breaks_it_and_what_it_accepts_is_an_address(text):
    for entry in [*read(text), *read_file(text.encode(errors="replace"))]:
        assert bool(entry.email) != bool(entry.problem)
        if entry.email:
            validate_email(entry.email)
            assert entry.name.isprintable()


@given(st.lists(st.tuples(names, emails), max_size=6), st.sampled_from(["\n", "; ", "\r\n"]))
def test_what_it_writes_it_reads_again(rows, separator):
    """The preview puts a file's people into the text box, and reads them from there."""
    entries = [Entry(1, "", name, email) for name, email in rows]
    text = separator.join(str(entry) for entry in entries)
    again = people(read(text))
    assert [email for _, email in again] == [email for _, email in rows]
    assert people(read("\n".join(str(entry) for entry in read(text)))) == again


plain_names = st.lists(
    st.text(st.characters(categories=["L"]), min_size=1, max_size=8), min_size=1, max_size=3
).map(" ".join)


@given(
    st.lists(st.tuples(plain_names, emails), min_size=1, max_size=6),
    st.sampled_from(['"{}" <{}>', "{} <{}>", "{} {}", "{}\t{}", "{}, {}", "  {}  < {} > "]),
    st.sampled_from(["\n", ";", " ;\n", "\r\n\r\n"]),
)
def test_every_way_of_writing_people_names_the_same(rows, shape, separator):
    text = separator.join(shape.format(name, email) for name, email in rows)
    assert people(read(text)) == [(" ".join(name.split()), email) for name, email in rows]
