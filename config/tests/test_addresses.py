"""Who a visitor is taken for, whatever they write into a header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import addresses
from config.addresses import UNKNOWN, client_address, network

PROXY, VISITOR = "10.0.0.1", "203.0.113.7"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "found"),
    [
        (0, VISITOR, PROXY),
        (1, VISITOR, VISITOR),
        (1, f"198.51.100.1, {VISITOR}", VISITOR),
        (2, f"198.51.100.1, {VISITOR}, 10.0.0.2", VISITOR),
        # Somebody who came past a proxy.
        (2, VISITOR, PROXY),
        (1, "", PROXY),
        (1, "nonsense", PROXY),
        (1, f"{VISITOR}:4711", VISITOR),
        (1, "[2001:db8::7]:4711", "2001:db8::7"),
        (1, "2001:DB8:0::7", "2001:db8::7"),
        (1, f"::ffff:{VISITOR}", VISITOR),
    ],
)
def test_the_nth_address_from_the_right_is_the_visitors(proxies, forwarded, found):
    assert client_address(PROXY, forwarded, proxies) == found


@given(st.text(max_size=80), st.integers(min_value=1, max_value=3))
def test_what_a_visitor_writes_themselves_changes_nothing(written, proxies):
    added = ", ".join([VISITOR, "10.0.0.2", "10.0.0.3"][:proxies])
    assert client_address(PROXY, f"{written}, {added}", proxies) == VISITOR


@given(st.text(max_size=80))
def test_without_proxies_of_ours_the_header_is_ignored(written):
    assert client_address(VISITOR, written, 0) == VISITOR


def test_a_socket_file_has_no_address():
    assert client_address("", "", 0) == UNKNOWN
    assert network(UNKNOWN) == UNKNOWN


def test_a_whole_network_of_ipv6_is_one_visitor():
    assert network("2001:db8:1:2:3:4:5:6") == network("2001:db8:1:2:ffff::") == "2001:db8:1:2::/64"
    assert network(VISITOR) == VISITOR


def test_requests_and_sockets_are_read_alike(rf, settings):
    settings.TRUSTED_PROXIES = 1
    request = rf.get("/", REMOTE_ADDR=PROXY, HTTP_X_FORWARDED_FOR=f"1.2.3.4, {VISITOR}")
    scope = {
        "client": [PROXY, 1],
        "headers": [(b"x-forwarded-for", b"1.2.3.4"), (b"X-Forwarded-For", VISITOR.encode())],
    }
    assert addresses.of_request(request) == addresses.of_scope(scope) == VISITOR
    assert addresses.of_scope({"client": None, "headers": []}) == UNKNOWN
