"""All settings, read from the environment; `.env.example` lists every name.

A name that is unset means the embedded default: SQLite, one process, mail in a folder, and
the understudy in place of a model. `SECRET_KEY` is the exception once `DEBUG` is off.
"""

from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key
from django.utils.csp import CSP

from config.databases import database
from config.logs import logging_to_console
from config.mailers import mailer

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.FileAwareEnv()
env.smart_cast = False
environ.Env.read_env(BASE_DIR / ".env")

# Local data: database, mail, collected static files, generated secrets. Git ignores it.
VAR_DIR = Path(env.str("VAR_DIR", default="") or BASE_DIR / "var")
VAR_DIR.mkdir(parents=True, exist_ok=True)


def local_secret_key() -> str:
    """A key made on first use and kept in `VAR_DIR`, so that local sessions survive restarts."""
    path = VAR_DIR / "secret-key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(get_random_secret_key())
    return path.read_text()


DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    # Only a laptop may do without: a deployment names its site or turns DEBUG off by name.
    if not DEBUG and (env.str("DEBUG", default="") or env.str("SITE_URL", default="")):
        raise ImproperlyConfigured("SECRET_KEY must be set when DEBUG is off or SITE_URL is set.")
    SECRET_KEY = local_secret_key()

# Where `manage.py serve` listens.
# Server processes of `manage.py serve`; more than one needs PostgreSQL and Redis.
PROCESSES = env.int("PROCESSES", default=1)
HOST = env.str("HOST", default="") or "127.0.0.1"
PORT = env.int("PORT", default=8000)
SITE_URL = env.str("SITE_URL", default="") or f"http://localhost:{PORT}"
SITE_ORIGIN = "{0.scheme}://{0.netloc}".format(urlsplit(SITE_URL))
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[]) or (
    ["localhost", "127.0.0.1", "[::1]", urlsplit(SITE_URL).hostname or "localhost"]
)
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[]) or [SITE_ORIGIN]
# Reverse proxies before us, each of which adds to X-Forwarded-For; none: the header is ignored.
TRUSTED_PROXIES = int(env.str("TRUSTED_PROXIES", default="") or 0)
# A page on any other origin, another port included, may not open a socket.
SOCKET_ORIGINS = [
    *CSRF_TRUSTED_ORIGINS,
    SITE_ORIGIN,
    *([] if env.str("SITE_URL", default="") else [f"http://127.0.0.1:{PORT}"]),
]

# --- Parts -------------------------------------------------------------------------------

INSTALLED_APPS = [
    "daphne",
    "config.apps.ParleyAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.google",
    "channels",
    "accounts",
    "scenarios",
    "invitations",
    "usage",
    "conversations",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "config.statics.StaticFilesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.signed_in.DeviceMiddleware",
    "config.nul.NulMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "conversations.context.model_on_stage",
            ],
        },
    },
]

# --- Data --------------------------------------------------------------------------------

DATABASES = {"default": database(env.str("DATABASE_URL", default=""), VAR_DIR)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", default="")
# Two sites that share a Redis need different ones: a site's channels know no database number.
REDIS_PREFIX = env.str("REDIS_PREFIX", default="") or "parley"
# "pubsub" has no capacity to overflow and one connection for all sockets of a process; "core"
# keeps messages in Redis lists, for a Redis without pub/sub.
CHANNEL_LAYER = env.str("CHANNEL_LAYER", default="") or "pubsub"
LAYERS: dict[str, dict[str, object]] = {
    "pubsub": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": REDIS_PREFIX},
    },
    "core": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        # redis-py stops at 100 connections by default.
        "CONFIG": {
            "hosts": [{"address": REDIS_URL, "max_connections": 1000}],
            "prefix": REDIS_PREFIX,
            "capacity": 5000,
        },
    },
}
if CHANNEL_LAYER not in LAYERS:
    raise ImproperlyConfigured("CHANNEL_LAYER must be pubsub or core.")
if REDIS_URL:
    CHANNEL_LAYERS = {"default": LAYERS[CHANNEL_LAYER]}
    CACHES = {
        "default": {
            "BACKEND": "config.cache.ForgivingRedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": REDIS_PREFIX,
            "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
        }
    }
else:
    CHANNEL_LAYERS = {}
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# --- People ------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "accounts.backends.RoleBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
ADMIN_EMAILS = [email.casefold() for email in env.list("ADMIN_EMAILS", default=[])]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"

ACCOUNT_ADAPTER = "conversations.keeping.KeepingAdapter"
SOCIALACCOUNT_ADAPTER = "accounts.adapters.SocialAccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
# One address per account: the one that invitations and codes are sent to.
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_LOGIN_BY_CODE_ENABLED = True
ACCOUNT_LOGIN_BY_CODE_SUPPORTS_RESEND = True
ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED = True
# Seconds; mail takes its time. A code dies after three wrong tries in any case (`accounts.codes`).
ACCOUNT_LOGIN_BY_CODE_TIMEOUT = ACCOUNT_PASSWORD_RESET_BY_CODE_TIMEOUT = 15 * 60
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 15 * 60
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
# Generous by address, since a whole class shares one; tight by account, where guessing happens.
ACCOUNT_RATE_LIMITS = {
    "login": "120/m/ip",
    "login_failed": "60/m/ip,5/5m/key",
    "request_login_code": "90/m/ip,3/m/key,20/h/key",
    "reset_password": "30/m/ip,3/m/key,20/h/key",
    "signup": "90/m/ip",
    # Mails with a code for an address, the first one too.
    "confirm_email": "3/m/key,20/h/key",
}
ACCOUNT_FORMS = {
    "confirm_email_verification_code": "accounts.codes.AddressCodeForm",
    "confirm_login_code": "accounts.codes.LoginCodeForm",
    "confirm_password_reset_code": "accounts.codes.PasswordCodeForm",
    "request_login_code": "accounts.forms.RequestLoginCodeForm",
    "signup": "accounts.forms.SignupForm",
}
SOCIALACCOUNT_FORMS = {
    "disconnect": "accounts.forms.DisconnectForm",
    "signup": "accounts.forms.SocialSignupForm",
}
# On: nobody does anything in the admin before they have shown a second factor.
STAFF_SECOND_FACTOR = env.bool("STAFF_SECOND_FACTOR", default=False)
MFA_ADAPTER = "accounts.second_factor.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Parley"
# Steps of 30 seconds that a phone's clock may be wrong by.
MFA_TOTP_TOLERANCE = 1
# Signing in by passkey is two requests, and there is nothing to guess.
MFA_RATE_LIMITS = {"webauthn_login": "240/m/ip"}
MFA_FORMS = {
    "activate_totp": "accounts.second_factor.AppForm",
    "add_webauthn": "accounts.second_factor.PasskeyForm",
    "edit_webauthn": "accounts.second_factor.RenameForm",
}
ACCOUNT_DEFAULT_HTTP_PROTOCOL = urlsplit(SITE_URL).scheme

GOOGLE_CLIENT_ID = env.str("GOOGLE_CLIENT_ID", default="")
SOCIALACCOUNT_PROVIDERS = {
    "google": {
        "APPS": [
            {
                "client_id": GOOGLE_CLIENT_ID,
                "secret": env.str("GOOGLE_CLIENT_SECRET", default=""),
            }
        ]
        if GOOGLE_CLIENT_ID
        else [],
        "SCOPE": ["profile", "email"],
        "OAUTH_PKCE_ENABLED": True,
    }
}
SOCIALACCOUNT_ONLY = False

# --- The model ---------------------------------------------------------------------------

ANTHROPIC_API_KEY = env.str("ANTHROPIC_API_KEY", default="")
ANTHROPIC_BASE_URL = env.str("ANTHROPIC_BASE_URL", default="")
PARTNER_MODEL = env.str("PARTNER_MODEL", default="") or "claude-sonnet-5-5"
COACH_MODEL = env.str("COACH_MODEL", default="") or "claude-haiku-5-5"
FALLBACK_MODEL = env.str("FALLBACK_MODEL", default="")
# Tokens that a request to a model may have, the reply included; older turns are left out beyond.
CONTEXT_TOKENS = env.int("CONTEXT_TOKENS", default=100_000)
# Seconds a word takes the understudy; by default 500 words a minute, a quick reader's speed.
UNDERSTUDY_DELAY = env.float("UNDERSTUDY_DELAY", default=0.12)
# Seconds: to the first token, between chunks, and for a whole reply.
REPLY_FIRST_TOKEN_SECONDS = env.float("REPLY_FIRST_TOKEN_SECONDS", default=30)
REPLY_CHUNK_SECONDS = env.float("REPLY_CHUNK_SECONDS", default=30)
REPLY_SECONDS = env.float("REPLY_SECONDS", default=180)
# Seconds that running replies may go on after SIGTERM.
DRAIN_SECONDS = env.float("DRAIN_SECONDS", default=10)
# Between looks for bulk invitations that were interrupted.
HOUSEKEEPING_SECONDS = env.float("HOUSEKEEPING_SECONDS", default=30)

# --- Mail --------------------------------------------------------------------------------

MAILERS = {"default": mailer(env.str("EMAIL_URL", default=""), VAR_DIR / "mail")}
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="") or "Parley <parley@localhost>"
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# --- Pages and their safety --------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "config.storage.ModuleStaticFilesStorage"},
}

SECURE_CSP = {
    "default-src": [CSP.SELF],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "connect-src": [CSP.SELF],
    "object-src": [CSP.NONE],
    "base-uri": [CSP.NONE],
    "form-action": [CSP.SELF, "https://accounts.google.com"],
    "frame-ancestors": [CSP.NONE],
}
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = False
if urlsplit(SITE_URL).scheme == "https":
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# --- Watching ----------------------------------------------------------------------------

LOG_FORMAT = env.str("LOG_FORMAT", default="text")
LOGGING = logging_to_console(LOG_FORMAT)
SENTRY_DSN = env.str("SENTRY_DSN", default="")
if SENTRY_DSN:
    # Only here: the import takes a tenth of a second.
    from config import reports

    reports.start(SENTRY_DSN)
