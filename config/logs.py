"""Logs that can be kept: no invitation link ever stands in one."""

import json
import logging
import re
from typing import Any

_LINK = re.compile(r"(/(?:invite|join)/)[^/\s\"'?]+")


def hide_links(text: str) -> str:
    """Return `text` with the secret part of every invitation link replaced."""
    return _LINK.sub(r"\1…", text)


class HideInvitationLinks(logging.Filter):
    """Replaces the secret of invitation links in messages, arguments and tracebacks."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = hide_links(record.getMessage())
        record.args = ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = hide_links(record.exc_text)
        return True


class JSONFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message and, where there is one, the error."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_text or record.exc_info:
            entry["error"] = record.exc_text or self.formatException(record.exc_info)  # type: ignore[arg-type]
        return json.dumps(entry, ensure_ascii=False)


def logging_to_console(style: str) -> dict[str, Any]:
    """A `LOGGING` setting, in the `style` "text" or "json"."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "text": {"format": "{levelname} {name}: {message}", "style": "{"},
            "json": {"()": "config.logs.JSONFormatter"},
        },
        "filters": {"links": {"()": "config.logs.HideInvitationLinks"}},
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "formatter": style,
                "filters": ["links"],
            }
        },
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {
            "django": {"handlers": ["console"], "level": "INFO", "propagate": False},
            "django.server": {"handlers": ["console"], "level": "INFO", "propagate": False},
            "django.channels.server": {"handlers": ["console"], "level": "WARNING"},
            "daphne": {"handlers": ["console"], "level": "WARNING", "propagate": False},
            # The SDK's debug log prints prompts.
            "anthropic": {"level": "WARNING"},
            "httpx2": {"level": "WARNING"},
        },
    }
