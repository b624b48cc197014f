from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialApp, SocialToken
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Device, Role, User
from config.tests.desk import DeskTestCase, admin_url, make_invitation
from usage.models import Hold

MODEL = "accounts.user"
PASSWORD = "correct horse battery"
# Beside a password, what signs somebody in; by its app.
KINDS = {"emailaddress": "account", "socialaccount": "socialaccount"}


class UserAdminTests(DeskTestCase):
    def setUp(self):
        super().setUp()
        self.list = admin_url(MODEL, "changelist")
        self.url = admin_url(MODEL, "change", self.lena.pk)

    def fields(self, **changes):
        return {
            "email": "lena@example.org",
            "name": "Lena",
            "is_active": "on",
            "role": "USER",
            "personal_allowance-TOTAL_FORMS": "0",
            "personal_allowance-INITIAL_FORMS": "0",
        } | changes

    def test_it_lists_and_finds_people(self):
        assert "lena@example.org" in self.page(self.list)
        html = self.page(self.list, q="lena@")
        assert "lena@example.org" in html
        assert "sten@example.org" not in html

    def test_the_list_takes_as_many_queries_for_many(self):
        few = self.queries(self.list)
        for number in range(20):
            User.objects.create_user(f"u{number}@example.org")

        assert self.queries(self.list) == few

    def test_it_filters_by_role(self):
        found = self.client.get(self.list, {"role__exact": "ADMIN"}).context["cl"].result_list

        assert list(found) == [self.ada]

    def test_it_adds_somebody_with_a_password(self):
        self.client.post(
            admin_url(MODEL, "add"),
            {
                "email": "New@Example.org",
                "name": "New",
                "role": "POWER_USER",
                "usable_password": "true",
                "password1": PASSWORD,
                "password2": PASSWORD,
            },
        )

        user = User.objects.get(email="new@example.org")
        assert user.check_password(PASSWORD)
        assert user.role == Role.POWER_USER

    def test_it_adds_somebody_who_signs_in_by_code(self):
        self.client.post(
            admin_url(MODEL, "add"),
            {"email": "new@example.org", "role": "USER", "usable_password": "false"},
        )

        assert not User.objects.get(email="new@example.org").has_usable_password()

    def test_it_refuses_an_address_that_differs_only_in_case(self):
        response = self.client.post(
            admin_url(MODEL, "add"),
            {"email": "LENA@example.org", "role": "USER", "usable_password": "false"},
        )

        self.assertContains(response, "already exists")

    def test_it_refuses_a_weak_password(self):
        response = self.client.post(
            admin_url(MODEL, "add"),
            {
                "email": "new@example.org",
                "role": "USER",
                "usable_password": "true",
                "password1": "12345",
                "password2": "12345",
            },
        )

        assert response.status_code == 200

    def test_it_changes_role_and_groups(self):
        group = Group.objects.create(name="Trainers")

        self.client.post(self.url, self.fields(role="POWER_USER", is_staff="on", groups=group.pk))

        self.lena.refresh_from_db()
        assert (self.lena.role, self.lena.is_staff) == (Role.POWER_USER, True)
        assert group in self.lena.groups.all()

    def test_it_refuses_somebody_elses_address(self):
        response = self.client.post(self.url, self.fields(email="sten@example.org"))

        self.assertContains(response, "already exists")

    def test_it_sets_a_password(self):
        url = self.url.replace("change", "password")
        self.page(url)
        self.client.post(
            url, {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
        )

        self.lena.refresh_from_db()
        assert self.lena.check_password(PASSWORD)

    def test_there_is_no_user_name_anywhere(self):
        assert "sername" not in self.page(admin_url(MODEL, "add"))
        assert "sername" not in self.page(self.url)

    def test_staff_do_not_promote_anybody(self):
        self.sign_in(self.sten, "accounts.view_user", "accounts.change_user", "accounts.add_user")

        self.client.post(self.url, self.fields(name="L.", role="ADMIN", is_staff="on"))
        self.client.post(
            admin_url(MODEL, "add"),
            {"email": "new@example.org", "role": "ADMIN", "usable_password": "false"},
        )

        self.lena.refresh_from_db()
        assert (self.lena.name, self.lena.role, self.lena.is_staff) == ("L.", "USER", False)
        assert User.objects.get(email="new@example.org").role == Role.GUEST

    def test_staff_do_not_touch_staff_accounts(self):
        self.sign_in(self.sten, "accounts.view_user", "accounts.change_user")
        url = admin_url(MODEL, "change", self.ada.pk)

        assert self.client.post(url, self.fields()).status_code == 403
        password = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
        response = self.client.post(url.replace("change", "password"), password)
        assert response.status_code == 403
        self.ada.refresh_from_db()
        assert self.ada.email == "ada@example.org"

    def test_staff_do_not_become_a_learner(self):
        """By an address or a password of their choice, they could read what was said."""
        self.sign_in(self.sten, "accounts.view_user", "accounts.change_user")

        self.client.post(self.url, self.fields(email="sten@example.net", name="L."))
        password = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
        response = self.client.post(self.url.replace("change", "password"), password)

        assert response.status_code == 403
        self.lena.refresh_from_db()
        assert (self.lena.email, self.lena.name) == ("lena@example.org", "L.")
        assert not self.lena.has_usable_password()
        assert "password" not in self.page(self.url)

    def test_learners_can_be_deleted_and_their_settled_holds_go_along(self):
        Hold.objects.create(
            user=self.lena,
            stream_type="partner",
            model="m",
            tokens=9,
            max_tokens=4,
            state="settled",
            settled_at=timezone.now(),
        )

        self.client.post(admin_url(MODEL, "delete", self.lena.pk), {"post": "yes"})

        assert not User.objects.filter(pk=self.lena.pk).exists()

    def test_staff_accounts_are_deactivated_not_deleted(self):
        make_invitation(self.sten)

        response = self.client.post(admin_url(MODEL, "delete", self.sten.pk), {"post": "yes"})

        assert response.status_code == 403

    def test_nobody_is_deleted_while_a_reply_is_under_way(self):
        Hold.objects.create(
            user=self.lena, stream_type="partner", model="m", tokens=9, max_tokens=4
        )

        response = self.client.post(admin_url(MODEL, "delete", self.lena.pk), {"post": "yes"})

        assert response.status_code == 403


class GroupAdminTests(DeskTestCase):
    def test_it_counts_members(self):
        group = Group.objects.create(name="Trainers")
        group.user_set.add(self.ada, self.sten)

        assert ">2</td>" in self.page(admin_url("auth.group", "changelist"))

    def test_the_list_takes_as_many_queries_for_many(self):
        url = admin_url("auth.group", "changelist")
        few = self.queries(url)
        for number in range(10):
            Group.objects.create(name=f"G{number}").user_set.add(self.ada)

        assert self.queries(url) == few


class SecondFactorListTests(DeskTestCase):
    def test_the_list_takes_few_queries_also_as_the_first_page_of_a_session(self):
        for number in range(20):
            user = User.objects.create_user(f"u{number}@example.org")
            Authenticator.objects.create(user=user, type="totp", data={})

        with CaptureQueriesContext(connection) as captured:
            html = self.page(admin_url("mfa.authenticator", "changelist"))

        assert "u19@example.org" in html
        assert Device.objects.filter(user=self.ada).count() == 1
        assert len(captured) <= 12


class WaysInTests(DeskTestCase):
    """Whoever may write these can be anybody, or do anything."""

    def test_staff_give_nobody_an_address_or_an_account_of_google(self):
        names = [f"{verb}_{what}" for verb in ("view", "add", "change") for what in KINDS]
        self.sign_in(self.sten, *(f"{KINDS[name.split('_')[1]]}.{name}" for name in names))
        mine = EmailAddress.objects.create(user=self.ada, email="sten@example.net")
        for what, app in KINDS.items():
            url = admin_url(f"{app}.{what}", "add")
            assert self.client.post(url, {"user": self.ada.pk}).status_code == 403
            assert self.client.get(admin_url(f"{app}.{what}", "changelist")).status_code == 200

        self.client.post(
            admin_url("account.emailaddress", "changelist"),
            {"action": "make_verified", "_selected_action": [mine.pk]},
        )

        mine.refresh_from_db()
        assert not mine.verified

    def test_staff_give_their_own_group_no_permission(self):
        group = Group.objects.create(name="Trainers")
        group.user_set.add(self.sten)
        self.sign_in(self.sten, "auth.view_group", "auth.change_group")
        wanted = Permission.objects.get(codename="view_transcript")

        response = self.client.post(
            admin_url("auth.group", "change", group.pk), {"name": "T", "permissions": [wanted.pk]}
        )

        assert response.status_code == 403
        assert not group.permissions.exists()


def test_tokens_and_apps_of_providers_are_not_on_the_desk():
    assert not admin.site.is_registered(SocialApp)
    assert not admin.site.is_registered(SocialToken)
