import re
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

from django.contrib.admin.models import LogEntry
from django.core import mail
from django.test import TransactionTestCase, override_settings
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role, User
from config.tests.desk import (
    PLAIN_FILES,
    DeskTestCase,
    admin_url,
    make_conversation,
    make_invitation,
    make_scenario,
)
from invitations.models import Invitation, QuotaPreset
from usage.models import Hold

MODEL = "invitations.invitation"


# A test's own transaction never commits. `SendingTests` shows the true order.
at_once = patch("invitations.admin_actions.transaction.on_commit", lambda run: run())


class InvitationTestCase(DeskTestCase):
    def setUp(self):
        super().setUp()
        QuotaPreset.objects.all().delete()
        self.short = QuotaPreset.objects.create(
            name="Short",
            label="Short conversation",
            quota={"tokens": 25_000, "label": "Short conversation"},
            is_default=True,
        )
        self.quick = QuotaPreset.objects.create(
            name="Quick", label="Quick chat", quota={"tokens": 10_000}
        )
        self.list = admin_url(MODEL, "changelist")
        self.add = admin_url(MODEL, "add")

    def fields(self, **changes):
        return {
            "recipient_email": "guest@example.org",
            "recipient_name": "Gwen",
            "scenario": self.scenario.pk,
            "preset": self.short.pk,
            "tokens": "",
            "expires_at_0": "2099-01-01",
            "expires_at_1": "12:00:00",
            "personal_note": "Good luck!",
        } | changes

    def change(self, invitation, **changes):
        fields = self.fields(tokens=invitation.limit, quota_label="Long", **changes)
        with at_once:
            return self.client.post(admin_url(MODEL, "change", invitation.pk), fields)

    def send_new(self, **changes):
        with at_once:
            return self.client.post(self.add, self.fields(_continue="send", **changes))


class ListTests(InvitationTestCase):
    def test_it_shows_recipient_status_and_budget(self):
        make_invitation(
            self.ada,
            recipient_name="Gwen",
            recipient_email="guest@example.org",
            scenario=self.scenario,
            usage={"input_tokens": 1200, "output_tokens": 34, "held_tokens": 500},
        )

        html = self.page(self.list)

        for words in ("Gwen", "guest@example.org", "The dinner", ">Draft</span>"):
            assert words in html
        assert "1,234 of 25,000, 500 set aside" in html
        assert 'max="25000" value="1734"' in html

    def test_the_list_takes_as_many_queries_for_many(self):
        make_invitation(self.ada, scenario=self.scenario)
        few = self.queries(self.list)
        for number in range(20):
            make_invitation(self.ada, scenario=make_scenario(f"s{number}"))

        assert self.queries(self.list) == few
        assert few <= 12

    def test_it_filters_by_status(self):
        now = timezone.now()
        made = {
            "draft": make_invitation(self.ada),
            "sent": make_invitation(self.ada, sent_at=now),
            "opened": make_invitation(self.ada, sent_at=now, opened_at=now),
            "linked": make_invitation(self.ada, linked_user=self.lena, claimed_at=now),
            "claimed": make_invitation(self.ada, claimed_at=now),
            "expired": make_invitation(self.ada, expires_at=now),
            "revoked": make_invitation(self.ada, revoked_at=now),
            "used_up": make_invitation(self.ada, usage={"input_tokens": 25_000}),
        }

        for status, invitation in made.items():
            with self.subTest(status):
                found = self.client.get(self.list, {"status": status}).context["cl"].result_list
                assert list(found) == [invitation]

    def test_it_finds_by_recipient_and_scenario_but_never_by_token(self):
        invitation = make_invitation(
            self.ada, recipient_email="guest@example.org", scenario=self.scenario
        )
        make_invitation(self.ada)

        for words, count in (("guest", 1), ("dinner", 1), (invitation.token, 0), ("nobody", 0)):
            with self.subTest(words):
                found = self.client.get(self.list, {"q": words}).context["cl"].result_count
                assert found == count

    def test_names_are_inert(self):
        make_invitation(self.ada, recipient_name="<script>alert(1)</script>")

        assert "&lt;script&gt;" in self.page(self.list)

    def test_no_link_stands_in_the_list(self):
        invitation = make_invitation(self.ada)

        assert invitation.token not in self.page(self.list)


class AddTests(InvitationTestCase):
    def test_the_default_preset_is_chosen(self):
        html = self.page(self.add)

        assert re.search(rf'value="{self.short.pk}"[^>]*checked', html)
        assert "Quick: 10,000 tokens" in html

    def test_a_preset_fills_the_quota(self):
        self.client.post(self.add, self.fields())

        invitation = Invitation.objects.get()
        assert invitation.quota == {"tokens": 25000, "label": "Short conversation"}
        assert invitation.created_by == self.ada
        assert invitation.sent_at is None
        assert mail.outbox == []

    def test_a_preset_without_a_label_gives_its_own(self):
        self.client.post(self.add, self.fields(preset=self.quick.pk))

        assert Invitation.objects.get().quota == {"tokens": 10000, "label": "Quick chat"}

    def test_a_number_takes_the_place_of_the_preset(self):
        self.client.post(self.add, self.fields(tokens="777"))

        assert Invitation.objects.get().limit == 777

    def test_it_needs_a_budget(self):
        for changes in ({"preset": ""}, {"tokens": "0"}, {"tokens": "-5"}, {"tokens": "1.5"}):
            with self.subTest(changes):
                response = self.client.post(self.add, self.fields(**changes))
                assert response.status_code == 200
        assert not Invitation.objects.exists()

    def test_it_offers_only_active_scenarios(self):
        retired = make_scenario("gone", name="A retired one", is_active=False)

        assert "A retired one" not in self.page(self.add)
        response = self.client.post(self.add, self.fields(scenario=retired.pk))
        assert response.status_code == 200

    def test_scenarios_are_found_by_typing_but_no_retired_one(self):
        make_scenario("gone", name="A retired dinner", is_active=False)
        asked = {"app_label": "invitations", "model_name": "invitation", "field_name": "scenario"}

        found = self.client.get(reverse("admin:autocomplete"), {"term": "dinner", **asked}).json()

        assert [row["text"] for row in found["results"]] == ["The dinner"]

    def test_sending_is_the_first_button_of_a_new_one_and_the_last_of_an_old_one(self):
        def buttons(html):
            return re.findall(r'<(?:input|button) type="submit"[^>]*(?:"Save"|"send")', html)

        new = buttons(self.page(self.add))
        old = buttons(self.page(admin_url(MODEL, "change", make_invitation(self.ada).pk)))

        assert 'class="button send default"' in new[0]
        assert 'value="send"' in old[-1]
        assert "default" not in old[-1]

    def test_the_hour_of_the_end_is_said_to_be_in_utc(self):
        self.assertContains(self.client.get(self.add), "In UTC.")

    def test_it_refuses_what_is_no_address(self):
        response = self.client.post(self.add, self.fields(recipient_email="not an address"))

        assert response.status_code == 200
        assert not Invitation.objects.exists()

    def test_without_an_address_there_is_still_a_link(self):
        self.client.post(self.add, self.fields(recipient_email=""))

        assert Invitation.objects.get().is_open

    def test_save_and_send_mails_the_link(self):
        response = self.send_new()

        invitation = Invitation.objects.get()
        assert "Sent to guest@example.org" in self.said(response)
        assert invitation.url in mail.outbox[0].body
        assert invitation.sent_at is not None
        self.assertRedirects(response, admin_url(MODEL, "change", invitation.pk))

    def test_save_and_send_needs_an_address(self):
        response = self.send_new(recipient_email="")

        self.assertContains(response, "To whom should it go?")
        assert not Invitation.objects.exists()

    def test_a_mail_that_fails_keeps_the_invitation_and_says_what_to_do(self):
        with patch("django.core.mail.EmailMultiAlternatives.send", side_effect=OSError("refused")):
            response = self.send_new()

        assert Invitation.objects.get().sent_at is None
        assert re.search("could not be sent.*send the link again", self.said(response))

    def test_the_mail_goes_out_after_the_commit(self):
        with self.captureOnCommitCallbacks() as waiting:
            self.client.post(self.add, self.fields(_continue="send"))

        assert (len(waiting), mail.outbox) == (1, [])

    def test_the_history_holds_no_token(self):
        self.send_new()
        token = Invitation.objects.get().token

        for entry in LogEntry.objects.all():
            assert token not in f"{entry.object_repr} {entry.change_message}"


class ChangeTests(InvitationTestCase):
    def test_the_link_can_be_copied_with_and_without_script(self):
        invitation = make_invitation(self.ada)

        html = self.page(admin_url(MODEL, "change", invitation.pk))

        assert f'readonly value="{invitation.url}"' in html.replace("\n", " ")
        assert 'data-copy="invitation-link"' in html
        assert "js/admin-copy.js" in html
        assert html.count(invitation.token) == 1

    def test_who_may_only_look_does_not_see_the_link(self):
        invitation = make_invitation(self.ada)
        self.sign_in(self.sten, "invitations.view_invitation")

        html = self.page(admin_url(MODEL, "change", invitation.pk))

        assert invitation.token not in html

    def test_a_claimed_link_is_for_readers_of_transcripts(self):
        invitation = make_invitation(self.ada, claimed_at=timezone.now(), recipient_email="a@b.org")
        url = admin_url(MODEL, "change", invitation.pk)
        self.sign_in(self.sten, "invitations.view_invitation", "invitations.change_invitation")

        html = self.page(url)
        assert invitation.token not in html
        assert "it is for who may read transcripts" in html
        assert "Save and see the mail" not in html
        self.change(invitation, recipient_email="sten@example.org")
        invitation.refresh_from_db()
        assert invitation.recipient_email == "a@b.org"

        self.sign_in(self.sten, "conversations.view_transcript")
        html = self.page(url)
        assert invitation.token not in html  # to look at it is recorded, to look here is not
        assert admin_url(MODEL, "preview", invitation.pk) in html
        assert "Save and see the mail" in html

    def test_a_closed_invitation_shows_no_link(self):
        invitation = make_invitation(self.ada, revoked_at=timezone.now())

        html = self.page(admin_url(MODEL, "change", invitation.pk))

        assert invitation.token not in html
        assert "lets nobody in" in html

    def test_the_budget_is_changed_as_a_number(self):
        invitation = make_invitation(self.ada)
        fields = self.fields(tokens="60000", quota_label="Deep dive")

        self.client.post(admin_url(MODEL, "change", invitation.pk), fields)

        invitation.refresh_from_db()
        assert invitation.quota == {"tokens": 60000, "label": "Deep dive"}

    def test_the_budget_cannot_be_less_than_what_is_spent(self):
        invitation = make_invitation(self.ada, usage={"input_tokens": 900, "held_tokens": 200})
        url = admin_url(MODEL, "change", invitation.pk)

        response = self.client.post(url, self.fields(tokens="1099"))
        self.assertContains(response, "1,100 tokens are spent or set aside already")

        self.client.post(url, self.fields(tokens="1100"))
        invitation.refresh_from_db()
        assert invitation.limit == 1100

    def test_saving_leaves_usage_and_token_alone(self):
        invitation = make_invitation(self.ada, usage={"input_tokens": 5}, claimed_at=timezone.now())
        token = invitation.token

        self.change(invitation)

        invitation.refresh_from_db()
        assert (invitation.usage, invitation.token) == ({"input_tokens": 5}, token)
        assert invitation.claimed_at is not None

    def test_its_own_scenario_stays_a_choice_when_it_is_retired(self):
        self.scenario.is_active = False
        self.scenario.save()
        invitation = make_invitation(self.ada, scenario=self.scenario)

        response = self.change(invitation)

        assert response.status_code == 302
        invitation.refresh_from_db()
        assert invitation.scenario == self.scenario

    def test_save_and_send_sends_an_existing_one(self):
        invitation = make_invitation(self.ada)

        self.change(invitation, _continue="send")

        assert "guest@example.org" in mail.outbox[0].to[0]

    def test_it_is_not_deleted_while_a_reply_is_paid_from_it(self):
        invitation = make_invitation(self.ada)
        hold = Hold.objects.create(
            invitation=invitation, stream_type="partner", model="m", tokens=9, max_tokens=4
        )
        url = admin_url(MODEL, "delete", invitation.pk)

        assert self.client.post(url, {"post": "yes"}).status_code == 403

        hold.state, hold.settled_at = "settled", timezone.now()
        hold.save()
        self.client.post(url, {"post": "yes"})
        assert not Invitation.objects.exists()

    def test_deleting_keeps_the_conversation_of_an_account(self):
        invitation = make_invitation(self.ada, linked_user=self.lena)
        conversation = make_conversation(self.scenario, invitation=invitation, user=self.lena)

        self.client.post(admin_url(MODEL, "delete", invitation.pk), {"post": "yes"})

        conversation.refresh_from_db()
        assert conversation.invitation is None

    def test_it_says_what_the_conversation_of_an_account_is_paid_from_then(self):
        words = "out of the account’s own allowance"
        invitation = make_invitation(self.ada, linked_user=self.lena)
        url = admin_url(MODEL, "delete", invitation.pk)
        assert words not in self.page(url)
        conversation = make_conversation(self.scenario, invitation=invitation, user=self.lena)
        assert words in self.page(url)
        conversation.status, conversation.ended_at = "ended", timezone.now()
        conversation.save()
        assert words not in self.page(url)


class ActionTests(InvitationTestCase):
    def setUp(self):
        super().setUp()
        self.invitation = make_invitation(self.ada, recipient_email="guest@example.org")

    def act_now(self, action, *objects, **extra):
        with at_once:
            return self.act(MODEL, action, *objects, **extra)

    def test_sending_again_sends_the_same_link(self):
        response = self.act_now("send_again", self.invitation)

        assert self.invitation.url in mail.outbox[0].body
        assert "Sent to guest@example.org" in self.said(response)
        assert LogEntry.objects.get().get_change_message() == "Sent."

    def test_closed_ones_and_those_without_an_address_are_not_sent(self):
        revoked = make_invitation(self.ada, recipient_email="a@b.org", revoked_at=timezone.now())
        expired = make_invitation(
            self.ada, recipient_email="a@b.org", expires_at=timezone.now() - timedelta(days=1)
        )

        response = self.act_now("send_again", revoked, expired, make_invitation(self.ada))

        assert mail.outbox == []
        assert self.said(response).count("not sent") == 3

    def test_revoking_asks_first(self):
        response = self.act_now("revoke", self.invitation)

        self.assertContains(response, "Revoke?")
        self.invitation.refresh_from_db()
        assert self.invitation.revoked_at is None

    def test_revoking_closes_the_link(self):
        self.act_now("revoke", self.invitation, confirmed="yes")

        self.invitation.refresh_from_db()
        assert not self.invitation.is_open
        assert LogEntry.objects.get().change_message == "Revoked."

    def test_the_form_revokes_too_after_asking(self):
        url = admin_url(MODEL, "change", self.invitation.pk)
        data = {"CHANGE_FORM-action": "revoke", "_selected_action": self.invitation.pk}

        asked = self.client.post(url, data)
        self.assertContains(asked, 'name="CHANGE_FORM-action" value="revoke"')
        self.client.post(url, {**data, "confirmed": "yes"})

        self.invitation.refresh_from_db()
        assert self.invitation.revoked_at is not None

    def test_a_new_link_closes_the_old_one(self):
        old = self.invitation.link

        self.act_now("renew", self.invitation)
        assert Invitation.objects.for_link(old) is not None
        self.act_now("renew", self.invitation, confirmed="yes")

        assert Invitation.objects.for_link(old) is None
        assert mail.outbox == []

    def test_the_history_keeps_when_the_old_link_was_opened(self):
        opened_at = datetime(2026, 11, 3, 9, 5, tzinfo=UTC)
        Invitation.objects.update(opened_at=opened_at)
        url = admin_url(MODEL, "change", self.invitation.pk)
        form = self.page(url)
        assert ">Opened</span>" in form
        assert "Opened on:" in form
        assert "Nov. 3, 2026" in form

        self.act_now("renew", self.invitation, confirmed="yes")

        assert ">Draft</span>" in self.page(url)
        line = LogEntry.objects.latest("pk").change_message
        assert line == "Replaced the link. The old one was opened on 3 November 2026, 09:05 UTC."

    def test_who_may_only_look_acts_on_nothing(self):
        self.sign_in(self.sten, "invitations.view_invitation")
        token = self.invitation.token

        for action in ("send_again", "revoke", "renew"):
            self.act_now(action, self.invitation, confirmed="yes")

        self.invitation.refresh_from_db()
        assert (self.invitation.token, self.invitation.revoked_at) == (token, None)
        assert mail.outbox == []


@override_settings(STORAGES=PLAIN_FILES)
class SendingTests(TransactionTestCase):
    def test_the_page_that_follows_says_that_the_mail_is_out(self):
        ada = User.objects.create_user("ada@example.org", role=Role.ADMIN, is_staff=True)
        invitation = make_invitation(ada, recipient_email="guest@example.org")
        self.client.force_login(ada, backend="accounts.backends.RoleBackend")

        page = self.client.post(
            admin_url(MODEL, "change", invitation.pk),
            {"CHANGE_FORM-action": "send_again", "_selected_action": invitation.pk},
            follow=True,
        )

        self.assertContains(page, "Sent to guest@example.org")
        assert invitation.url in mail.outbox[0].body


class PresetTests(InvitationTestCase):
    def fields(self, **changes):
        return {
            "name": "Deep dive",
            "label": "A long one",
            "description": "",
            "tokens": "50000",
            "sort_order": "3",
        } | changes

    def test_it_is_written_as_a_number(self):
        self.client.post(admin_url("invitations.quotapreset", "add"), self.fields())

        preset = QuotaPreset.objects.get(name="Deep dive")
        assert preset.quota == {"tokens": 50000, "label": "A long one"}

    def test_it_refuses_no_tokens(self):
        for tokens in ("", "0", "many"):
            response = self.client.post(
                admin_url("invitations.quotapreset", "add"), self.fields(tokens=tokens)
            )
            assert response.status_code == 200
        assert QuotaPreset.objects.count() == 2

    def test_a_new_default_takes_over_from_the_old_one(self):
        self.client.post(admin_url("invitations.quotapreset", "add"), self.fields(is_default="on"))

        assert QuotaPreset.objects.get(is_default=True).name == "Deep dive"

    def test_the_form_shows_the_number(self):
        html = self.page(admin_url("invitations.quotapreset", "change", self.quick.pk))

        assert 'value="10000"' in html

    def test_the_list_takes_as_many_queries_for_many(self):
        url = admin_url("invitations.quotapreset", "changelist")
        few = self.queries(url)
        for number in range(10):
            QuotaPreset.objects.create(name=f"P{number}", label="x", quota={"tokens": 5})

        assert self.queries(url) == few
