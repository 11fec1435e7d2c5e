"""Reads the definition in a CREATE TABLE with columns."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.mysql.errors import RefusedError
from connectors.mysql.schema.columns import ColumnSql, finished, read_column
from connectors.mysql.schema.definitions import TableDefinition, with_key
from connectors.mysql.schema.keys import (
    KeySql,
    PeriodSql,
    at_key,
    at_partitioning,
    at_period,
    key_columns,
    read_key,
    read_period,
)  # fmt: skip
from connectors.mysql.schema.partitions import skip_partitioning
from connectors.mysql.schema.table_options import read_options
from connectors.mysql.schema.tokens import Cursor
from streamjobs.changes.row_change import TableId

_SELECTS = ("SELECT", "WITH", "VALUES", "TABLE", "AS", "IGNORE", "REPLACE")
"""Words that begin a query after the options: the table also has the query's columns, which are unknown."""


@dataclass(frozen=True)
class CreateSql:
    """The definition in a CREATE TABLE; `is_sequence`: MariaDB's SEQUENCE=1, which dumps print."""

    definition: TableDefinition
    is_sequence: bool


def read_create(table: TableId, cursor: Cursor, default_charset: str, *, mariadb: bool) -> CreateSql | None:
    """Read all after the table's name; return None if a query defines its columns.

    `default_charset` is the database's, "" if not known. Raises: RefusedError for anything not understood.
    """
    if not cursor.peek().is_mark("("):
        return None
    body = Cursor(cursor.group())
    if body.peek().is_word("SELECT", "WITH", "VALUES", "TABLE") or body.peek().is_mark("("):
        return None
    columns, key, periods = _body(body)
    options = read_options(cursor)
    if at_partitioning(cursor):
        skip_partitioning(cursor)
    if cursor.peek().is_word(*_SELECTS) or cursor.peek().is_mark("("):
        return None
    if not cursor.done and not cursor.peek().is_mark(";"):
        message = f"{cursor.peek().text!r} after the columns of a table is not understood"
        raise RefusedError(message)
    charset = options.resolved(default_charset, default_charset)
    found = [finished(column, charset, mariadb=mariadb) for column in columns]
    definition = TableDefinition(table, tuple(one.column for one in found), (), charset)
    return CreateSql(with_key(definition, key_columns(key, periods)), bool(options.sequence))


def _body(body: Cursor) -> tuple[list[ColumnSql], KeySql, list[PeriodSql]]:
    columns: list[ColumnSql] = []
    periods: list[PeriodSql] = []
    key = KeySql()
    while not body.done:
        if at_key(body):
            found = read_key(body)
            key = found if found.columns else key
        elif at_period(body):
            periods.append(read_period(body))
        else:
            columns.append(read_column(body))
            if columns[-1].primary_key:
                key = KeySql((columns[-1].column.name,))
        if not body.done and not body.skip_mark(","):
            message = f"{body.peek().text!r} among the columns of a table is not understood"
            raise RefusedError(message)
    return columns, key, periods
