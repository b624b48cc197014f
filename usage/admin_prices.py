"""Prices in the admin: what models cost, from which day on."""

from collections.abc import Callable

from django.contrib import admin
from django.contrib.admin.utils import label_for_field

from config.admin import DeskAdmin
from usage.models import Price

PRICES = ("input_price", "output_price", "cache_write_price", "cache_read_price")


def price_column(name: str) -> Callable[[Price], str]:
    label = str(label_for_field(name, Price))

    @admin.display(description=label, ordering=name)
    def column(price: Price) -> str:
        amount = getattr(price, name).normalize()
        return f"${amount:f}" if amount.as_tuple().exponent < -2 else f"${amount:.2f}"

    return column


@admin.register(Price)
class PriceAdmin(DeskAdmin):
    list_display = ["model", "valid_from", *map(price_column, PRICES)]
    list_filter = ["model"]
    search_fields = ["model"]
    save_as = True
    told = ("model", "valid_from", *PRICES)
    fieldsets = [
        (None, {"fields": ["model", "valid_from"]}),
        ("US dollars for a million tokens", {"fields": [*PRICES]}),
    ]
