"""SQLite whose writers wait in line.

SQLite lets one write at a time and has all others sleep and try again: whoever has waited
longest sleeps longest, so that of a hundred at once the last ones wait for seconds. Here those of
one process wait for each other in the order in which they came, for at most `timeout` of the
database's options; those of other processes still try again.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, Final

from django.db import OperationalError
from django.db.backends.sqlite3 import base

from config.sqlite3.line import Line

RETURNS: Final = " RETURNING "
WRITES: Final = ("INSERT", "UPDATE", "DELETE", "REPLACE")
# By the database's file.
_lines: defaultdict[str, Line] = defaultdict(Line)

# Any, for the stubs know nothing of what is overridden here.
_Wrapper: Any = base.DatabaseWrapper
_Cursor: Any = base.SQLiteCursorWrapper


class Cursor(_Cursor):
    """A cursor that reads at once what a statement which writes returns.

    Only then has SQLite stored it, where there is no transaction, and lets another one write.
    """

    _returned: deque[Any] | None = None

    def execute(self, query: str, params: Any = None) -> Any:
        self._returned = None
        done = super().execute(query, params)
        if query.startswith(WRITES) and RETURNS in query:
            self._returned = deque(super().fetchall())
        return done

    def fetchone(self) -> Any:
        if self._returned is None:
            return super().fetchone()
        return self._returned.popleft() if self._returned else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        size = self.arraysize if size is None else size
        if self._returned is None:
            return list(super().fetchmany(size))
        return [self._returned.popleft() for _ in range(min(size, len(self._returned)))]

    def fetchall(self) -> list[Any]:
        if self._returned is None:
            return list(super().fetchall())
        return self.fetchmany(len(self._returned))

    def __next__(self) -> Any:
        if self._returned is None:
            return super().__next__()
        if not self._returned:
            raise StopIteration
        return self._returned.popleft()


class DatabaseWrapper(_Wrapper):
    """A connection that takes its turn for a transaction, or to write without one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turn: Line | None = None  # the line in which it is this connection's turn
        self.execute_wrappers.append(self._execute)

    def create_cursor(self, name: str | None = None) -> Any:
        return self.connection.cursor(factory=Cursor)

    def _execute(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        if self._turn or not sql.startswith(WRITES):
            return execute(sql, params, many, context)
        self._take_turn()
        try:
            return execute(sql, params, many, context)
        finally:
            self._end_turn()

    def _take_turn(self) -> None:
        line = _lines[str(self.settings_dict["NAME"])]
        if not line.enter(self.settings_dict["OPTIONS"].get("timeout", 5)):
            raise OperationalError("database is locked")
        self._turn = line

    def _end_turn(self) -> None:
        if self._turn:
            turn, self._turn = self._turn, None
            turn.leave()

    def _start_transaction_under_autocommit(self) -> None:
        self._take_turn()
        try:
            super()._start_transaction_under_autocommit()
        except BaseException:
            self._end_turn()
            raise

    def _commit(self) -> Any:
        done = super()._commit()
        self._end_turn()
        return done

    def _rollback(self) -> Any:
        done = super()._rollback()
        self._end_turn()
        return done

    def _close(self) -> Any:
        try:
            return super()._close()
        finally:
            self._end_turn()
