"""The mail server that an address names."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def mailer(url: str, folder: Path) -> dict[str, object]:
    """A `MAILERS` entry from `smtp://user:password@host:port` (`smtps` or `smtp+tls` for TLS).

    Without one mail goes into `folder`.
    """
    if not url:
        return {
            "BACKEND": "accounts.mail.FolderBackend",
            "OPTIONS": {"file_path": str(folder)},
        }
    parts = urlsplit(url)
    if parts.scheme not in {"smtp", "smtps", "smtp+tls"} or not parts.hostname:
        raise ImproperlyConfigured("EMAIL_URL must look like smtp+tls://user:password@host:587.")
    options: dict[str, object] = {
        "host": parts.hostname,
        "port": parts.port or {"smtps": 465, "smtp+tls": 587}.get(parts.scheme, 25),
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "use_tls": parts.scheme == "smtp+tls",
        "use_ssl": parts.scheme == "smtps",
        "timeout": 20,
    }
    return {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": options}
