"""What RocksDB adds to the contract: processes that die, freeze and overlap; rescale; readers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connectors.rocksdb import RocksDbSink, RocksDbTable, list_tables
from streamjobs.errors import ConfigError, SystemicError
from streamjobs.process_identity import identify
from streamjobs.sinks.contract import Attempt, Record, RecordKind, SinkColumn, SinkTable
from tests.contract.rocksdb_writer import BATCH, batch_of, table_at
from tests.patience import limit_s

REPOSITORY = Path(__file__).parents[2]
LAUNCHER = """
public class Launcher {
    public static void main(String[] command) throws Exception {
        new ProcessBuilder(command).inheritIO().start().waitFor();
    }
}
"""


@dataclass
class Writer:
    process: subprocess.Popen[str]

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def wait_for_rows(self, count: int) -> None:
        while int(self.line()) < count:
            pass

    def die(self) -> int:
        return self.process.wait(timeout=limit_s(20))


Start = Callable[..., Writer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    writers: list[Writer] = []

    def run(*arguments: object, below: tuple[str, ...] = ()) -> Writer:
        module = [sys.executable, "-u", "-m", "tests.contract.rocksdb_writer", str(tmp_path)]
        process = subprocess.Popen(
            [*below, *module, *map(str, arguments)],
            stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, start_new_session=True,
        )  # fmt: skip
        writers.append(Writer(process))
        return writers[-1]

    yield run
    for writer in writers:
        try:
            os.killpg(writer.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        writer.process.wait()
        assert writer.process.stdout is not None
        writer.process.stdout.close()


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + limit_s(seconds)
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)


def texts(path: Path) -> dict[int, str]:
    with RocksDbTable(path, "rows") as table:
        return {row["id"]: row["text"] for row in table.scan()}


def attempt(number: int = 0, *, subtask: int = 0, parallelism: int = 1, run: str = "run") -> Attempt:
    return Attempt(run, subtask, parallelism, number)


def opened(path: Path, who: Attempt, table: SinkTable | None = None) -> RocksDbSink:
    sink = RocksDbSink(table or table_at(path), takeover_wait_s=5.0)
    sink.open(who)
    return sink


def upsert(key: int, text: str, counter: int = 1) -> Record:
    return Record((key,), {"id": key, "text": text}, RecordKind.UPSERT, counter)


def delete(key: int, counter: int = 1) -> Record:
    return Record((key,), {"id": key}, RecordKind.DELETE, counter)


def test_stopped_zombie_that_holds_the_lock_is_killed_and_never_writes_again(
    tmp_path: Path, start: Start
) -> None:
    zombie = start("run", 0, 1, 0, "old")
    assert zombie.line() == "open"
    zombie.wait_for_rows(5 * BATCH)
    zombie.process.send_signal(signal.SIGSTOP)
    newer = opened(tmp_path, attempt(1))
    newer.write(batch_of(0, 0, "new"))
    before = texts(tmp_path)
    zombie.process.send_signal(signal.SIGCONT)
    assert zombie.die() == -signal.SIGKILL
    assert texts(tmp_path) == before
    assert {before[n] for n in range(BATCH)} == {"new"}
    assert set(before) >= set(range(5 * BATCH))
    newer.close()


def test_killed_in_the_middle_loses_no_row_that_was_acknowledged(tmp_path: Path, start: Start) -> None:
    writer = start("run", 0, 1, 0, "x")
    assert writer.line() == "open"
    writer.wait_for_rows(8 * BATCH)
    writer.process.kill()
    writer.die()
    assert writer.process.stdout is not None
    acknowledged = max((int(line) for line in writer.process.stdout.read().split()), default=8 * BATCH)
    kept = texts(tmp_path)
    assert len(kept) >= acknowledged
    assert len(kept) % BATCH == 0
    assert set(kept) == set(range(len(kept)))


def test_live_run_of_another_job_is_refused_by_name(tmp_path: Path, start: Start) -> None:
    other = start("nightly", 0, 1, 0, "x")
    assert other.line() == "open"
    sink = RocksDbSink(table_at(tmp_path), takeover_wait_s=0.2)
    with pytest.raises(SystemicError, match=rf"another run writes it \(run nightly.*pid {other.process.pid}"):
        sink.open(attempt(run="mine"))
    other.wait_for_rows(BATCH)


def test_run_that_is_about_to_end_is_waited_for(tmp_path: Path, start: Start) -> None:
    other = start("earlier", 0, 1, 0, "x", 50)
    assert other.line() == "open"
    sink = opened(tmp_path, attempt(run="mine"))
    assert len(texts(tmp_path)) == 50 * BATCH
    sink.close()


def test_frozen_orphan_of_another_run_is_killed(tmp_path: Path, start: Start) -> None:
    launcher = tmp_path / "Launcher.java"
    launcher.write_text(LAUNCHER)
    jvm = start("gone", 0, 1, 0, "old", below=("java", "-Xmx64m", "-XX:TieredStopAtLevel=1", str(launcher)))
    assert jvm.line() == "open"
    jvm.wait_for_rows(BATCH)
    (worker,) = [int(pid) for pid in _children(jvm.process.pid)]
    os.kill(worker, signal.SIGSTOP)
    jvm.process.kill()
    jvm.die()
    assert identify(worker) is not None
    sink = opened(tmp_path, attempt(run="mine"))
    sink.write(batch_of(0, 0, "new"))
    until(lambda: identify(worker) is None)
    sink.close()


def test_worker_ends_by_itself_when_its_task_manager_is_killed(tmp_path: Path, start: Start) -> None:
    launcher = tmp_path / "Launcher.java"
    launcher.write_text(LAUNCHER)
    jvm = start("run", 0, 1, 0, "x", below=("java", "-Xmx64m", "-XX:TieredStopAtLevel=1", str(launcher)))
    assert jvm.line() == "open"
    jvm.wait_for_rows(BATCH)
    (worker,) = [int(pid) for pid in _children(jvm.process.pid)]
    jvm.process.kill()
    jvm.die()
    until(lambda: identify(worker) is None)
    assert jvm.process.stdout is not None
    last = jvm.process.stdout.read().splitlines()[-1]
    assert last.startswith(f"SystemicError: the TaskManager (pid {jvm.process.pid}) of this worker is gone")


def test_older_attempt_that_opens_late_is_refused(tmp_path: Path, start: Start) -> None:
    newer = start("run", 0, 1, 3, "new")
    assert newer.line() == "open"
    with pytest.raises(SystemicError, match="a newer attempt writes it"):
        opened(tmp_path, attempt(2))
    newer.wait_for_rows(BATCH)


def test_two_subtasks_in_one_process_do_not_clash(tmp_path: Path) -> None:
    first, second = (opened(tmp_path, attempt(subtask=n, parallelism=2)) for n in range(2))
    first.write([upsert(1, "a")])
    second.write([upsert(2, "b")])
    again = opened(tmp_path, attempt(1, parallelism=2))
    again.write([upsert(3, "c")])
    second.write([upsert(4, "d")])
    assert texts(tmp_path) == {1: "a", 2: "b", 3: "c", 4: "d"}
    again.close()
    second.close()


def test_rescale_up_and_down_keeps_the_last_change_of_each_key(tmp_path: Path) -> None:
    one = opened(tmp_path, attempt())
    one.write([upsert(n, "first") for n in range(6)])
    one.close()
    two = [opened(tmp_path, attempt(subtask=n, parallelism=2)) for n in range(2)]
    two[0].write([upsert(0, "second"), delete(2)])
    two[1].write([upsert(1, "second"), delete(3)])
    assert texts(tmp_path) == {0: "second", 1: "second", 4: "first", 5: "first"}
    for sink in two:
        sink.close()
    again = opened(tmp_path, attempt())
    again.write([delete(1), upsert(3, "third"), upsert(4, "third")])
    assert texts(tmp_path) == {0: "second", 3: "third", 4: "third", 5: "first"}
    again.close()


def test_rescaled_partial_update_is_laid_over_the_row_of_the_old_shard(tmp_path: Path) -> None:
    columns = (SinkColumn("id", "BIGINT"), SinkColumn("a", "STRING"), SinkColumn("b", "STRING"))
    table = SinkTable("rows", columns, ("id",), {"path": str(tmp_path)})
    one = opened(tmp_path, attempt(), table)
    one.write([Record((1,), {"id": 1, "a": "x", "b": "y"}, RecordKind.UPSERT, 1)])
    one.close()
    two = opened(tmp_path, attempt(subtask=1, parallelism=2), table)
    two.write([Record((1,), {"id": 1, "b": "z"}, RecordKind.UPSERT, 1)])
    with RocksDbTable(tmp_path, "rows") as reader:
        assert reader.get((1,)) == {"id": 1, "a": "x", "b": "z"}
    two.close()


def test_delete_leaves_nothing_behind_while_the_layout_is_the_same(tmp_path: Path) -> None:
    sink = opened(tmp_path, attempt())
    sink.write([upsert(1, "a")])
    sink.write([delete(1)])
    with RocksDbTable(tmp_path, "rows") as reader:
        assert reader.newest(b"\x80" + bytes(6) + b"\x01") is None
    sink.close()


def test_reader_follows_a_writer_and_never_sees_half_a_batch(tmp_path: Path, start: Start) -> None:
    writer = start("run", 0, 1, 0, "x", 150)
    assert writer.line() == "open"
    writer.wait_for_rows(BATCH)
    with RocksDbTable(tmp_path, "rows") as reader:
        counts = [0]
        while writer.process.poll() is None:
            reader.refresh()
            counts.append(sum(1 for _ in reader.scan()))
        reader.refresh()
        counts.append(sum(1 for _ in reader.scan()))
    assert counts == sorted(counts)
    assert counts[-1] == 150 * BATCH
    assert all(count % BATCH == 0 for count in counts)
    assert any(0 < count < 150 * BATCH for count in counts)


def test_reader_changes_nothing_and_cleans_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    opened(tmp_path, attempt()).close()
    before = _contents(tmp_path / "rows")
    with RocksDbTable(tmp_path, "rows") as reader:
        assert list(reader.scan()) == []
    assert _contents(tmp_path / "rows") == before
    assert list(scratch.iterdir()) == []


def test_column_may_be_added_and_old_rows_have_null_there(tmp_path: Path) -> None:
    opened_first = opened(tmp_path, attempt())
    opened_first.write([upsert(1, "a")])
    opened_first.close()
    columns = (SinkColumn("id", "BIGINT"), SinkColumn("more", "INT"), SinkColumn("text", "STRING"))
    wider = opened(tmp_path, attempt(), SinkTable("rows", columns, ("id",), {"path": str(tmp_path)}))
    wider.write([Record((2,), {"id": 2, "more": 5, "text": "b"}, RecordKind.UPSERT, 1)])
    with RocksDbTable(tmp_path, "rows") as reader:
        assert list(reader.scan()) == [
            {"id": 1, "more": None, "text": "a"},
            {"id": 2, "more": 5, "text": "b"},
        ]
    wider.close()


@pytest.mark.parametrize(
    ("columns", "key", "told"),
    [
        ((SinkColumn("id", "INT"), SinkColumn("text", "STRING")), ("id",), "id: BIGINT -> INT"),
        ((SinkColumn("id", "BIGINT"), SinkColumn("text", "STRING")), ("text",), "key: "),
    ],
)
def test_changed_type_or_key_is_refused(
    tmp_path: Path, columns: tuple[SinkColumn, ...], key: tuple[str, ...], told: str
) -> None:
    opened(tmp_path, attempt()).close()
    with pytest.raises(ConfigError, match=told):
        opened(tmp_path, attempt(), SinkTable("rows", columns, key, {"path": str(tmp_path)}))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"options": {"pth": "x"}}, "unknown option 'pth', did you mean 'path'"),
        ({"options": {"sync": "yes"}}, "option 'sync': must be true or false"),
        ({"columns": (SinkColumn("id", "MAP<INT, INT>"),)}, "type MAP<INT, INT>; legal are BOOLEAN"),
        ({"key": ("nope",)}, "do not fit together"),
        ({"name": "../etc"}, "table name"),
    ],
)
def test_wrong_declaration_is_refused_with_what_is_legal(change: dict[str, Any], told: str) -> None:
    fields: dict[str, Any] = {
        "name": "t",
        "columns": (SinkColumn("id", "INT"),),
        "key": ("id",),
        "options": {},
    }
    with pytest.raises(ConfigError, match=told):
        RocksDbSink(SinkTable(**fields | change))


def test_missing_table_names_those_that_exist(tmp_path: Path) -> None:
    opened(tmp_path, attempt()).close()
    assert list_tables(tmp_path) == ["rows"]
    with pytest.raises(ConfigError, match=r"no table nope in .*; tables: rows"):
        RocksDbTable(tmp_path, "nope")


def test_sink_brings_no_other_client_into_the_worker() -> None:
    heavy = ("typer", "rich", "httpx", "kafka", "pyflink", "pandas", "redis", "elasticsearch")
    code = f"import sys, connectors.rocksdb; print([m for m in {heavy!r} if m in sys.modules])"
    shown = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=REPOSITORY
    )
    assert shown.stdout.strip() == "[]"


def _contents(path: Path) -> dict[Path, bytes]:
    return {entry: entry.read_bytes() for entry in path.rglob("*") if entry.is_file()}


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split() or [
        child
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
