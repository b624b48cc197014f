import email
import email.policy
from email.utils import formataddr

import pytest
from django.core.mail import EmailMultiAlternatives

from accounts.mail import FolderBackend, forget


@pytest.fixture
def backend(tmp_path):
    return FolderBackend(file_path=str(tmp_path / "mail"), alias="default")


def letter(subject="You are invited", **fields):
    message = EmailMultiAlternatives(
        subject, "Plain words: äöü", "parley@example.com", ["dana@example.com"], **fields
    )
    message.attach_alternative("<p>Rich words</p>", "text/html")
    return message


def files(tmp_path):
    return sorted((tmp_path / "mail").iterdir())


def test_each_message_is_a_file_that_a_mail_program_opens(backend, tmp_path):
    assert backend.send_messages([letter(), letter("Another / one: ..")]) == 2
    first, second = files(tmp_path)
    parsed = email.message_from_bytes(first.read_bytes(), policy=email.policy.default)
    assert parsed["Subject"] == "You are invited"
    assert "Plain words: äöü" in parsed.get_body(("plain",)).get_content()
    assert "Rich words" in parsed.get_body(("html",)).get_content()
    assert second.name.endswith(".eml")
    assert "another-one" in second.name


def test_names_sort_by_time_and_never_collide(backend, tmp_path):
    backend.send_messages([letter(f"Number {number}") for number in range(20)])
    subjects = [email.message_from_bytes(path.read_bytes())["Subject"] for path in files(tmp_path)]
    assert subjects == [f"Number {number}" for number in range(20)]


def test_the_console_shows_recipient_subject_and_text(backend, capsys):
    backend.send_messages([letter(cc=["copy@example.com"])])
    shown = capsys.readouterr().out
    for part in ("dana@example.com", "copy@example.com", "You are invited", "Plain words: äöü"):
        assert part in shown
    assert "Rich words" not in shown


def test_a_subject_without_letters_still_gets_a_file(backend, tmp_path):
    backend.send_messages([letter("…")])
    assert "-mail-" in files(tmp_path)[0].name


def test_the_console_shows_names_as_people_write_them(backend, capsys):
    message = letter()
    message.to = [formataddr(("Zoë Ünal", "zoe@example.com"))]
    backend.send_messages([message])
    assert "Zoë Ünal <zoe@example.com>" in capsys.readouterr().out


def test_it_forgets_who_was_written_to_and_who_is_named(backend, tmp_path, settings):
    settings.MAILERS = {"default": {"OPTIONS": {"file_path": str(tmp_path / "mail")}}}
    others = letter("To others")
    others.to = ["eve@example.com"]
    about = letter("About them")
    about.to, about.body = ["sam@example.com"], "Zoë <ZOE@example.com> asks for more time."
    backend.send_messages([letter(), others, about])
    forget({"dana@example.com", "zoe@example.com"})
    (left,) = files(tmp_path)
    assert "to-others" in left.name


def test_it_knows_an_address_in_other_letters_as_headers_have_it(backend, tmp_path, settings):
    settings.MAILERS = {"default": {"OPTIONS": {"file_path": str(tmp_path / "mail")}}}
    abroad = letter("Hello")
    abroad.to = ["zoë@bücher.example"]
    backend.send_messages([abroad, letter()])
    assert any(b"xn--bcher-kva" in path.read_bytes() for path in files(tmp_path))
    forget({"zoë@bücher.example"})
    (left,) = files(tmp_path)
    assert "you-are-invited" in left.name


def test_where_mail_goes_to_a_server_there_is_nothing_to_forget(settings):
    settings.MAILERS = {"default": {"OPTIONS": {"host": "mail.example.org"}}}
    forget({"dana@example.com"})


def test_a_file_that_is_no_mail_does_no_harm(tmp_path, settings):
    settings.MAILERS = {"default": {"OPTIONS": {"file_path": str(tmp_path)}}}
    (tmp_path / "odd.eml").write_bytes(b"\xff\x00Content-Type: text/x; charset=none\n\n\xff")
    (tmp_path / "odder.eml").write_bytes(b"Content-Type: text/plain; charset=none\n\nx \xff")
    forget({"dana@example.com"})
    assert len(list(tmp_path.iterdir())) == 2
