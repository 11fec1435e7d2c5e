"""Binlog files to the broker, once, as a live capture would have sent them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from connectors.mysql.binlog_file import open_file
from connectors.mysql.catalog import Catalog
from connectors.mysql.changes import BadRow, Commit, Ddl, Wanted
from streamjobs.capture.broker import KafkaBroker
from streamjobs.capture.ddl import EVOLVE, IGNORE, DdlPolicy
from streamjobs.capture.outbox import Outbox
from streamjobs.capture.rejects import Rejects
from streamjobs.capture.routes import SYSTEM_DATABASES, Routes, take
from streamjobs.capture.settings import MessageSettings
from streamjobs.capture.telemetry import CaptureStatus, Telemetry
from streamjobs.errors import ConfigError
from streamjobs.retry import Clock, SystemClock
from streamjobs.rowbatch import RowBatch
from streamjobs.rowchange import TableId

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
"""A recorded log cannot be asked again: what rows do not show is passed over, and counted by its words."""
_PRODUCED_IN_ORDER = MessageSettings(heartbeat_ms=1 << 40)


_UNSEEN = ("statement_format", "truncate_table", "unknown")
"""Statements after which a table has other rows than those that were sent."""


@dataclass(frozen=True)
class ReplaySummary:
    """What was sent and acknowledged: row changes by table, transactions, bad rows, statements by effect.

    `system_tables` are tables that a pattern takes and that are never sent.
    """

    rows: Mapping[str, int]
    transactions: int
    dead_letters: int
    statements: Mapping[str, int]
    seconds: float
    system_tables: tuple[str, ...] = ()

    @property
    def unseen(self) -> Mapping[str, int]:
        """Statements that changed rows of captured tables, or may have, and left no rows in the log."""
        return {word: count for word, count in self.statements.items() if word in _UNSEEN}

    @property
    def total(self) -> int:
        """All row changes."""
        return sum(self.rows.values())


class Replay:
    """Sends the row changes of files.

    Promise: when `run` returns, the broker has acknowledged all rows that could be decoded and the others are
    dead letters. Twice the same files give the same changes with the same `seq`.
    `schema`: a file with CREATE TABLE statements, for logs that do not name columns.
    """

    def __init__(
        self,
        source: str,
        routes: Routes,
        broker: KafkaBroker,
        schema: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._source = source
        self._routes = routes
        self._broker = broker
        self._schema = schema
        self._clock = clock or SystemClock()

    def run(self, files: Sequence[Path]) -> ReplaySummary:
        """Send the files in order. Raises BinlogError and its kinds, ConfigError, and as the broker does."""
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
            tuple(sorted(map(str, seen.system_tables))),
        )

    def _catalog(self) -> Catalog | None:
        if self._schema is None:
            return None
        try:
            text = self._schema.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            message = f"cannot read the schema {self._schema}: {exc}"
            raise ConfigError(message) from exc
        return Catalog.of_sql(text, "")


class _Seen:
    """Says which tables are wanted, and remembers those that patterns take in vain."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self.system_tables: set[TableId] = set()

    def __call__(self, table: TableId, /) -> bool:
        """Whether the table is captured."""
        if table.database.lower() in SYSTEM_DATABASES and take(self._routes.patterns, table):
            self.system_tables.add(table)
        return self._routes(table)


class _Run:
    def __init__(self, outbox: Outbox, rejects: Rejects, policy: DdlPolicy) -> None:
        self.outbox = outbox
        self.rejects = rejects
        self.policy = policy
        self.rows: Counter[str] = Counter()
        self.statements: Counter[str] = Counter()
        self.transactions = 0

    def file(self, path: Path, wanted: Wanted, catalog: Catalog | None) -> Catalog:
        """Send one file; give the tables as they are at its end."""
        try:
            reader = open_file(path, wanted=wanted, catalog=catalog)
        except OSError as exc:
            message = f"cannot read {path}: {exc}"
            raise ConfigError(message) from exc
        with reader:
            for event in reader:
                match event:
                    case RowBatch():
                        self.rows[str(event.schema.table)] += len(event)
                        self.outbox.add(self.policy.shaped(event))
                    case BadRow():
                        self.rejects.add(event)
                    case Ddl():
                        for effect in self.policy.judge(event):
                            self.statements[effect.word] += 1
                    case Commit():
                        self.transactions += 1
                        self.outbox.tick()
                    case _:
                        continue
        return reader.catalog
