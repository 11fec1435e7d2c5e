"""Transactions come out whole and without what was rolled back, whatever their size."""

from __future__ import annotations

import errno
import random
import struct
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mysql.binlog import event_groups
from connectors.mysql.binlog.file import open_file
from connectors.mysql.errors import BinlogError, RefusedError
from connectors.mysql.events import Begin, BinlogEvent, Commit, Ddl, Receiving
from streamjobs.changes.row_batch import RowBatch
from streamjobs.errors import SystemicError
from tests.unit.binlog_writer import Writer
from tests.unit.test_binlog_reader import COLUMNS, NAMES, images, read, read_until_error, stored

DROP = "DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `tmp`"


@dataclass
class Model:
    """Writes a log of random transactions, and keeps what a server would keep of them."""

    writer: Writer = field(default_factory=Writer)
    kept: list[int] = field(default_factory=list)
    undone: int = 0
    _number: int = 0
    _gtid: int = 0

    def insert(self) -> int:
        self._number += 1
        self.writer.table_map(COLUMNS, NAMES)
        self.writer.rows(30, [stored((self._number, None, None, None))], len(COLUMNS))
        return self._number

    def begin(self) -> None:
        self._gtid += 1
        self.writer.gtid(self._gtid)
        self.writer.query("BEGIN")


STEPS = st.lists(
    st.sampled_from(["insert", "insert", "insert", "save a", "save B", "to a", "to b", "drop"]),
    min_size=2,
    max_size=12,
)
ENDS = st.sampled_from(["xid", "COMMIT", "ROLLBACK", "rollback"])


def play(model: Model, steps: list[str], end: str) -> None:
    """Write one transaction and follow its savepoints as the SQL standard tells."""
    model.begin()
    rows: list[int] = []
    saved: dict[str, int] = {}
    for step in steps:
        word, _, name = step.partition(" ")
        if word == "insert":
            rows.append(model.insert())
        elif word == "save":
            model.writer.query(f"SAVEPOINT `{name}`")
            saved.pop(name.lower(), None)
            saved[name.lower()] = len(rows)
        elif word == "drop":
            model.writer.query(DROP)
        elif name in saved:
            model.writer.query(f"ROLLBACK TO `{name}`")
            model.undone += len(rows) - saved[name]
            del rows[saved[name] :]
            saved = {
                other: at
                for other, at in saved.items()
                if list(saved).index(other) <= list(saved).index(name)
            }
    if end == "xid":
        model.writer.xid()
    else:
        model.writer.query(end)
    if end.upper() == "ROLLBACK":
        model.undone += len(rows)
    else:
        model.kept += rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


def reached(counts: Counter[str], least: Mapping[str, int]) -> None:
    """Print what random examples have come to, and hold each to the least that it is to be."""
    print(", ".join(f"{counts[name]:,} {name}" for name in sorted({*counts, *least})))
    assert [name for name, count in least.items() if counts[name] < count] == [], counts


def test_only_rows_that_were_committed_are_read(folder: Path) -> None:
    counts: Counter[str] = Counter()

    @given(st.lists(st.tuples(STEPS, ENDS), min_size=1, max_size=5), st.sampled_from([0, 200, 1 << 24]))
    def check(transactions: list[tuple[list[str], str]], in_memory: int) -> None:
        model = Model()
        for steps, end in transactions:
            play(model, steps, end)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(event_groups, "_IN_MEMORY", in_memory)
            events = read(bytes(model.writer.data), folder)
        assert [row[0] for row in images(events)] == [str(number).encode() for number in model.kept]
        assert sum(isinstance(event, Commit) for event in events) == len(transactions)
        steps_ = [step for steps, _ in transactions for step in steps]
        counts["rows kept"] += len(model.kept)
        counts["rows taken back"] += model.undone
        counts["savepoints"] += sum(step.startswith("save") for step in steps_)
        counts["statements within"] += steps_.count("drop")
        counts["transactions rolled back"] += sum(end.upper() == "ROLLBACK" for _, end in transactions)
        counts["logs with rows on disk"] += bool(model.kept) and in_memory == 0

    check()
    least = {
        "rows kept": 80, "rows taken back": 80, "savepoints": 120, "statements within": 60,
        "transactions rolled back": 30, "logs with rows on disk": 12,
    }  # fmt: skip
    reached(counts, least)


def test_a_rolled_back_transaction_keeps_its_statement_and_its_place(tmp_path: Path) -> None:
    model = Model()
    play(model, ["insert", "drop", "insert"], "ROLLBACK")
    play(model, ["insert"], "xid")
    events = read(bytes(model.writer.data), tmp_path)
    assert [type(event) for event in events] == [Begin, Ddl, Commit, Begin, RowBatch, Commit]
    assert isinstance(events[2], Commit)
    assert isinstance(events[3], Begin)
    assert events[2].place == events[3].place
    assert model.undone == 2


def test_a_savepoint_that_the_log_does_not_have_is_refused_where_rows_came_before(tmp_path: Path) -> None:
    model = Model()
    model.begin()
    model.insert()
    model.writer.query("ROLLBACK TO `elsewhere`")
    model.writer.xid()
    with pytest.raises(
        RefusedError, match=r"part of a transaction was rolled back \(ROLLBACK TO a savepoint\)"
    ):
        read(bytes(model.writer.data), tmp_path)


@pytest.mark.parametrize("name", ["`a b`", "`a``b`", "`SAVEPOINT`", "plain", "`größe`"])
def test_names_of_savepoints(tmp_path: Path, name: str) -> None:
    model = Model()
    model.begin()
    kept = model.insert()
    model.writer.query(f"SAVEPOINT {name}")
    model.insert()
    model.writer.query(f"ROLLBACK TO SAVEPOINT {name}")
    model.writer.xid()
    assert [row[0] for row in images(read(bytes(model.writer.data), tmp_path))] == [str(kept).encode()]


@pytest.mark.parametrize("in_memory", [0, 1 << 24])
def test_of_a_transaction_without_its_end_no_row_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    monkeypatch.setattr(event_groups, "_IN_MEMORY", in_memory)
    model = Model()
    model.begin()
    model.insert()
    play(model, ["insert"], "xid")
    found, error = read_until_error(bytes(model.writer.data), tmp_path)
    assert images(found) == []
    assert isinstance(error, BinlogError)
    assert "another transaction starts in the middle of the transaction" in str(error)


def test_a_long_transaction_is_told_of_while_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_groups, "_SIGN_BYTES", 500)
    model = Model()
    play(model, ["insert"] * 20, "xid")
    events: list[BinlogEvent] = read(bytes(model.writer.data), tmp_path)
    signs = [event for event in events if isinstance(event, Receiving)]
    assert len(signs) >= 3
    assert events[: len(signs)] == signs
    assert len(images(events)) == 20


XID = "X'6162',X'63',1"


def prepare(model: Model, xid: str) -> list[int]:
    """Write an XA transaction of two rows as far as its PREPARE; return the rows."""
    model._gtid += 1
    model.writer.gtid(model._gtid)
    model.writer.query(f"XA START {xid}")
    rows = [model.insert(), model.insert()]
    model.writer.query(f"XA END {xid}")
    model.writer.event(38, struct.pack("<BIII", 0, 1, 2, 1) + b"abc")
    return rows


def decide(model: Model, word: str, xid: str) -> None:
    model._gtid += 1
    model.writer.gtid(model._gtid)
    model.writer.query(f"XA {word} {xid}")


def test_rows_of_xa_transactions_come_in_the_order_of_their_commits(folder: Path) -> None:
    counts: Counter[str] = Counter()

    @given(
        st.lists(
            st.sampled_from(["prepare", "prepare", "COMMIT", "COMMIT", "ROLLBACK", "plain"]),
            min_size=8,
            max_size=20,
        ),
        st.randoms(use_true_random=False),
        st.sampled_from([0, 200, 1 << 24]),
    )
    def check(words: list[str], chance: random.Random, in_memory: int) -> None:
        model, waiting = decided_at_random(words, chance, counts)
        path = folder / "bin.000007"
        path.write_bytes(bytes(model.writer.data))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(event_groups, "_IN_MEMORY", in_memory)
            with open_file(path, wanted=lambda _: True) as reader:
                events = list(reader)
                assert sorted(reader.undecided) == sorted(waiting)
        assert [row[0] for row in images(events)] == [str(number).encode() for number in model.kept]
        places = [change.position for batch in events if isinstance(batch, RowBatch) for change in batch]
        assert places == sorted(set(places))
        counts["left undecided"] += len(waiting)
        counts["rows out of the order of their statements"] += model.kept != sorted(model.kept)

    check()
    least = {
        "COMMIT": 50, "ROLLBACK": 25, "plain": 60, "left undecided": 50,
        "rows out of the order of their statements": 10,
    }  # fmt: skip
    reached(counts, least)


def decided_at_random(
    words: list[str], chance: random.Random, counts: Counter[str]
) -> tuple[Model, dict[str, list[int]]]:
    """Write XA and plain transactions; those that are not decided at the end come with their rows."""
    model, waiting = Model(), dict[str, list[int]]()
    for number, word in enumerate(words):
        if word == "prepare":
            xid = f"X'{number:02x}',X'',1"
            waiting[xid] = prepare(model, xid)
        elif word == "plain":
            play(model, ["insert"], "xid")
        elif waiting:
            xid = chance.choice(sorted(waiting))
            rows = waiting.pop(xid)
            decide(model, word, xid)
            model.kept += rows if word == "COMMIT" else []
        else:
            continue
        counts[word] += 1
    return model, waiting


def test_an_xa_commit_whose_rows_are_not_known_is_refused(tmp_path: Path) -> None:
    model = Model()
    decide(model, "COMMIT", XID)
    with pytest.raises(RefusedError) as caught:
        read(bytes(model.writer.data), tmp_path)
    assert caught.value.detail == (
        f"XA COMMIT {XID}: it was prepared before the position where reading started, so its rows are not "
        "known. Send the tables again: `streamjobs capture run --resnapshot`"
    )


def test_an_xa_transaction_that_mariadb_commits_at_once(tmp_path: Path) -> None:
    model = Model()
    model.begin()
    model.kept.append(model.insert())
    model.writer.query(f"XA COMMIT {XID} ONE PHASE")
    assert [row[0] for row in images(read(bytes(model.writer.data), tmp_path))] == [b"1"]


def test_an_xa_rollback_of_what_is_not_known_changes_nothing(tmp_path: Path) -> None:
    model = Model()
    decide(model, "ROLLBACK", XID)
    assert [type(event) for event in read(bytes(model.writer.data), tmp_path)] == [Begin, Commit]


class _FullDisk:
    def write(self, _: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def close(self) -> None:
        """Nothing to free."""


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> Iterator[IO[bytes]] | _FullDisk:
        return _FullDisk()

    monkeypatch.setattr(event_groups, "_IN_MEMORY", 300)
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    model = Model()
    play(model, ["insert"] * 3, "xid")
    with pytest.raises(SystemicError) as caught:
        read(bytes(model.writer.data), tmp_path)
    assert str(caught.value) == (
        "the transaction 00010203-0405-0607-0809-0a0b0c0d0e0f:1 has more than 0 MiB, which cannot be held "
        f"in {tempfile.gettempdir()} until it ends: No space left on device. Make room there, or set TMPDIR "
        "to a directory on a larger disk"
    )
