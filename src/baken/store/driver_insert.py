"""INSERTs for the hot path: compiled once, with rows in the driver's own form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect, Insert

_Converter = Callable[[Any], Any]


class DriverInsert:
    """One INSERT into all columns of a table; through SQLAlchemy's own executemany a row costs a third more.

    `bound` may run in any thread, so that the one that holds the transaction only passes rows on.
    """

    def __init__(self, statement: Insert, dialect: Dialect) -> None:
        columns = statement.table.columns
        compiled = statement.compile(dialect=dialect, column_keys=columns.keys())
        self._sql = str(compiled)
        self._is_positional = compiled.positional
        self._names = tuple(columns.keys())
        self._converters: tuple[tuple[str, _Converter], ...] = tuple(
            (column.key, convert)
            for column in columns
            if (convert := column.type.dialect_impl(dialect).bind_processor(dialect)) is not None
        )

    def bound(self, row: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a tuple or a dict, as the driver wants it
        """A row, with a value for every column, as the driver takes it.

        Raises:
            InvalidValueError: a value that no database can hold.
        """
        values = dict(row)
        for name, convert in self._converters:
            values[name] = convert(values[name])
        return tuple(values[name] for name in self._names) if self._is_positional else values

    def execute(self, connection: Connection, bound_rows: Sequence[Any]) -> int:
        """Insert at least one row that `bound` made; returns how many were inserted."""
        return connection.exec_driver_sql(self._sql, list(bound_rows)).rowcount
