"""Random crashes, replays, zombies and rescales over a RocksDB table converge to a plain dict."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from connectors.rocksdb import RocksDbSink, RocksDbTable
from streamjobs.changes.dead_letter import DeadLetter
from streamjobs.delivery import Delivery
from streamjobs.errors import SystemicError
from streamjobs.metrics import MemoryMetrics
from streamjobs.sinks.contract import Attempt, Record, RecordKind, SinkColumn, SinkTable

Change = tuple[int, str | None]


class NoLetters:
    def add(self, letters: Sequence[DeadLetter]) -> None:
        raise AssertionError(letters)


def delivery_of(table: SinkTable, attempt: Attempt) -> Delivery:
    delivery = Delivery(
        RocksDbSink(table, takeover_wait_s=1), attempt, job="j", table=table, metrics=MemoryMetrics(),
        dead_letters=NoLetters(), alive=lambda: None,
    )  # fmt: skip
    delivery.open()
    return delivery


def write(delivery: Delivery, changes: Sequence[Change]) -> None:
    delivery.write(
        [
            Record(
                (key,),
                {"id": key} if text is None else {"id": key, "text": text},
                RecordKind.DELETE if text is None else RecordKind.UPSERT,
                delivery.next_version(),
            )
            for key, text in changes
        ]
    )


@pytest.mark.parametrize("seed", range(20))
def test_any_history_converges_to_the_model(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    columns = (SinkColumn("id", "BIGINT"), SinkColumn("text", "STRING"))
    table = SinkTable("t", columns, ("id",), {"path": str(tmp_path), "sync": "false"})
    log: list[Change] = [(rng.randrange(12), rng.choice([None, f"v{n}", f"v{n}"])) for n in range(200)]
    zombies: list[Delivery] = []
    checkpoint = done = number = 0
    while done < len(log):
        parallelism = rng.choice([1, 1, 2, 3])
        subtasks = [delivery_of(table, Attempt("run", n, parallelism, number)) for n in range(parallelism)]
        number, done = number + 1, checkpoint
        while done < len(log) and rng.random() > 0.15:
            chunk = log[done : done + rng.randrange(1, 20)]
            for n, subtask in enumerate(subtasks):
                write(subtask, [change for change in chunk if change[0] % parallelism == n])
            done += len(chunk)
            checkpoint = done if rng.random() < 0.5 else checkpoint
            for zombie in zombies:
                with pytest.raises(SystemicError):
                    write(zombie, log[:3])
        zombies += subtasks
        if rng.random() < 0.3:
            for subtask in subtasks:
                subtask.close()
    model: dict[int, str] = {}
    for key, text in log:
        if text is None:
            model.pop(key, None)
        else:
            model[key] = text
    with RocksDbTable(tmp_path, "t") as reader:
        assert {row["id"]: row["text"] for row in reader.scan()} == model
        assert all(reader.get((key,)) == {"id": key, "text": text} for key, text in model.items())
    for zombie in zombies:
        zombie.close()
