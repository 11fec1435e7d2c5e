"""How a server compares names of tables and databases (lower_case_table_names)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from streamjobs.changes.row_change import TableId


class ServerNames(IntEnum):
    """How a server compares names of tables and databases: the values of lower_case_table_names."""

    AS_SPELLED = 0
    IN_LOWER_CASE = 1
    """Names are kept in lower case, also in the log, whatever the statement had."""
    ALIKE = 2
    """Names are kept as they were first written, and compared in lower case."""

    def known(self, table: TableId, tables: Iterable[TableId]) -> TableId:
        """Return the server's name of a table that a statement names; `tables` are the current tables.

        A database alone is a table of the name "".
        """
        if self is ServerNames.AS_SPELLED:
            return table
        folded = TableId(lower(table.database), lower(table.table))
        if self is ServerNames.IN_LOWER_CASE:
            return folded
        database = table.database
        for one in tables:
            if lower(one.database) == folded.database:
                if lower(one.table) == folded.table:
                    return one
                database = one.database
        return TableId(database, table.table)


def lower(name: str) -> str:
    """Return a name in lower case, character by character, as the servers' utf8mb3_general_ci does."""
    if name.isascii():
        return name.lower()
    return "".join("i" if character == "İ" else _one(character) for character in name)


def _one(character: str) -> str:
    lowered = character.lower()
    return lowered if len(lowered) == 1 else character
