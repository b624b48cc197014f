"""In the admin's history no name outlives what it was the name of."""

from allauth.account.models import EmailAddress
from django.contrib.admin.models import CHANGE, LogEntry
from django.urls import reverse

from accounts.tests.people import person
from config.tests.desk import DeskTestCase, admin_url, make_invitation
from conversations import erasure
from conversations.belongings import Belongings
from conversations.tests.canaries import dump
from conversations.told import account
from invitations.groups import GroupLink
from invitations.models import Invitation
from invitations.tests.test_admin_changes import read
from scenarios.models import Scenario
from usage.models import PersonalAllowance

SCENARIOS = "scenarios.scenario"


class HistoryTests(DeskTestCase):
    def setUp(self):
        super().setUp()
        self.sign_in(self.ada)
        self.private = Scenario.objects.create(
            name="My brother Quillon",
            slug="my-brother-x",
            description="What he did.",
            partner_persona="He",
            partner_system_prompt="Hard.",
            coach_system_prompt="Soft.",
            owner=self.lena,
        )

    def delete(self, label, pk):
        response = self.client.post(admin_url(label, "delete", pk), {"post": "yes"}, follow=True)
        assert "was deleted successfully" in self.said(response)

    def named(self, name):
        return LogEntry.objects.filter(object_repr__contains=name).exists()

    def told(self):
        return [line["what"] for line in account(Belongings(self.lena))["history"]]

    def test_a_private_scenario_that_staff_deleted_left_no_name(self):
        self.delete(SCENARIOS, self.private.pk)

        assert not self.named("Quillon")
        assert LogEntry.objects.filter(object_repr="Scenario").count() == 1
        assert self.told() == ["Deleted the scenario."]
        assert erasure.erase(self.lena.pk)
        assert "quillon" not in dump()

    def test_one_that_staff_changed_and_its_owner_deleted_left_none_either(self):
        self.act(SCENARIOS, "deactivate", self.private)
        assert LogEntry.objects.get(object_id=self.private.pk).object_repr == "Scenario"
        self.client.force_login(self.lena)
        self.client.post(reverse("my_scenarios:edit", args=["my-brother-x"]), {"action": "delete"})

        assert not Scenario.objects.filter(pk=self.private.pk).exists()
        assert "quillon" not in dump()

    def test_a_scenario_of_the_sites_keeps_its_name(self):
        scenario = self.scenario
        self.act(SCENARIOS, "deactivate", scenario)

        assert self.named(scenario.name)

    def test_an_allowance_that_was_taken_back_is_told_to_whose_it_was(self):
        allowance = PersonalAllowance.objects.create(user=self.lena, tokens=7)

        self.delete("usage.personalallowance", allowance.pk)

        entry = LogEntry.objects.get(object_id=str(allowance.pk))
        assert entry.object_repr == "Personal allowance"
        assert self.told() == ["Deleted the personal allowance."]

    def test_an_address_that_is_gone_is_in_no_history(self):
        address = EmailAddress.objects.create(user=self.lena, email="old@quillon.example")

        self.delete("account.emailaddress", address.pk)

        assert not self.named("quillon")
        assert erasure.erase(self.lena.pk)
        assert "old@quillon.example" not in dump()

    def test_an_invitation_keeps_its_name_as_long_as_it_is_there(self):
        invitation = make_invitation(
            self.ada,
            linked_user=self.lena,
            recipient_name="Quillon",
            recipient_email="q@quillon.example",
        )
        about = {"object_id": invitation.pk, "object_repr": str(invitation)}
        LogEntry.objects.log_actions(
            self.ada.pk, [invitation], CHANGE, "Sent to q@quillon.example."
        )
        LogEntry.objects.log_actions(self.ada.pk, [invitation], CHANGE, "Budget: 5 → 6.")
        assert LogEntry.objects.filter(**about).count() == 2

        self.delete("invitations.invitation", invitation.pk)

        assert not Invitation.objects.filter(pk=invitation.pk).exists()
        assert not self.named("Quillon")
        assert not LogEntry.objects.filter(change_message__contains="quillon").exists()
        assert LogEntry.objects.filter(change_message="Budget: 5 → 6.").exists()
        assert self.told() == ["Deleted the invitation."]

    def test_an_invitation_to_somebody_else_now_keeps_no_name_of_whom_it_was_to(self):
        edda = person("edda@oxenfoot.example", name="Edda Oxenfoot")
        fields = {"scenario": self.scenario.pk, "tokens": "5000", "personal_note": ""}
        fields |= {"expires_at_0": "2099-01-01", "expires_at_1": "00:00:00"}
        to_edda = {"recipient_email": edda.email, "recipient_name": "Edda Oxenfoot"}
        self.client.post(admin_url("invitations.invitation", "add"), fields | to_edda)
        url = admin_url("invitations.invitation", "change", Invitation.objects.get().pk)
        to_bob = {"recipient_email": "bob@example.com", "recipient_name": "Bob"}
        self.client.post(url, read(self.client, url) | to_bob)

        assert Invitation.objects.get().recipient_name == "Bob"
        assert LogEntry.objects.filter(object_repr="Invitation").count() == 1
        assert self.named("Bob")
        assert erasure.erase(edda.pk)
        assert "oxenfoot" not in dump()

    def test_a_group_of_somebody_who_left_is_nameless_also_once_it_is_gone(self):
        group = GroupLink.objects.create(
            label="Quillon's class",
            places=2,
            scenario=self.scenario,
            quota={"tokens": 9, "label": "Short"},
            created_by=self.lena,
        )
        LogEntry.objects.log_actions(self.lena.pk, [group], 1, "")
        group.delete()

        assert erasure.erase(self.lena.pk)
        assert "quillon" not in dump()
