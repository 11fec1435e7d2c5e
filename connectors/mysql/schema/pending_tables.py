"""Tables of which a catalog does not know what they were before some place of the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from connectors.mysql.position import LogPlace
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


class Newcomers:
    """What is passed over of tables that nobody knows yet, and what they are from which place on.

    A table that is neither `known` nor defined by a statement of the log is passed over, rows and statements,
    up to the place at which it is expected, or up to the place before which all unknown tables are. Who
    expects it reads it whole from there on. So is a table that was stopped, until it is expected, or a
    statement of the log makes it anew.
    """

    def __init__(self, known: Iterable[TableId] = ()) -> None:
        self._known = set(known)
        self._expected: dict[TableId, tuple[LogPlace, TableDefinition | None]] = {}
        self._stopped: set[TableId] = set()
        self._until: LogPlace | None = None
        self._is_known: Callable[[TableId], bool] = self._known.__contains__

    @property
    def waits(self) -> bool:
        """Whether there is anything that may be passed over."""
        return bool(self._expected) or self._until is not None

    def expect(self, table: TableId, definition: TableDefinition | None, place: LogPlace) -> None:
        """Pass a table over up to `place`, where it is as defined; None: it is gone by then."""
        self._known.discard(table)
        self._stopped.discard(table)
        self._expected[table] = (place, definition)

    @property
    def stopped(self) -> frozenset[TableId]:
        """The tables that are passed over until somebody expects them."""
        return frozenset(self._stopped)

    def stop(self, table: TableId) -> None:
        """Pass a table over from now on."""
        self._expected.pop(table, None)
        self._stopped.add(table)

    def pass_over_unknown(self, until: LogPlace, is_known: Callable[[TableId], bool]) -> None:
        """Pass all tables over up to a place, but those that were known before it."""
        self._until = until
        self._is_known = is_known

    def knows(self, table: TableId) -> bool:
        """Whether somebody has told what it is, or that it comes."""
        return table in self._known

    def know(self, table: TableId) -> None:
        """Let a table count from now on."""
        self._expected.pop(table, None)
        self._stopped.discard(table)
        self._known.add(table)

    def passes_over(self, table: TableId) -> bool:
        """Whether its rows do not count yet."""
        if table in self._expected or table in self._stopped:
            return True
        return self._until is not None and table not in self._known and not self._is_known(table)

    def arrive(self, place: LogPlace) -> list[TableDefinition]:
        """Say that the log is at `place`, between transactions; give the tables that count from now on."""
        here = (place.number, place.offset)
        if self._until is not None and (self._until.number, self._until.offset) <= here:
            self._until = None
        due = [table for table, (at, _) in self._expected.items() if (at.number, at.offset) <= here]
        definitions = [self._expected.pop(table)[1] for table in due]
        self._known.update(due)
        return [definition for definition in definitions if definition is not None]

    def counts(self, change: TableChange) -> bool:
        """Whether a statement's effect counts; a table that it defines is known from then on."""
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
