from django.utils import timezone

from config.tests.desk import DeskTestCase, admin_url, make_invitation
from invitations.admin_columns import WITHDRAWN
from invitations.models import GroupLink, Invitation
from scenarios.models import Scenario

INVITATIONS = "invitations.invitation"
GROUPS = "invitations.grouplink"


class WithdrawnTests(DeskTestCase):
    """Staff see which invitations no longer open what they were to."""

    def setUp(self):
        super().setUp()
        make_invitation(self.ada, scenario=self.scenario)
        more = {"created_by": self.ada, "quota": {"tokens": 9_000}, "places": 9}
        GroupLink.objects.create(label="A class", scenario=self.scenario, **more)

    def marked(self, model):
        return WITHDRAWN in self.page(admin_url(model, "changelist"))

    def test_the_lists_mark_them(self):
        for model in (INVITATIONS, GROUPS):
            assert not self.marked(model)
        Scenario.objects.update(is_active=False)
        for model in (INVITATIONS, GROUPS):
            assert self.marked(model)
            row = self.page(admin_url(model, "change", self.first(model)))
            assert WITHDRAWN in row

    def test_what_is_closed_or_was_to_any_is_not_marked(self):
        Scenario.objects.update(is_active=False)
        Invitation.objects.update(scenario=None)
        GroupLink.objects.update(revoked_at=timezone.now())
        for model in (INVITATIONS, GROUPS):
            assert not self.marked(model)

    def first(self, model):
        return {INVITATIONS: Invitation, GROUPS: GroupLink}[model].objects.get().pk
