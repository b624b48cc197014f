"""Erasing people in the admin."""

from datetime import timedelta

from django.contrib.admin.models import LogEntry
from django.core import mail
from django.utils import timezone

from accounts.models import Role, User
from config.tests.desk import DeskTestCase, admin_url, make_conversation, make_invitation, say
from conversations.models import ConversationSession, Message, MessageRole
from invitations.models import Invitation

PEOPLE, INVITATIONS = "accounts.user", "invitations.invitation"
ASKED = {"confirmed": "yes"}


class PeopleTests(DeskTestCase):
    def setUp(self):
        super().setUp()
        self.conversation = make_conversation(self.scenario, user=self.lena)
        say(self.conversation, MessageRole.USER, "I feel cornered.")
        self.delete = admin_url(PEOPLE, "delete", self.lena.pk)

    def test_erasing_in_a_week_asks_first(self):
        response = self.act(PEOPLE, "erase_later", self.lena)

        assert "Erase in a week?" in response.content.decode()
        assert User.objects.get(pk=self.lena.pk).erase_at is None

    def test_erasing_in_a_week_is_what_people_may_ask_for_themselves(self):
        response = self.act(PEOPLE, "erase_later", self.lena, **ASKED)

        self.lena.refresh_from_db()
        week = timedelta(days=7)
        assert abs(self.lena.erase_at - timezone.now() - week) < timedelta(minutes=1)
        assert [message.to for message in mail.outbox] == [["lena@example.org"]]
        assert "Lena will be erased on" in self.said(response)
        entry = LogEntry.objects.get()
        assert (entry.object_id, entry.change_message) == (
            self.lena.pk,
            "Asked for the erasure.",
        )

    def test_staff_are_not_erased_from_here(self):
        self.act(PEOPLE, "erase_later", self.sten, **ASKED)

        assert User.objects.get(pk=self.sten.pk).erase_at is None

    def test_who_may_not_delete_people_may_not_erase_them(self):
        self.sign_in(self.sten, "accounts.view_user", "accounts.change_user")

        self.act(PEOPLE, "erase_later", self.lena, **ASKED)

        assert User.objects.get(pk=self.lena.pk).erase_at is None

    def test_deleting_says_what_goes(self):
        make_invitation(self.ada, linked_user=self.lena)

        html = self.page(self.delete)

        assert "Conversations: 1" in html
        assert "Invitations emptied: 1" in html

    def test_deleting_erases_with_all_that_was_said(self):
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post(self.delete, {"post": "yes"})

        assert not User.objects.filter(pk=self.lena.pk).exists()
        assert not ConversationSession.objects.exists()
        assert not Message.objects.exists()
        assert [message.subject for message in mail.outbox] == [
            "Your Parley account has been erased"
        ]
        assert LogEntry.objects.get().object_repr == ""

    def test_who_once_invited_others_leaves_an_empty_row_that_nobody_changes(self):
        invitation = make_invitation(self.lena)

        self.said(self.client.post(self.delete, {"post": "yes"}))

        invitation.refresh_from_db()
        left = invitation.created_by
        assert (left.pk, left.is_erased, left.is_active) == (self.lena.pk, True, False)
        assert str(left) == "Somebody who has left"
        assert "lena" not in self.page(admin_url(PEOPLE, "change", left.pk)).lower()
        assert self.client.post(self.delete, {"post": "yes"}).status_code == 403
        assert self.client.post(admin_url(PEOPLE, "change", left.pk), {}).status_code == 403


class GuestTests(DeskTestCase):
    def setUp(self):
        super().setUp()
        self.invitation = make_invitation(
            self.ada, recipient_email="gil@example.org", recipient_name="Gil"
        )
        conversation = make_conversation(self.scenario, invitation=self.invitation)
        say(conversation, MessageRole.USER, "As a guest.")

    def test_staff_are_told_where_the_holder_reads_that_it_is_used_up(self):
        url = admin_url(INVITATIONS, "change", self.invitation.pk)
        assert "not enough for another exchange" not in self.page(url)
        Invitation.objects.update(usage={"input_tokens": 24_900})

        assert "not enough for another exchange" in self.page(url)
        assert "to let them go on" in self.page(url)

        self.act(INVITATIONS, "add_tokens", self.invitation, tokens="10000", **ASKED)
        assert "not enough for another exchange" not in self.page(url)

    def test_it_asks_first(self):
        response = self.act(INVITATIONS, "erase_guest", self.invitation)

        assert "Erase the guest?" in response.content.decode()
        assert Message.objects.exists()

    def test_it_erases_what_was_said_and_to_whom_it_went(self):
        response = self.act(INVITATIONS, "erase_guest", self.invitation, **ASKED)

        assert "Erased, with conversations: 1." in self.said(response)
        assert not ConversationSession.objects.exists()
        self.invitation.refresh_from_db()
        assert self.invitation.recipient_email == self.invitation.recipient_name == ""
        entry = LogEntry.objects.get()
        assert "gil" not in (entry.object_repr + entry.change_message).lower()

    def test_an_account_is_erased_as_an_account(self):
        Invitation.objects.update(linked_user=self.lena)

        response = self.act(INVITATIONS, "erase_guest", self.invitation, **ASKED)

        assert "belongs to an account" in self.said(response)
        assert Message.objects.exists()

    def test_it_takes_the_permission_to_delete_conversations(self):
        self.sign_in(self.sten, "invitations.view_invitation", "invitations.change_invitation")

        self.act(INVITATIONS, "erase_guest", self.invitation, **ASKED)

        assert Message.objects.exists()

    def test_deleting_an_invitation_leaves_no_conversation_that_is_nobodys(self):
        self.client.post(admin_url(INVITATIONS, "delete", self.invitation.pk), {"post": "yes"})

        assert not Invitation.objects.exists()
        assert not ConversationSession.objects.exists()

    def test_deleting_an_invitation_says_how_many_conversations_go(self):
        url = admin_url(INVITATIONS, "delete", self.invitation.pk)
        assert "Conversations: 1" in self.page(url)

        ConversationSession.objects.update(user=self.lena)
        assert "Conversations:" not in self.page(url)

    def test_who_may_not_delete_conversations_deletes_none_with_an_invitation(self):
        self.sign_in(self.sten, "invitations.view_invitation", "invitations.delete_invitation")
        url = admin_url(INVITATIONS, "delete", self.invitation.pk)

        assert self.client.get(url).status_code == 403
        assert self.client.post(url, {"post": "yes"}).status_code == 403
        assert Message.objects.exists()

        ConversationSession.objects.update(user=self.lena)
        self.client.post(url, {"post": "yes"})
        assert not Invitation.objects.exists()
        assert Message.objects.exists()

    def test_who_may_delete_both_deletes_both(self):
        allowed = ("conversations.delete_conversationsession", "invitations.delete_invitation")
        self.sign_in(self.sten, "invitations.view_invitation", *allowed)

        self.client.post(admin_url(INVITATIONS, "delete", self.invitation.pk), {"post": "yes"})

        assert not Invitation.objects.exists()
        assert not ConversationSession.objects.exists()


class RoleTests(DeskTestCase):
    def test_an_administrator_made_a_user_can_be_erased(self):
        User.objects.filter(pk=self.sten.pk).update(role=Role.USER, is_staff=False)

        self.client.post(admin_url(PEOPLE, "delete", self.sten.pk), {"post": "yes"})

        assert not User.objects.filter(pk=self.sten.pk).exists()
