import csv
from decimal import Decimal
from io import StringIO
from unittest import mock

from django.utils import timezone

from accounts.models import User
from config.tests.desk import (
    DeskTestCase,
    admin_url,
    make_conversation,
    make_invitation,
    make_log,
    make_price,
)
from usage.exports import HEAD
from usage.models import Hold, UsageLog

MODEL = "usage.usagelog"


class UsageTests(DeskTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        make_price()

    def setUp(self):
        super().setUp()
        self.list = admin_url(MODEL, "changelist")

    def exported(self, **filters):
        response = self.client.get(admin_url(MODEL, "export"), filters)
        assert response["Content-Type"] == "text/csv; charset=utf-8"
        return list(csv.DictReader(StringIO(response.getvalue().decode())))

    def test_it_lists_calls_with_cost(self):
        make_log(session=make_conversation(self.scenario), duration_ms=1234)

        html = self.page(self.list)

        for words in ("claude-sonnet-5-5", "The dinner", "1,000", "$0.0030", "1.2"):
            assert words in html

    def test_it_takes_as_many_queries_for_many(self):
        make_log(session=make_conversation(self.scenario))
        few = self.queries(self.list)
        for _ in range(20):
            make_log(session=make_conversation(self.scenario))

        assert self.queries(self.list) == few
        assert few <= 12

    def test_totals_follow_the_filter(self):
        make_log(input_tokens=1000, output_tokens=100)
        make_log(input_tokens=3000, output_tokens=300, cache_read_tokens=500)
        make_log(stream_type="coach", model="llama")

        every = self.client.get(self.list).context["usage_total"]
        partner = self.client.get(self.list, {"stream_type__exact": "partner"}).context[
            "usage_total"
        ]

        assert (every["calls"], every["unpriced"]) == (3, ["llama"])
        assert (partner["calls"], partner["input_tokens"]) == (2, 4000)
        assert partner["cache_read_tokens"] == 500
        assert partner["cost"] == Decimal("0.01105")

    def test_it_finds_a_person_or_an_invitation_by_the_whole_id(self):
        make_log(user_id="person1")
        make_log(invitation_id="invitation1")

        for words, count in (("person1", 1), ("invitation1", 1), ("person", 0)):
            found = self.client.get(self.list, {"q": words}).context["cl"].result_count
            assert found == count

    def test_it_filters_by_day(self):
        today = timezone.now()
        for days in (0, 1, 40):
            make_log(timestamp=today - timezone.timedelta(days=days))

        for day, count in (
            ("", 3),
            ("today", 1),
            ("yesterday", 1),
            ("7", 2),
            ("90", 3),
            (str((today - timezone.timedelta(days=40)).date()), 1),
            ("rubbish", 3),
        ):
            found = self.client.get(self.list, {"day": day})
            assert found.context["cl"].result_count == count, day

    def test_it_filters_by_model_also_by_one_that_is_new_today(self):
        make_log(model="llama")
        make_log()

        found = self.client.get(self.list, {"model": "llama"})
        assert found.context["cl"].result_count == 1
        assert "?model=claude-sonnet-5-5" in found.content.decode()

    def test_it_counts_no_further_than_it_shows(self):
        for _ in range(4):
            make_log()
        with mock.patch("config.large.CappedPaginator.most", 3):
            response = self.client.get(self.list)

        assert (response.context["cl"].result_count, "usage_total" in response.context) == (
            3,
            False,
        )
        assert "More than 3 usage logs" in " ".join(response.content.decode().split())
        assert len(self.exported()) == 4

    def test_it_exports_what_the_filters_leave(self):
        make_log(user_id="person1", stop_reason="end_turn")
        make_log(stream_type="coach")

        (row,) = self.exported(stream_type__exact="partner")

        assert set(row) == set(HEAD)
        assert (row["user_id"], row["input_tokens"]) == ("person1", "1000")
        assert row["cost_usd"] == "0.003000"

    def test_the_export_says_whom_it_was_for_to_those_who_may_know(self):
        make_log(user_id="person1", invitation_id="invitation1")
        self.sign_in(self.sten, "usage.view_usagelog")

        (row,) = self.exported()
        assert (row["user_id"], row["invitation_id"]) == ("", "")

        self.sign_in(self.sten, "invitations.view_invitation")
        (row,) = self.exported()
        assert (row["user_id"], row["invitation_id"]) == ("", "invitation1")

    def test_a_call_without_a_price_says_so(self):
        make_log(model="llama")

        assert "no price" in self.page(self.list)

    def test_an_export_with_a_filter_that_is_none_goes_back_to_the_list(self):
        response = self.client.get(admin_url(MODEL, "export"), {"no_such": "1"})

        assert response["Location"] == self.list

    def test_the_export_is_for_those_who_may_and_changes_nothing(self):
        url = admin_url(MODEL, "export")
        assert self.client.post(url).status_code == 405
        self.sign_in(self.sten)
        assert self.client.get(url).status_code == 403

    def test_exported_cells_are_no_formulas(self):
        make_log(model="=HYPERLINK(1)", stop_reason="+1", user_id="@x", invitation_id="-1")

        (row,) = self.exported()

        for name in ("model", "stop_reason", "user_id", "invitation_id"):
            assert row[name].startswith("'"), name

    def test_it_is_a_record(self):
        log = make_log()

        assert self.client.get(admin_url(MODEL, "add")).status_code == 403
        url = admin_url(MODEL, "change", log.pk)
        assert self.client.post(url, {"input_tokens": 0}).status_code == 403
        url = admin_url(MODEL, "delete", log.pk)
        assert self.client.post(url, {"post": "yes"}).status_code == 403
        assert UsageLog.objects.exists()


class HoldTests(DeskTestCase):
    def hold(self, **fields):
        return Hold.objects.create(
            stream_type="partner", model="m", tokens=900, max_tokens=400, **fields
        )

    def test_it_lists_who_pays(self):
        self.hold(user=self.lena)
        self.hold(invitation=make_invitation(self.ada, recipient_name="Gwen"))

        html = self.page(admin_url("usage.hold", "changelist"))

        for words in ("Lena", "Invitation for Gwen", ">Held</span>"):
            assert words in html

    def test_it_finds_holds_by_the_whole_address_of_whom_they_are_for(self):
        self.hold(user=self.lena)
        self.hold(invitation=make_invitation(self.ada, recipient_email="Gwen@Example.org"))
        url = admin_url("usage.hold", "changelist")

        for words, count in (("LENA@example.org", 1), ("gwen@example.org", 1), ("lena@", 0)):
            assert self.client.get(url, {"q": words}).context["cl"].result_count == count, words

    def test_it_names_nobody_to_who_may_not_list_them(self):
        holds = [
            self.hold(user=self.lena),
            self.hold(
                invitation=make_invitation(
                    self.ada, recipient_name="Gwen", recipient_email="gwen@example.org"
                )
            ),
        ]
        urls = [admin_url("usage.hold", "changelist")]
        urls += [admin_url("usage.hold", "change", hold.pk) for hold in holds]
        for permissions, shown in (
            (["usage.view_hold"], set()),
            (["accounts.view_user"], {"lena"}),
            (["invitations.view_invitation"], {"lena", "gwen"}),
        ):
            self.sten = User.objects.get(pk=self.sten.pk)
            self.sign_in(self.sten, *permissions)
            pages = [self.client.get(url).content.decode() for url in urls]
            assert {name for name in ("lena", "gwen") if name in " ".join(pages).lower()} == shown
            for name in ("lena", "gwen"):
                answer = self.client.get(urls[0], {"q": f"{name}@example.org"})
                assert answer.context["cl"].result_count == (name in shown)

    def test_it_takes_as_many_queries_for_many(self):
        url = admin_url("usage.hold", "changelist")
        self.hold(user=self.lena)
        few = self.queries(url)
        for _ in range(20):
            self.hold(invitation=make_invitation(self.ada))

        assert self.queries(url) == few

    def test_it_is_a_record(self):
        url = admin_url("usage.hold", "delete", self.hold(user=self.lena).pk)

        assert self.client.get(admin_url("usage.hold", "add")).status_code == 403
        assert self.client.post(url, {"post": "yes"}).status_code == 403
