"""Where a visitor really comes from, behind so many proxies as `TRUSTED_PROXIES` says."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest

UNKNOWN = "unknown"


def client_address(peer: str, forwarded: str, proxies: int) -> str:
    """The visitor's address in its canonical form, `UNKNOWN` if there is none.

    `peer` is who is connected to us, `forwarded` the `X-Forwarded-For` that came along: each
    proxy adds, on the right, whom it was spoken to by. So with n proxies of our own the n-th
    from the right is true; what stands to the left of it anybody can have written.
    """
    if proxies > 0:
        listed = [part.strip() for part in forwarded.split(",") if part.strip()]
        if len(listed) >= proxies and (address := _parsed(listed[-proxies])):
            return address
    return _parsed(peer) or UNKNOWN


def network(address: str) -> str:
    """What to count an address by: one household or phone has a whole /64 of IPv6."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network(f"{address}/64", strict=False))


def roughly(address: str) -> str:
    """Enough of an address to know one's own by, and not enough to find somebody with."""
    if ":" in address:
        return f"{':'.join(ipaddress.ip_address(address).exploded.split(':')[:3])}:x"
    return f"{'.'.join(address.split('.')[:2])}.x.x" if address != UNKNOWN else ""


def of_request(request: HttpRequest) -> str:
    """The address that a request comes from."""
    meta = request.META
    return client_address(
        meta.get("REMOTE_ADDR", ""), meta.get("HTTP_X_FORWARDED_FOR", ""), settings.TRUSTED_PROXIES
    )


def of_scope(scope: Mapping[str, Any]) -> str:
    """The address that a socket comes from."""
    peer = (scope.get("client") or [""])[0]
    forwarded = [
        value.decode("latin-1")
        for name, value in scope.get("headers", ())
        if name.lower() == b"x-forwarded-for"
    ]
    return client_address(peer or "", ",".join(forwarded), settings.TRUSTED_PROXIES)


def _parsed(text: str) -> str:
    """The address in `text`, which some proxies write with a port; "" if it is none."""
    host = text
    if text.startswith("["):
        host = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        host = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    # A zone (fe80::1%eth0) names a network card of ours, not a visitor.
    return str(mapped or address).partition("%")[0]
