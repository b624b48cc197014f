import re
from datetime import timedelta
from html import unescape
from unittest.mock import patch
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from accounts.models import Role, User
from config.tests.desk import DeskTestCase, admin_url, make_invitation, make_scenario
from invitations import sending
from invitations.admin_bulk_form import MOST_BYTES
from invitations.bulk import Batch, Delivery, State
from invitations.models import Invitation, QuotaPreset
from invitations.tests.racing import all_at_once

MODEL = "invitations.batch"
LIST = "Ann Ash <ann@example.org>; bob@example.org\nrubbish\nBOB@example.org"


class BulkTestCase(DeskTestCase):
    def setUp(self):
        super().setUp()
        self.add = admin_url(MODEL, "add")
        self.preset = QuotaPreset.objects.get(is_default=True)
        # A test's own transaction never commits, and its database is no other thread's.
        starter = patch("invitations.sending.start")
        self.started = starter.start()
        self.addCleanup(starter.stop)

    def fields(self, **changes):
        return {
            "recipients": LIST,
            "scenario": self.scenario.pk,
            "preset": self.preset.pk,
            "tokens": "",
            "expires_at_0": "2099-01-01",
            "expires_at_1": "12:00:00",
            "personal_note": "Good luck!",
            "key": str(uuid4()),
        } | changes

    def look(self, **changes):
        return self.client.post(self.add, self.fields(_look="yes", **changes))

    def send(self, **changes):
        """Look, then press the button of the page that comes."""
        fields = self.fields(**changes)
        seen = self.client.post(self.add, fields | {"_look": "yes"}).context["preview"]
        fields |= {
            "recipients": seen.text,
            "reading": seen.seal,
            "seen": seen.digest,
            "_send": "yes",
        }
        with self.captureOnCommitCallbacks(execute=True):
            return self.client.post(self.add, fields)

    def make(self, *emails):
        self.send(recipients="\n".join(emails or ("ann@example.org", "bob@example.org")))
        return Batch.objects.latest("created_at")

    def url(self, batch):
        return admin_url(MODEL, "change", batch.pk)

    def deliver(self, batch):
        batch.lease("me")
        sending.send_waiting(batch, "me")


class LookTests(BulkTestCase):
    def test_the_form_has_a_budget_chosen_and_nothing_inline(self):
        html = self.page(self.add)

        assert re.search(rf'value="{self.preset.pk}"[^>]*checked', html)
        assert "Look first" in html
        assert "Send " not in html

    def test_looking_says_whom_it_would_invite_and_what_is_wrong(self):
        response = self.look()

        html = " ".join(response.content.decode().split())
        for words in (
            "This would invite 2 people",
            "ann@example.org",
            "Ann Ash",
            "Line 3:",
            "rubbish",
            "There is no email address here.",
            "Named more than once, invited once: BOB@example.org (line 4)",
            "Send 2 invitations",
            "Ada invites you to rehearse: The dinner",
        ):
            assert words in html, words
        assert not Invitation.objects.exists()
        assert mail.outbox == []

    def test_the_mail_on_the_page_opens_nothing(self):
        html = self.look().content.decode()

        assert "/invite/…/" in html

    def test_whom_an_open_invitation_waits_for_is_left_out(self):
        make_invitation(self.ada, recipient_email="ANN@example.org", scenario=self.scenario)

        response = self.look()

        self.assertContains(response, "1 who has an open invitation to The dinner")
        assert [entry.email for entry in response.context["preview"].people] == ["bob@example.org"]

    def test_other_invitations_are_in_nobodys_way(self):
        now = timezone.now()
        ann = {"recipient_email": "ann@example.org"}
        make_invitation(self.ada, scenario=make_scenario("other"), **ann)
        make_invitation(self.ada, scenario=None, **ann)
        make_invitation(self.ada, scenario=self.scenario, revoked_at=now, **ann)
        make_invitation(self.ada, scenario=self.scenario, expires_at=now, **ann)
        make_invitation(self.ada, scenario=self.scenario, usage={"input_tokens": 25_000}, **ann)

        assert len(self.look().context["preview"].people) == 2

    def test_a_file_is_read_and_its_people_stand_in_the_list(self):
        content = "﻿Name;E-mail\nZoë Ash;zoe@example.org\n;bad@\n".encode()

        response = self.look(recipients="", file=SimpleUploadedFile("people.csv", content))

        self.assertContains(response, "This would invite 1 person")
        self.assertContains(response, "“bad@” is no email address.")
        assert response.context["preview"].text == "Zoë Ash <zoe@example.org>\nbad@"
        self.assertContains(response, "Zoë Ash &lt;zoe@example.org&gt;\nbad@</textarea>")

    def test_an_open_invitation_is_known_by_either_spelling_of_its_domain(self):
        spellings = ("info@Bücher.example", "INFO@xn--bcher-kva.example", "info@BÜCHER.example")
        for stored in spellings:
            make_invitation(self.ada, recipient_email=stored, scenario=self.scenario)
            for named in spellings:
                with self.subTest(stored=stored, named=named):
                    preview = self.look(recipients=f"{named}; info@other.example").context[
                        "preview"
                    ]
                    assert [entry.email for entry in preview.people] == ["info@other.example"]
            Invitation.objects.all().delete()

    def test_a_list_and_a_file_are_one_list(self):
        file = SimpleUploadedFile("people.csv", b"ann@example.org\nzoe@example.org")

        assert len(self.look(file=file).context["preview"].people) == 3

    def test_it_says_what_is_missing_or_too_much(self):
        many = "\n".join(f"p{number}@example.org" for number in range(501))
        large = SimpleUploadedFile("large.csv", b"x" * (MOST_BYTES + 1))
        for changes, words in (
            ({"recipients": ""}, "Whom do you invite?"),
            ({"recipients": " \n\t\n"}, "Whom do you invite?"),
            ({"recipients": many}, "500 at a time is the most"),
            ({"file": large}, "larger than 1 MB"),
            ({"preset": ""}, "Choose a budget"),
            ({"expires_at_0": "2020-01-01"}, "That is over already"),
            ({"recipients": "a\0b"}, "Null characters are not allowed"),
        ):
            with self.subTest(words):
                response = self.look(**changes)
                self.assertContains(response, words)
                assert response.context["preview"] is None

    def test_five_hundred_are_not_too_many(self):
        many = "\n".join(f"p{number}@example.org" for number in range(500))

        assert len(self.look(recipients=many).context["preview"].people) == 500

    def test_a_list_of_rubbish_cannot_be_sent(self):
        response = self.look(recipients="rubbish")

        self.assertContains(response, "This would invite nobody")
        self.assertNotContains(response, 'name="_send"')

    def test_what_stands_in_the_list_is_inert(self):
        html = self.look(
            recipients='"<script>alert(1)</script>" <ann@example.org>\n<img src=x onerror=y>'
        ).content.decode()

        assert "<script>alert" not in html
        assert "<img" not in html

    def test_who_may_not_invite_sees_no_form(self):
        self.sign_in(self.sten, "invitations.view_invitation")

        assert self.client.get(self.add).status_code == 403
        assert self.look().status_code == 403


class SendTests(BulkTestCase):
    def test_sending_stores_invitations_and_begins(self):
        response = self.send()

        batch = Batch.objects.get()
        assert response.status_code == 303
        assert response["Location"] == self.url(batch)
        assert sorted(Invitation.objects.values_list("recipient_email", "recipient_name")) == [
            ("ann@example.org", "Ann Ash"),
            ("bob@example.org", ""),
        ]
        assert Invitation.objects.first().created_by == self.ada
        self.started.assert_called_once_with(batch)
        page = self.client.get(response["Location"]).content.decode()
        assert "Left out for want of one clear address: line 3." in page

    def test_whom_the_page_leaves_out_gets_nothing(self):
        """What a browser sends from the page that a file with bad rows leads to."""
        content = (
            "\ufeffName;E-mail;Note\nAnn;ann@example.org;\nLee;;ask chef@example.org\n"
            "Two;z1@example.org, z2@example.org;\nBob;bob@example.org;\n"
        )
        file = SimpleUploadedFile("people.csv", content.encode())
        page = self.look(recipients="", file=file)
        self.assertContains(page, "Send 2 invitations")

        response = self.client.post(self.add, fields_of(page, "_send"))

        assert response.status_code == 303
        invited = Invitation.objects.values_list("recipient_name", "recipient_email")
        assert sorted(invited) == [("Ann", "ann@example.org"), ("Bob", "bob@example.org")]

    def test_a_line_that_is_corrected_is_looked_at_before_it_is_sent(self):
        file = SimpleUploadedFile("people.csv", b"Name;E-mail;Note\nLee;;ask chef@example.org\n")
        fields = fields_of(self.look(recipients="", file=file), "_look")
        fields["recipients"] = "Lee <lee@example.org>"

        page = self.client.post(self.add, fields)

        self.assertContains(page, "This would invite 1 person")
        assert self.client.post(self.add, fields_of(page, "_send")).status_code == 303
        assert Invitation.objects.get().recipient_email == "lee@example.org"

    def test_the_same_button_pressed_twice_leads_to_the_same_page(self):
        fields = self.fields()
        seen = self.client.post(self.add, fields | {"_look": "yes"}).context["preview"]
        fields |= {
            "recipients": seen.text,
            "reading": seen.seal,
            "seen": seen.digest,
            "_send": "yes",
        }

        first, second = (self.client.post(self.add, fields) for _ in range(2))

        assert first["Location"] == second["Location"]
        assert Invitation.objects.count() == 2

    def test_what_was_not_looked_at_is_not_sent(self):
        fields = self.fields()
        seen = self.client.post(self.add, fields | {"_look": "yes"}).context["preview"]
        for changes in (
            {"recipients": "other@example.org"},
            {"personal_note": "Something else"},
            {"tokens": "99"},
            {"seen": ""},
        ):
            with self.subTest(changes):
                fields_now = fields | {"seen": seen.digest, "_send": "yes"} | changes
                response = self.client.post(self.add, fields_now)
                self.assertContains(response, "Look again")
        assert not Invitation.objects.exists()

    def test_the_history_says_who_invited_and_holds_no_token(self):
        batch = self.make()

        tokens = list(Invitation.objects.values_list("token", flat=True))
        entries = LogEntry.objects.all()
        assert entries.filter(object_id=batch.pk, user=self.ada).count() == 1
        assert entries.filter(object_id__in=Invitation.objects.values("pk")).count() == 2
        for entry in entries:
            assert not any(
                token in f"{entry.object_repr} {entry.change_message}" for token in tokens
            )

    def test_five_hundred_are_stored_in_few_queries(self):
        many = "\n".join(f"p{number}@example.org" for number in range(500))

        with self.assertNumQueries(FuzzyNumber(60)):
            self.send(recipients=many)

        assert Delivery.objects.count() == 500


class FuzzyNumber(int):
    """At most so many."""

    def __eq__(self, other):
        return other <= int(self)

    __hash__ = int.__hash__


class ProgressTests(BulkTestCase):
    def test_it_says_how_far_it_is_and_loads_again_by_itself(self):
        batch = self.make()
        batch.lease("somebody")

        html = self.page(self.url(batch))

        assert "Sending: 0 of 2." in html
        assert 'http-equiv="refresh"' in html
        assert "data-running" in html
        assert "Stop sending" in html

    def test_it_stops_loading_when_all_is_sent(self):
        batch = self.make()
        self.deliver(batch)

        html = self.page(self.url(batch))

        assert "All 2 are sent." in html
        assert "data-running" not in html
        assert 'http-equiv="refresh"' not in html

    def test_an_interrupted_one_says_so_and_what_happens_next(self):
        batch = self.make()
        for lease in (None, timezone.now() - timedelta(seconds=1)):
            Batch.objects.update(lease_expires_at=lease)

            html = self.page(self.url(batch))

            assert "Interrupted: 2 of 2 wait." in html
            assert "It goes on by itself within two minutes, or now" in html
            assert "Go on sending" in html
            assert "Stop sending" in html
            assert "data-running" in html  # so that the page sees it go on

    def test_looking_at_an_interrupted_one_sends_and_changes_nothing(self):
        batch = self.make()
        self.started.reset_mock()
        self.sign_in(self.sten, "invitations.view_invitation")
        rows = list(Batch.objects.values()), list(Delivery.objects.values())

        html = self.page(self.url(batch))

        assert "It goes on by itself within two minutes." in html
        assert "<button" not in html.partition('id="content"')[2]
        self.client.head(self.url(batch))
        self.client.get(self.url(batch), {"csv": ""})
        assert rows == (list(Batch.objects.values()), list(Delivery.objects.values()))
        self.started.assert_not_called()
        assert mail.outbox == []

    def test_a_row_says_what_became_of_its_mail(self):
        batch = self.make("ann@example.org", "bob@example.org", "cy@example.org")
        ann, bob, cy = batch.deliveries.all()
        for delivery, state, failure in (
            (ann, State.SENT, ""),
            (bob, State.FAILED, "refused"),
            (cy, State.UNCLEAR, "lost"),
        ):
            Delivery.objects.filter(pk=delivery.pk).update(state=state, failure=failure)

        html = self.page(self.url(batch))

        for words in (
            "Finished: 1 of 3 are sent.",
            "The mail server refused the mail.",
            "it may have gone out, or not",
            "Send the 1 that failed again",
            f'id="again-{bob.pk}"',
            f'id="arrived-{cy.pk}"',
        ):
            assert words in html, words
        assert f'id="again-{ann.pk}"' not in html

    def test_the_page_takes_as_many_queries_for_many(self):
        few = self.queries(self.url(self.make("one@example.org")))
        many = self.make(*(f"p{number}@example.org" for number in range(50)))

        assert self.queries(self.url(many)) == few
        assert few <= 14

    def test_a_row_says_how_far_its_invitation_is(self):
        batch = self.make("ann@example.org")
        self.deliver(batch)
        Invitation.objects.get().open_page()

        assert ">Opened</a>" in self.page(self.url(batch))
        assert self.client.get(self.url(batch), {"csv": ""}).content.endswith(b',"Opened"\r\n')

    def test_no_link_stands_on_it(self):
        batch = self.make()

        html = self.page(self.url(batch))

        for token in Invitation.objects.values_list("token", flat=True):
            assert token not in html

    def test_an_unknown_one_is_not_found(self):
        assert self.client.get(admin_url(MODEL, "change", "none")).status_code == 404

    def test_it_exports_safe_cells_and_no_links(self):
        self.send(recipients='"=cmd()" <ann@example.org>\n+bob@example.org')

        text = self.client.get(self.url(Batch.objects.get()), {"csv": ""}).content.decode()

        assert text.splitlines()[0] == '"name","email","mail","attempts","sent at","invitation"'
        assert '"\'=cmd()","ann@example.org","Waiting","0","",' in text
        assert "'+bob@example.org" in text
        assert "/invite/" not in text


class ButtonTests(BulkTestCase):
    def press(self, batch, action, which=""):
        self.started.reset_mock()
        return self.client.post(self.url(batch), {"action": action, "delivery": which})

    def states(self, batch):
        return list(batch.deliveries.values_list("state", flat=True))

    def fail(self, batch):
        batch.deliveries.update(state=State.FAILED, failure="refused")

    def test_failed_ones_are_sent_again_all_or_one(self):
        batch = self.make()
        for which, states in (
            ("failed", ["waiting", "waiting"]),
            (str(batch.deliveries.first().pk), ["waiting", "failed"]),
            ("unclear", ["failed", "failed"]),
            ("x", ["failed", "failed"]),
        ):
            with self.subTest(which):
                self.fail(batch)
                assert self.press(batch, "again", which)["Location"] == self.url(batch)
                assert self.states(batch) == states
                self.started.assert_called_once()

    def test_the_one_of_another_batch_is_left_alone(self):
        batch, other = self.make(), self.make("zoe@example.org")
        self.fail(other)

        self.press(batch, "again", str(other.deliveries.get().pk))

        assert self.states(other) == ["failed"]

    def test_an_unclear_one_is_sent_again_or_taken_as_sent(self):
        batch = self.make()
        for action, state in (("again", "waiting"), ("arrived", "sent")):
            batch.deliveries.update(state=State.UNCLEAR, failure="lost")
            self.press(batch, action, str(batch.deliveries.first().pk))
            assert self.states(batch) == [state, "unclear"]

    def test_it_stops_and_goes_on(self):
        batch = self.make()

        self.press(batch, "stop")
        batch.refresh_from_db()
        assert batch.halted == "stopped"
        assert "Stopped: 2 of 2 wait." in self.page(self.url(batch))

        self.press(batch, "go-on")
        batch.refresh_from_db()
        assert batch.halted == ""
        self.started.assert_called_once_with(batch)

    def test_every_press_is_in_the_history(self):
        batch = self.make()
        self.press(batch, "stop")

        entry = LogEntry.objects.latest("pk")
        assert (entry.user, entry.change_message) == (self.ada, "Stopped sending.")

    def test_who_may_only_look_presses_nothing(self):
        batch = self.make()
        self.sign_in(self.sten, "invitations.view_invitation")

        assert "<button" not in self.page(self.url(batch)).partition('id="content"')[2]
        assert self.press(batch, "stop").status_code == 403


class ListTests(BulkTestCase):
    def test_it_shows_how_many_were_sent_and_how_many_not(self):
        batch = self.make()
        batch.deliveries.filter(position=1).update(state=State.SENT)
        batch.deliveries.filter(position=2).update(state=State.FAILED)

        html = self.page(admin_url(MODEL, "changelist"))

        assert "1 of 2" in html
        assert "1 not" in html

    def test_the_list_takes_as_many_queries_for_many(self):
        url = admin_url(MODEL, "changelist")
        self.make("p@example.org")
        few = self.queries(url)
        for number in range(5):
            self.make(f"p{number}@example.org")

        assert self.queries(url) == few
        assert few <= 12

    def test_it_is_not_deleted(self):
        batch = self.make()

        assert self.client.get(admin_url(MODEL, "delete", batch.pk)).status_code == 403

    def test_a_lost_one_is_shown_as_unclear_and_noted_by_a_button(self):
        batch = self.make("ann@example.org")
        long_ago = timezone.now() - timedelta(minutes=5)
        batch.deliveries.update(state=State.SENDING, begun_at=long_ago)
        delivery = batch.deliveries.get()

        html = self.page(self.url(batch))

        assert "it may have gone out, or not" in html
        assert f'id="arrived-{delivery.pk}"' in html
        assert "Finished: 0 of 1 are sent." in html
        assert "1 not" in self.page(admin_url(MODEL, "changelist"))
        assert ',"Unclear","0",' in self.client.get(self.url(batch), {"csv": ""}).content.decode()
        delivery.refresh_from_db()
        assert delivery.state == State.SENDING

        self.client.post(self.url(batch), {"action": "arrived", "delivery": delivery.pk})
        delivery.refresh_from_db()
        assert delivery.state == State.SENT


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("names", ["ada ada ada ada", "ada bea cleo dot"])
def test_of_four_forms_sent_at_once_one_invites_an_address(monkeypatch, names):
    """By one of the staff, or by four who have the same list."""
    monkeypatch.setattr("invitations.sending.start", lambda batch: None)
    create = User.objects.create_user
    staff = {
        name: create(f"{name}@example.org", name=name, role=Role.ADMIN, is_staff=True)
        for name in sorted({*names.split()})
    }
    forms = [ready(staff[name]) for name in names.split()]

    answers = all_at_once([lambda c=client, f=fields: c.post(*f) for client, fields in forms])

    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 303]
    assert (Invitation.objects.count(), Batch.objects.count()) == (1, 1)


def fields_of(page, button):
    """What a browser sends of a page's form when `button` is pressed."""
    form = page.content.decode()
    fields = {
        field["name"]: unescape(field.get("value", ""))
        for tag in re.findall(r"<input [^>]*>", form)
        if (field := dict(re.findall(r'(\w+)="([^"]*)"', tag))).get("name")
        and field["type"] not in ("submit", "radio", "file")
    }
    for name, text in re.findall(
        r'<textarea name="(\w+)"[^>]*>\n?(.*?)</textarea>', form, re.DOTALL
    ):
        fields[name] = unescape(text).replace("\n", "\r\n")
    chosen = re.findall(r'name="preset" value="(\w+)"[^>]*checked', form)
    scenario = re.findall(r'<option value="(\d*)" selected', form)
    return fields | {"preset": chosen[0], "scenario": scenario[0], button: "yes"}


def ready(user):
    """A browser, and a form that its user has looked at and is about to send."""
    client = Client()
    client.force_login(user, backend="accounts.backends.RoleBackend")
    fields = {
        "recipients": "kim@example.org",
        "tokens": "5000",
        "expires_at_0": "2099-01-01",
        "expires_at_1": "12:00:00",
        "key": str(uuid4()),
    }
    url = admin_url(MODEL, "add")
    seen = client.post(url, fields).context["preview"].digest
    return client, (url, fields | {"seen": seen, "_send": "yes"})
