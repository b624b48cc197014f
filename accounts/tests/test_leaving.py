"""Asking to be erased, and the week to change one's mind."""

from datetime import timedelta
from smtplib import SMTPException

import pytest
from django.core.mail import EmailMessage
from django.utils import timezone

from accounts import leaving
from accounts.models import User
from accounts.tests.people import person, staff

pytestmark = pytest.mark.django_db
WEEK = timedelta(days=7)


def erase_in(user, time):
    User.objects.filter(pk=user.pk).update(erase_at=timezone.now() + time)
    user.refresh_from_db()


def test_asking_gives_a_week_and_says_so_by_mail(mailoutbox):
    user = person(name="Dana")
    when = leaving.ask(user)
    assert timedelta(0) <= timezone.now() + WEEK - when < timedelta(seconds=5)
    (mail,) = mailoutbox
    assert mail.to == ["dana@example.com"]
    assert mail.subject == f"Your Parley account will be erased on {when.day} {when:%B %Y}"
    assert "Keep my account" in mail.body
    assert mail.extra_headers["Auto-Submitted"] == "auto-generated"


def test_asking_twice_keeps_the_first_date_and_writes_once(mailoutbox):
    user = person()
    first = leaving.ask(user)
    assert leaving.ask(User.objects.get(pk=user.pk)) == first
    assert len(mailoutbox) == 1


@pytest.mark.parametrize("trouble", [ConnectionRefusedError, SMTPException])
def test_a_mail_server_that_is_away_does_not_stop_it(monkeypatch, caplog, trouble):
    def refuse(*_):
        raise trouble("dana@example.com")

    monkeypatch.setattr(EmailMessage, "send", refuse)
    user = person()
    assert leaving.ask(user) == user.erase_at is not None
    assert trouble.__name__ in caplog.text
    assert "dana" not in caplog.text


def test_a_name_in_the_mail_is_only_text(mailoutbox):
    leaving.ask(person(name="<b>Dana & co</b>"))
    assert "Hello <b>Dana & co</b>," in mailoutbox[0].body


def test_one_may_change_ones_mind_until_it_is_time():
    user = person()
    leaving.ask(user)
    assert leaving.keep(user)
    assert not leaving.keep(user)
    assert leaving.due() == []
    erase_in(user, -timedelta(seconds=1))
    assert not leaving.keep(user)
    assert leaving.due() == [user.pk]


def test_one_takes_it_up_and_nobody_signs_in_any_more():
    user = person()
    erase_in(user, -timedelta(seconds=1))
    assert leaving.take_up(user.pk)
    assert not leaving.take_up(user.pk)
    user.refresh_from_db()
    assert not user.is_active
    assert leaving.due() == []


def test_what_failed_is_due_again_after_an_hour():
    user = person()
    erase_in(user, -timedelta(seconds=1))
    leaving.take_up(user.pk)
    user.refresh_from_db()
    erase_in(user, user.erase_at - timezone.now() - leaving.PAUSE)
    assert leaving.due() == [user.pk]
    assert leaving.take_up(user.pk)


def test_the_only_administrator_is_needed():
    ada = staff()
    assert leaving.is_last_administrator(ada)
    assert not leaving.is_last_administrator(person())
    other = staff("ben@example.com")
    assert not leaving.is_last_administrator(ada)
    erase_in(other, WEEK)
    assert leaving.is_last_administrator(ada)
