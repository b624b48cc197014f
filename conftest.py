"""What every test stands on; `config/tests/environment.py` comes before it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.cache import cache
from django.test import override_settings

from conversations.tests.settling import settle
from e2e import chromium
from e2e.model_server import ModelServer

IN_A_BROWSER = Path(__file__).parent / "e2e"
WITHOUT_ONE = IN_A_BROWSER / "faults"
WITHOUT_CHROMIUM = "no Chromium was found: install one, or name it in CHROMIUM"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last (Playwright keeps an event loop running), or not at all."""
    there = chromium.find() is not None
    for item in items:
        if item.path.is_relative_to(IN_A_BROWSER) and not item.path.is_relative_to(WITHOUT_ONE):
            item.add_marker(pytest.mark.e2e)
            if not there:
                item.add_marker(pytest.mark.skip(reason=WITHOUT_CHROMIUM))
    items.sort(key=lambda item: item.get_closest_marker("e2e") is not None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [
        report
        for report in terminalreporter.stats.get("skipped", [])
        if WITHOUT_CHROMIUM in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.section("BROWSER TESTS DID NOT RUN", sep="!", red=True, bold=True)
        terminalreporter.line(f"{len(skipped)} tests were skipped: {WITHOUT_CHROMIUM}.", red=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Tables are emptied only once nobody writes any more: PostgreSQL would call it a deadlock."""
    marker = item.get_closest_marker("django_db")
    if marker is not None and marker.kwargs.get("transaction"):
        settle()


@pytest.fixture(scope="session", autouse=True)
def _quick(django_test_environment: None) -> Iterator[None]:
    """Static files under their own names, without collecting them; passwords hashed quickly."""
    with override_settings(
        STORAGES={
            "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
            "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
        },
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    ):
        yield


@pytest.fixture(autouse=True)
def _no_limits_from_before() -> None:
    """Nobody is slowed down by what an earlier test did."""
    cache.clear()


@pytest.fixture(scope="session")
def _model_server() -> Iterator[ModelServer]:
    server = ModelServer()
    yield server
    server.stop()


@pytest.fixture
def model_server(_model_server: ModelServer) -> ModelServer:
    """The scripted model server (`e2e/model_server.py`), with an empty script."""
    if _model_server.process is None:
        _model_server.start()
    _model_server.reset()
    return _model_server
