"""Cells of a table that people open in a spreadsheet."""


def safe_cell(value: object) -> object:
    """Return `value` so that no spreadsheet takes it for a formula: text gets an apostrophe.

    Source: OWASP, "CSV Injection".
    """
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        return "'" + value
    return "" if value is None else value
