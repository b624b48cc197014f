"""Static files and pages through one chain of middleware, synchronous and not."""

import pytest
from django.conf import settings
from django.test import AsyncClient, Client
from django.utils.module_loading import import_string

FILE = "/static/a.css"


@pytest.fixture(autouse=True)
def _a_file(settings, tmp_path):
    settings.STATIC_ROOT = tmp_path
    (tmp_path / "a.css").write_text("p {}")


@pytest.mark.parametrize("name", settings.MIDDLEWARE)
def test_nothing_makes_an_asynchronous_request_wait_in_a_thread(name):
    """Where a visitor hangs up, what ends the request would find that thread gone."""
    assert import_string(name).async_capable


def test_a_file_is_served():
    answer = Client().get(FILE)
    assert answer.headers["Content-Type"].startswith("text/css")
    assert answer.getvalue() == b"p {}"


async def test_a_file_is_served_to_an_asynchronous_request():
    answer = await AsyncClient().get(FILE)
    assert answer.headers["Content-Type"].startswith("text/css")
    assert b"".join([piece async for piece in answer]) == b"p {}"


@pytest.mark.parametrize("path", ["/static/nothing.css", "/nothing/"])
async def test_what_is_no_file_is_not_found(path):
    assert (await AsyncClient().get(path)).status_code == 404


async def test_a_page_is_served():
    assert (await AsyncClient().get("/healthz")).status_code == 200
