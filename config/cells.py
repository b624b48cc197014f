"""Cells of a table that people open in a spreadsheet."""

from typing import Final

# Excel in East Asian settings takes the full-width signs for the same.
FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def safe_cell(value: object) -> object:
    """Return `value` so that no spreadsheet takes it for a formula: text gets an apostrophe.

    Source: OWASP, "CSV Injection".
    """
    if isinstance(value, str) and value.startswith(FORMULAS):
        return "'" + value
    return "" if value is None else value
