"""The mail with the link: both parts, headers, and names that mean no good."""

import smtplib
from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.core.mail.backends.locmem import EmailBackend
from django.utils import timezone

from accounts.tests.people import staff
from invitations.tests.making import invitation, scenario

pytestmark = pytest.mark.django_db


def parts(mail) -> tuple[str, str]:
    return mail.body, mail.alternatives[0].content


def test_it_says_everything_in_both_parts(mailoutbox):
    found = invitation(
        recipient_email="rita@example.com",
        recipient_name="Rita",
        personal_note="You can do it.\nTake your time.",
        quota={"tokens": 25_000, "label": "Short conversation"},
        expires_at=datetime(2099, 5, 4, 12, 30, tzinfo=UTC),
    )
    found.send()
    [mail] = mailoutbox
    assert mail.to == ["Rita <rita@example.com>"]
    assert mail.reply_to == ["Sam Staff <sam@example.com>"]
    assert mail.subject == "Sam Staff invites you to rehearse: A raise"
    assert mail.message()["Auto-Submitted"] == "auto-generated"
    for part in parts(mail):
        for words in (
            "Rita",
            "Sam Staff",
            "A raise",
            "You want more money.",
            "You can do it.",
            "Morgan",
            "an AI",
            "Short conversation, about 8 exchanges",
            "4 May 2099, 12:30 UTC",
            "transcripts",
            found.url,
        ):
            assert words.lower() in part.lower(), words
    assert mail.alternatives[0].mimetype == "text/html"


def test_sending_again_sends_the_same_link_and_notes_when(mailoutbox):
    found = invitation(recipient_email="rita@example.com")
    found.send()
    first = found.sent_at
    found.send()
    assert len(mailoutbox) == 2
    assert all(found.url in mail.body for mail in mailoutbox)
    found.refresh_from_db()
    assert found.sent_at > first


def test_without_a_scenario_it_says_that_one_chooses(mailoutbox):
    invitation(recipient_email="rita@example.com", scenario=None).send()
    assert mailoutbox[0].subject.endswith("a conversation of your choice")
    for part in parts(mailoutbox[0]):
        assert "choose the situation" in part
        assert "None" not in part


def test_names_are_escaped_in_html_and_plain_in_text(mailoutbox):
    nasty = '<img src=x onerror="alert(1)">&amp;'
    staff(name=nasty)
    scenario(name=nasty, description=nasty, partner_persona=nasty)
    invitation(recipient_email="rita@example.com", recipient_name=nasty, personal_note=nasty).send()
    text, html = parts(mailoutbox[0])
    assert "<img" not in html
    assert "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&amp;amp;" in html
    assert text.count(nasty) >= 4  # the inviter, the scenario, its description, the note
    assert "&lt;" not in text


def test_the_text_keeps_what_looks_like_a_tag(mailoutbox):
    scenario(description="Ask for <more> if a < b: <script>alert(1)</script>.")
    invitation(recipient_email="rita@example.com").send()
    assert "Ask for <more> if a < b: <script>alert(1)</script>." in mailoutbox[0].body


@pytest.mark.parametrize("newline", ["\r\n", "\n", "\r", "\x0b", "\x85", "\u2028"])
def test_no_name_adds_a_header(mailoutbox, newline):
    nasty = f"Rita{newline}Bcc: victim@example.com"
    staff(name=nasty)
    scenario(name=nasty)
    invitation(recipient_email="rita@example.com", recipient_name=nasty).send()
    mail = mailoutbox[0]
    assert mail.recipients() == ['"Rita Bcc: victim@example.com" <rita@example.com>']
    message = mail.message()
    assert message["Bcc"] is None
    for header in ("Subject", "To", "Reply-To", "From"):
        assert len(str(message[header]).splitlines()) == 1
    assert "\nBcc:" not in message.as_string().partition("\n\n")[0]


def test_quotes_commas_and_other_scripts_stay_one_address(mailoutbox):
    invitation(recipient_email="rita@example.com", recipient_name='"Rita", 李 <x@y.z>').send()
    to = mailoutbox[0].message()["To"]
    assert [address.addr_spec for address in to.addresses] == ["rita@example.com"]


def test_a_domain_in_other_letters_is_reached(mailoutbox):
    inviter = staff("sam@bücher.example")
    invitation(recipient_email="rita@münchen.example", created_by=inviter).send()
    [mail] = mailoutbox
    assert mail.to == ["rita@xn--mnchen-3ya.example"]
    assert mail.reply_to == ["Sam Staff <sam@xn--bcher-kva.example>"]
    assert mail.message()["To"]


def test_a_very_long_name_is_cut_in_the_header_only(mailoutbox):
    invitation(recipient_email="rita@example.com", recipient_name="R" * 200).send()
    assert len(mailoutbox[0].to[0]) < 120
    assert "R" * 200 in mailoutbox[0].body


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"recipient_email": ""}, "no recipient"),
        ({"revoked_at": timezone.now()}, "revoked"),
        ({"expires_at": timezone.now() - timedelta(days=1)}, "expired"),
    ],
)
def test_what_cannot_be_used_is_not_sent(mailoutbox, fields, words):
    found = invitation(**{"recipient_email": "rita@example.com"} | fields)
    with pytest.raises(ValidationError, match=words):
        found.send()
    assert not mailoutbox
    assert found.sent_at is None


def test_a_mail_server_that_refuses_leaves_it_unsent(monkeypatch):
    def refuse(self, messages):
        raise smtplib.SMTPServerDisconnected

    monkeypatch.setattr(EmailBackend, "send_messages", refuse)
    found = invitation(recipient_email="rita@example.com")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        found.send()
    found.refresh_from_db()
    assert found.sent_at is None
