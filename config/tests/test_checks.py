"""Settings that do not go together are told before anything is served."""

import pytest
from django.db import connection

from config.checks import check_processes, several_processes


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
