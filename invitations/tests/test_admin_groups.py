from datetime import timedelta

from django.contrib.admin.models import LogEntry
from django.utils import timezone

from accounts.models import User
from config.tests.desk import DeskTestCase, admin_url, make_invitation, make_scenario
from invitations.models import GroupLink, Invitation, QuotaPreset
from invitations.tests.test_admin_changes import read

MODEL = "invitations.grouplink"


class GroupTestCase(DeskTestCase):
    def setUp(self):
        super().setUp()
        self.list = admin_url(MODEL, "changelist")
        self.add = admin_url(MODEL, "add")
        self.preset = QuotaPreset.objects.get(is_default=True)

    def make(self, **fields):
        values = {"label": "Nursing", "places": 30, "quota": {"tokens": 25_000, "label": "Short"}}
        return GroupLink.objects.create(created_by=self.ada, **values | fields)

    def came(self, group, count=1, **fields):
        for _ in range(count):
            Invitation.objects.create(group=group, quota=group.quota, created_by=self.ada, **fields)
        GroupLink.objects.filter(pk=group.pk).update(taken=count)

    def fields(self, **changes):
        return {
            "label": "Nursing, spring term",
            "places": "30",
            "days": "14",
            "scenario": self.scenario.pk,
            "preset": self.preset.pk,
            "tokens": "",
            "expires_at_0": "2099-01-01",
            "expires_at_1": "12:00:00",
            "personal_note": "Welcome!",
        } | changes


class ListTests(GroupTestCase):
    def test_it_shows_name_status_and_places(self):
        self.came(self.make(), 12)

        html = self.page(self.list)

        for words in ("Nursing", ">Open</span>", "12 of 30"):
            assert words in html

    def test_the_list_takes_as_many_queries_for_many(self):
        self.make(scenario=self.scenario)
        few = self.queries(self.list)
        for number in range(20):
            self.make(label=f"Class {number}", scenario=make_scenario(f"s{number}"))

        assert self.queries(self.list) == few
        assert few <= 12

    def test_it_filters_by_status(self):
        now = timezone.now()
        made = {
            "open": self.make(),
            "full": self.make(places=1, taken=1),
            "expired": self.make(expires_at=now),
            "revoked": self.make(revoked_at=now),
        }

        for status, group in made.items():
            with self.subTest(status):
                found = self.client.get(self.list, {"status": status}).context["cl"].result_list
                assert list(found) == [group]
                assert group.status == status

    def test_no_link_stands_in_the_list_and_none_is_found_by_its_token(self):
        group = self.make()

        assert group.token not in self.page(self.list)
        assert self.client.get(self.list, {"q": group.token}).context["cl"].result_count == 0


class FormTests(GroupTestCase):
    def test_a_new_one_has_a_budget_for_each(self):
        self.client.post(self.add, self.fields())

        group = GroupLink.objects.get()
        assert group.quota == {"label": self.preset.label, **self.preset.quota}
        assert (group.places, group.days, group.taken) == (30, 14, 0)
        assert group.created_by == self.ada

    def test_it_needs_places_and_a_budget(self):
        for changes in ({"places": "0"}, {"places": "1001"}, {"preset": ""}, {"days": "0"}):
            with self.subTest(changes):
                response = self.client.post(self.add, self.fields(**changes))
                assert response.status_code == 200
        assert not GroupLink.objects.exists()

    def test_places_are_added(self):
        group = self.make(places=1, taken=1)

        self.client.post(
            admin_url(MODEL, "change", group.pk), self.fields(places="3", tokens="25000")
        )

        group.refresh_from_db()
        assert (group.places, group.taken, group.status) == (3, 1, "open")
        assert "from 1 to 3" in LogEntry.objects.get().change_message

    def test_there_are_never_fewer_places_than_are_taken(self):
        group = self.make(places=5, taken=4)

        response = self.client.post(
            admin_url(MODEL, "change", group.pk), self.fields(places="3", tokens="25000")
        )

        self.assertContains(response, "4 places are taken already")

    def test_what_a_colleague_changed_meanwhile_is_not_set_back(self):
        group = self.make(scenario=self.scenario, personal_note="One.\nTwo.")
        url = admin_url(MODEL, "change", group.pk)
        seen = read(self.client, url)
        GroupLink.objects.update(
            places=60, taken=40, quota={"tokens": 5_000, "label": "Tiny"}, personal_note="Theirs."
        )

        self.client.post(url, seen | {"label": "Renamed"})

        group.refresh_from_db()
        assert (group.label, group.places, group.personal_note) == ("Renamed", 60, "Theirs.")
        assert group.quota == {"tokens": 5_000, "label": "Tiny"}
        assert LogEntry.objects.get().get_change_message() == (
            "Changed Name from Nursing to Renamed."
        )

        self.client.post(url, read(self.client, url) | {"tokens": "7000"})
        group.refresh_from_db()
        assert group.quota == {"tokens": 7_000, "label": "Tiny"}

    def test_a_change_of_budget_is_for_those_who_come_later(self):
        group = self.make()
        self.came(group)

        self.client.post(admin_url(MODEL, "change", group.pk), self.fields(tokens="99"))

        group.refresh_from_db()
        assert group.limit == 99
        assert Invitation.objects.get().limit == 25_000

    def test_the_link_is_for_who_may_change_it(self):
        group = self.make()
        url = admin_url(MODEL, "change", group.pk)

        assert f'value="{group.url}"' in self.page(url)
        self.sign_in(self.sten, "invitations.view_invitation")
        assert group.token not in self.page(url)

    def test_who_came_is_one_click_away(self):
        group = self.make()
        self.came(group, 2)
        self.came(self.make(label="Another"))

        html = self.page(admin_url(MODEL, "change", group.pk))

        assert f"?group__id__exact={group.pk}" in html
        assert "2 invitations" in html
        listed = admin_url("invitations.invitation", "changelist")
        page = self.page(listed, group__id__exact=group.pk)
        assert page.count("Somebody of Nursing") == 2

    def test_the_history_holds_no_token(self):
        self.client.post(self.add, self.fields())
        token = GroupLink.objects.get().token

        for entry in LogEntry.objects.all():
            assert token not in f"{entry.object_repr} {entry.change_message}"


class PosterTests(GroupTestCase):
    def url(self, group):
        return admin_url(MODEL, "poster", group.pk)

    def test_it_has_the_link_as_text_and_as_a_code(self):
        group = self.make(scenario=self.scenario)

        html = self.page(self.url(group))

        for words in (group.url, "<svg", "The dinner", "30 places", "An AI plays", "transcripts"):
            assert words in html

    def test_names_on_it_are_inert(self):
        group = self.make(label="<script>alert(1)</script>", personal_note="<b onclick=x>")

        html = self.page(self.url(group))

        assert "<script>alert" not in html
        assert "<b onclick" not in html

    def test_it_is_for_who_may_pass_the_link_on(self):
        group = self.make()

        for permission, status in (("view", 404), ("change", 200)):
            self.sign_in(self.sten, f"invitations.{permission}_invitation")
            assert self.client.get(self.url(group)).status_code == status
        self.client.force_login(self.lena, backend="accounts.backends.RoleBackend")
        assert self.client.get(self.url(group)).status_code == 302

    def test_a_closed_link_has_none(self):
        now = timezone.now()
        for group in (self.make(revoked_at=now), self.make(expires_at=now - timedelta(1))):
            assert self.client.get(self.url(group)).status_code == 404
        assert self.client.get(admin_url(MODEL, "poster", "none")).status_code == 404

    def test_the_poster_of_who_has_no_name_shows_no_address(self):
        User.objects.filter(pk=self.ada.pk).update(name="")
        group = self.make()
        html = self.page(admin_url(MODEL, "poster", group.pk))
        assert "Somebody on the staff invites you." in html
        assert self.ada.email not in html


class RevokeTests(GroupTestCase):
    def test_it_asks_first(self):
        group = self.make()

        response = self.act(MODEL, "revoke", group)

        self.assertContains(response, "Who has a place keeps it")
        group.refresh_from_db()
        assert group.revoked_at is None

    def test_who_came_keeps_their_place(self):
        group = self.make()
        self.came(group)

        response = self.act(MODEL, "revoke", group, confirmed="yes")

        group.refresh_from_db()
        assert group.revoked_at
        assert Invitation.objects.get().revoked_at is None
        assert "who came stays in" in self.said(response)

    def test_places_are_closed_too_where_staff_say_so(self):
        group, other = self.make(), self.make()
        self.came(group, 2)
        self.came(other)

        self.act(MODEL, "revoke", group, confirmed="yes", places_too="on")

        assert Invitation.objects.filter(group=group, revoked_at=None).count() == 0
        assert Invitation.objects.filter(group=other, revoked_at=None).count() == 1
        assert LogEntry.objects.count() == 3

    def test_who_may_only_look_revokes_nothing(self):
        group = self.make()
        self.sign_in(self.sten, "invitations.view_invitation")

        self.act(MODEL, "revoke", group, confirmed="yes")

        group.refresh_from_db()
        assert group.revoked_at is None


class PlaceTests(GroupTestCase):
    def test_deleting_a_place_frees_it_and_says_so_before_and_after(self):
        group = self.make(places=2)
        self.came(group, 2)
        place = group.invitations.first()
        url = admin_url("invitations.invitation", "delete", place.pk)

        assert "Deleted, the place is free again" in self.page(url)
        group.refresh_from_db()
        assert group.taken == 2
        said = self.said(self.client.post(url, {"post": "yes"}))

        assert "Its place in “Nursing” is free again: 1 of 2 are taken." in said
        group.refresh_from_db()
        assert (group.taken, group.invitations.count()) == (1, 1)
        line = LogEntry.objects.filter(object_id=group.pk).latest("pk").change_message
        assert line == "A place was deleted, and is free again."

    def test_any_other_invitation_is_deleted_without_a_word_of_places(self):
        invitation = make_invitation(self.ada)
        url = admin_url("invitations.invitation", "delete", invitation.pk)

        assert "place" not in self.page(url).partition('id="content"')[2].partition("<footer")[0]
        assert "place" not in self.said(self.client.post(url, {"post": "yes"}))
        assert not Invitation.objects.exists()
