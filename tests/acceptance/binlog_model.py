"""The tables of a recorded binlog as they become by applying every change that capture reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from connectors.mysql.binlog.file import open_file
from connectors.mysql.events import BadRow, Commit, Ddl, Receiving, Rotate
from connectors.mysql.schema.definitions import (
    Altered,
    Created,
    DatabaseDropped,
    Renamed,
    TableChange,
    Truncated,
)
from streamjobs.changes.position import Half
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ABSENT, ChangeKind, Row, RowChange, TableId, Value
from tests.acceptance.binlog_truth import Recording

DEFAULTS: dict[str, Value] = {"m": b"dflt", "bb": b"5"}
"""What ALTER TABLE … ADD COLUMN gave to the rows that were there; of other columns NULL."""

Key = tuple[Value, ...]
Group = list[tuple[str, str, int]]
"""A transaction as table, operation and rows, in statement order."""


@dataclass
class Table:
    """A table's rows: by key, or counted where there is none."""

    names: tuple[str, ...] = ()
    rows: dict[Key, dict[str, Value]] = field(default_factory=dict)
    bag: Counter[Row] = field(default_factory=Counter)

    def apply(self, change: RowChange) -> None:
        self.names = change.schema.names
        key_indexes = change.schema.key_indexes
        image = change.image
        if not key_indexes:
            self.bag[image] += -1 if change.kind is ChangeKind.DELETE else 1
            assert self.bag[image] >= 0
            return
        key = tuple(image[index] for index in key_indexes)
        named = dict(zip(change.schema.names, image, strict=True))
        match change.kind:
            case ChangeKind.DELETE:
                self.rows.pop(key)
            case ChangeKind.INSERT:
                assert key not in self.rows
                self.rows[key] = {name: _default(name, value) for name, value in named.items()}
            case _:
                assert change.before is not None
                self._judge_before(key, change.before)
                self.rows.setdefault(key, {}).update(
                    {name: value for name, value in named.items() if value is not ABSENT}
                )

    def _judge_before(self, key: Key, before: Row) -> None:
        held = self.rows.get(key)
        if held is not None:
            for name, value in zip(self.names, before, strict=True):
                assert value is ABSENT or held[name] == value, (key, name, held[name], value)

    def reshape(self, names: tuple[str, ...]) -> None:
        """Follow ALTER TABLE: columns keep their values by name; a rename is told by `rename`."""
        self.names = names
        for key, row in self.rows.items():
            self.rows[key] = {name: row.get(name, _default(name, ABSENT)) for name in names}


def _default(name: str, value: Value) -> Value:
    return DEFAULTS.get(name) if value is ABSENT else value


@dataclass
class Replayed:
    """All that came out of one binlog."""

    tables: dict[str, Table]
    groups: list[Group]
    changes: list[RowChange | BadRow]
    bad: list[BadRow]
    after_insert: dict[Key, dict[str, Value]]
    gtids: str


def replay(recording: Recording, stale: Callable[[int], bool] = lambda _: False) -> Replayed:
    """Apply a whole binlog. `stale` says of a change's number that it must be left out of the model."""
    tables: dict[str, Table] = {}
    groups: list[Group] = []
    changes: list[RowChange | BadRow] = []
    after_insert: dict[Key, dict[str, Value]] = {}
    group: Group = []
    inserts = 0
    with open_file(recording.log, wanted=lambda _: True, name=recording.log_name) as reader:
        for event in reader:
            match event:
                case RowBatch():
                    for change in event:
                        changes.append(change)
                        name = change.schema.table.table
                        _count(group, name, change)
                        if not stale(len(changes) - 1):
                            tables.setdefault(name, Table()).apply(change)
                        inserts += name == "alltypes" and change.kind is ChangeKind.INSERT
                        if inserts == 70 and not after_insert:
                            after_insert = {key: dict(row) for key, row in tables["alltypes"].rows.items()}
                case BadRow():
                    changes.append(event)
                    _count(group, event.schema.table.table, event)
                case Ddl():
                    for applied in event.changes:
                        _follow(tables, applied)
                    group = [("", "ddl", 1)]
                case Commit():
                    groups.append(group)
                    group = []
                case Rotate() | Receiving():
                    pass
        gtids = reader.gtids
    bad = [change for change in changes if isinstance(change, BadRow)]
    return Replayed(tables, groups, changes, bad, after_insert, gtids)


def _count(group: Group, table: str, change: RowChange | BadRow) -> None:
    if change.half is Half.KEY_CHANGE_INSERT:
        return
    kind = "update" if change.half is Half.KEY_CHANGE_DELETE else change.kind.name.lower()
    if group and group[-1][:2] == (table, kind):
        group[-1] = (table, kind, group[-1][2] + 1)
    else:
        group.append((table, kind, 1))


def _follow(tables: dict[str, Table], change: TableChange) -> None:
    match change:
        case Renamed(TableId(_, source), TableId(_, to)):
            tables[to] = tables.pop(source)
        case Truncated(TableId(_, name)):
            tables[name] = Table()
        case Altered(TableId(_, name), definition, kinds):
            assert definition is not None
            names = tuple(column.name for column in definition.columns)
            table = tables[name]
            if "rename column" in kinds:
                _rename(table, names)
            table.reshape(names)
        case Created(TableId(_, name)):
            assert name not in tables
        case DatabaseDropped():
            pass
        case _:
            message = f"{change}"
            raise AssertionError(message)


def _rename(table: Table, names: tuple[str, ...]) -> None:
    (old,) = set(table.names) - set(names)
    (new,) = set(names) - set(table.names)
    for row in table.rows.values():
        row[new] = row.pop(old)
