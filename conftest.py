"""What every test stands on: local data of its own, quick hashing, no network but loopback."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before the settings are read: a test run never touches the developer's data, and what stands
# in their shell or `.env` changes nothing but the two services it may run on.
_var = Path(tempfile.mkdtemp(prefix="parley-tests-"))
os.environ["VAR_DIR"] = str(_var)
os.environ["SECRET_KEY"] = "for tests alone, long enough not to warn about its length"
os.environ["UNDERSTUDY_DELAY"] = "0"
os.environ["LOG_FORMAT"] = "text"
os.environ["PORT"] = "8000"
os.environ["DEBUG"] = "off"
for name in (
    "SITE_URL",
    "ALLOWED_HOSTS",
    "ADMIN_EMAILS",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
    "PARTNER_MODEL",
    "COACH_MODEL",
    "FALLBACK_MODEL",
    "EMAIL_URL",
    "DEFAULT_FROM_EMAIL",
    "GOOGLE_CLIENT_ID",
    "GOOGLE_CLIENT_SECRET",
    "SENTRY_DSN",
):
    os.environ[name] = ""
os.environ["CSRF_TRUSTED_ORIGINS"] = "http://localhost:8000"

from e2e.model_server import ModelServer  # noqa: E402


def pytest_unconfigure() -> None:
    shutil.rmtree(_var, ignore_errors=True)


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
