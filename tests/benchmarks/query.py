"""(i) `streamjobs query`: rows per CPU second of a table in the embedded store, and of a hand-written loop.

The loop reads the same shards, one after the other, with the store's own client, decodes each row's JSON
and passes it to `csv.writer`: without key order, newest versions and typed texts.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from rocksdict import AccessType, Options, Rdict

from connectors.rocksdb import RocksDbSink
from streamjobs.cli.query import query
from streamjobs.cli.show import Format
from streamjobs.sinks.contract import Attempt, Record, RecordKind, SinkTable
from tests.benchmarks.sink_rows import COLUMNS, NAMES, rows

BY_HAND, CSV, JSON, WHERE = "by hand", "--format csv", "--format json", "csv, --where"
SIDES: Final = (BY_HAND, CSV, JSON, WHERE)
_SHARDS: Final = 2
_WRITTEN: Final = 5000
_HEAD_BYTES: Final = 10
"""Of a value: its version and the number of its schema."""


@dataclass(frozen=True)
class QueryRun:
    """One run of one side: rows of the table per CPU second of the process."""

    side: str
    round: int
    rows: int
    rows_per_cpu_s: int


class QueryBench:
    """A table of `count` rows in two shards, in its own directory."""

    def __init__(self, directory: Path, count: int) -> None:
        self._store = directory / "store"
        self._out = directory / "out"
        self._count = count
        for subtask in range(_SHARDS):
            self._fill(subtask)

    def _fill(self, subtask: int) -> None:
        sink = RocksDbSink(SinkTable("bench", COLUMNS, (NAMES[0],), {"path": str(self._store)}))
        sink.open(Attempt("bench", subtask, _SHARDS, 0))
        mine = rows(self._count)[subtask::_SHARDS]
        for start in range(0, len(mine), _WRITTEN):
            sink.write(
                [
                    Record((row[0],), dict(zip(NAMES, row, strict=True)), RecordKind.UPSERT, number)
                    for number, row in enumerate(mine[start : start + _WRITTEN], start)
                ]
            )
        sink.close()

    def alternate(self, rounds: int) -> list[QueryRun]:
        """Run all sides in turn, `rounds` times."""
        sides: dict[str, Callable[[], None]] = {
            BY_HAND: self._by_hand,
            CSV: lambda: query("bench", path=self._store, form=Format.CSV),
            JSON: lambda: query("bench", path=self._store, form=Format.JSON),
            WHERE: lambda: query("bench", path=self._store, form=Format.CSV, where="bought"),
        }
        return [self._run(side, sides[side], number) for number in range(rounds) for side in SIDES]

    def _run(self, side: str, work: Callable[[], None], number: int) -> QueryRun:
        with (
            self._out.open("w", encoding="utf-8") as out,
            redirect_stdout(out),
            redirect_stderr(io.StringIO()),
        ):
            start_s = time.process_time()
            work()
            spent_s = time.process_time() - start_s
        wanted = self._count // 3 if side == WHERE else self._count
        lines = self._out.read_text(encoding="utf-8").count("\n") - (side in (CSV, WHERE))
        assert lines == wanted, f"{side}: {lines} rows of {wanted}"
        return QueryRun(side, number, self._count, round(self._count / spent_s))

    def _by_hand(self) -> None:
        shards = sorted(path.parent for path in self._store.rglob("CURRENT"))
        assert len(shards) == _SHARDS, shards
        with self._out.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            for path in shards:
                shard = Rdict(str(path), Options(raw_mode=True), access_type=AccessType.read_only())
                for value in shard.values():
                    writer.writerow(orjson.loads(value[_HEAD_BYTES:]))
                shard.close()
