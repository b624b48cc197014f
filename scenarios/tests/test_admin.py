from django.core.checks import run_checks
from django.test import override_settings
from django.utils import timezone

from config.tests.desk import (
    DeskTestCase,
    admin_url,
    make_conversation,
    make_invitation,
    make_scenario,
)
from scenarios.checks import check_configured_models, model_problem
from scenarios.models import Scenario

LIST = "scenarios.scenario", "changelist"
RETIRED = "claude-sonnet-4-20250514"


class ScenarioAdminTests(DeskTestCase):
    def fields(self, **changes):
        return {
            "name": "A raise",
            "slug": "a-raise",
            "description": "You ask for more.",
            "partner_persona": "Dana",
            "is_active": "on",
            "partner_system_prompt": "You are Dana.",
            "partner_model": "claude-sonnet-5-5",
            "coach_system_prompt": "Look for numbers.",
            "coach_model": "claude-haiku-5-5",
        } | changes

    def test_it_lists_scenarios_with_their_conversations(self):
        make_conversation(self.scenario)
        make_conversation(self.scenario)

        html = self.page(admin_url(*LIST))

        assert "Uncle Ray" in html
        assert f'?scenario__id__exact={self.scenario.pk}">2</a>' in html

    def test_the_list_takes_as_many_queries_for_many(self):
        few = self.queries(admin_url(*LIST))
        for number in range(20):
            make_conversation(make_scenario(f"s{number}"))

        assert self.queries(admin_url(*LIST)) == few

    def test_it_finds_and_filters(self):
        make_scenario("raise", name="A raise", is_active=False)

        assert "The dinner" not in self.page(admin_url(*LIST), q="raise")
        assert "The dinner" not in self.page(admin_url(*LIST), is_active__exact=0)

    def test_it_adds_a_scenario(self):
        self.client.post(admin_url("scenarios.scenario", "add"), self.fields())

        assert Scenario.objects.get(slug="a-raise").partner_persona == "Dana"

    def test_it_refuses_a_second_one_of_the_same_address(self):
        response = self.client.post(
            admin_url("scenarios.scenario", "add"), self.fields(slug=self.scenario.slug)
        )

        assert response.status_code == 200
        assert Scenario.objects.count() == 1

    def test_the_models_of_the_catalogue_are_suggested(self):
        html = self.page(admin_url("scenarios.scenario", "add"))

        assert 'list="id_partner_model_suggestions"' in html
        assert '<option value="claude-haiku-5-5">Claude Haiku 5.5</option>' in html

    def test_a_model_of_a_server_of_ones_own_is_taken_with_a_word_of_warning(self):
        response = self.client.post(
            admin_url("scenarios.scenario", "add"), self.fields(partner_model="llama-local ")
        )

        assert Scenario.objects.get(slug="a-raise").partner_model == "llama-local"
        assert "not in the catalogue" in self.said(response)

    def test_a_retired_model_is_marked_in_the_list_and_on_the_form(self):
        scenario = make_scenario("old", coach_model=RETIRED)

        assert ">retired</span>" in self.page(admin_url(*LIST))
        form = self.page(admin_url("scenarios.scenario", "change", scenario.pk))
        assert "Coach: “claude-sonnet-4-20250514” was retired on 15 June 2026" in form

    def test_a_copy_waits_until_somebody_turns_it_on(self):
        self.act("scenarios.scenario", "duplicate", self.scenario)
        self.act("scenarios.scenario", "duplicate", self.scenario)

        copies = Scenario.objects.exclude(pk=self.scenario.pk).order_by("pk")
        assert [copy.slug for copy in copies] == ["dinner-copy", "dinner-copy2"]
        assert not any(copy.is_active for copy in copies)
        assert copies[0].partner_system_prompt == "You are Ray."

    def test_the_form_duplicates_too(self):
        url = admin_url("scenarios.scenario", "change", self.scenario.pk)

        response = self.client.post(
            url, {"CHANGE_FORM-action": "duplicate", "_selected_action": self.scenario.pk}
        )

        copy = Scenario.objects.get(slug="dinner-copy")
        self.assertRedirects(response, admin_url("scenarios.scenario", "change", copy.pk))

    def test_scenarios_are_offered_and_withdrawn_from_the_list(self):
        self.act("scenarios.scenario", "deactivate", self.scenario)
        assert not Scenario.objects.active().exists()

        self.act("scenarios.scenario", "activate", self.scenario)
        assert Scenario.objects.active().exists()

    def test_who_withdraws_one_reads_how_many_are_invited_to_it(self):
        make_invitation(self.ada, scenario=self.scenario)
        make_invitation(self.ada, scenario=self.scenario, revoked_at=timezone.now())
        words = "1 open invitation is to what you withdrew"
        self.act("scenarios.scenario", "deactivate", self.scenario)
        assert words in self.page(admin_url("scenarios.scenario", "changelist"))

        Scenario.objects.update(is_active=True)
        url = admin_url("scenarios.scenario", "change", self.scenario.pk)
        fields = self.fields()
        fields.pop("is_active", None)
        assert words in self.client.post(url, fields, follow=True).content.decode()
        assert words not in self.client.post(url, fields, follow=True).content.decode()

    def test_who_may_only_look_changes_nothing(self):
        self.sign_in(self.sten, "scenarios.view_scenario")
        url = admin_url("scenarios.scenario", "change", self.scenario.pk)

        assert 'name="_save"' not in self.page(url)
        assert self.client.post(url, self.fields()).status_code == 403
        self.act("scenarios.scenario", "duplicate", self.scenario)
        self.act("scenarios.scenario", "deactivate", self.scenario)
        assert Scenario.objects.active().count() == 1

    def test_one_with_conversations_stays(self):
        make_conversation(self.scenario)

        self.client.post(
            admin_url("scenarios.scenario", "delete", self.scenario.pk), {"post": "yes"}
        )

        assert Scenario.objects.exists()


class CheckTests(DeskTestCase):
    def test_known_models_have_no_problem(self):
        assert model_problem("claude-sonnet-5-5") == ""

    def test_the_settings_as_they_come_are_fine(self):
        assert not [m for m in run_checks() if m.id == "scenarios.W001"]

    @override_settings(COACH_MODEL=RETIRED)
    def test_a_retired_model_in_the_settings_is_warned_of(self):
        (warning,) = check_configured_models()

        assert "COACH_MODEL" in warning.msg
