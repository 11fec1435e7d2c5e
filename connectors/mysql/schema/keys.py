"""Reads keys, constraints and periods in SQL: the primary key's columns; none is misread as a column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from connectors.mysql.errors import RefusedError
from connectors.mysql.schema.tokens import Cursor, Kind, split

_KEY_WORDS: Final = (
    "KEY",
    "INDEX",
    "UNIQUE",
    "FULLTEXT",
    "SPATIAL",
    "FOREIGN",
    "CHECK",
    "CONSTRAINT",
    "PRIMARY",
)
"""Words that both servers reserve: a column of that name is quoted."""


@dataclass(frozen=True)
class KeySql:
    """The primary key in a key or constraint; without `columns` it is another key.

    `periods` are those of `columns` that are periods: `p WITHOUT OVERLAPS`. `unless_there`: IF NOT EXISTS.
    """

    columns: tuple[str, ...] = ()
    periods: frozenset[str] = frozenset()
    unless_there: bool = False


@dataclass(frozen=True)
class PeriodSql:
    """PERIOD FOR name (start, end); in a key the period means two columns."""

    name: str
    start: str
    end: str


def at_key(cursor: Cursor) -> bool:
    """Return whether a key or constraint comes next, not a column. VECTOR may also name a column."""
    if cursor.peek().is_word("VECTOR"):
        return cursor.peek(1).is_word("INDEX", "KEY")
    return cursor.peek().is_word(*_KEY_WORDS)


def at_period(cursor: Cursor) -> bool:
    """Return whether a period comes next, not a column named PERIOD."""
    return cursor.peek().is_word("PERIOD") and cursor.peek(1).is_word("FOR", "IF")


def read_key(cursor: Cursor) -> KeySql:
    """Read `[CONSTRAINT name] PRIMARY KEY [IF NOT EXISTS] [USING …] (a, b(10) DESC) …`, or another key.

    Raises: RefusedError for a primary key that is not understood.
    """
    found = KeySql()
    if cursor.skip_any("CONSTRAINT"):
        cursor.skip("IF", "NOT", "EXISTS")
        if not cursor.peek().is_word("PRIMARY", "UNIQUE", "FOREIGN", "CHECK"):
            cursor.name()
    if cursor.skip("PRIMARY", "KEY"):
        unless_there = cursor.skip("IF", "NOT", "EXISTS")
        while not cursor.peek().is_mark("("):
            if not (cursor.peek().is_name and not cursor.done):
                message = f"a primary key with {cursor.peek().text!r} before its columns"
                raise RefusedError(message)
            cursor.next()
        found = _columns(cursor, unless_there=unless_there)
    skip_item(cursor)
    return found


def _columns(cursor: Cursor, *, unless_there: bool) -> KeySql:
    columns, periods = [], set()
    for part in split(cursor.group()):
        one = Cursor(part)
        columns.append(one.name())
        if one.skip("WITHOUT", "OVERLAPS"):
            periods.add(columns[-1].lower())
        elif one.peek().is_mark("("):
            one.group()
        one.skip_any("ASC", "DESC")
        if not one.done:
            message = f"{one.peek().text!r} after {columns[-1]} in a primary key"
            raise RefusedError(message)
    return KeySql(tuple(columns), frozenset(periods), unless_there)


def read_period(cursor: Cursor) -> PeriodSql:
    """Read `PERIOD [IF NOT EXISTS] FOR name (start, end)`. Raises RefusedError."""
    cursor.skip_any("PERIOD")
    cursor.skip("IF", "NOT", "EXISTS")
    if not cursor.skip_any("FOR"):
        message = f"FOR was expected after PERIOD, not {cursor.peek().text!r}"
        raise RefusedError(message)
    name = cursor.name()
    ends = [Cursor(part).name() for part in split(cursor.group())]
    if len(ends) != 2:
        message = f"the period {name} of {len(ends)} columns"
        raise RefusedError(message)
    return PeriodSql(name, *ends)


def key_columns(key: KeySql, periods: Iterator[PeriodSql] | list[PeriodSql]) -> tuple[str, ...]:
    """Return the columns of a primary key as the server has them: a period means its end and its start.

    Raises: RefusedError for a period that is not defined.
    """
    known = {period.name.lower(): period for period in periods}
    columns: list[str] = []
    for name in key.columns:
        if name.lower() not in key.periods:
            columns.append(name)
            continue
        period = known.get(name.lower())
        if period is None:
            message = f"the primary key has the period {name}, whose columns are not known"
            raise RefusedError(message)
        columns += [period.end, period.start]
    return tuple(columns)


def skip_item(cursor: Cursor) -> None:
    """Skip the rest of an item: up to the next comma, or to the partitioning of the table."""
    while not at_item_end(cursor):
        if cursor.peek().is_mark("("):
            cursor.group()
        else:
            cursor.next()


def at_item_end(cursor: Cursor) -> bool:
    """Return whether an item of a list of columns or changes ends here."""
    return cursor.done or cursor.peek().is_mark(",") or cursor.peek().is_mark(";") or at_partitioning(cursor)


def at_partitioning(cursor: Cursor) -> bool:
    """Return whether PARTITION BY or the removal of partitions comes next: there is no comma before it."""
    here = cursor.peek()
    if here.kind is not Kind.WORD:
        return False
    return (here.is_word("PARTITION") and cursor.peek(1).is_word("BY")) or (
        here.is_word("REMOVE", "UPGRADE") and cursor.peek(1).is_word("PARTITIONING")
    )


def skip_expected(cursor: Cursor, what: str) -> None:
    """Raise RefusedError unless an item ends here; `what` was read before."""
    if not at_item_end(cursor):
        message = f"{cursor.peek().text!r} after {what} is not understood"
        raise RefusedError(message)
