"""The report on usage: figures, names for those who may know them, chart, CSV."""

import csv
import re
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from unittest import mock

from django.test import override_settings
from django.utils.timezone import now

from config.tests.desk import (
    DeskTestCase,
    admin_url,
    make_invitation,
    make_log,
    make_price,
    make_scenario,
)
from usage.models import ReportedDay, UsageLog, today

MODEL = "usage.usagelog"


class ReportTests(DeskTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        make_price()
        cls.invitation = make_invitation(
            cls.ada, recipient_name="Gwen", recipient_email="gwen@example.org"
        )
        yesterday = now() - timedelta(days=1)
        make_log(user_id=cls.lena.pk, scenario_id=cls.scenario.pk, timestamp=yesterday)
        make_log(
            invitation_id=cls.invitation.pk,
            stream_type="coach",
            model="llama",
            input_tokens=5000,
            cache_read_tokens=4000,
        )

    def setUp(self):
        super().setUp()
        self.url = admin_url(MODEL, "report")

    def lines(self, **query):
        found = self.client.get(self.url, query).context["report"]
        return {line.label: line for line in found.lines if line.figures["calls"]}

    def rows(self, **query):
        response = self.client.get(self.url, query | {"format": "csv"})
        return list(csv.DictReader(StringIO(response.getvalue().decode())))

    def test_it_shows_numbers_and_a_chart_of_them(self):
        html = self.page(self.url)

        for words in ("Tokens by day", "5,000", "1,000", "$0.0030", "no price", "llama"):
            assert words in html
        assert re.search(r"<svg[^>]* role=\"img\"[^>]*aria-labelledby", html)
        assert html.count('<rect class="bar-') >= 5
        assert "<title id=" in html
        assert "<desc id=" in html

    def test_by_each_thing(self):
        day = today()
        cases = {
            "day": [f"{d.day} {d:%b %Y}" for d in (day - timedelta(days=1), day)],
            "model": ["llama", "claude-sonnet-5-5"],
            "stream": ["Coach", "Partner"],
            "scenario": ["Not known", "The dinner"],
            "invitation": ["Gwen", "On an allowance"],
            "user": ["Guests", "Lena"],
        }
        for by, labels in cases.items():
            lines = self.lines(by=by)
            assert list(lines) == labels, by
            assert {line.figures["calls"] for line in lines.values()} == {1}
            assert sorted(line.tokens for line in lines.values()) == [1100, 5100]

    def test_the_total_is_of_the_period_whatever_it_is_divided_by(self):
        for by in ("day", "model", "stream", "scenario", "invitation", "user"):
            total = self.client.get(self.url, {"by": by}).context["report"].total
            assert (total["calls"], total["input_tokens"]) == (2, 6000), by
            assert (total["cost"], total["unpriced"]) == (Decimal("0.003"), ["llama"])

    def test_each_line_leads_to_its_calls(self):
        for by in ("day", "model", "stream", "invitation", "user"):
            html = self.page(self.url, by=by)
            links = re.findall(r'<th scope="row"><a href="([^"]+)"', html)
            assert links, by
            for link in links:
                found = self.client.get(link.replace("&amp;", "&")).context["cl"]
                assert found.result_count == 1, link

    def test_names_are_for_those_who_may_list_them(self):
        make_scenario("mine", name="About my boss", owner=self.lena)
        private = self.scenario.__class__.objects.get(slug="mine")
        make_log(scenario_id=private.pk)
        assert "About my boss" in self.lines(by="scenario")
        self.sign_in(self.sten, "usage.view_usagelog")

        assert f"Scenario {private.pk}" in self.lines(by="scenario")
        assert f"Person {self.lena.pk}" in self.lines(by="user")
        assert f"Invitation {self.invitation.pk}" in self.lines(by="invitation")
        for by in ("user", "invitation", "scenario"):
            text = f"{self.rows(by=by)} {self.page(self.url, by=by)}"
            for secret in ("Lena", "Gwen", "gwen@", "boss"):
                assert secret not in text

    def test_a_period_has_a_first_and_a_last_day(self):
        UsageLog.objects.all().delete()
        for day in (1, 10, 20):
            make_log(timestamp=now().replace(year=2026, month=3, day=day))

        lines = self.lines(since="2026-03-01", until="2026-03-10")
        assert list(lines) == ["1 Mar 2026", "10 Mar 2026"]

    def test_a_long_period_is_told_in_months(self):
        UsageLog.objects.all().delete()
        for month in (1, 12):
            make_log(timestamp=now().replace(year=2025, month=month, day=3))

        assert list(self.lines(since="2025-01-02", until="2026-03-10")) == [
            "January 2025",
            "December 2025",
        ]

    def test_a_period_that_is_none_is_refused_with_words(self):
        turned = self.page(self.url, since="2026-03-10", until="2026-03-01")
        rubbish = self.page(self.url, since="x", by="y")
        endless = self.page(self.url, since="0001-01-01")

        assert "ends before it begins" in turned
        assert "Enter a valid date" in rubbish
        assert "A report is of ten years at most" in endless
        assert endless.count("<tr") < 100

    def test_ten_years_are_a_report(self):
        first = now().replace(year=2016, month=4, day=2)
        make_log(timestamp=first)

        assert "April 2016" in self.lines(since="2016-03-01", until="2026-03-01")

    def test_it_ends_today_whatever_the_address_says(self):
        assert "Usage report" in self.page(self.url, since="2026-01-01", until="9999-12-31")
        assert self.client.get(admin_url(MODEL, "changelist"), {"day": "9999-12-31"}).context

    def test_without_usage_it_says_what_to_do(self):
        html = self.page(self.url, since="2020-01-01", until="2020-01-31")

        assert "No model was called from 1 January 2020 to 31 January 2020" in html
        assert "<figure" not in html

    def test_the_file_has_what_the_page_shows(self):
        (row,) = [row for row in self.rows(by="model") if row["model"] == "llama"]

        assert row == {
            "model": "llama",
            "calls": "1",
            "input_tokens": "5000",
            "output_tokens": "100",
            "cache_write_tokens": "0",
            "cache_read_tokens": "4000",
            "cost_usd": "",
            "without_a_price": "llama",
        }
        assert self.rows(by="user")[1]["person"] == "Lena"

    def test_no_name_in_the_file_is_a_formula(self):
        self.lena.name = "=1+1"
        self.lena.save()

        assert "'=1+1" in [row["person"] for row in self.rows(by="user")]

    def test_many_people_come_in_pages_and_all_in_the_file(self):
        for number in range(5):
            make_log(user_id=f"u{number}", input_tokens=10_000 - number)
        with mock.patch("usage.reports.PAGE", 3):
            first = self.client.get(self.url, {"by": "user"}).context["report"]
            second = self.client.get(self.url, {"by": "user", "page": "2"}).context["report"]
            html = self.page(self.url, by="user", page="999999")

        assert [line.label for line in first.lines] == [f"Person u{n}" for n in range(3)]
        assert [line.label for line in second.lines[:2]] == ["Person u3", "Person u4"]
        assert "Page 3 of 3" in html
        assert "Those with more" in html
        assert len(self.rows(by="user")) == 7

    def test_it_is_for_those_who_may_see_calls(self):
        self.sign_in(self.sten, "usage.view_hold")
        assert self.client.get(self.url).status_code == 403
        self.client.logout()
        assert self.client.get(self.url).status_code == 302

    def test_it_is_only_read(self):
        assert self.client.post(self.url).status_code == 405
        assert self.client.delete(self.url).status_code == 405

    def test_it_takes_few_queries_however_much_there_is(self):
        for by in ("day", "model", "stream", "scenario", "invitation", "user"):
            few = self.queries(self.url, by=by)
            for number in range(20):
                make_log(user_id=f"{by}{number}", model=f"m{number}", scenario_id=number + 1)
            assert self.queries(self.url, by=by) == few, by
            assert few <= 12

    def test_yesterday_is_summed_once(self):
        self.client.get(self.url)
        assert ReportedDay.objects.get().day == today() - timedelta(days=1)

    @override_settings(TIME_ZONE="Asia/Tokyo")
    def test_days_are_in_utc_wherever_one_is(self):
        UsageLog.objects.all().delete()
        make_log(timestamp=now().replace(year=2026, month=3, day=5, hour=23))

        assert list(self.lines(since="2026-03-01", until="2026-03-10")) == ["5 Mar 2026"]
