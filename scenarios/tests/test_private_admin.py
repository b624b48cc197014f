"""Private scenarios at the staff's desk: administrators see them, others find nothing of them."""

from accounts.models import Role, User
from config.tests.desk import DeskTestCase, admin_url, make_conversation, make_scenario, say
from conversations.models import MessageRole
from scenarios.models import Scenario

NAME = "My mother"


class PrivateScenarioTests(DeskTestCase):
    def setUp(self):
        super().setUp()
        self.kim = User.objects.create_user("kim@example.org", name="Kim", role=Role.POWER_USER)
        self.mine = make_scenario("my-mother-x7", name=NAME, owner=self.kim)
        self.conversation = make_conversation(self.mine, user=self.kim)
        self.line = say(self.conversation, MessageRole.USER, "Mum?")

    def sign_in_staff(self):
        self.sign_in(
            self.sten,
            "scenarios.view_scenario",
            "scenarios.add_scenario",
            "scenarios.change_scenario",
            "scenarios.delete_scenario",
            "conversations.view_conversationsession",
            "conversations.view_transcript",
            "conversations.view_message",
            "invitations.add_invitation",
            "invitations.view_invitation",
        )

    def pages(self):
        model, talk = "scenarios.scenario", "conversations.conversationsession"
        return [
            admin_url(model, "changelist"),
            admin_url("invitations.invitation", "add"),
            admin_url(talk, "changelist"),
            admin_url("conversations.message", "changelist"),
        ]

    def autocomplete(self):
        query = {"app_label": "invitations", "model_name": "invitation", "field_name": "scenario"}
        response = self.client.get("/admin/autocomplete/", {**query, "term": ""})
        return [row["text"] for row in response.json()["results"]]

    def test_administrators_see_whose_it_is(self):
        assert "Private: Kim" in self.page(admin_url("scenarios.scenario", "changelist"))
        assert NAME in self.page(admin_url("scenarios.scenario", "change", self.mine.pk))

    def test_other_staff_find_nothing_of_it(self):
        self.sign_in_staff()

        for url in self.pages():
            with self.subTest(url):
                assert NAME not in self.page(url)
        for page in ("change", "history", "delete"):
            url = admin_url("scenarios.scenario", page, self.mine.pk)
            assert NAME not in self.client.get(url, follow=True).content.decode()
        for page in ("change", "transcript"):
            url = admin_url("conversations.conversationsession", page, self.conversation.pk)
            assert "Mum?" not in self.client.get(url, follow=True).content.decode()

    def test_nobody_picks_it_for_an_invitation(self):
        assert self.autocomplete() == ["The dinner"]
        self.sign_in_staff()
        assert self.autocomplete() == ["The dinner"]

        self.client.post(
            admin_url("invitations.invitation", "add"), {"scenario": self.mine.pk, "tokens": 9}
        )
        assert not self.mine.invitations.exists()

    def test_a_copy_of_an_administrators_belongs_to_nobody_and_waits(self):
        self.act("scenarios.scenario", "duplicate", self.mine)

        copy = Scenario.objects.get(name__endswith="(copy)")
        assert (copy.owner, copy.is_active) == (None, False)

    def test_other_staff_copy_none(self):
        self.sign_in_staff()

        self.act("scenarios.scenario", "duplicate", self.mine)

        assert Scenario.objects.count() == 2
