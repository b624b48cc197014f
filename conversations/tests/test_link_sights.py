"""A guest's link opens what they said: who of the staff sees it, and that it is recorded."""

from datetime import timedelta

from django.contrib.admin.models import LogEntry
from django.core import mail
from django.utils import timezone

from config.tests.desk import DeskTestCase, admin_url, make_conversation, make_invitation
from conversations.told import told_conversation
from conversations.viewings import Viewing, ViewingKind
from invitations.models import Invitation
from invitations.tests.test_admin import at_once

MODEL = "invitations.invitation"
PAGES = ("preview", "preview_html", "sheet")
MANAGES = ("invitations.view_invitation", "invitations.change_invitation")


class SightTestCase(DeskTestCase):
    def setUp(self):
        super().setUp()
        self.invitation = make_invitation(
            self.ada, recipient_email="guest@example.org", claimed_at=timezone.now()
        )
        self.conversation = make_conversation(self.scenario, invitation=self.invitation)

    def look(self, page):
        response = self.client.get(admin_url(MODEL, page, self.invitation.pk))
        assert response.status_code == 200
        return response.content.decode()

    def act(self, action, **extra):
        with at_once:
            response = super().act(MODEL, action, self.invitation, **extra)
        self.invitation.refresh_from_db()
        return response


class RecordTests(SightTestCase):
    def test_whoever_looks_at_it_is_recorded_as_a_reader(self):
        for page in PAGES:
            Viewing.objects.all().delete()
            assert self.invitation.token in self.look(page)
            viewing = Viewing.objects.get()
            assert (viewing.conversation, viewing.viewer) == (self.conversation, self.ada)
            assert viewing.kind == ViewingKind.LINK
        told = LogEntry.objects.filter(object_id=self.invitation.pk)
        assert {entry.get_change_message() for entry in told} == {
            "Looked at the link, which opens what was said."
        }

    def test_the_two_parts_of_a_mail_are_one_look(self):
        self.look("preview")
        self.look("preview_html")
        assert (Viewing.objects.count(), LogEntry.objects.count()) == (1, 1)
        Viewing.objects.update(started_at=timezone.now() - timedelta(minutes=2))
        self.look("preview")
        assert Viewing.objects.count() == 2

    def test_each_reader_is_recorded(self):
        self.look("sheet")
        self.sign_in(self.sten, *MANAGES, "conversations.view_transcript")
        self.look("sheet")
        assert set(Viewing.objects.values_list("viewer", flat=True)) == {self.ada.pk, self.sten.pk}

    def test_the_form_shows_no_link_and_records_nothing(self):
        assert self.invitation.token not in self.look("change")
        assert not Viewing.objects.exists()

    def test_what_opens_nothing_for_others_is_recorded_nowhere(self):
        for change in ({"claimed_at": None}, {"linked_user": self.lena}):
            Invitation.objects.update(**{"claimed_at": timezone.now()} | change)
            self.look("preview")
            assert not Viewing.objects.exists()
            Invitation.objects.update(linked_user=None)

    def test_the_learner_may_read_of_it(self):
        self.look("sheet")
        (told,) = told_conversation(self.conversation, [])["read_by_staff"]
        assert told["how"] == "Saw the link that opens it"


class ManagerTests(SightTestCase):
    """Who manages invitations, and may not read what was said."""

    def setUp(self):
        super().setUp()
        self.sign_in(self.sten, *MANAGES)

    def test_no_page_shows_them_the_link(self):
        assert self.invitation.token not in self.look("change")
        for page in PAGES:
            response = self.client.get(admin_url(MODEL, page, self.invitation.pk))
            assert response.status_code == 403
        assert not Viewing.objects.exists()

    def test_saving_to_see_the_mail_leads_to_no_refusal(self):
        url = admin_url(MODEL, "change", self.invitation.pk)
        fields = {"tokens": "30000", "expires_at_0": "2099-01-01", "expires_at_1": "12:00"}
        response = self.client.post(url, fields | {"_continue": "preview"})
        assert response["Location"] == url

    def test_sending_again_mails_the_recipient_alone(self):
        self.act("send_again")
        assert [sent.to for sent in mail.outbox] == [["guest@example.org"]]

    def test_a_new_link_is_mailed_and_not_shown(self):
        before = self.invitation.token
        response = self.act("renew", confirmed="yes")
        assert self.invitation.token != before
        assert self.invitation.token not in self.look("change") + self.said(response)
        self.act("send_again")
        assert self.invitation.url in mail.outbox[0].body

    def test_a_new_link_that_would_reach_nobody_is_not_made(self):
        Invitation.objects.update(recipient_email="")
        before = self.invitation.token
        response = self.act("renew", confirmed="yes")
        assert self.invitation.token == before
        assert "left as it is" in self.said(response)

    def test_before_the_claim_the_link_is_theirs_to_pass_on(self):
        Invitation.objects.update(claimed_at=None, recipient_email="")
        before = self.invitation.token
        assert before in self.look("change")
        self.act("renew", confirmed="yes")
        assert self.invitation.token != before
