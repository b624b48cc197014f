"""What a link opens, and what keeps others closed."""

import logging
from datetime import timedelta

import pytest
from django.core import signing
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.tests.people import person
from config.logs import HideInvitationLinks, hide_links
from invitations import mailing
from invitations.models import Invitation, Status
from invitations.tests.making import invitation

pytestmark = pytest.mark.django_db


def test_the_database_does_not_hold_the_link():
    found = invitation()
    assert found.link != found.token
    assert Invitation.objects.for_link(found.link) == found
    assert Invitation.objects.for_link(found.token) is None


@pytest.mark.parametrize(
    "link", ["", "x", ":", "opened", "a:b:c", "\x00", "ü:ü", "x" * 5000, "../admin"]
)
def test_a_malformed_link_opens_nothing(link):
    invitation()
    assert Invitation.objects.for_link(link) is None


def test_a_link_signed_for_something_else_opens_nothing():
    found = invitation()
    assert Invitation.objects.for_link(signing.Signer(salt="other").sign(found.token)) is None
    assert (
        Invitation.objects.for_link(signing.Signer(key="k", salt="invitation").sign(found.token))
        is None
    )


def test_true_and_forged_links_take_the_same_queries(django_assert_num_queries):
    found = invitation()
    for link in (found.link, found.link + "x", "nonsense"):
        with django_assert_num_queries(1):
            Invitation.objects.for_link(link)


def test_a_new_link_closes_the_old_one():
    found = invitation(sent_at=timezone.now())
    old = found.link
    found.new_link()
    assert Invitation.objects.for_link(old) is None
    assert Invitation.objects.for_link(found.link) == found
    assert found.sent_at is None


def test_a_mail_under_way_does_not_make_a_new_link_a_sent_one(monkeypatch):
    found = invitation(recipient_email="rita@example.com")
    mail = mailing.message

    def replaced_meanwhile(sent):
        Invitation.objects.get(pk=found.pk).new_link()
        return mail(sent)

    monkeypatch.setattr("invitations.models.message", replaced_meanwhile)
    found.send()
    found.refresh_from_db()
    assert found.sent_at is None


def test_the_address_is_the_sites_own(settings):
    settings.SITE_URL = "https://parley.example/"
    found = invitation()
    assert found.url == f"https://parley.example/invite/{found.link}/"


def test_revoking_twice_keeps_the_first_time():
    found = invitation()
    found.revoke()
    first = found.revoked_at
    found.revoke()
    assert found.revoked_at == first
    assert found.status == Status.REVOKED


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, Status.DRAFT),
        ({"sent_at": timezone.now()}, Status.SENT),
        ({"opened_at": timezone.now()}, Status.OPENED),
        ({"opened_at": timezone.now(), "sent_at": timezone.now()}, Status.OPENED),
        ({"opened_at": timezone.now(), "claimed_at": timezone.now()}, Status.CLAIMED),
        ({"claimed_at": timezone.now()}, Status.CLAIMED),
        ({"expires_at": timezone.now() - timedelta(seconds=1)}, Status.EXPIRED),
        ({"revoked_at": timezone.now()}, Status.REVOKED),
        ({"usage": {"input_tokens": 20_000, "held_tokens": 5_000}}, Status.USED_UP),
        ({"usage": {"input_tokens": 20_000, "held_tokens": 4_999}}, Status.DRAFT),
        ({"opened_at": timezone.now(), "usage": {"input_tokens": 25_000}}, Status.USED_UP),
        ({"linked": True}, Status.LINKED),
        ({"linked": True, "usage": {"input_tokens": 25_000}}, Status.USED_UP),
        ({"linked": True, "revoked_at": timezone.now()}, Status.REVOKED),
        ({"revoked_at": timezone.now(), "expires_at": timezone.now()}, Status.REVOKED),
    ],
)
def test_lists_and_single_invitations_agree_on_the_status(fields, status):
    if "linked" in fields:
        fields = {"linked_user": person(), "claimed_at": timezone.now(), **fields}
        del fields["linked"]
    found = invitation(**fields)
    assert found.status == status
    for value in Status:
        assert Invitation.objects.in_status(value).filter(pk=found.pk).exists() == (value == status)


def test_a_quota_that_is_none_is_refused():
    for quota in ({}, {"tokens": 0}, {"tokens": "25000"}, {"tokens": True}, [], None):
        with pytest.raises(ValidationError):
            invitation(quota=quota)


def test_no_log_holds_a_link(caplog):
    link = invitation().link
    assert link not in hide_links(f"GET /invite/{link}/ 404")
    caplog.handler.addFilter(HideInvitationLinks())
    logging.getLogger("django.request").warning("Not Found: %s", f"/invite/{link}/")
    assert link not in caplog.text
    assert "/invite/…" in caplog.text
