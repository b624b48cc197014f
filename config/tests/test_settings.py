"""The environment makes the settings; every name of it is written down."""

import re
import runpy

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from environ.fileaware_mapping import FileAwareMapping

NAME = re.compile(r"\benv(?:\.\w+)?\(\s*\"([A-Z_]+)\"")


@pytest.fixture
def load(monkeypatch, tmp_path):
    """Return a function that reads the settings afresh under a given environment."""
    source = (settings.BASE_DIR / "config/settings.py").read_text()

    def read(**environment):
        for name in NAME.findall(source):
            monkeypatch.delenv(name, raising=False)
        # As if no `.env` stood there.
        monkeypatch.setattr("environ.Env.read_env", lambda *args, **kwargs: None)
        # It remembers what it read from files.
        monkeypatch.setattr("environ.FileAwareEnv.ENVIRON", FileAwareMapping())
        monkeypatch.setenv("VAR_DIR", str(tmp_path))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(settings.BASE_DIR / "config/settings.py"))

    return read


def test_without_an_environment_everything_is_embedded(load, tmp_path):
    found = load()
    assert found["DEBUG"] is False
    assert found["DATABASES"]["default"]["ENGINE"] == "config.sqlite3"
    assert found["DATABASES"]["default"]["NAME"] == str(tmp_path / "parley.sqlite3")
    assert found["DATABASES"]["default"]["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert found["CHANNEL_LAYERS"] == {}
    assert found["MAILERS"]["default"]["OPTIONS"]["file_path"] == str(tmp_path / "mail")
    assert found["ANTHROPIC_API_KEY"] == found["ANTHROPIC_BASE_URL"] == ""
    assert found["SITE_URL"] == "http://localhost:8000"
    assert found["HOST"] == "127.0.0.1"


def test_a_local_key_is_made_once_and_only_its_owner_reads_it(load, tmp_path):
    first = load()["SECRET_KEY"]
    assert len(first) >= 50
    assert load()["SECRET_KEY"] == first
    assert (tmp_path / "secret-key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "environment", [{"DEBUG": "off"}, {"DEBUG": "False"}, {"SITE_URL": "https://parley.example"}]
)
def test_a_site_refuses_to_start_without_a_secret_key(load, environment):
    reason = r"SECRET_KEY must be set when DEBUG is off or SITE_URL is set\."
    with pytest.raises(ImproperlyConfigured, match=reason):
        load(**environment)
    assert load(**environment, SECRET_KEY="given")["SECRET_KEY"] == "given"


def test_a_secret_may_stand_in_a_file(load, tmp_path):
    (tmp_path / "key").write_text("from a file")
    assert load(SECRET_KEY_FILE=str(tmp_path / "key"))["SECRET_KEY"] == "from a file"


def test_postgresql_gets_a_pool_and_no_persistent_connections(load):
    found = load(DATABASE_URL="postgres://parley:s%40crt@db.example:5433/parley")
    database = found["DATABASES"]["default"]
    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["HOST"], database["PORT"]) == ("db.example", 5433)
    assert (database["USER"], database["PASSWORD"]) == ("parley", "s@crt")
    assert database["OPTIONS"]["pool"]
    assert database["CONN_MAX_AGE"] == 0


def test_a_name_that_is_empty_counts_as_unset(load):
    found = load(DATABASE_URL="", REDIS_URL="", SITE_URL="", EMAIL_URL="", SECRET_KEY="")
    assert found["DATABASES"]["default"]["ENGINE"] == "config.sqlite3"
    assert found["CHANNEL_LAYERS"] == {}


def test_nobody_is_asked_for_a_second_factor_and_no_proxy_believed_unless_told(load):
    for environment in ({}, {"STAFF_SECOND_FACTOR": "", "TRUSTED_PROXIES": ""}):
        found = load(**environment)
        assert (found["STAFF_SECOND_FACTOR"], found["TRUSTED_PROXIES"]) == (False, 0)
    found = load(STAFF_SECOND_FACTOR="on", TRUSTED_PROXIES="2")
    assert (found["STAFF_SECOND_FACTOR"], found["TRUSTED_PROXIES"]) == (True, 2)


def test_redis_serves_channels_and_cache(load):
    found = load(REDIS_URL="redis://127.0.0.1:6379/3")
    layer = found["CHANNEL_LAYERS"]["default"]
    assert layer["BACKEND"] == "channels_redis.pubsub.RedisPubSubChannelLayer"
    assert "redis://127.0.0.1:6379/3" in str(layer["CONFIG"]["hosts"])
    assert found["CACHES"]["default"]["LOCATION"] == "redis://127.0.0.1:6379/3"


@pytest.mark.parametrize(
    ("url", "port", "tls", "ssl"),
    [
        ("smtp://ann:p%40ss@mail.example", 25, False, False),
        ("smtp+tls://ann:p%40ss@mail.example", 587, True, False),
        ("smtps://ann:p%40ss@mail.example", 465, False, True),
        ("smtp+tls://ann:p%40ss@mail.example:2525", 2525, True, False),
    ],
)
def test_mail_goes_through_a_server(load, url, port, tls, ssl):
    options = load(EMAIL_URL=url)["MAILERS"]["default"]["OPTIONS"]
    assert (options["host"], options["port"]) == ("mail.example", port)
    assert (options["username"], options["password"]) == ("ann", "p@ss")
    assert (options["use_tls"], options["use_ssl"]) == (tls, ssl)


@pytest.mark.parametrize("url", ["mail.example", "http://mail.example", "smtp://"])
def test_an_address_that_is_no_mail_server_is_refused(load, url):
    with pytest.raises(ImproperlyConfigured, match="EMAIL_URL"):
        load(EMAIL_URL=url)


def test_port_moves_the_site(load):
    found = load(PORT="9000")
    assert found["SITE_URL"] == "http://localhost:9000"
    assert found["CSRF_TRUSTED_ORIGINS"] == ["http://localhost:9000"]


def test_https_brings_secure_cookies_and_hsts(load):
    found = load(SITE_URL="https://parley.example", SECRET_KEY="given")
    assert found["SESSION_COOKIE_SECURE"]
    assert found["CSRF_COOKIE_SECURE"]
    assert found["SECURE_HSTS_SECONDS"]
    assert "parley.example" in found["ALLOWED_HOSTS"]
    assert found["CSRF_TRUSTED_ORIGINS"] == ["https://parley.example"]


def test_sockets_open_only_from_the_site(load):
    found = load(SITE_URL="https://parley.example", SECRET_KEY="given")
    assert set(found["SOCKET_ORIGINS"]) == {"https://parley.example"}
    assert set(load()["SOCKET_ORIGINS"]) <= {"http://localhost:8000", "http://127.0.0.1:8000"}


def test_administrators_are_named_without_regard_to_case(load):
    assert load(ADMIN_EMAILS="Ann@Example.org,bob@example.org")["ADMIN_EMAILS"] == [
        "ann@example.org",
        "bob@example.org",
    ]


def test_google_is_offered_only_where_it_is_configured(load):
    assert load()["SOCIALACCOUNT_PROVIDERS"]["google"]["APPS"] == []
    found = load(GOOGLE_CLIENT_ID="id", GOOGLE_CLIENT_SECRET="secret")
    assert found["SOCIALACCOUNT_PROVIDERS"]["google"]["APPS"][0]["client_id"] == "id"


def test_no_inline_script_or_style_is_allowed():
    assert settings.SECURE_CSP["script-src"] == ["'self'"]
    assert settings.SECURE_CSP["style-src"] == ["'self'"]


def test_every_name_that_is_read_is_in_the_example():
    example = set(
        re.findall(r"^#?([A-Z_]+)=", (settings.BASE_DIR / ".env.example").read_text(), re.M)
    )
    read = set()
    for path in settings.BASE_DIR.glob("[a-z]*/**/*.py"):
        if "tests" not in path.parts:
            read.update(NAME.findall(path.read_text(encoding="utf-8")))
    assert len(read) >= 20
    assert read - example == set(), "read from the environment, but not in .env.example"
    assert example - read == set(), "in .env.example, but nothing reads it"
