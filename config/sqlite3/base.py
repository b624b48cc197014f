"""SQLite whose writers wait in line.

SQLite lets one transaction write at a time and has all others sleep and try again: whoever has
waited longest sleeps longest, so that of a hundred at once the last ones wait for seconds. Here
the transactions of one process wait for each other in the order in which they came, for at most
`timeout` of the database's options; those of other processes still try again.
"""

from collections import defaultdict
from typing import Any

from django.db import OperationalError
from django.db.backends.sqlite3 import base

from config.sqlite3.line import Line

# By the database's file.
_lines: defaultdict[str, Line] = defaultdict(Line)


# Any, for the stubs know nothing of what is overridden here.
_Wrapper: Any = base.DatabaseWrapper


class DatabaseWrapper(_Wrapper):
    """A connection that takes its turn at the beginning of a transaction."""

    _line: Line | None = None  # where it has its turn

    def _start_transaction_under_autocommit(self) -> None:
        line = _lines[str(self.settings_dict["NAME"])]
        if not line.enter(self.settings_dict["OPTIONS"].get("timeout", 5)):
            raise OperationalError("database is locked")
        self._line = line
        try:
            super()._start_transaction_under_autocommit()
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        if self._line is not None:
            self._line.leave()
            self._line = None

    def _commit(self) -> Any:
        done = super()._commit()
        self._leave()
        return done

    def _rollback(self) -> Any:
        done = super()._rollback()
        self._leave()
        return done

    def _close(self) -> Any:
        try:
            return super()._close()
        finally:
            self._leave()
