"""Compares the definitions that a capture derives from the log with those of the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connectors.mysql.position import LogPosition
from connectors.mysql.rows.definition_check import differences
from connectors.mysql.rows.old_times import cure_of
from connectors.mysql.schema.definitions import TableDefinition
from connectors.mysql.schema.history import Catalog
from streamjobs.capture.config.routes import Routes
from streamjobs.capture.source.contract import Source
from streamjobs.changes.row_change import TableId

_EVERY_S = 1.0
_FULL = "SET GLOBAL binlog_row_metadata = 'FULL', so that the log has the column names"
_TIMES = ", so that the log has the number of digits of its times"
_TABLES = 50
"""How many tables are compared at once, which needs some milliseconds."""


@dataclass(frozen=True)
class _Asked:
    """Pairs of a derived definition and the one that the server showed, to be compared at `until`."""

    pairs: Sequence[tuple[TableDefinition, TableDefinition]]
    until: LogPosition


class DefinitionWatch:
    """Compares every definition once, at the start and after each statement that changes it.

    The server is asked for a definition, and then for the end of its log. If no statement changes the table
    before the stream gets there, both definitions are of the same position and must be equal. A difference
    counts only if a second comparison finds it too. Use from the stream's thread. `active` is False if the
    log has the column names (FULL row metadata). Then only two kinds of tables are compared: those whose rows
    need the definition anyway, and those whose rows have no column names, because the setting was changed.
    """

    def __init__(self, source: Source, catalog: Catalog, routes: Routes, *, active: bool) -> None:
        self._source = source
        self._catalog = catalog
        self._routes = routes
        self._active = active
        self._good: dict[TableId, TableDefinition] = {}
        self._doubted: dict[TableId, list[str]] = {}
        self._asked: _Asked | None = None
        self._due_s = 0.0

    def turn(self, place: LogPosition | None, now_s: float) -> Mapping[TableId, str]:
        """Continue, with the stream at `place`, between transactions; None: not known on this server yet.

        Returns: the tables whose rows may have been decoded wrongly, and how the definitions differ.
        Raises what the server raises.
        """
        if place is None or not (self._active or self._catalog.needed or self._catalog.unnamed):
            return {}
        differing = {}
        if self._asked is not None:
            if (place.number, place.offset) < (self._asked.until.number, self._asked.until.offset):
                return {}
            asked, self._asked = self._asked, None
            for followed, shown in asked.pairs:
                if reason := self._compare(followed, shown, place):
                    differing[followed.table] = reason
        if now_s >= self._due_s:
            self._due_s = now_s + _EVERY_S
            self._ask()
        return differing

    def _ask(self) -> None:
        by_definition = self._catalog.needed | self._catalog.unnamed
        new = [
            definition
            for definition in self._catalog.tables
            if self._routes(definition.table)
            and (self._active or definition.table in by_definition)
            and self._good.get(definition.table) is not definition
        ][:_TABLES]
        if not new:
            return
        visible = set(self._source.tables())  # to the user
        asked = [one.table for one in new if one.table in visible]
        shown = {one.table: one for one in self._source.definitions(asked)}
        self._good |= {one.table: one for one in new if one.table not in shown}  # dropped; the log shows it
        pairs = [(one, shown[one.table]) for one in new if one.table in shown]
        self._asked = _Asked(pairs, self._source.place().place)

    def _compare(self, followed: TableDefinition, shown: TableDefinition, place: LogPosition) -> str:
        """Return how the server's definition differs, "" if it does not, or if that is not known yet."""
        table = followed.table
        if self._catalog.table(table) is not followed:
            return ""  # changed since; the new one is compared later
        found = differences(followed, shown)
        if found and found != self._doubted.get(table):
            self._doubted[table] = found
            return ""
        self._doubted.pop(table, None)
        if not found:
            self._good[table] = followed
            return ""
        return (
            f"Its definition, as derived from the log up to {place}, differs from the server's: "
            f"{'; '.join(found)}. Rows since the statement that made the difference may have been sent "
            f"wrongly. {_FULL if self._active or table in self._catalog.unnamed else cure_of(table) + _TIMES}"
        )
