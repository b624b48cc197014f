"""Usage as CSV, safe to open in a spreadsheet."""

import csv
from collections.abc import Iterable
from io import StringIO

from usage.costs import COUNTS, log_cost
from usage.models import UsageLog

FIELDS = ("timestamp", "stream_type", "model", "user_id", "invitation_id", "session_id", *COUNTS)
HEAD = (*FIELDS, "is_estimate", "stop_reason", "first_token_ms", "duration_ms", "cost_usd")


def safe_cell(value: object) -> object:
    """Return `value` so that no spreadsheet takes it for a formula: text gets an apostrophe.

    Source: OWASP, "CSV Injection".
    """
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        return "'" + value
    return "" if value is None else value


def usage_csv(logs: Iterable[UsageLog]) -> str:
    """One line for each call, with a heading; times in ISO 8601, cost in US dollars."""
    out = StringIO()
    write = csv.writer(out).writerow
    write(HEAD)
    for log in logs:
        cost = log_cost(log)
        write(
            safe_cell(value)
            for value in (
                log.timestamp.isoformat(timespec="seconds"),
                *(getattr(log, name) for name in FIELDS[1:]),
                "yes" if log.is_estimate else "",
                log.stop_reason,
                log.first_token_ms,
                log.duration_ms,
                None if cost is None else f"{cost:.6f}",
            )
        )
    return out.getvalue()
