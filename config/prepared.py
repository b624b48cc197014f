"""Statements that the ORM compiles once, where compiling takes longer than carrying them out."""

from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from typing import Any

from django.db import connection, models, transaction
from django.db.models.expressions import RawSQL
from django.db.models.sql import InsertQuery, UpdateQuery


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
        with transaction.mark_for_rollback_on_error(), connection.cursor() as cursor:
            cursor.execute(sql, [_filled(param, values) for param in params])
            return cursor.rowcount

    def _compile(self) -> tuple[str, tuple[Any, ...]]:
        query: Any = self._rows().query.chain(UpdateQuery)
        query.add_update_values(self._changes())
        sql, params = query.get_compiler(connection=connection).as_sql()
        return sql, params


class PreparedSelect:
    """One SELECT for many uses, of a `values_list` that is made as those of `PreparedUpdate`."""

    def __init__(self, rows: Callable[[], models.QuerySet[Any, Any]]) -> None:
        self._rows = rows
        self._compiled: dict[str, tuple[str, tuple[Any, ...], list[tuple[int, Any]]]] = {}

    def __call__(self, **values: Any) -> list[list[Any]]:
        """The rows with these values, each a list of its columns."""
        if connection.vendor not in self._compiled:
            self._compiled[connection.vendor] = self._compile()
        sql, params, converters = self._compiled[connection.vendor]
        with transaction.mark_for_rollback_on_error(), connection.cursor() as cursor:
            cursor.execute(sql, [_filled(param, values) for param in params])
            rows = [list(row) for row in cursor.fetchall()]
        for column, (converts, expression) in converters:
            for row in rows:
                for convert in converts:
                    row[column] = convert(row[column], expression, connection)
        return rows

    def _compile(self) -> tuple[str, tuple[Any, ...], list[tuple[int, Any]]]:
        compiler = self._rows().query.get_compiler(connection=connection)
        sql, params = compiler.as_sql()
        selected = [expression for expression, *_ in compiler.select]
        return sql, params, list(compiler.get_converters(selected).items())


class PreparedModels[M: models.Model]:
    """The same for whole rows: a SELECT of all that a model has."""

    def __init__(self, model: type[M], rows: Callable[[], models.QuerySet[M]]) -> None:
        self._model = model
        self._names = [field.attname for field in model._meta.concrete_fields]
        self._select = PreparedSelect(lambda: rows().values_list(*self._names))

    def __call__(self, **values: Any) -> list[M]:
        """The rows with these values."""
        found = self._select(**values)
        return [self._model.from_db(connection.alias, self._names, row) for row in found]


def _filled(param: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(param, Given):
        return param.output_field.get_db_prep_value(values[param.name], connection)
    return param


_inserts: dict[tuple[type[models.Model], str, frozenset[str]], str] = {}


def insert(row: models.Model, **computed: str) -> None:
    """Store a new row as `save(force_insert=True)` does, but for signals.

    All of its values must be at hand, but for the key of a row that has none and for fields that
    are `computed` by the database: the SQL of each, always the same, without parameters.
    """
    table = row._meta
    has_key = row.pk is not None
    fields = [field for field in table.local_concrete_fields if has_key or not field.primary_key]
    kind = type(row), connection.vendor, frozenset(computed)
    if kind not in _inserts:
        _inserts[kind] = _compiled_insert(row, fields, computed, has_key=has_key)
    given = [field for field in fields if field.name not in computed]
    values = [field.get_db_prep_save(field.pre_save(row, True), connection) for field in given]
    with transaction.mark_for_rollback_on_error(), connection.cursor() as cursor:
        cursor.execute(_inserts[kind], values)
        if not has_key:
            (row.pk,) = cursor.fetchone()
    row._state.adding, row._state.db = False, connection.alias


def _compiled_insert(
    row: models.Model, fields: list[Any], computed: Mapping[str, str], *, has_key: bool
) -> str:
    row = copy(row)
    for name, sql in computed.items():
        setattr(row, name, RawSQL(sql, ()))
    query: Any = InsertQuery(type(row))
    query.insert_values(fields, [row])
    compiler = query.get_compiler(connection=connection)
    compiler.returning_fields = [] if has_key else [row._meta.pk]
    ((sql, _),) = compiler.as_sql()
    return str(sql)
