"""A process that writes a RocksDB table, for tests that kill or stop it.

`python -m tests.contract.rocksdb_writer PATH RUN SUBTASK PARALLELISM ATTEMPT TEXT [BATCHES]`

Writes batches of 500 new rows with the column `text` = TEXT; prints `open` and then after each batch the
number of rows so far. Ends by itself when its TaskManager is gone (prints the error), or after BATCHES
batches (then it closes the sink).
"""

from __future__ import annotations

import sys
from pathlib import Path

from connectors.rocksdb import RocksDbSink
from streamjobs.errors import StreamjobsError
from streamjobs.process_identity import task_manager_guard
from streamjobs.sinks.contract import Attempt, Record, RecordKind, SinkColumn, SinkTable

BATCH = 500


def table_at(path: Path) -> SinkTable:
    """The table that the tests of processes write."""
    columns = (SinkColumn("id", "BIGINT"), SinkColumn("text", "STRING"))
    return SinkTable("rows", columns, ("id",), {"path": str(path)})


def batch_of(number: int, subtask: int, text: str) -> list[Record]:
    """Rows `number * BATCH …` of a subtask."""
    first = subtask * 1_000_000 + number * BATCH
    return [
        Record((n,), {"id": n, "text": text}, RecordKind.UPSERT, number * BATCH + n - first + 1)
        for n in range(first, first + BATCH)
    ]


def main(arguments: list[str]) -> None:
    """Write until told otherwise; see the module."""
    path, run, subtask, parallelism, attempt, text = arguments[:6]
    batches = int(arguments[6]) if len(arguments) > 6 else None
    alive = task_manager_guard()
    sink = RocksDbSink(table_at(Path(path)), takeover_wait_s=5.0)
    try:
        sink.open(Attempt(run, int(subtask), int(parallelism), int(attempt)))
        print("open", flush=True)
        number = 0
        while batches is None or number < batches:
            alive()
            sink.write(batch_of(number, int(subtask), text))
            number += 1
            print(number * BATCH, flush=True)
        sink.close()
    except StreamjobsError as exc:
        print(f"{type(exc).__name__}: {exc}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
