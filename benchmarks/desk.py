"""How long the desk's lists and reports take: `python -m benchmarks.desk [REPEATS]`.

Over the database of the environment, which `benchmarks.usage_seed` has filled. Prints a row of
a table for each page: milliseconds in the process, the median of the repeats and between which
the others lie, and queries.
"""

import os
import sys
import time
from datetime import timedelta
from typing import Final

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.contrib import admin  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.urls import reverse  # noqa: E402

from benchmarks.report import spread  # noqa: E402
from benchmarks.seed import sign_in, staff  # noqa: E402
from usage import sums  # noqa: E402
from usage.models import UsageLog, today  # noqa: E402
from usage.reports import By  # noqa: E402

MOST_MS, MOST_QUERIES = 300, 12
# Lists as staff narrow them; what stands here was slow once.
NARROWED: Final = {
    "usage.UsageLog": (
        "p=100",
        "day=yesterday",
        "day=90",
        "model=claude-haiku-5-5",
        "stream_type__exact=debrief",
        "stream_type__exact=aside",
        "is_estimate__exact=1",
        "model=claude-haiku-5-5&stream_type__exact=partner",
        "q=bench0000000000000000001",
        "o=0",
    ),
    "invitations.Invitation": ("status=used_up", "status=claimed", "asked=budget"),
    "usage.Hold": (
        "p=100",
        "state__exact=held",
        "state__exact=settled",
        "q=guest7@parley.localhost",
    ),
}


def pages() -> list[str]:
    """Every list, and every report of a month and of all that there is."""
    found = []
    for model in admin.site._registry:
        label = model._meta.label
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        found += [url, *(f"{url}?{query}" for query in NARROWED.get(label, ()))]
    report, first = reverse("admin:usage_usagelog_report"), sums.first_day() or today()
    for since in (today() - timedelta(days=29), first):
        found += [f"{report}?by={by}&since={since}&until={today()}" for by in By]
    return found


def measure(client: Client, url: str, repeats: int) -> tuple[list[float], int]:
    """Milliseconds of each repeat, and queries, of a page that has been asked for once before."""
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200, url
        queries = len(captured)  # before the next request empties the log
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        client.get(url)
        taken.append((time.perf_counter() - started) * 1000)
    return taken, queries


def main(repeats: int) -> None:
    call_command("collectstatic", interactive=False, verbosity=0)
    client = Client(headers={"host": "localhost"})
    client.cookies["sessionid"] = sign_in(staff())
    started = time.perf_counter()
    closed = sums.close_days()
    took = time.perf_counter() - started
    count = UsageLog.objects.count()
    print(f"{count:,} calls, {connection.vendor}; {closed} days summed in {took:.1f} s\n")
    print("| page | time | queries | |\n| --- | --- | --- | --- |")
    for url in pages():
        taken, queries = measure(client, url, repeats)
        met = sorted(taken)[len(taken) // 2] <= MOST_MS and queries <= MOST_QUERIES
        print(
            f"| `{url}` | {spread(taken, 'ms')} | {queries} | {'met' if met else 'missed'} |",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
