"""The environment of a test run, set before the settings are read (`-p` in pyproject.toml).

A run never touches the developer's data, and what stands in their shell or `.env` changes
nothing but the two services that it may run on.
"""

import os
import shutil
import tempfile
from pathlib import Path

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
    "STAFF_SECOND_FACTOR",
    "TRUSTED_PROXIES",
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
# Runs that share a Redis, side by side too, do not hear each other.
os.environ["REDIS_PREFIX"] = _var.name
(_var / "static").mkdir()


def pytest_unconfigure() -> None:
    shutil.rmtree(_var, ignore_errors=True)
