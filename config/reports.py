"""Error reports to Sentry, where `SENTRY_DSN` is set: what broke, never what was said."""

from typing import Any

import sentry_sdk

from config.logs import hide_links


def start(dsn: str) -> None:
    """Send unhandled errors to `dsn`, without people, contents, variables or invitation links."""
    sentry_sdk.init(
        dsn=dsn,
        data_collection={
            "user_info": False,
            "cookies": {"mode": "off"},
            "http_headers": {"request": {"mode": "off"}},
            "http_bodies": [],
            "url_query_params": {"mode": "off"},
            "gen_ai": {"inputs": False, "outputs": False},
            "database_query_data": False,
            "stack_frame_variables": False,
        },
        before_send=without_links,
        before_breadcrumb=lambda crumb, hint: without_links(crumb),
    )


def without_links(event: Any, hint: Any = None) -> Any:
    """Return a copy of `event` with the secret of each invitation link replaced, wherever it is."""
    if isinstance(event, str):
        return hide_links(event)
    if isinstance(event, dict):
        return {key: without_links(value) for key, value in event.items()}
    if isinstance(event, list | tuple):
        return [without_links(value) for value in event]
    return event
