import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def _plain_ground(settings):
    """No collected static files, a hash that costs nothing, no rate limit from another test."""
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()
