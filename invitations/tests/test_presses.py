"""A button that is pressed twice works once: its page brings a key, the database decides."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.core import mail
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import Role, User
from config.tests.desk import admin_url, make_invitation, make_scenario
from invitations.groups import GroupLink
from invitations.models import Invitation
from invitations.tests.racing import all_at_once
from invitations.tests.test_admin import InvitationTestCase, at_once
from invitations.tests.test_admin_changes import read

MODEL = "invitations.invitation"
GROUP = "invitations.grouplink"


class AddTests(InvitationTestCase):
    def twice(self, url, fields):
        with at_once:
            return [self.client.post(url, fields) for _ in range(2)]

    def test_save_and_send_pressed_twice_makes_one_and_mails_once(self):
        key = read(self.client, self.add)["page_key"]

        first, second = self.twice(self.add, self.fields(page_key=key, _continue="send"))

        invitation = Invitation.objects.get()
        assert [sent.to for sent in mail.outbox] == [["Gwen <guest@example.org>"]]
        assert second["Location"] == first["Location"]
        assert second["Location"] == admin_url(MODEL, "change", invitation.pk)
        assert "pressed twice" in self.said(second)
        assert LogEntry.objects.filter(object_id=invitation.pk).count() == 2  # added, sent

    def test_the_second_press_leads_to_the_preview_where_the_first_did(self):
        key = read(self.client, self.add)["page_key"]
        first, second = self.twice(self.add, self.fields(page_key=key, _continue="preview"))
        assert second["Location"] == first["Location"]
        assert second["Location"].endswith("/preview/")
        assert Invitation.objects.count() == 1

    def test_each_showing_of_the_form_makes_one(self):
        for _ in range(2):
            key = read(self.client, self.add)["page_key"]
            self.client.post(self.add, self.fields(page_key=key))
        assert Invitation.objects.count() == 2

    def test_what_was_refused_can_be_corrected_on_the_same_page(self):
        key = read(self.client, self.add)["page_key"]
        self.client.post(self.add, self.fields(page_key=key, recipient_email="nobody"))
        self.client.post(self.add, self.fields(page_key=key))
        assert Invitation.objects.count() == 1

    def test_the_key_of_a_colleague_leads_to_nothing_of_theirs(self):
        key = uuid4()
        theirs = make_invitation(self.lena, key=key)
        response = self.client.post(self.add, self.fields(page_key=key, _continue=""))
        assert Invitation.objects.count() == 2
        assert theirs.pk not in response["Location"]

    def test_who_may_not_invite_is_refused_as_ever(self):
        key = uuid4()
        make_invitation(self.sten, key=key)
        self.sign_in(self.sten, "invitations.view_invitation")
        assert self.client.post(self.add, self.fields(page_key=key)).status_code == 403

    def test_a_group_link_is_made_once(self):
        add = admin_url(GROUP, "add")
        fields = self.fields(label="Nurses", places="5", days="7")
        fields["page_key"] = read(self.client, add)["page_key"]

        first, second = self.twice(add, fields)

        assert GroupLink.objects.count() == 1
        assert first["Location"] == second["Location"]

    def test_the_database_keeps_to_one_a_form(self):
        key = uuid4()
        make_invitation(self.ada, key=key)
        with pytest.raises(IntegrityError), transaction.atomic():
            make_invitation(self.ada, key=key)


class PressTests(InvitationTestCase):
    """At an invitation that is there."""

    def setUp(self):
        super().setUp()
        self.invitation = make_invitation(
            self.ada, recipient_email="guest@example.org", scenario=self.scenario
        )
        self.url = admin_url(MODEL, "change", self.invitation.pk)

    def press(self, url, *pages, **fields):
        """Press a button of each of `pages` (as they were read) twice."""
        with at_once:
            for page in pages:
                for _ in range(2):
                    last = self.client.post(url, page | fields)
        self.invitation.refresh_from_db()
        return last

    def test_saving_and_sending_mails_once(self):
        page = read(self.client, self.url)
        self.press(self.url, page, _continue="send")
        assert len(mail.outbox) == 1

    def test_another_press_on_a_page_that_came_since_sends_again(self):
        for _ in range(2):
            self.press(self.url, read(self.client, self.url), _continue="send")
        assert len(mail.outbox) == 2

    def test_the_preview_sends_once(self):
        url = admin_url(MODEL, "preview", self.invitation.pk)
        self.press(url, {"page_key": self.client.get(url).context["page_key"]})
        assert len(mail.outbox) == 1

    def test_an_action_of_the_form_sends_once_and_says_so(self):
        page = read(self.client, self.url)
        action = {"CHANGE_FORM-action": "send_again", "_selected_action": self.invitation.pk}
        response = self.press(
            self.url, {"CHANGE_FORM-page_key": page["CHANGE_FORM-page_key"]}, **action
        )
        assert len(mail.outbox) == 1
        assert "pressed twice" in self.said(response)

    def test_an_action_of_the_list_sends_once(self):
        key = self.client.get(self.list).context["action_form"]["page_key"].value()
        action = {"action": "send_again", "_selected_action": self.invitation.pk}
        self.press(self.list, {"page_key": key}, **action)
        assert len(mail.outbox) == 1

    def test_it_is_extended_once(self):
        before = self.invitation.expires_at
        action = {"action": "extend_week", "_selected_action": self.invitation.pk}
        self.press(self.list, {"page_key": uuid4()}, **action)
        assert self.invitation.expires_at == before + timedelta(weeks=1)

    def test_tokens_are_added_and_a_link_is_replaced_once(self):
        asked = {"_selected_action": self.invitation.pk}
        for name, fields in (("add_tokens", {"tokens": "500"}), ("renew", {})):
            page = self.client.post(self.list, asked | {"action": name})
            confirmed = asked | {"action": name, "confirmed": "yes"} | fields
            self.press(self.list, confirmed, page_key=page.context["page_key"])
            assert f'name="page_key" value="{page.context["page_key"]}"' in page.content.decode()
        assert self.invitation.limit == 25_500
        told = [entry.get_change_message() for entry in LogEntry.objects.all()]
        assert sum("Replaced" in line for line in told) == 1


@pytest.mark.django_db(transaction=True)
def test_of_four_presses_at_once_one_makes_an_invitation_and_sends_it():
    ada = User.objects.create_user("ada@example.org", role=Role.ADMIN, is_staff=True)
    add = admin_url(MODEL, "add")
    desks = [Client() for _ in range(4)]
    for desk in desks:
        desk.force_login(ada, backend="accounts.backends.RoleBackend")
    fields = read(desks[0], add) | {
        "recipient_email": "kim@example.org",
        "scenario": make_scenario().pk,
        "tokens": "5000",
        "_continue": "send",
    }

    answers = all_at_once([lambda d=desk: d.post(add, fields) for desk in desks])

    invitation = Invitation.objects.get()
    assert {answer["Location"] for answer in answers} == {admin_url(MODEL, "change", invitation.pk)}
    assert len(mail.outbox) == 1
    assert invitation.sent_at


@pytest.mark.django_db(transaction=True)
def test_of_presses_at_once_one_counts():
    ada = User.objects.create_user("ada@example.org", role=Role.ADMIN, is_staff=True)
    invitation = make_invitation(ada, sent_at=timezone.now())
    key = uuid4()
    presses = [lambda: Invitation.objects.get(pk=invitation.pk).press(key) for _ in range(6)]
    assert sorted(all_at_once(presses)) == [False] * 5 + [True]
