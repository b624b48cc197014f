"""Every address, asked by everybody with every method: `access_rows` says what should happen."""

import logging
import re
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.core import mail
from django.core.cache import cache
from django.db import connection, transaction
from django.test import TestCase, override_settings

from config.asgi import application
from config.tests import access_answers as answers
from config.tests import access_rows as rows
from config.tests import access_table as tables
from config.tests.access_answers import DESK_ALONE, METHODS, PEOPLE, Row
from config.tests.access_desk import STAFF
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
# Which methods a page knows does not depend on who asks: it is enough that some ask by all.
# Django's own pages in the admin take any but POST for GET.
IN_SHORT = ("GET", "POST")
BY_ALL = dict.fromkeys(("anonymous", "guest", "user"), METHODS)
BY_ALL_IN_THE_ADMIN = {"anonymous": METHODS, "looks": ("GET", "POST", "DELETE")}
SAFE = ("GET", "HEAD", "OPTIONS")
# What a page that works may do besides.
ALLOWED = {
    answers.YES: {answers.YES, answers.ELSEWHERE},
    answers.ELSEWHERE: {answers.ELSEWHERE, answers.GONE},
    answers.OUT: {answers.SIGN_IN},
}
WRITING = (answers.YES, answers.ELSEWHERE, answers.OUT)
BUTTON = re.compile(r'<option value="(\w+)"')


def kind_of(response: Any) -> str:
    """The answer of `access_answers` that a response amounts to."""
    if response.status_code in (404, 403):
        return {404: answers.NOT_FOUND, 403: answers.REFUSED}[response.status_code]
    if not 300 <= response.status_code < 400:
        return answers.YES
    if response["Location"].startswith(SIGN_IN_PAGES):
        return answers.SIGN_IN
    return answers.GONE if response["Location"] == "/admin/" else answers.ELSEWHERE


def buttons(page: str) -> frozenset[str]:
    """The names of the actions that a list in the admin offers."""
    _, _, rest = page.partition('<select name="action"')
    return frozenset(BUTTON.findall(rest.partition("</select>")[0]))


@override_settings(CACHES=QUIET_CACHE, SECURE_SSL_REDIRECT=False)
class AccessTests(TestCase):
    world: World

    @classmethod
    def setUpTestData(cls) -> None:
        cls.world = World()

    def setUp(self) -> None:
        self.wrong: list[str] = []
        self.client.raise_request_exception = False
        # No thread is to send mail for a batch that is rolled back.
        self.enterContext(patch("invitations.admin_bulk.sending.start"))
        # Thousands of refusals, each of which Django has a word for.
        logging.disable()
        self.addCleanup(logging.disable, logging.NOTSET)

    # --- What is asked ---

    def arguments(self, row: Row, person: str) -> Iterator[tuple[dict[str, Any], str]]:
        """The things at an address, each with the answer that `person` should get."""
        answer = row.cells[person]
        subject = self.world.subjects[row.about]
        if "any" in subject:
            yield (subject["any"], answer)
            return
        if person in subject["own"]:
            yield (subject["own"][person], answers.YES if answer == answers.OWN else answer)
        for other in subject["others"]:
            yield (other, answers.NOT_FOUND if answer == answers.OWN else answer)

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
        allowed = ALLOWED.get(answer, {answer})
        known = {m for r in rows.rows_of(row.name) for m in r.methods.split()}
        if method not in known:
            # What a page does not know it refuses, or it is shown as by GET.
            # Nor does it tell anything that it says which it knows.
            mute = status == 405 or (method == "OPTIONS" and not response.content)
            allowed = allowed | ({answers.YES} if mute else set())
        elif status == 405:
            self.wrong.append(f"{told} is not known, though the row says so")
        if status >= 500 or found not in allowed:
            self.wrong.append(f"{told} is “{found}” in place of “{answer}” ({row.about})")
        if method in SAFE and mail.outbox:
            self.wrong.append(f"{told} sends mail")
        mail.outbox.clear()
        if written and (method in SAFE or method not in known or answer not in WRITING):
            self.wrong.append(f"{told} writes: {written[0]}")
        self.check_words(person, told, row, response)
        if row.buttons and method == "GET" and status == 200:
            offered = buttons(response.content.decode())
            if offered != row.buttons[person]:
                self.wrong.append(f"{told} offers {sorted(offered)}")

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
                for arguments, answer in self.arguments(row, person):
                    path = path_of(name, route, arguments)
                    for method in asked:
                        cache.clear()
                        self.check(person, method, path, row, answer)

    def _methods(self, person: str, row: Row) -> list[str]:
        """Those by which somebody asks for what a row is about, unless another row says it."""
        if person in DESK_ALONE and row not in STAFF:
            return []
        same = [other for other in rows.rows_of(row.name) if other.about == row.about]
        said = {method for other in same for method in other.methods.split()}
        mine = set(row.methods.split()) | (set(METHODS) - said if row is same[0] else set())
        by = BY_ALL_IN_THE_ADMIN if row in STAFF else BY_ALL
        return [method for method in by.get(person, IN_SHORT) if method in mine]

    def test_what_is_not_there_gets_the_same_refusal(self) -> None:
        """To staff without a permission, an id of nothing looks like one of something."""
        for row in STAFF:
            there = self.world.subjects[row.about].get("any", {})
            if not there or "?" in there or row.cells["bare"] != answers.REFUSED:
                continue
            nothing = dict.fromkeys(there, "4711")
            paths = [path_of(row.name, "", arguments) for arguments in (there, nothing)]
            kinds = [kind_of(self.ask("bare", "GET", path)[0]) for path in paths]
            assert kinds[0] == kinds[1], paths

    def test_there_is_one_of_each(self) -> None:
        """`access_world.py` makes an object of every kind that the admin shows."""
        assert [key for key, pk in self.world.objects().items() if pk is None] == []


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


def test_the_tables_in_the_documents_are_these() -> None:
    text = tables.DOCUMENT.read_text()
    assert text == tables.written(text, addresses()), f"{tables.COMMAND} them anew"


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
            asked.append((subject["own"][person], row.cells[person] == answers.OWN))
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
