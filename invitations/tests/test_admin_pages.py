"""The mail before it is sent, and the sheet to print: a link's two pages in the admin."""

import re

from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts.models import User
from config.tests.desk import INLINE, DeskTestCase, admin_url, make_invitation
from invitations.models import Invitation
from invitations.tests.test_admin import at_once

MODEL = "invitations.invitation"
PAGES = ("preview", "preview_html", "sheet")


class PageTestCase(DeskTestCase):
    def setUp(self):
        super().setUp()
        self.invitation = make_invitation(
            self.ada,
            recipient_email="guest@example.org",
            recipient_name="Gwen",
            personal_note="Good <luck>!",
            scenario=self.scenario,
        )

    def url(self, page):
        return admin_url(MODEL, page, self.invitation.pk)


class SecrecyTests(PageTestCase):
    def test_no_cache_and_no_other_site_learns_of_it(self):
        for page in PAGES:
            response = self.client.get(self.url(page))
            assert response.status_code == 200, page
            assert "no-store" in response["Cache-Control"]
            assert response["Referrer-Policy"] == "no-referrer"

    def test_it_is_for_staff_who_may_see_the_link(self):
        self.sign_in(self.sten, "invitations.view_invitation")
        assert {self.client.get(self.url(page)).status_code for page in PAGES} == {403}
        self.sign_in(self.sten, "invitations.change_invitation")
        assert {self.client.get(self.url(page)).status_code for page in PAGES} == {200}

    def test_a_claimed_link_is_for_readers_of_transcripts(self):
        Invitation.objects.update(claimed_at=timezone.now())
        self.sign_in(self.sten, "invitations.view_invitation", "invitations.change_invitation")
        assert {self.client.get(self.url(page)).status_code for page in PAGES} == {403}
        assert self.client.post(self.url("preview")).status_code == 403
        assert mail.outbox == []
        self.sign_in(self.sten, "conversations.view_transcript")
        assert {self.client.get(self.url(page)).status_code for page in PAGES} == {200}

    def test_others_are_sent_to_sign_in(self):
        self.client.force_login(self.lena, backend="accounts.backends.RoleBackend")
        for browser in (self.client, Client()):
            for page in PAGES:
                response = browser.get(self.url(page))
                assert (response.status_code, b"") == (302, response.content)

    def test_what_is_not_there_is_not_found(self):
        for page in PAGES:
            assert self.client.get(admin_url(MODEL, page, "nothing")).status_code == 404

    def test_other_methods_are_refused(self):
        for page in PAGES:
            assert self.client.put(self.url(page)).status_code == 405
        assert self.client.post(self.url("sheet")).status_code == 405

    def test_looking_changes_nothing(self):
        before = Invitation.objects.values().get()
        for page in PAGES:
            self.client.get(self.url(page))
            self.client.head(self.url(page))
        assert Invitation.objects.values().get() == before
        assert mail.outbox == []


class PreviewTests(PageTestCase):
    def test_it_shows_what_the_recipient_will_get(self):
        html = self.page(self.url("preview"))
        framed = self.client.get(self.url("preview_html")).content.decode()

        self.invitation.send()

        [sent] = mail.outbox
        shown = re.search(r'<pre class="mail-text"[^>]*>(.*?)</pre>', html, re.DOTALL)[1]
        assert shown.replace("&lt;", "<").replace("&gt;", ">").replace("&#x27;", "'") == sent.body
        assert framed.replace('<base target="_blank">', "") == sent.alternatives[0].content
        for words in ("Gwen &lt;guest@example.org&gt;", "Ada &lt;ada@example.org&gt;"):
            assert words in html
        assert sent.subject in html

    def test_a_name_is_shown_as_people_write_it(self):
        Invitation.objects.update(recipient_name="Anna Müller")
        User.objects.filter(pk=self.ada.pk).update(name="Åsa")

        html = self.page(self.url("preview"))

        for words in ("Anna Müller &lt;guest@example.org&gt;", "Åsa &lt;ada@example.org&gt;"):
            assert words in html

    def test_the_mail_runs_and_loads_nothing(self):
        response = self.client.get(self.url("preview_html"))
        policy = response["Content-Security-Policy"]
        for rule in ("default-src 'none'", "sandbox", "frame-ancestors 'self'"):
            assert rule in policy
        assert "script-src" not in policy
        assert response["X-Frame-Options"] == "SAMEORIGIN"
        assert " sandbox " in self.page(self.url("preview"))

    def test_the_page_around_it_keeps_the_strict_policy(self):
        response = self.client.get(self.url("preview"))
        assert "unsafe" not in response["Content-Security-Policy"]

    def test_it_sends_from_there(self):
        with at_once:
            response = self.client.post(self.url("preview"))
        assert response["Location"] == self.url("change")
        assert "Sent to guest@example.org" in self.said(response)
        assert [sent.to for sent in mail.outbox] == [["Gwen <guest@example.org>"]]

    def test_a_forged_press_sends_nothing(self):
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(self.ada, backend="accounts.backends.RoleBackend")
        with self.captureOnCommitCallbacks(execute=True):
            assert browser.post(self.url("preview")).status_code == 403
        assert mail.outbox == []

    def test_a_browser_without_a_referrer_may_press_it(self):
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(self.ada, backend="accounts.backends.RoleBackend")
        browser.get(self.url("preview"))
        token = {"csrfmiddlewaretoken": browser.cookies["csrftoken"].value}
        same = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
        with self.captureOnCommitCallbacks(execute=True):
            assert browser.post(self.url("preview"), token, headers=same).status_code == 303
        assert len(mail.outbox) == 1

    def test_without_an_address_there_is_nothing_to_press(self):
        Invitation.objects.update(recipient_email="")
        html = self.page(self.url("preview"))
        assert "cannot be sent as it is" in html
        assert "Send it" not in html

    def test_the_forms_lead_there(self):
        fields = {
            "recipient_email": "new@example.org",
            "scenario": self.scenario.pk,
            "tokens": "5000",
            "expires_at_0": "2099-01-01",
            "expires_at_1": "12:00:00",
            "_continue": "preview",
        }
        response = self.client.post(admin_url(MODEL, "add"), fields)
        made = Invitation.objects.get(recipient_email="new@example.org")
        assert response["Location"] == admin_url(MODEL, "preview", made.pk)
        response = self.client.post(self.url("change"), {**fields, "note_stays": "yes"})
        assert response["Location"] == self.url("preview")
        assert mail.outbox == []


class SheetTests(PageTestCase):
    def test_it_says_who_invites_to_what_until_when_and_how_to_come_in(self):
        response = self.client.get(self.url("sheet"))
        html = response.content.decode()
        for words in (
            "Ada invites Gwen",
            "The dinner",
            f"{self.invitation.expires_at:%B %Y, %H:%M} UTC",
            self.invitation.url,
            "<svg",
            'aria-label="QR code of the link"',
        ):
            assert words in html
        assert INLINE.search(html) is None
        assert "unsafe" not in response["Content-Security-Policy"]

    def test_a_closed_link_is_not_printed(self):
        self.invitation.revoke()
        response = self.client.get(self.url("sheet"))
        assert response["Location"] == self.url("change")

    def test_the_form_leads_to_both_for_who_may_see_the_link(self):
        html = self.page(self.url("change"))
        assert self.url("sheet") in html
        assert self.url("preview") in html
        self.sign_in(self.sten, "invitations.view_invitation")
        assert self.url("sheet") not in self.page(self.url("change"))
