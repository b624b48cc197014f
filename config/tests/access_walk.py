"""Every address of the site, as the URL resolver knows it."""

from collections.abc import Iterator
from typing import Any

from django.urls import get_resolver, reverse


def views(resolver: Any = None, prefix: str = "", space: str = "") -> Iterator[tuple[str, str]]:
    """The name (or, without one, the route) and the route of every view."""
    for entry in (resolver or get_resolver()).url_patterns:
        route = prefix + str(entry.pattern)
        if hasattr(entry, "url_patterns"):
            inner = f"{space}{entry.namespace}:" if entry.namespace else space
            yield from views(entry, route, inner)
        else:
            yield (f"{space}{entry.name}" if entry.name else route), route


def addresses() -> dict[str, str]:
    """The route of each view by its name."""
    return {name: route.replace("^", "").replace("$", "") for name, route in views()}


def path_of(name: str, route: str, arguments: dict[str, Any]) -> str:
    """The path of a view with these arguments; under "?" stands a query."""
    query = arguments.get("?", "")
    arguments = {key: value for key, value in arguments.items() if key != "?"}
    if name != route:
        return reverse(name, kwargs=arguments) + query
    path = route.replace("(?P<url>.*)$", "nothing-here/").replace("^", "").replace("$", "")
    for key, value in arguments.items():
        path = path.replace(f"<path:{key}>", str(value))
    return f"/{path}"
