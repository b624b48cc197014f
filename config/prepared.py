"""UPDATEs that the ORM compiles once, where compiling takes longer than carrying them out."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from django.db import connection, models
from django.db.models.sql import UpdateQuery


class Given(models.Expression):
    """A value that is given by `name` each time that the statement is carried out."""

    def __init__(self, name: str, output_field: "models.Field[Any, Any]") -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return "%s", (self,)


given_number = partial(Given, output_field=models.BigIntegerField())
given_text = partial(Given, output_field=models.TextField())
given_time = partial(Given, output_field=models.DateTimeField())


class PreparedUpdate:
    """One UPDATE for many uses.

    `rows` and `changes` are made once for each kind of database, with a `Given` wherever a
    value is that differs from one use to the next.
    """

    def __init__(
        self,
        rows: Callable[[], models.QuerySet[Any]],
        changes: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._rows = rows
        self._changes = changes
        self._compiled: dict[str, tuple[str, tuple[Any, ...]]] = {}

    def __call__(self, **values: Any) -> int:
        """Carry it out with these values; returns how many rows matched."""
        if connection.vendor not in self._compiled:
            self._compiled[connection.vendor] = self._compile()
        sql, params = self._compiled[connection.vendor]
        with connection.cursor() as cursor:
            cursor.execute(sql, [_filled(param, values) for param in params])
            return cursor.rowcount

    def _compile(self) -> tuple[str, tuple[Any, ...]]:
        query: Any = self._rows().query.chain(UpdateQuery)
        query.add_update_values(self._changes())
        sql, params = query.get_compiler(connection=connection).as_sql()
        return sql, params


def _filled(param: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(param, Given):
        return param.output_field.get_db_prep_value(values[param.name], connection)
    return param
