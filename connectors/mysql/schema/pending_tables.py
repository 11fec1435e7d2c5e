"""Tables whose definition is not known before some log position."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from connectors.mysql.position import LogPosition
from connectors.mysql.schema.definitions import (
    Altered,
    Created,
    DatabaseDropped,
    Dropped,
    Modified,
    Renamed,
    RowsReplaced,
    TableChange,
    TableDefinition,
    Truncated,
    Unknown,
)
from streamjobs.changes.row_change import TableId


class PendingTables:
    """Decides which tables are skipped because they are not known yet, and from which position they count.

    Rows and statements of a table that is neither `known` nor defined by a statement of the log are skipped.
    They are skipped up to the position at which the table is expected, or up to the position before which all
    unknown tables are skipped. The caller that expects a table takes its snapshot there. A stopped table is
    also skipped, until it is expected or a statement of the log creates it again.
    """

    def __init__(self, known: Iterable[TableId] = ()) -> None:
        self._known = set(known)
        self._expected: dict[TableId, tuple[LogPosition, TableDefinition | None]] = {}
        self._stopped: set[TableId] = set()
        self._until: LogPosition | None = None
        self._is_known: Callable[[TableId], bool] = self._known.__contains__

    @property
    def waits(self) -> bool:
        """Return whether any table may still be skipped."""
        return bool(self._expected) or self._until is not None

    def expect(self, table: TableId, definition: TableDefinition | None, place: LogPosition) -> None:
        """Skip a table up to `place`, where it has this definition; None: it is dropped by then."""
        self._known.discard(table)
        self._stopped.discard(table)
        self._expected[table] = (place, definition)

    @property
    def stopped(self) -> frozenset[TableId]:
        """The tables that are skipped until they are expected."""
        return frozenset(self._stopped)

    def stop(self, table: TableId) -> None:
        """Skip a table from now on."""
        self._expected.pop(table, None)
        self._stopped.add(table)

    def pass_over_unknown(self, until: LogPosition, is_known: Callable[[TableId], bool]) -> None:
        """Skip all tables up to a position, except those that were known before it."""
        self._until = until
        self._is_known = is_known

    def knows(self, table: TableId) -> bool:
        """Return whether the table is known: since the start, or defined or expected since."""
        return table in self._known

    def know(self, table: TableId) -> None:
        """Make a table count from now on."""
        self._expected.pop(table, None)
        self._stopped.discard(table)
        self._known.add(table)

    def passes_over(self, table: TableId) -> bool:
        """Return whether the table's rows are skipped for now."""
        if table in self._expected or table in self._stopped:
            return True
        return self._until is not None and table not in self._known and not self._is_known(table)

    def arrive(self, place: LogPosition) -> list[TableDefinition]:
        """Advance to `place`, a position between transactions; return the tables that count from now on."""
        here = (place.number, place.offset)
        if self._until is not None and (self._until.number, self._until.offset) <= here:
            self._until = None
        due = [table for table, (at, _) in self._expected.items() if (at.number, at.offset) <= here]
        definitions = [self._expected.pop(table)[1] for table in due]
        self._known.update(due)
        return [definition for definition in definitions if definition is not None]

    def counts(self, change: TableChange) -> bool:
        """Return whether a statement's effect counts; a table that it defines counts from then on."""
        match change:
            case Created(table, definition) if definition is not None:
                self.know(table)
                return True
            case Renamed(table, to):
                if not self.passes_over(table) or not self.passes_over(to):
                    self.know(to)
                    self._stopped.discard(table)
                    return True
                return False
            case Dropped(table) if table in self._stopped:
                self._stopped.discard(table)
                return True
            case DatabaseDropped(database):
                self._stopped = {one for one in self._stopped if one.database != database}
                return True
            case (
                Created(table)
                | Altered(table)
                | Truncated(table)
                | RowsReplaced(table)
                | Dropped(table)
                | Modified(table)
                | Unknown(table)
            ):
                return table is None or not self.passes_over(table)
            case _:
                return True
