from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.test import override_settings
from django.urls import reverse
from django.utils import timezone

from config.tests.desk import (
    DeskTestCase,
    admin_url,
    make_conversation,
    make_invitation,
    make_log,
    make_scenario,
    say,
)
from conversations.models import Message, MessageRole, MessageStatus
from invitations.models import QuotaPreset
from usage.models import Allowance, Hold

OURS = ("accounts", "scenarios", "invitations", "usage", "conversations")


class DeskTests(DeskTestCase):
    def setUp(self) -> None:
        super().setUp()
        QuotaPreset.objects.create(name="Quick", label="Quick", quota={"tokens": 10_000})
        Allowance.objects.create(role="USER", tokens=5)
        invitation = make_invitation(self.ada, recipient_email="guest@example.org")
        self.conversation = make_conversation(self.scenario, invitation=invitation)
        say(self.conversation, MessageRole.USER, "Hello")
        make_log(session=self.conversation)
        Hold.objects.create(
            invitation=invitation, stream_type="partner", model="m", tokens=9, max_tokens=4
        )

    def rows(self) -> dict[str, int]:
        return {
            model._meta.label: model._default_manager.count()
            for model in apps.get_models()
            if model._meta.app_label not in {"sessions", "contenttypes"}
        }

    def every_page(self) -> list[str]:
        urls = [reverse("admin:index")]
        for model, model_admin in admin.site._registry.items():
            label = model._meta.label_lower
            urls.append(admin_url(label, "changelist"))
            request = self.client.get("/admin/").wsgi_request
            if model_admin.has_add_permission(request):
                urls.append(admin_url(label, "add"))
            for obj in model._default_manager.all()[:1]:
                urls += [admin_url(label, page, obj.pk) for page in ("change", "history")]
                if model_admin.has_delete_permission(request, obj):
                    urls.append(admin_url(label, "delete", obj.pk))
        return urls

    def test_every_model_of_ours_is_registered(self):
        missing = {
            model._meta.label
            for label in OURS
            for model in apps.get_app_config(label).get_models()
            if model not in admin.site._registry
        }

        # The sums behind the report on usage; where people are signed in, and which addresses
        # they had, is theirs to see.
        sums = {"usage.ReportedDay", "usage.DayUsage", "usage.PayerUsage"}
        assert missing == {*sums, "accounts.Device", "accounts.FormerAddress"}

    def test_every_page_works_and_holds_nothing_inline(self):
        for url in self.every_page():
            with self.subTest(url):
                self.page(url)

    def test_every_list_sorts_and_counts_its_filters(self):
        for model, model_admin in admin.site._registry.items():
            url = admin_url(model._meta.label_lower, "changelist")
            orders = ".".join(str(number) for number in range(len(model_admin.list_display) + 1))
            with self.subTest(url):
                self.page(url, _facets="True", o=orders)

    def test_get_changes_nothing(self):
        urls, before = self.every_page(), self.rows()

        for url in urls:
            self.client.get(url)

        assert self.rows() == before

    def test_the_policy_is_sent(self):
        policy = self.client.get(reverse("admin:index"))["Content-Security-Policy"]

        assert "script-src 'self';" in policy
        assert "style-src 'self';" in policy

    def test_anonymous_people_are_asked_to_sign_in(self):
        urls = self.every_page()
        self.client.logout()

        for url in urls:
            with self.subTest(url):
                response = self.client.get(url, follow=True)
                assert response.redirect_chain
                assert reverse("account_login") in response.redirect_chain[-1][0]

    def test_learners_are_refused(self):
        urls = self.every_page()
        self.sign_in(self.lena)

        for url in urls:
            with self.subTest(url):
                assert self.client.get(url, follow=True).status_code == 403

    def test_staff_without_permissions_see_an_empty_desk(self):
        urls = [url for url in self.every_page() if url != reverse("admin:index")]
        self.sign_in(self.sten)

        for url in urls:
            with self.subTest(url):
                assert self.client.get(url).status_code == 403
        assert self.client.get("/admin/").context["app_list"] == []

    def test_a_deactivated_administrator_is_out(self):
        self.ada.is_active = False
        self.ada.save()

        assert self.client.get("/admin/").status_code == 302

    def test_no_redirect_gives_an_invitations_link_away(self):
        invitation = make_invitation(self.ada)
        kind = ContentType.objects.get_for_model(invitation)
        self.sign_in(self.sten)

        response = self.client.get(f"/admin/r/{kind.pk}/{invitation.pk}/")

        assert response.status_code == 404

    def test_what_staff_do_most_comes_first(self):
        labels = [app["app_label"] for app in self.client.get("/admin/").context["app_list"]]

        assert labels == ["invitations", "scenarios", "conversations", "usage", "accounts"]

    def test_nobody_deletes_in_bulk_by_accident(self):
        for label in ("invitations.invitation", "accounts.user", "scenarios.scenario"):
            with self.subTest(label):
                assert "delete_selected" not in self.page(admin_url(label, "changelist"))

    def test_the_start_page_takes_few_queries(self):
        assert self.queries("/admin/") <= 8


class AttentionTests(DeskTestCase):
    def test_a_quiet_desk_says_nothing(self):
        assert "Needs attention" not in self.page("/admin/")

    def test_a_retired_model_is_named_on_the_start_page(self):
        make_scenario("old", name="Old one", partner_model="claude-sonnet-4-20250514")

        html = self.page("/admin/")

        assert "Needs attention" in html
        assert "Old one" in html
        assert "retired on 15 June 2026" in html

    def test_an_inactive_scenario_needs_nobody(self):
        make_scenario("old", partner_model="claude-sonnet-4-20250514", is_active=False)

        assert "Needs attention" not in self.page("/admin/")

    @override_settings(FALLBACK_MODEL="claude-haiku-5-5")
    def test_the_fallback_is_named(self):
        make_scenario("old", partner_model="claude-sonnet-4-20250514")

        assert "claude-haiku-5-5 answers in its place" in self.page("/admin/")

    def test_a_refused_key_is_named(self):
        conversation = make_conversation(self.scenario)
        for days in (0, 0, 2):
            Message.objects.create(
                session=conversation,
                role=MessageRole.PARTNER,
                status=MessageStatus.FAILED,
                failure="key",
                timestamp=timezone.now() - timezone.timedelta(days=days),
            )

        assert "2 replies failed in the last 24 hours" in self.page("/admin/")

    def test_what_learners_ask_for_is_named(self):
        now = timezone.now()
        for fields in ({"time_asked_at": now}, {"time_asked_at": now}, {"budget_asked_at": now}):
            make_invitation(self.ada, **fields)
        make_invitation(self.ada, budget_asked_at=now, revoked_at=now)

        html = self.page("/admin/")

        assert 'invitation/?asked=time">2 invitations</a>: somebody asks for more time.' in html
        assert 'invitation/?asked=budget">1 invitation</a>: somebody asks for more budget.' in html

    def test_who_may_not_change_invitations_reads_nothing_of_it(self):
        make_invitation(self.ada, time_asked_at=timezone.now())
        self.sign_in(self.sten, "invitations.view_invitation")

        assert "Needs attention" not in self.page("/admin/")

    def test_who_may_not_see_scenarios_reads_nothing_of_it(self):
        make_scenario("old", partner_model="claude-sonnet-4-20250514")
        self.sign_in(self.sten)

        assert "Needs attention" not in self.page("/admin/")

    def test_names_in_the_notice_are_inert(self):
        make_scenario("x", name="<b onclick=x>", partner_model="<i>")

        assert "<b onclick" not in self.page("/admin/")

    def test_the_history_names_who_did_what(self):
        self.client.post(
            admin_url("usage.allowance", "add"), {"role": "USER", "window_hours": 24, "tokens": 5}
        )

        assert LogEntry.objects.get().user == self.ada
