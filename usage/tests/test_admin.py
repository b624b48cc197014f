import csv
from decimal import Decimal
from io import StringIO

from django.utils import timezone

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

    def exported(self, *logs):
        response = self.act(MODEL, "export", *logs)
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
        make_log(timestamp=timezone.now() - timezone.timedelta(days=40))
        today = timezone.now()

        found = self.client.get(
            self.list, {"timestamp__year": today.year, "timestamp__month": today.month}
        )

        assert found.context["cl"].result_count == 0

    def test_it_exports_what_is_selected(self):
        wanted = make_log(user_id="person1", stop_reason="end_turn")
        make_log()

        (row,) = self.exported(wanted)

        assert set(row) == set(HEAD)
        assert (row["user_id"], row["input_tokens"]) == ("person1", "1000")
        assert row["cost_usd"] == "0.003000"

    def test_the_export_says_whom_it_was_for_to_those_who_may_know(self):
        log = make_log(user_id="person1", invitation_id="invitation1")
        self.sign_in(self.sten, "usage.view_usagelog")

        (row,) = self.exported(log)
        assert (row["user_id"], row["invitation_id"]) == ("", "")

        self.sign_in(self.sten, "invitations.view_invitation")
        (row,) = self.exported(log)
        assert (row["user_id"], row["invitation_id"]) == ("", "invitation1")

    def test_a_call_without_a_price_says_so(self):
        make_log(model="llama")

        assert "no price" in self.page(self.list)

    def test_exported_cells_are_no_formulas(self):
        log = make_log(model="=HYPERLINK(1)", stop_reason="+1", user_id="@x", invitation_id="-1")

        (row,) = self.exported(log)

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
