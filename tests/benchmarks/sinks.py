"""(g) The sinks: rows per second of a hand-written loop, of our sink through `delivery`, and of a Flink job.

The job: datagen's sequence, ten columns computed from it by SQL, one Python sink operator; no broker and no
parser, so it measures the path from Flink to the store. All three end with the same rows in the store. The
loop gets rows as tuples, the delivery gets columns as lists: as each would get them from its source.
"""

from __future__ import annotations

import importlib
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from connectors import CONNECTORS
from streamjobs.delivery import Delivery
from streamjobs.job.cluster.rest import FlinkRest
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.local.environment import Environment
from streamjobs.metrics import MemoryMetrics
from streamjobs.sinks.contract import Attempt, Sink, SinkTable
from streamjobs.sinks.upsert_batch import Upserts
from tests.benchmarks import meter
from tests.benchmarks.sink_rows import COLUMNS, EXPRESSIONS, NAMES, rows
from tests.benchmarks.sink_stores import BenchStore
from tests.patience import limit_s

BY_HAND, DELIVERY, FLINK = "by hand", "delivery", "Flink"
SIDES: Final = (BY_HAND, DELIVERY, FLINK)
_HANDED: Final = 5000
"""Rows that Flink hands over at once: `python.fn-execution.arrow.batch.size`."""
_WINDOW: Final = (0.25, 0.85)
_DEADLINE_S: Final = 300.0


@dataclass(frozen=True)
class SinkRun:
    """One run of one side: rows per second, and CPU seconds of our own processes per million rows.

    Our processes: the one that writes; for Flink the TaskManager and its Python worker; never the store's.
    """

    store: str
    side: str
    round: int
    rows: int
    rows_per_s: int
    cpu_s_per_million: float


def environment(directory: Path, stores: Sequence[type[BenchStore]]) -> Environment:
    """Return the environment of these benchmarks: Flink, a broker for dead letters, and the stores."""
    settings = {"metrics.fetcher.update-interval": "100"}
    services = {store.service for store in stores}
    return Environment(
        directory / "services", slots=1, flink_settings=settings, deadline_s=limit_s(180),
        mariadb="mariadb" in services, redis="redis" in services,
        elasticsearch="elasticsearch" in services, hbase="hbase" in services,
    )  # fmt: skip


class _NoLetters:
    """A dead-letter store that gets no letter, because no row is refused."""

    def add(self, letters: Sequence[object]) -> None:
        raise AssertionError(letters)


class SinkBench:
    """One store in its running environment; `count` rows per run."""

    def __init__(self, store: BenchStore, count: int) -> None:
        self._store = store
        self.count = int(count * store.rows)
        self._given = rows(self.count)
        self._columns = [list(zip(*part, strict=True)) for part in _sliced(self._given, _HANDED)]
        self._numbers = itertools.count(1)
        self._truth: tuple[int, str] | None = None

    def alternate(self, rounds: int, warm: int, sides: Sequence[str] = SIDES) -> list[SinkRun]:
        """Measure all sides in turn, after `warm` turns of only Flink, which warm the JVM."""
        runs = []
        for number in range(1 - warm, rounds + 1):
            for side in sides if number > 0 else [FLINK]:
                run = self.once(side, number)
                print(f"  {time.strftime('%H:%M:%S')} {run}", flush=True)
                if number > 0:
                    runs.append(run)
        return runs

    def once(self, side: str, number: int = 0) -> SinkRun:
        """Measure one side once, on a new table, and compare its content with the other sides' rows."""
        store = type(self._store).__name__.lower()
        table = f"{store}_{next(self._numbers)}_{side.replace(' ', '_').lower()}"
        options = self._store.options(table)
        if side == FLINK:
            rate = self._in_flink(table, options)
            found = SinkRun(
                self._store.name, side, number, self.count, round(rate.rows_per_s), round(rate.cpu, 2)
            )
        else:
            started, spent = time.monotonic(), time.process_time()
            if side == DELIVERY:
                self._deliver(SinkTable(table, COLUMNS, ("id",), options))
            else:
                self._store.by_hand(table, _sliced(self._given, self._store.batch))
            seconds, cpu_s = time.monotonic() - started, time.process_time() - spent
            found = SinkRun(
                self._store.name, side, number, self.count, round(self.count / seconds),
                round(cpu_s / self.count * 1e6, 2),
            )  # fmt: skip
        self._compare(table)
        return found

    def _compare(self, table: str) -> None:
        digest = self._store.digest(table)
        self._truth = self._truth or digest
        assert digest[0] == self.count, f"{table} has {digest[0]} rows of {self.count}"
        assert digest == self._truth, f"{table} holds other rows than the first table"

    def _deliver(self, table: SinkTable) -> None:
        module, _, name = CONNECTORS[self._store.kind].partition(":")
        sink: Sink = getattr(importlib.import_module(module), name)(table)
        delivery = Delivery(
            sink, Attempt("bench", 0, 1, 0), job="bench", table=table, metrics=MemoryMetrics(),
            dead_letters=_NoLetters(), alive=lambda: None,
        )  # fmt: skip
        delivery.open()
        try:
            for columns in self._columns:
                keys = list(zip(columns[0], strict=True))
                delivery.write(Upserts(NAMES, columns, keys, delivery.next_versions(len(keys))))
        finally:
            delivery.close()

    def _in_flink(self, table: str, options: dict[str, Any]) -> meter.Rate:
        environment = self._store.environment
        rest = FlinkRest(environment.flink.rest_url)
        path = self._store.directory / f"{table}.sql"
        path.write_text(self._sql(table, options), encoding="utf-8")
        overrides = RunSettings(environment.kafka.bootstrap, self._store.directory / "store", 1, None)
        job = FlinkSession(environment.flink.rest_url).start(path, overrides)
        try:
            rate, _ = meter.steady(
                rest, job.job_id, rf"__done_{table}.*__Writer\.numRecordsIn$", self.count,
                environment.flink.taskmanagers[0].pid, window=_WINDOW, subtasks=1, watch=job.watch,
                deadline_s=limit_s(_DEADLINE_S),
            )  # fmt: skip
            deadline = time.monotonic() + limit_s(_DEADLINE_S)
            while not job.ended():
                assert time.monotonic() < deadline, f"{table} does not end"
                time.sleep(0.2)
        finally:
            job.cancel()
            rest.close()
        return rate

    def _sql(self, table: str, options: dict[str, Any]) -> str:
        columns = ", ".join(f"{column.name} {column.type}" for column in COLUMNS)
        given = ", ".join(f"'{name}'='{value}'" for name, value in options.items())
        selected = ", ".join(f"{text} AS {name}" for text, name in zip(EXPRESSIONS, NAMES, strict=True))
        return (
            "CREATE TABLE numbers (n BIGINT) WITH ('connector'='datagen', 'rows-per-second'='100000000', "
            f"'fields.n.kind'='sequence', 'fields.n.start'='1', 'fields.n.end'='{self.count}');\n"
            f"CREATE TABLE {table} ({columns}, PRIMARY KEY (id) NOT ENFORCED)\n"
            f"WITH (type='{self._store.kind}', {given});\n"
            f"INSERT INTO {table} SELECT {selected} FROM numbers ON CONFLICT DO NOTHING;\n"
        )


def _sliced(given: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(given), size):
        yield given[start : start + size]
