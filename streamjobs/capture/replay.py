"""Sends binlog files to the broker, once, as a live capture would have sent them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from connectors.mysql.binlog.file import open_file
from connectors.mysql.events import BadRow, Commit, Ddl, Wanted
from connectors.mysql.schema.definitions import Created, DatabaseDropped, Renamed, TableChange
from connectors.mysql.schema.history import Catalog
from connectors.mysql.server.table_names import ServerNames
from streamjobs.capture.config.routes import SYSTEM_DATABASES, Routes, take
from streamjobs.capture.config.settings import MessageSettings
from streamjobs.capture.ddl_policy import EVOLVE, IGNORE, DdlPolicy, Effect
from streamjobs.capture.publish.dead_letters import Rejects
from streamjobs.capture.publish.kafka import KafkaBroker
from streamjobs.capture.publish.outbox import Outbox
from streamjobs.capture.status.status import CaptureStatus, Telemetry
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import TableId
from streamjobs.errors import ConfigError
from streamjobs.retry import Clock, SystemClock

POLICIES: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "add_column", "drop_column", "rename_column", "modify_column", "primary_key", "charset",
            "columns_without_key", "create_table", "rename_table",
        ),
        EVOLVE,
    ),
    **dict.fromkeys(("drop_table", "truncate_table", "statement_format", "unknown"), IGNORE),
}  # fmt: skip
"""A recorded log has no server for a snapshot: statements without row events are skipped and counted."""
_QUERY = re.compile(r"\b(?:SELECT|VALUES)\b|\bTABLE\b.*\bTABLE\b", re.IGNORECASE | re.DOTALL)
_PRODUCED_IN_ORDER = MessageSettings(heartbeat_ms=1 << 40)


@dataclass(frozen=True)
class ReplaySummary:
    """What was sent and acknowledged: row changes by table, transactions, bad rows, statements by effect.

    `unseen` are statements that changed rows of captured tables, or may have, without row events.
    `system_tables` are tables that match a pattern and are never sent. `alike` are names in statements that
    differ only by case from a table with rows, if it is not known whether they are the same table.
    """

    rows: Mapping[str, int]
    transactions: int
    dead_letters: int
    statements: Mapping[str, int]
    seconds: float
    unseen: Mapping[str, int]
    system_tables: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """All row changes."""
        return sum(self.rows.values())


class Replay:
    """Sends the row changes of files.

    Promise: when `run` returns, the broker has acknowledged all rows that could be decoded, and the others
    are dead letters. The same files always produce the same changes with the same `seq`.
    `schema`: a file with CREATE TABLE statements, for logs without column names. `names`: how the server that
    wrote the files compares table names, which is not in the files; None: not known.
    """

    def __init__(
        self,
        source: str,
        routes: Routes,
        broker: KafkaBroker,
        schema: Path | None = None,
        clock: Clock | None = None,
        names: ServerNames | None = None,
    ) -> None:
        self._source = source
        self._routes = routes
        self._broker = broker
        self._schema = schema
        self._clock = clock or SystemClock()
        self._names = names

    def run(self, files: Sequence[Path]) -> ReplaySummary:
        """Send the files in order. Raises BinlogError or a subclass, ConfigError; what the broker raises."""
        started_s = self._clock.monotonic_s()
        producer = self._broker.producer()
        letters = self._broker.dead_letters()
        telemetry = Telemetry(CaptureStatus(self._source))
        try:
            rejects = Rejects(self._source, self._routes, letters, telemetry, self._clock)
            run = _Run(
                Outbox(
                    self._source,
                    self._routes,
                    _PRODUCED_IN_ORDER,
                    producer,
                    self._broker.topics,
                    self._clock,
                    lambda row: rejects.add(row, "too_large"),
                ),
                rejects,
                DdlPolicy(POLICIES, self._routes),
                self._names or ServerNames.AS_SPELLED,
            )
            catalog = self._catalog()
            seen = _Seen(self._routes)
            for path in files:
                catalog = run.file(path, seen, catalog)
            run.outbox.acknowledge()
            run.rejects.acknowledge()
        finally:
            letters.close()
            producer.abandon()
        return ReplaySummary(
            run.rows,
            run.transactions,
            telemetry.status.dead_letters,
            run.statements,
            self._clock.monotonic_s() - started_s,
            +run.unseen,
            tuple(sorted(map(str, seen.system_tables))),
            run.alike() if self._names is None else (),
        )

    def _catalog(self) -> Catalog | None:
        if self._schema is None:
            return None
        try:
            text = self._schema.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            message = f"cannot read the schema {self._schema}: {exc}"
            raise ConfigError(message) from exc
        return Catalog.of_sql(text, "", names=self._names or ServerNames.AS_SPELLED)


class _Seen:
    """Selects the captured tables, and collects system tables that match a pattern."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self.system_tables: set[TableId] = set()

    def __call__(self, table: TableId, /) -> bool:
        """Return whether the table is captured."""
        if table.database.lower() in SYSTEM_DATABASES and take(self._routes.patterns, table):
            self.system_tables.add(table)
        return self._routes(table)


class _Run:
    def __init__(self, outbox: Outbox, rejects: Rejects, policy: DdlPolicy, names: ServerNames) -> None:
        self.outbox = outbox
        self.rejects = rejects
        self.policy = policy
        self._names = names
        self._named: set[TableId] = set()
        self._with_rows: set[TableId] = set()
        self.rows: Counter[str] = Counter()
        self.statements: Counter[str] = Counter()
        self.unseen: Counter[str] = Counter()
        self.transactions = 0

    def file(self, path: Path, wanted: Wanted, catalog: Catalog | None) -> Catalog:
        """Send one file; return the table definitions at its end."""
        try:
            reader = open_file(path, wanted=wanted, catalog=catalog, names=self._names)
        except OSError as exc:
            message = f"cannot read {path}: {exc}"
            raise ConfigError(message) from exc
        with reader:
            for event in reader:
                match event:
                    case RowBatch():
                        self.rows[str(event.schema.table)] += len(event)
                        self._with_rows.add(event.schema.table)
                        self.outbox.add(self.policy.shaped(event))
                    case BadRow():
                        self.rejects.add(event)
                    case Ddl():
                        self._named.update(named for change in event.changes for named in _named(change))
                        for effect in self.policy.judge(event):
                            self.statements[effect.word] += 1
                            self.unseen[effect.word] += self.policy.leaves_unseen(effect)
                            self.unseen["statement_format"] += _brings_rows(event, effect)
                    case Commit():
                        self.transactions += 1
                        self.outbox.tick()
                    case _:
                        continue
        return reader.catalog

    def alike(self) -> tuple[str, ...]:
        """Return names in statements that differ only by case from the name of a table with rows."""
        folded = {ServerNames.IN_LOWER_CASE.known(table, ()) for table in self._with_rows}
        others = self._named - self._with_rows
        return tuple(sorted(str(one) for one in others if ServerNames.IN_LOWER_CASE.known(one, ()) in folded))


def _brings_rows(event: Ddl, effect: Effect) -> bool:
    """Return whether it is a CREATE TABLE … SELECT in statement format, without columns in the log."""
    undefined = any(isinstance(each, Created) and each.definition is None for each in event.changes)
    return effect.word == "create_table" and undefined and bool(_QUERY.search(event.statement))


def _named(change: TableChange) -> Iterator[TableId]:
    """Yield the tables that a statement names."""
    match change:
        case Renamed(table, to):
            yield from (table, to)
        case DatabaseDropped():
            return
        case _:
            if change.table is not None:
                yield change.table
