"""System checks of the whole: settings that do not go together."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.db import connection


def several_processes(processes: int, vendor: str = "", redis_url: str = "") -> list[str]:
    """What keeps so many server processes from serving together, in sentences.

    `vendor` is the database's, as Django names it; both default to what is configured.
    """
    if processes < 2:
        return []
    problems = []
    if (vendor or connection.vendor) == "sqlite":
        problems.append("Several processes need PostgreSQL: set DATABASE_URL.")
    if not (redis_url or settings.REDIS_URL):
        problems.append("Several processes need Redis between them: set REDIS_URL.")
    return problems


@register
def check_processes(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """`PROCESSES` above one on the embedded defaults would lose frames and lock tables."""
    return [Error(problem, id="parley.E001") for problem in several_processes(settings.PROCESSES)]


@register
def check_proxies(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """TLS ends before us, at a proxy: unless it is counted, all visitors have its address."""
    if settings.TRUSTED_PROXIES > 0 or not settings.SITE_ORIGIN.startswith("https:"):
        return []
    return [
        Warning(
            "All visitors count as one, whose limits they share: SITE_URL is https, so there is "
            "a proxy, but TRUSTED_PROXIES is 0.",
            hint="Set TRUSTED_PROXIES to how many proxies add to X-Forwarded-For; mostly 1.",
            id="parley.W001",
        )
    ]
