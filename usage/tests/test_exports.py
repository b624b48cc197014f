import asyncio

import pytest
from django.test import AsyncRequestFactory, RequestFactory

from config.cells import safe_cell
from usage.exports import PIECE, csv_response


@pytest.mark.parametrize("start", [*"=+-@＝＋－＠", "\t", "\r", "\n"])
def test_no_cell_begins_like_a_formula(start):
    assert safe_cell(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"


@pytest.mark.parametrize(("value", "cell"), [("plain", "plain"), (-5, -5), (None, ""), ("", "")])
def test_other_cells_stay(value, cell):
    assert safe_cell(value) == cell


def test_no_cell_is_split_at_semicolons():
    response = csv_response(RequestFactory().get("/"), lambda: iter([["x;=1+1;", None]]), "x.csv")
    assert response.getvalue() == b'"x;=1+1;",""\r\n'


def rows(read):
    for number in range(3 * PIECE):
        read.append(number)
        yield (number, "=1")


def test_it_is_sent_while_it_is_read():
    read = []
    response = csv_response(RequestFactory().get("/"), lambda: rows(read), "x.csv")
    assert read == []
    first = next(iter(response))
    assert len(read) == PIECE
    assert first.startswith(b'"0","\'=1"\r\n"1","\'=1"\r\n')
    assert response["Content-Disposition"] == 'attachment; filename="x.csv"'


def test_an_asgi_server_sends_it_while_it_is_read_too():
    read = []
    response = csv_response(AsyncRequestFactory().get("/"), lambda: rows(read), "x.csv")
    assert response.is_async

    async def take():
        lengths = []
        async for piece in response:
            lengths.append((len(read), piece.count(b"\n")))
        return lengths

    assert asyncio.run(take()) == [(PIECE * n, PIECE) for n in (1, 2, 3)]
