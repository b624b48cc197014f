from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.db import IntegrityError
from django.utils import timezone

from accounts.models import Role
from config.tests.desk import DeskTestCase, admin_url, make_log
from usage.holds import UNLIMITED, Purse, available
from usage.models import LONGEST_WINDOW_HOURS, Allowance, PersonalAllowance
from usage.tests.purses import hold, learner

INLINE = "personal_allowance"


def management(**forms):
    return {
        f"{INLINE}-TOTAL_FORMS": "1",
        f"{INLINE}-INITIAL_FORMS": "0",
        f"{INLINE}-0-tokens": "",
        f"{INLINE}-0-window_hours": "168",
    } | {f"{INLINE}-{name}": value for name, value in forms.items()}


@pytest.fixture
def lena(db):
    Allowance.objects.create(role=Role.USER, tokens=1000)
    return learner()


def test_an_exception_takes_the_place_of_the_roles_allowance_from_the_next_hold(lena):
    purse = Purse(None, lena.pk)
    assert hold(purse, 1001) is None
    PersonalAllowance.objects.create(user=lena, tokens=5000)
    assert hold(purse, 4000) is not None
    assert hold(purse, 1001) is None


def test_an_exception_may_be_less_or_without_limit(lena):
    mine = PersonalAllowance.objects.create(user=lena, tokens=0)
    assert available(Purse(None, lena.pk)) == 0
    PersonalAllowance.objects.filter(pk=mine.pk).update(tokens=None)
    assert available(Purse(None, lena.pk)) == UNLIMITED


def test_an_exception_opens_the_door_for_a_guest(db):
    guest = learner(role=Role.GUEST)
    assert hold(Purse(None, guest.pk), 1) is None
    PersonalAllowance.objects.create(user=guest, tokens=10)
    assert hold(Purse(None, guest.pk), 10) is not None


def test_once_it_is_over_the_roles_allowance_holds_again(lena):
    soon = timezone.now() + timedelta(minutes=1)
    mine = PersonalAllowance.objects.create(user=lena, tokens=5000, expires_at=soon)
    assert available(Purse(None, lena.pk)) == 5000
    PersonalAllowance.objects.filter(pk=mine.pk).update(expires_at=timezone.now())
    assert available(Purse(None, lena.pk)) == 1000


def test_it_counts_in_a_window_of_its_own(lena):
    PersonalAllowance.objects.create(user=lena, tokens=5000, window_hours=24)
    for hours in (1, 25):
        make_log(
            user_id=lena.pk,
            input_tokens=100,
            output_tokens=0,
            timestamp=timezone.now() - timedelta(hours=hours),
        )
    assert available(Purse(None, lena.pk)) == 4900


def test_one_persons_exception_is_nobody_elses(lena):
    other = type(lena).objects.create_user("other@example.org", role=Role.USER)
    PersonalAllowance.objects.create(user=lena, tokens=5000)
    assert available(Purse(None, other.pk)) == 1000


def test_the_longest_window_is_counted_back(lena):
    longest = {"tokens": 5000, "window_hours": LONGEST_WINDOW_HOURS}
    PersonalAllowance.objects.create(user=lena, **longest)
    ancient = timezone.now() - timedelta(days=3649)
    make_log(user_id=lena.pk, input_tokens=100, output_tokens=0, timestamp=ancient)
    assert available(Purse(None, lena.pk)) == 4900


@pytest.mark.parametrize("model", [Allowance, PersonalAllowance])
def test_the_database_holds_no_longer_one(lena, model):
    whose = {"role": Role.GUEST} if model is Allowance else {"user": lena}
    with pytest.raises(IntegrityError):
        model.objects.create(**whose, tokens=1, window_hours=LONGEST_WINDOW_HOURS + 1)


def test_longer_ones_of_before_are_shortened(lena, monkeypatch):
    migration = import_module("usage.migrations.0011_shorten_windows")
    monkeypatch.setattr(migration, "LONGEST", 24)
    mine = PersonalAllowance.objects.create(user=lena, window_hours=25)
    migration.shorten(apps, None)
    mine.refresh_from_db()
    assert mine.window_hours == 24
    assert Allowance.objects.get(role=Role.USER).window_hours == 24


class AllowanceTests(DeskTestCase):
    def test_it_is_set_by_role(self):
        url = admin_url("usage.allowance", "add")
        self.client.post(url, {"role": "USER", "tokens": "500", "window_hours": "24"})

        assert Allowance.for_role(Role.USER).tokens == 500
        again = self.client.post(url, {"role": "USER", "tokens": "1", "window_hours": "24"})
        assert again.status_code == 200

    def test_a_window_of_nothing_is_refused(self):
        self.client.post(
            admin_url("usage.allowance", "add"),
            {"role": "USER", "tokens": "5", "window_hours": "0"},
        )

        assert not Allowance.objects.exists()

    def test_a_window_that_no_calendar_holds_is_refused(self):
        form = {"role": "USER", "tokens": "5", "window_hours": "99999999"}
        response = self.client.post(admin_url("usage.allowance", "add"), form)

        words = "A window is 87,600 hours, which is ten years, at the most."
        assert words in response.content.decode()
        assert not Allowance.objects.exists()

    def test_the_list_says_what_holds_for_the_other_roles(self):
        Allowance.objects.create(role=Role.USER, tokens=500, window_hours=25)

        html = self.page(admin_url("usage.allowance", "changelist"))

        assert "1 day 1 hour" in html
        assert "0 for guests, 1,000,000 for power users, no limit for administrators" in html

    def test_no_number_means_no_limit(self):
        Allowance.objects.create(role=Role.USER, tokens=None)

        assert "No limit" in self.page(admin_url("usage.allowance", "changelist"))

    def test_the_history_says_what_it_was(self):
        allowance = Allowance.objects.create(role=Role.USER, tokens=500)
        url = admin_url("usage.allowance", "change", allowance.pk)
        self.client.post(url, {"role": "USER", "tokens": "70000", "window_hours": "168"})

        entry = LogEntry.objects.get(object_id=str(allowance.pk))
        assert entry.user == self.ada
        assert entry.get_change_message() == "Changed Tokens from 500 to 70,000."


class PersonalAllowanceTests(DeskTestCase):
    model = "usage.personalallowance"

    def test_it_is_added_and_listed_with_its_end(self):
        self.client.post(
            admin_url(self.model, "add"),
            {
                "user": self.lena.pk,
                "tokens": "5000",
                "window_hours": "24",
                "expires_at_0": "2099-01-31",
                "expires_at_1": "12:00",
                "reason": "Exam week",
            },
        )

        html = self.page(admin_url(self.model, "changelist"))
        for words in ("Lena", "5,000", "1 day", "31 Jan 2099", "In force", "Exam week"):
            assert words in html

    def test_one_that_is_over_says_so(self):
        PersonalAllowance.objects.create(user=self.lena, tokens=5, expires_at=timezone.now())

        assert ">Over</span>" in self.page(admin_url(self.model, "changelist"))

    def test_a_window_of_nothing_is_refused(self):
        form = {"user": self.lena.pk, "tokens": "5", "window_hours": "0"}
        response = self.client.post(admin_url(self.model, "add"), form)

        assert response.status_code == 200
        assert not PersonalAllowance.objects.exists()

    def test_a_window_that_no_calendar_holds_is_refused(self):
        form = {"user": self.lena.pk, "tokens": "5", "window_hours": "2147483647"}
        response = self.client.post(admin_url(self.model, "add"), form)

        assert response.context["errors"]
        assert not PersonalAllowance.objects.exists()

    def test_its_history_says_who_changed_what(self):
        mine = PersonalAllowance.objects.create(user=self.lena, tokens=5000)
        self.client.post(
            admin_url(self.model, "change", mine.pk), {"tokens": "", "window_hours": "168"}
        )

        entry = LogEntry.objects.get(object_id=str(mine.pk))
        assert (entry.user, entry.get_change_message()) == (
            self.ada,
            "Changed Tokens from 5,000 to nothing.",
        )

    def test_it_is_for_those_who_may(self):
        self.sign_in(self.sten, "usage.view_personalallowance")
        form = {"user": self.lena.pk, "tokens": "5", "window_hours": "1"}

        assert self.client.get(admin_url(self.model, "changelist")).status_code == 200
        assert self.client.post(admin_url(self.model, "add"), form).status_code == 403


class OnAPersonsPageTests(DeskTestCase):
    def post(self, **inline):
        form = {"email": self.lena.email, "name": "Lena", "role": "USER", "is_active": "on"}
        url = admin_url("accounts.user", "change", self.lena.pk)
        return self.client.post(url, form | management(**inline))

    def test_it_is_given_there(self):
        assert self.post(**{"0-tokens": "9000"}).status_code == 302

        assert available(Purse(None, self.lena.pk)) == 9000
        assert "9,000 tokens" in self.page(admin_url("accounts.user", "change", self.lena.pk))

    def test_no_limit_is_given_there_too(self):
        assert self.post().status_code == 302

        assert PersonalAllowance.objects.get(user=self.lena).tokens is None

    def test_the_persons_history_tells_of_it(self):
        mine = PersonalAllowance.objects.create(user=self.lena, tokens=5000)
        self.post(
            **{"INITIAL_FORMS": "1", "0-id": str(mine.pk), "0-user": self.lena.pk, "0-tokens": "6"}
        )

        words = LogEntry.objects.get(object_id=self.lena.pk).get_change_message()
        assert "Tokens from 5,000 to 6" in words

    def test_staff_without_the_permission_do_not_see_it(self):
        PersonalAllowance.objects.create(user=self.lena, tokens=5000)
        self.sign_in(self.sten, "accounts.change_user")

        html = self.page(admin_url("accounts.user", "change", self.lena.pk))
        assert "Allowance of their own" not in html
        assert self.post(**{"0-tokens": "9000"}).status_code == 302
        assert PersonalAllowance.objects.get(user=self.lena).tokens == 5000

    def test_it_goes_with_the_person(self):
        PersonalAllowance.objects.create(user=self.lena, tokens=5000)
        self.sign_in(self.sten, "accounts.delete_user")
        url = admin_url("accounts.user", "delete", self.lena.pk)

        assert self.client.post(url, {"post": "yes"}).status_code == 302
        assert not PersonalAllowance.objects.exists()
