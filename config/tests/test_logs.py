import json
import logging
import sys

from config.logs import HideInvitationLinks, JSONFormatter, hide_links

LINK = "http://localhost:8000/invite/Zm9v_-secret:signature/"


def record(message, *args, error=None):
    return logging.LogRecord("django.request", logging.ERROR, __file__, 1, message, args, error)


def written(entry):
    HideInvitationLinks().filter(entry)
    return logging.Formatter("%(message)s").format(entry)


def test_a_link_is_hidden_wherever_it_stands():
    assert hide_links(f"GET {LINK} 200") == "GET http://localhost:8000/invite/…/ 200"
    assert "secret" not in written(record(f"Not Found: {LINK}"))
    assert "secret" not in written(record("Not Found: %s", LINK))


def test_a_link_is_hidden_in_a_traceback():
    try:
        raise ValueError(f"bad address {LINK}")
    except ValueError:
        text = written(record("Internal error", error=sys.exc_info()))
    assert "ValueError" in text
    assert "secret" not in text


def test_other_addresses_stay():
    assert hide_links("GET /conversations/7/ 200") == "GET /conversations/7/ 200"


def test_json_is_one_object_a_line():
    try:
        raise ValueError("two\nlines")
    except ValueError:
        entry = record("Failed: %s", "näher", error=sys.exc_info())
    HideInvitationLinks().filter(entry)
    line = JSONFormatter().format(entry)
    assert "\n" not in line
    assert json.loads(line)["message"] == "Failed: näher"
    assert json.loads(line)["level"] == "ERROR"
    assert "ValueError" in json.loads(line)["error"]
