from datetime import date
from decimal import Decimal

from django.contrib.admin.models import LogEntry

from config.tests.desk import DeskTestCase, admin_url, make_price
from usage.models import Price

MODEL = "usage.price"


def form(**fields):
    values = {
        "model": "claude-x",
        "valid_from": "2026-11-01",
        "input_price": "2.5",
        "output_price": "10",
        "cache_write_price": "3",
        "cache_read_price": "0.25",
    }
    return values | fields


class PriceTests(DeskTestCase):
    def test_staff_add_a_price(self):
        self.client.post(admin_url(MODEL, "add"), form())

        price = Price.objects.get(model="claude-x")
        assert (price.input_price, price.valid_from) == (Decimal("2.5"), date(2026, 11, 1))
        html = self.page(admin_url(MODEL, "changelist"))
        for words in ("claude-x", "$2.50", "$10.00", "$0.25"):
            assert words in html

    def test_a_price_of_less_than_a_cent_is_shown_in_full(self):
        make_price("claude-x", input_price=Decimal("0.125"))

        assert "$0.125" in self.page(admin_url(MODEL, "changelist"))

    def test_a_second_price_of_a_day_and_a_negative_one_are_refused_with_words(self):
        make_price("claude-x", valid_from=date(2026, 11, 1))

        twice = self.client.post(admin_url(MODEL, "add"), form())
        below = self.client.post(admin_url(MODEL, "add"), form(model="y", input_price="-1"))

        assert "has a price from that day already" in twice.content.decode()
        assert "zero or more" in below.content.decode()

    def test_the_history_says_what_it_was(self):
        price = make_price("claude-x", valid_from=date(2026, 11, 1))
        url = admin_url(MODEL, "change", price.pk)
        self.client.post(url, form(output_price="12"))

        entry = LogEntry.objects.get(object_id=str(price.pk))
        assert entry.user == self.ada
        assert "Output from 10 to 12" in entry.get_change_message()

    def test_it_is_for_those_who_may(self):
        self.sign_in(self.sten, "usage.view_price")

        assert self.client.post(admin_url(MODEL, "add"), form()).status_code == 403
        assert self.client.get(admin_url(MODEL, "changelist")).status_code == 200
