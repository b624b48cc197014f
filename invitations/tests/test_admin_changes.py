"""What staff change on an invitation under way, what the history says, and what stays untouched."""

from datetime import timedelta
from html.parser import HTMLParser

import pytest
from django.contrib.admin.models import LogEntry
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts.models import Role, User
from config.tests.desk import DeskTestCase, admin_url, make_invitation, make_scenario
from invitations.models import Invitation, QuotaPreset, Status
from invitations.quota import MOST_TOKENS
from invitations.tests.racing import all_at_once
from usage.holds import Purse, available, take_hold

MODEL = "invitations.invitation"


class Fields(HTMLParser):
    """What a browser would send of a page's forms, buttons aside."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sent: dict[str, str] = {}
        self._name = self._select = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        name = given.get("name") or ""
        if tag == "input" and given.get("type") not in ("submit", "checkbox", "radio"):
            self.sent[name] = given.get("value") or ""
        elif tag == "input" and given.get("type") == "radio" and "checked" in given:
            self.sent[name] = given["value"]
        elif tag == "textarea":
            self._name, self.sent[name] = name, ""
        elif tag == "select":
            self._select = name
        elif tag == "option" and "selected" in given:
            self.sent[self._select] = given["value"]

    def handle_data(self, data):
        if self._name:
            self.sent[self._name] += data.removeprefix("\n")

    def handle_endtag(self, tag):
        if tag == "textarea":
            self._name = ""


def read(client: Client, url: str) -> dict[str, str]:
    """The fields of a change form as its page shows them."""
    sent = Fields(client.get(url).content.decode()).sent
    return {name: value for name, value in sent.items() if not name.endswith("-action")}


class ChangeTestCase(DeskTestCase):
    def setUp(self):
        super().setUp()
        self.invitation = make_invitation(
            self.ada,
            recipient_email="guest@example.org",
            recipient_name="Gwen",
            personal_note="Good luck!\nReally.",
            scenario=self.scenario,
            claimed_at=timezone.now(),
        )
        self.url = admin_url(MODEL, "change", self.invitation.pk)

    def save(self, fields, **changes):
        response = self.client.post(self.url, fields | changes)
        assert response.status_code == 302, response.context["adminform"].errors
        self.invitation.refresh_from_db()
        return response

    def history(self):
        return [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]


class EditTests(ChangeTestCase):
    def test_a_page_that_is_sent_back_as_it_came_changes_nothing(self):
        before = Invitation.objects.values().get()
        self.save(read(self.client, self.url))
        assert Invitation.objects.values().get() == before
        assert self.history() == ["Nothing changed."]

    def test_the_history_says_who_and_from_what_to_what(self):
        expiry = self.invitation.expires_at
        fields = read(self.client, self.url)
        self.save(
            fields,
            tokens="60000",
            quota_label="Deep dive",
            scenario=make_scenario("other", name="The other").pk,
            expires_at_0="2099-05-04",
            expires_at_1="12:30:00",
            recipient_email="new@example.org",
            personal_note="Hm.",
        )

        entry = LogEntry.objects.get()
        assert entry.user == self.ada
        assert timezone.now() - entry.action_time < timedelta(minutes=1)
        for words in (
            "Budget: 25,000 tokens → 60,000 tokens.",
            "Budget's name: Short conversation → Deep dive.",
            f"Expiry: {expiry.day} {expiry:%B %Y, %H:%M} UTC → 4 May 2099, 12:30 UTC.",
            "Scenario: The dinner → The other.",
            "Recipient changed.",
            "Personal note changed.",
        ):
            assert words in entry.get_change_message()
        assert "new@example.org" not in entry.change_message
        assert "Gwen" not in entry.change_message

    def test_the_history_page_shows_it(self):
        self.save(read(self.client, self.url), tokens="60000")
        html = self.page(admin_url(MODEL, "history", self.invitation.pk))
        assert "Budget: 25,000 tokens → 60,000 tokens." in html

    def test_a_change_holds_from_the_next_turn_on(self):
        purse = Purse(self.invitation.pk, None)
        self.save(read(self.client, self.url), tokens="60000")
        assert available(purse) == 60_000
        self.save(read(self.client, self.url), expires_at_0="2020-01-01")
        assert available(purse) == 0

    def test_what_is_spent_while_the_form_is_open_stays_spent(self):
        fields = read(self.client, self.url)
        usage = {"input_tokens": 7, "output_tokens": 8, "held_tokens": 9}
        Invitation.objects.update(usage=usage)
        self.save(fields, tokens="60000", recipient_name="Gwendolyn")
        assert self.invitation.usage == usage
        assert (self.invitation.limit, self.invitation.recipient_name) == (60_000, "Gwendolyn")

    def test_a_field_left_alone_keeps_what_somebody_else_changed_meanwhile(self):
        fields = read(self.client, self.url)
        self.invitation.add_tokens(10_000)
        self.invitation.extend(timedelta(days=7))
        expiry = self.invitation.expires_at
        self.save(fields, recipient_name="Gwendolyn")
        assert (self.invitation.limit, self.invitation.expires_at) == (35_000, expiry)
        assert self.invitation.recipient_name == "Gwendolyn"

    def test_a_note_can_be_changed_where_more_is_spent_than_there_was(self):
        Invitation.objects.update(usage={"input_tokens": 25_010})
        self.save(read(self.client, self.url), personal_note="Sorry!")
        assert self.invitation.personal_note == "Sorry!"

    def test_a_new_budget_or_expiry_answers_the_wish_for_it(self):
        now = timezone.now()
        Invitation.objects.update(time_asked_at=now, budget_asked_at=now)
        self.save(read(self.client, self.url), personal_note="I have read it.")
        assert self.invitation.time_asked_at == self.invitation.budget_asked_at == now
        self.save(read(self.client, self.url), tokens="60000")
        assert (self.invitation.time_asked_at, self.invitation.budget_asked_at) == (now, None)
        self.save(read(self.client, self.url), expires_at_0="2099-01-01")
        assert self.invitation.time_asked_at is None


class NoteTests(ChangeTestCase):
    """A note is to one person: another recipient does not get it unnoticed."""

    def readdress(self, **changes):
        fields = read(self.client, self.url) | {"recipient_email": "new@example.org"} | changes
        response = self.client.post(self.url, fields)
        self.invitation.refresh_from_db()
        return response

    def test_another_recipient_is_asked_about(self):
        response = self.readdress()
        assert response.status_code == 200
        html = response.content.decode()
        assert "It was written to the recipient that you have changed." in html
        assert '<input type="checkbox" name="note_stays" value="yes">' in html
        assert self.invitation.recipient_email == "guest@example.org"

    def test_a_new_note_none_or_a_word_of_staff_will_do(self):
        for number, changes in enumerate(
            ({"personal_note": "Hello"}, {"note_stays": "yes"}, {"personal_note": ""})
        ):
            address = f"new{number}@example.org"
            assert self.readdress(recipient_email=address, **changes).status_code == 302
            assert self.invitation.recipient_email == address
        assert self.invitation.personal_note == ""

    def test_what_was_to_nobody_in_particular_is_not_asked_about(self):
        Invitation.objects.update(recipient_email="")
        assert self.readdress().status_code == 302

    def test_the_same_address_in_other_letters_is_the_same(self):
        assert self.readdress(recipient_email="Guest@Example.org").status_code == 302


class ActionTests(ChangeTestCase):
    def test_it_is_extended_by_a_week_or_a_month(self):
        for action, days in (("extend_week", 7), ("extend_month", 30)):
            before = self.invitation.expires_at
            response = self.act(MODEL, action, self.invitation)
            self.invitation.refresh_from_db()
            assert self.invitation.expires_at - before == timedelta(days=days)
            assert "good until" in self.said(response)
        assert len(self.history()) == 2
        assert self.history()[-1].startswith("Expiry: ")
        assert " → " in self.history()[-1]

    def test_an_expired_one_opens_again(self):
        Invitation.objects.update(expires_at=timezone.now() - timedelta(days=40))
        self.act(MODEL, "extend_week", self.invitation)
        self.invitation.refresh_from_db()
        assert self.invitation.status == Status.CLAIMED

    def test_a_revoked_one_stays_as_it_is(self):
        self.invitation.revoke()
        before = Invitation.objects.values().get()
        for action in ("extend_week", "add_tokens"):
            response = self.act(MODEL, action, self.invitation, confirmed="yes", tokens="5")
            assert "is revoked" in self.said(response)
        assert Invitation.objects.values().get() == before
        assert self.history() == []

    def test_tokens_are_added_after_a_question(self):
        asked = self.act(MODEL, "add_tokens", self.invitation)
        self.assertContains(asked, "Or so many tokens more")
        self.assertContains(asked, 'name="confirmed"')
        assert self.history() == []

        response = self.act(MODEL, "add_tokens", self.invitation, confirmed="yes", tokens="10000")

        self.invitation.refresh_from_db()
        assert self.invitation.quota == {"tokens": 35_000, "label": "Short conversation"}
        assert self.history() == ["Budget: 25,000 tokens → 35,000 tokens."]
        assert "holds from the next turn" in self.said(response)

    def test_as_many_as_a_preset_has(self):
        preset = QuotaPreset.objects.create(name="More", label="More", quota={"tokens": 400})
        self.act(MODEL, "add_tokens", self.invitation, confirmed="yes", preset=preset.pk)
        self.invitation.refresh_from_db()
        assert self.invitation.limit == 25_400

    def test_no_number_is_asked_for_again(self):
        for given in ({}, {"tokens": "0"}, {"tokens": "-5"}, {"tokens": "many"}):
            response = self.act(MODEL, "add_tokens", self.invitation, confirmed="yes", **given)
            assert response.status_code == 200
            assert response.context["form"].errors
        self.invitation.refresh_from_db()
        assert self.invitation.limit == 25_000

    def test_more_than_a_quota_holds_is_refused_in_words(self):
        response = self.act(
            MODEL, "add_tokens", self.invitation, confirmed="yes", tokens=str(MOST_TOKENS)
        )
        assert "nothing was added" in self.said(response)
        self.invitation.refresh_from_db()
        assert self.invitation.limit == 25_000

    def test_the_form_has_the_same_actions(self):
        data = {"_selected_action": self.invitation.pk}
        self.client.post(self.url, data | {"CHANGE_FORM-action": "extend_week"})
        asked = self.client.post(self.url, data | {"CHANGE_FORM-action": "add_tokens"})
        self.assertContains(asked, 'name="CHANGE_FORM-action" value="add_tokens"')
        more = {"CHANGE_FORM-action": "add_tokens", "confirmed": "yes", "tokens": "5"}
        self.client.post(self.url, data | more)
        assert len(self.history()) == 2

    def test_who_may_only_look_changes_nothing(self):
        self.sign_in(self.sten, "invitations.view_invitation")
        before = Invitation.objects.values().get()
        for action in ("extend_week", "extend_month", "add_tokens"):
            self.act(MODEL, action, self.invitation, confirmed="yes", tokens="5")
        assert Invitation.objects.values().get() == before


class ListTests(ChangeTestCase):
    def test_it_says_who_waits_for_an_answer(self):
        asking = make_invitation(self.ada, time_asked_at=timezone.now())
        make_invitation(self.ada, time_asked_at=timezone.now(), revoked_at=timezone.now())
        url = admin_url(MODEL, "changelist")
        assert "Asks for time" in self.page(url)
        for kind, found in (("time", [asking]), ("budget", [])):
            listed = self.client.get(url, {"asked": kind}).context["cl"].result_list
            assert list(listed) == found

    def test_a_list_of_scenarios_is_there_without_scripts(self):
        make_scenario("gone", name="A retired one", is_active=False)
        html = self.page(admin_url(MODEL, "add"))
        assert f'<option value="{self.scenario.pk}">The dinner</option>' in html
        assert "A retired one" not in html
        assert "admin-autocomplete" in html

    def test_enter_on_a_new_one_saves_and_sends_nothing(self):
        html = self.page(admin_url(MODEL, "add"))
        form = html[html.index('id="invitation_form"') :]
        first = form[form.index('type="submit"') :].split(">")[0]
        assert "enter-saves" in first
        assert "send" not in first
        assert mail.outbox == []


@pytest.mark.django_db(transaction=True)
def test_edits_and_calls_at_once_lose_nothing():
    ada = User.objects.create_user("ada@example.org", role=Role.ADMIN, is_staff=True)
    invitation = make_invitation(ada, quota={"tokens": 1_000, "label": ""})
    url = admin_url(MODEL, "change", invitation.pk)

    def hold():
        return take_hold(
            Purse(invitation.pk, None),
            bound=150,
            max_tokens=10,
            session_id=None,
            stream_type="partner",
            model="m",
        )

    def edit(number):
        desk = Client()
        desk.force_login(ada, backend="accounts.backends.RoleBackend")
        return desk.post(url, read(desk, url) | {"personal_note": f"Note {number}"}).status_code

    results = all_at_once([hold] * 12 + [lambda n=number: edit(n) for number in range(4)])

    taken = [result for result in results[:12] if result]
    invitation.refresh_from_db()
    assert results[12:] == [302] * 4
    assert len(taken) == 6
    assert invitation.held == 6 * 150
    assert invitation.limit == 1_000
