"""Every address, asked by everybody with every method: `access_rows` says what should happen."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.core import mail
from django.core.cache import cache
from django.db import connection, transaction
from django.test import TestCase, override_settings

from config.asgi import application
from config.tests import access_rows as rows
from config.tests.access_rows import METHODS, PEOPLE, Row
from config.tests.access_walk import addresses, path_of, views
from config.tests.access_world import READERS, SAID, World
from conversations.routing import websocket_urlpatterns

SIGN_IN_PAGES = ("/accounts/login/", "/admin/login/")
# Tables in which a GET may write: it renews a session, and says that something was read.
BOOKKEEPING = (
    "django_session",
    "django_admin_log",
    "conversations_viewing",
    "accounts_device",
)
QUIET_CACHE = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
# Django's own pages of the admin, of which there are most, take any method but POST for GET: it is
# enough that some people ask by all of them.
BY_ALL = ("anonymous", "user")
BY_GET_ALONE = ("guest", "power")


def kind_of(response: Any) -> str:
    """The answer of `access_rows` that a response amounts to."""
    if response.status_code in (302, 303) and response["Location"].startswith(SIGN_IN_PAGES):
        return rows.SIGN_IN
    return {404: rows.NOT_FOUND, 403: rows.REFUSED}.get(response.status_code, rows.YES)


SAFE = ("GET", "HEAD", "OPTIONS")
ALLOWED = {
    rows.YES: {rows.YES},
    rows.NOT_FOUND: {rows.NOT_FOUND},
    rows.SIGN_IN: {rows.SIGN_IN},
    rows.REFUSED: {rows.REFUSED, rows.SIGN_IN},
    rows.STEP: {rows.YES, rows.SIGN_IN, rows.NOT_FOUND, rows.REFUSED},
    rows.DESK: {rows.YES, rows.REFUSED},
}


@override_settings(CACHES=QUIET_CACHE, SECURE_SSL_REDIRECT=False)
class AccessTests(TestCase):
    world: World

    @classmethod
    def setUpTestData(cls) -> None:
        cls.world = World()

    def setUp(self) -> None:
        self.objects = self.world.objects()
        self.wrong: list[str] = []
        self.client.raise_request_exception = False
        # Thousands of refusals, each of which Django has a word for.
        logging.disable()
        self.addCleanup(logging.disable, logging.NOTSET)

    # --- What is asked ---

    def arguments(self, name: str, row: Row, person: str) -> Iterator[tuple[dict[str, Any], str]]:
        """The things at an address, each with the answer that `person` should get."""
        answer = row.cells[person]
        if row.about in ("object", "kind"):
            yield (self._of_admin(name, row), answer)
            return
        subject = self.world.subjects[row.about]
        if "any" in subject:
            yield (subject["any"], answer)
            return
        if person in subject["own"]:
            yield (subject["own"][person], rows.YES if answer == rows.OWN else answer)
        for other in subject["others"]:
            yield (other, rows.NOT_FOUND if answer == rows.OWN else answer)

    def _of_admin(self, name: str, row: Row) -> dict[str, Any]:
        if row.about == "kind" or name.endswith(("_add", "_changelist")):
            return {}
        parts = name.split("/") if "/" in name else name.split(":")[1].split("_")
        key = f"{parts[1]}_{parts[2]}" if "/" in name else f"{parts[0]}_{parts[1]}"
        return {"object_id": self.objects.get(key) or "none"}

    def ask(self, person: str, method: str, path: str) -> tuple[Any, list[str]]:
        """The response, and what was written for it besides; nothing stays."""
        self.client.cookies = self.world.cookies[person].copy()
        written: list[str] = []

        def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            verb, table = sql.split(" ", 1)[0], sql.replace('"', "")[:80]
            if verb in ("INSERT", "UPDATE", "DELETE") and not any(
                name in table for name in BOOKKEEPING
            ):
                written.append(table)
            return execute(sql, params, many, context)

        with transaction.atomic(), connection.execute_wrapper(note):
            response = self.client.generic(method, path)
            transaction.set_rollback(True)
        return response, written

    # --- What is found ---

    def check(self, person: str, method: str, path: str, row: Row, answer: str) -> None:
        response, written = self.ask(person, method, path)
        found, status = kind_of(response), response.status_code
        told = f"{person} {method} {path}: {status}"
        allowed = ALLOWED[answer]
        if method not in {m for r in rows.ROWS if r.name == row.name for m in r.methods.split()}:
            # What a page does not know it refuses, or it is shown as by GET.
            # Nor does it tell anything that it says which it knows.
            mute = status == 405 or (method == "OPTIONS" and not response.content)
            allowed = allowed | ({rows.YES} if mute else set())
        elif status == 405:
            self.wrong.append(f"{told} is not known, though the row says so")
        if status >= 500 or found not in allowed:
            self.wrong.append(f"{told} is “{found}” in place of “{answer}”")
        if method in SAFE and mail.outbox:
            self.wrong.append(f"{told} sends mail")
        mail.outbox.clear()
        if written and (method in SAFE or (found != rows.YES and answer != rows.STEP)):
            self.wrong.append(f"{told} writes: {written[0]}")
        self.check_words(person, told, row, response)

    def check_words(self, person: str, told: str, row: Row, response: Any) -> None:
        if response.streaming or (row.records and person in ("reader", "admin")):
            return
        page = response.content.decode(errors="replace")
        for word, people in READERS.items():
            # Staff who may read find what was said in transcripts alone.
            if word in page and (person not in people or word == SAID):
                self.wrong.append(f"{told} shows {word}")
        token = self.world.invitation.token
        if token in page and row.name != "invitations:show" and person not in ("reader", "admin"):
            self.wrong.append(f"{told} shows the link of an invitation that was taken up")
        if response.status_code != 200 and self.world.private.name in page:
            self.wrong.append(f"{told} gives a hint")

    def walk(self, person: str) -> None:
        for name, route in views():
            for row in rows.rows_of(name):
                asked = self._methods(person, row)
                for arguments, answer in self.arguments(name, row, person):
                    path = path_of(name, route, arguments)
                    for method in asked:
                        if self._is_of_another(row, method):
                            continue
                        cache.clear()
                        self.check(person, method, path, row, answer)

    def _methods(self, person: str, row: Row) -> tuple[str, ...]:
        if person in BY_ALL or not row.name.startswith(("admin:*", "admin/*")):
            return METHODS
        return ("GET",) if person in BY_GET_ALONE else ("GET", "POST")

    def _is_of_another(self, row: Row, method: str) -> bool:
        """Whether another row of the same thing says what `method` does."""
        if method in row.methods.split():
            return False
        same = [r for r in rows.ROWS if (r.name, r.about) == (row.name, row.about)]
        return any(method in other.methods.split() for other in same)

    def test_what_is_not_there_gets_the_same_refusal(self) -> None:
        """To staff without a permission, an id of nothing looks like one of something."""
        for name, route in views():
            (row, *_) = rows.rows_of(name)
            if row.about != "object" or "account/" in route or name.endswith("_add"):
                continue  # allauth's own pages are Django's
            if row.cells["bare"] != rows.REFUSED:
                continue
            there, _ = self.ask("bare", "GET", path_of(name, route, self._of_admin(name, row)))
            path = path_of(name, route, {"object_id": "4711"})
            nothing, _ = self.ask("bare", "GET", path)
            assert kind_of(there) == kind_of(nothing), path

    def test_there_is_one_of_each(self) -> None:
        """`access_world.py` makes an object of every kind that the admin shows."""
        assert [key for key, pk in self.objects.items() if pk is None] == []


def _add_walks() -> None:
    for person in PEOPLE:

        def walk(self: AccessTests, person: str = person) -> None:
            self.walk(person)
            assert not self.wrong, "\n".join(self.wrong)

        setattr(AccessTests, f"test_{person}", walk)


_add_walks()


def test_every_address_has_a_row() -> None:
    assert [name for name, _ in views() if not rows.rows_of(name)] == []


def test_every_row_has_an_address() -> None:
    names = [name for name, _ in views()]
    assert [row.name for row in rows.ROWS if not any(map(row.fits, names))] == []


def test_the_table_in_the_documents_is_this_one() -> None:
    text = rows.DOCUMENT.read_text()
    fresh = rows.written(text, rows.table(addresses()))
    assert text == fresh, "python -m config.tests.access_rows writes it anew"


def test_every_socket_has_a_row() -> None:
    routes = [str(pattern.pattern) for pattern in websocket_urlpatterns]
    assert routes == [row.name for row in rows.SOCKETS]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("row", rows.SOCKETS, ids=lambda row: row.name or "any other")
async def test_sockets(row: Row) -> None:
    world = await sync_to_async(World)()
    subject = world.subjects[row.about]
    for person in PEOPLE:
        asked = [(subject.get("any"), False)] if "any" in subject else []
        asked += [(other, False) for other in subject.get("others", [])]
        if person in subject.get("own", {}):
            asked.append((subject["own"][person], row.cells[person] == rows.OWN))
        # What is somebody else's own is not this one's.
        asked += [(own, False) for name, own in subject.get("own", {}).items() if name != person]
        for arguments, welcome in asked:
            assert await connects(world, person, row.name, arguments) == welcome, (
                person,
                arguments,
            )


async def connects(world: World, person: str, route: str, arguments: Any) -> bool:
    path = f"/{route or 'ws/nothing/'}"
    for key, value in (arguments or {}).items():
        path = path.replace(f"<int:{key}>", str(value)).replace(f"<str:{key}>", str(value))
    cookie = world.cookies[person].output(header="", sep=";").strip()
    headers = [(b"cookie", cookie.encode()), (b"origin", b"http://localhost:8000")]
    socket = WebsocketCommunicator(application, path, headers=headers)
    accepted, _ = await socket.connect()
    await socket.disconnect()
    return accepted
