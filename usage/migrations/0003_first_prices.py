"""The provider's prices of November 2026, in US dollars for a million tokens.

The understudy, which answers where no model is configured, costs nothing.
"""

from datetime import date
from decimal import Decimal

from django.db import migrations

SINCE = date(2026, 1, 1)
# Input, output, cache write (5 minutes), cache read.
PRICES = {
    "claude-sonnet-5-5": ("2", "10", "2.50", "0.10"),
    "claude-haiku-5-5": ("0.10", "0.50", "0.125", "0.01"),
    "claude-sonnet-5": ("2", "10", "2.50", "0.20"),
    "claude-haiku-4-5": ("1", "5", "1.25", "0.10"),
    "understudy": ("0", "0", "0", "0"),
}
FIELDS = ("input_price", "output_price", "cache_write_price", "cache_read_price")


def add_prices(apps, schema_editor):
    Price = apps.get_model("usage", "Price")
    for model, prices in PRICES.items():
        values = dict(zip(FIELDS, map(Decimal, prices), strict=True))
        Price.objects.get_or_create(model=model, valid_from=SINCE, defaults=values)


class Migration(migrations.Migration):
    dependencies = [("usage", "0002_price")]

    operations = [migrations.RunPython(add_prices, migrations.RunPython.noop)]
