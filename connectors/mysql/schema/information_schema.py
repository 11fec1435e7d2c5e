"""Reads table definitions from a running server."""

from __future__ import annotations

import re

from connectors.mysql.errors import RefusedError
from connectors.mysql.schema.alter_table import VERSIONED
from connectors.mysql.schema.definitions import ColumnDefinition, TableDefinition
from connectors.mysql.schema.enum_labels import doubtful_labels
from connectors.mysql.server.session import Session, literal, table_name
from streamjobs.changes.row_change import TableId
from streamjobs.errors import RetriableError

_ARGUMENTS = re.compile(r"\((\d+)(?:,(\d+))?\)")
_LABEL = re.compile(r"'((?:[^'\\]|''|\\.)*)'", re.DOTALL)
_ESCAPED = re.compile(r"''|\\(.)", re.DOTALL)
_ESCAPES = {"0": "\0", "n": "\n", "r": "\r"}
"""The server's escapes in the labels of COLUMN_TYPE; a backslash is doubled."""
_GENERATED = re.compile(r"\b(VIRTUAL|STORED|PERSISTENT) GENERATED\b", re.IGNORECASE)
_JSON_VALID = re.compile(r"json_valid\(`((?:[^`]|``)*)`\)", re.IGNORECASE)
_TIMES = frozenset({"time", "datetime", "timestamp"})
_STORED_AS = re.compile(r"\s*/\*.*?\*/")
"""MariaDB's comment on a type whose storage differs from that of new columns: `time(6) /* mariadb-5.3 */`."""
_SIZED = frozenset(
    {"char", "varchar", "binary", "varbinary", "bit", "vector", "time", "datetime", "timestamp", "decimal"}
)


def read_definition(session: Session, table: TableId) -> TableDefinition:
    """Read a table's definition.

    Raises: RefusedError for a system-versioned table; as Session does, SystemicError when the user may not
    SELECT it.
    """
    here = f"TABLE_SCHEMA = {literal(table.database)} AND TABLE_NAME = {literal(table.table)}"
    found = session.named(
        "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME, IS_NULLABLE, EXTRA "
        f"FROM information_schema.COLUMNS WHERE {here} ORDER BY ORDINAL_POSITION"
    )
    if not found:
        session.execute(f"SELECT 1 FROM {table_name(table)} LIMIT 0")  # raises the reason why it is not shown
        message = f"{session.login}: {table} was created a moment ago; reading it again"
        raise RetriableError(message)
    checked = _json_columns(session, table) if session.is_mariadb else frozenset()
    key = session.named(
        f"SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE {here} AND INDEX_NAME = 'PRIMARY' "
        "ORDER BY SEQ_IN_INDEX"
    )
    options = session.named(
        "SELECT TABLE_TYPE, CHARACTER_SET_NAME FROM information_schema.TABLES t LEFT JOIN "
        "information_schema.COLLATION_CHARACTER_SET_APPLICABILITY c ON "
        f"c.{'FULL_' if _has_full_names(session) else ''}COLLATION_NAME = t.TABLE_COLLATION WHERE {here}"
    )
    if any(row["TABLE_TYPE"] == "SYSTEM VERSIONED" for row in options):
        message = f"{table}: {VERSIONED}"
        raise RefusedError(message)
    return TableDefinition(
        table,
        tuple(_column(row, checked) for row in found),
        tuple(row["COLUMN_NAME"] for row in key),
        next((row["CHARACTER_SET_NAME"] for row in options), "") or "utf8mb4",
    )


def _column(row: dict[str, str], json_columns: frozenset[str]) -> ColumnDefinition:
    kind = _STORED_AS.sub("", row["DATA_TYPE"].lower())
    native = _STORED_AS.sub("", row["COLUMN_TYPE"]) if kind in _TIMES else row["COLUMN_TYPE"]
    sizes = _ARGUMENTS.search(native) if kind in _SIZED else None
    labels = tuple(map(_label, _LABEL.findall(native) if kind in ("enum", "set") else ()))
    return ColumnDefinition(
        row["COLUMN_NAME"],
        kind,
        native,
        length=int(sizes[1]) if sizes else None,
        scale=int(sizes[2]) if sizes and sizes[2] else None,
        unsigned="unsigned" in native.lower() if kind not in ("enum", "set") else False,
        charset=row["CHARACTER_SET_NAME"],
        labels=labels,
        nullable=row["IS_NULLABLE"] == "YES",
        compressed="COMPRESSED" in native if kind not in ("enum", "set") else False,
        json_valid=row["COLUMN_NAME"] in json_columns,
        generated=_GENERATED.search(row["EXTRA"]) is not None,
        lost_labels=doubtful_labels(labels, row["CHARACTER_SET_NAME"]),
    )


def _label(escaped: str) -> str:
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]) if found[1] else "'", escaped)


def _json_columns(session: Session, table: TableId) -> frozenset[str]:
    clauses = session.rows(
        "SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = "
        f"{literal(table.database)} AND TABLE_NAME = {literal(table.table)}"
    )
    found = (_JSON_VALID.fullmatch((clause or b"").decode()) for (clause,) in clauses)
    return frozenset(match[1].replace("``", "`") for match in found if match)


def _has_full_names(session: Session) -> bool:
    """Return whether tables use full collation names, as in MariaDB 10.10 and later, which has two names."""
    return session.is_mariadb and session.version_numbers >= (10, 10)


def read_database_charsets(session: Session) -> dict[str, str]:
    """Read the default character set of every database."""
    found = session.named("SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME FROM information_schema.SCHEMATA")
    return {row["SCHEMA_NAME"]: row["DEFAULT_CHARACTER_SET_NAME"] for row in found}
