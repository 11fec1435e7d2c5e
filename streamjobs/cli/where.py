"""`--where`: a SQL expression over typed rows, evaluated by SQLite in memory.

Compared exactly: integers, DECIMAL (also with a plain number: `price >= 12.5`; write more than 15 digits
in quotes), text, dates and times (`event_time >= '2026-11-23 07:00'`, in UTC). Arithmetic on a DECIMAL is
done in floating point. A NaN counts as NULL. BOOLEAN is TRUE or FALSE, BYTES is written x'00ff'.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from streamjobs.cli.show import Columns
from streamjobs.errors import ConfigError
from streamjobs.sinks.contract import SinkColumn

_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION}
_QUOTED = re.compile(r"""'(?:[^']|'')*'|"((?:[^"]|"")*)\"""")
_AFFINITY = {
    "BOOLEAN": "INTEGER",
    "TINYINT": "INTEGER",
    "SMALLINT": "INTEGER",
    "INT": "INTEGER",
    "BIGINT": "INTEGER",
    "FLOAT": "REAL",
    "DOUBLE": "REAL",
    "STRING": "TEXT",
    "BYTES": "BLOB",
    "DECIMAL": "TEXT COLLATE EXACT_DECIMAL",
}


class Where:
    """One expression over the columns of one table; use `with` or close it.

    Raises: ConfigError for bad SQL, for an unknown column (the message lists the known ones), and for
    anything that is not a plain expression.
    """

    def __init__(self, expression: str, columns: Sequence[SinkColumn]) -> None:
        self._columns = columns
        self._names = [column.name for column in columns]
        self._expression = expression
        self._refuse_unknown_identifiers()
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        self._db.create_collation("EXACT_DECIMAL", _compare_decimals)
        self._db.create_collation("MOMENT", _compare_moments)
        declared = ", ".join(f"{_identifier(c.name)} {_declared(c.type)}" for c in columns)
        self._db.execute(f"CREATE TABLE t ({declared})")
        self._insert = f"INSERT INTO t (rowid, {', '.join(map(_identifier, self._names))}) VALUES "
        self._insert += f"(?{', ?' * len(columns)})"
        self._select = f"SELECT rowid FROM t WHERE (\n{expression}\n) ORDER BY rowid"
        self._matching()

    def filter(self, batches: Iterable[Columns]) -> Iterator[Columns]:
        """Yield the rows for which the expression is true, in order; no batch is empty."""
        for batch in batches:
            values = zip(range(len(batch[0])), *map(_of_python, batch), strict=True)
            self._db.executemany(self._insert, values)
            matching = self._matching()
            if matching:
                yield [[values[number] for number in matching] for values in batch]
            self._db.execute("DELETE FROM t")

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def __enter__(self) -> Where:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _matching(self) -> list[int]:
        self._db.set_authorizer(_authorize)
        try:
            return [number for (number,) in self._db.execute(self._select)]
        except (sqlite3.Error, sqlite3.Warning) as exc:
            message = f"--where {self._expression}: {exc}; columns: {', '.join(self._names)}"
            raise ConfigError(message) from exc
        finally:
            self._db.set_authorizer(_allow)

    def _refuse_unknown_identifiers(self) -> None:
        """Raise ConfigError for an unknown "name" in double quotes: SQLite would use it as a text."""
        known = {name.lower() for name in self._names}
        for match in _QUOTED.finditer(self._expression):
            name = match.group(1)
            if name is not None and name.lower() not in known:
                message = (
                    f'--where {self._expression}: no such column: "{name}" (write texts in single quotes); '
                    f"columns: {', '.join(self._names)}"
                )
                raise ConfigError(message)


def _authorize(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _allow(*_: object) -> int:
    return sqlite3.SQLITE_OK  # Python 3.10 cannot remove an authorizer


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _declared(type_: str) -> str:
    return _AFFINITY.get(type_.partition("(")[0], "TEXT COLLATE MOMENT")


_OF_PYTHON: Mapping[type, Callable[[Any], str]] = {
    Decimal: lambda value: format(value, "f"),
    datetime: lambda value: value.replace(tzinfo=None).isoformat(" "),
    date: date.isoformat,
    time: time.isoformat,
}
"""Classes that SQLite has no type for, and the text that it gets instead."""


def _of_python(values: Sequence[Any]) -> Sequence[Any]:
    if _OF_PYTHON.keys().isdisjoint(map(type, values)):
        return values
    return [spell(value) if (spell := _OF_PYTHON.get(type(value))) else value for value in values]


def _compare_decimals(one: str, other: str) -> int:
    try:
        a, b = Decimal(one), Decimal(other)
    except InvalidOperation:
        return (one > other) - (one < other)
    return (a > b) - (a < b)


def _compare_moments(one: str, other: str) -> int:
    a, b = _plain_moment(one), _plain_moment(other)
    return (a > b) - (a < b)


def _plain_moment(text: str) -> str:
    """Return the text without the T, the Z, and zeros at the end of a fraction."""
    plain = text.replace("T", " ").removesuffix("Z")
    return plain.rstrip("0").removesuffix(".") if "." in plain else plain
