"""Settings that do not go together are told before anything is served."""

import pytest
from django.db import connection

from config.checks import check_processes, check_proxies, several_processes


@pytest.mark.parametrize(
    ("vendor", "redis", "processes", "problems"),
    [
        ("sqlite", "", 1, 0),
        ("sqlite", "", 2, 2),
        ("sqlite", "redis://x", 2, 1),
        ("postgresql", "", 2, 1),
        ("postgresql", "redis://x", 2, 0),
    ],
)
def test_several_processes_need_postgresql_and_redis(settings, vendor, redis, processes, problems):
    settings.REDIS_URL = ""
    assert len(several_processes(processes, vendor, redis)) == problems


def test_the_system_check_tells_of_it(settings):
    settings.PROCESSES = 2
    settings.REDIS_URL = ""
    wanted = 2 if connection.vendor == "sqlite" else 1
    assert [error.id for error in check_processes(None)] == ["parley.E001"] * wanted


@pytest.mark.parametrize(
    ("origin", "proxies", "ids"),
    [
        ("https://parley.example", 0, ["parley.W001"]),
        ("https://parley.example", 1, []),
        ("http://localhost:8000", 0, []),
    ],
)
def test_a_proxy_that_nobody_counts_is_noticed(settings, origin, proxies, ids):
    settings.SITE_ORIGIN, settings.TRUSTED_PROXIES = origin, proxies
    assert [message.id for message in check_proxies(None)] == ids
