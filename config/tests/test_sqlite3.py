"""Writers of one process take turns, in the order in which they came."""

import threading
import time

import pytest
from django.db import OperationalError, connection, transaction

from config.sqlite3.line import Line


def waiting(line: Line, count: int) -> None:
    """Return once so many threads wait in `line`."""
    deadline = time.monotonic() + 5
    while len(line._waiting) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_whoever_came_first_is_served_first():
    line, served = Line(), []
    assert line.enter(1)

    def come(number: int) -> None:
        assert line.enter(5)
        served.append(number)
        line.leave()

    threads = [threading.Thread(target=come, args=(number,)) for number in range(5)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        waiting(line, number)
    line.leave()
    for thread in threads:
        thread.join()
    assert served == [0, 1, 2, 3, 4]
    assert line.enter(0)


def test_whoever_waits_too_long_leaves_the_line():
    line = Line()
    line.enter(1)
    assert not line.enter(0.001)
    line.leave()
    assert line.enter(0)


sqlite_only = pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite's writers wait")


@pytest.fixture
def another():
    """Another connection of this process, as another thread would have it."""
    other = connection.copy()
    other.settings_dict["OPTIONS"] = connection.settings_dict["OPTIONS"] | {"timeout": 0.001}
    yield other
    other.close()


@sqlite_only
@pytest.mark.django_db(transaction=True)
def test_a_turn_ends_with_its_transaction(another):
    with transaction.atomic(), pytest.raises(OperationalError):
        another.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    with pytest.raises(KeyError), transaction.atomic():
        raise KeyError
    another.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)


@sqlite_only
@pytest.mark.django_db(transaction=True)
def test_a_turn_ends_with_its_connection(another):
    with transaction.atomic():
        connection.close()
        another.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)


@sqlite_only
@pytest.mark.django_db(transaction=True)
def test_who_writes_without_a_transaction_waits_too(another):
    with another.cursor() as cursor:
        with transaction.atomic(), pytest.raises(OperationalError, match="locked"):
            cursor.execute("DELETE FROM auth_group")
        cursor.execute("DELETE FROM auth_group")
        with pytest.raises(OperationalError, match="no such table"):
            cursor.execute("DELETE FROM no_such_table")
        cursor.execute("DELETE FROM auth_group")


@sqlite_only
@pytest.mark.django_db(transaction=True)
def test_what_is_returned_without_a_transaction_is_stored_by_then(another):
    """Else another one is let in that SQLite puts to sleep."""
    another.settings_dict["OPTIONS"] = another.settings_dict["OPTIONS"] | {"timeout": 0}
    insert = "INSERT INTO auth_group (name) VALUES (%s), (%s), (%s), (%s) RETURNING name"
    with connection.cursor() as cursor, another.cursor() as others:
        cursor.execute(insert, list("abcd"))
        others.execute("DELETE FROM auth_group")
        assert cursor.fetchone() == ("a",)
        assert cursor.fetchmany(2) == [("b",), ("c",)]
        assert list(cursor) == [("d",)]
        assert (cursor.fetchone(), cursor.fetchmany(2), cursor.fetchall()) == (None, [], [])
        cursor.execute("SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4")
        assert (cursor.fetchone(), cursor.fetchmany(2)) == ((1,), [(2,), (3,)])
        assert list(cursor) == [(4,)]
        cursor.execute(insert, list("efgh"))
        assert [name for (name,) in cursor.fetchall()] == list("efgh")
