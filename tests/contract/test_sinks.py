"""The contract of every sink. A new store adds one entry to `STORES` and must pass everything here."""

from __future__ import annotations

import base64
import json
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
from rocksdict import AccessType, Options, Rdict

from connectors.memory import MemorySink, MemoryStore
from connectors.rocksdb import RocksDbSink
from streamjobs.errors import SystemicError
from streamjobs.sink import Attempt, Record, RecordKind, Sink, SinkColumn, SinkTable, SinkTraits

COLUMNS = (
    SinkColumn("id", "BIGINT NOT NULL", nullable=False),
    SinkColumn("name", "VARCHAR(100)"),
    SinkColumn("price", "DECIMAL(10, 2)"),
    SinkColumn("big", "BIGINT"),
    SinkColumn("share", "DOUBLE"),
    SinkColumn("flag", "BOOLEAN"),
    SinkColumn("at", "TIMESTAMP_LTZ(3)"),
    SinkColumn("local_at", "TIMESTAMP(6)"),
    SinkColumn("day", "DATE"),
    SinkColumn("clock", "TIME(3)"),
    SinkColumn("raw", "BYTES"),
)
NULLS = dict.fromkeys((column.name for column in COLUMNS), None)
FULL: Mapping[str, Any] = {
    "name": "Überraschung\x00 🦊",
    "price": Decimal("12345678.90"),
    "big": 2**63 - 1,
    "share": 0.1 + 0.2,
    "flag": True,
    "at": datetime(2026, 11, 23, 7, 20, 25, 123000, tzinfo=timezone.utc),
    "local_at": datetime(9999, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001
    "day": date(1, 1, 1),
    "clock": time(23, 59, 59, 999000),
    "raw": bytes(range(256)),
}
Row = dict[str, Any]


class StoreUnderTest(ABC):
    """One store: makes sinks for one table, and reads it with a client that is not ours."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def sink(self, key: tuple[str, ...] = ("id",), columns: Sequence[SinkColumn] = COLUMNS) -> Sink:
        """A new sink on the same table."""

    @abstractmethod
    def rows(self) -> dict[tuple[Any, ...], Row]:
        """Everything in the table, typed, by key."""

    poison: ClassVar[Mapping[str, Any]]
    """Values that this store must reject in row 437."""


class RocksDb(StoreUnderTest):
    poison: ClassVar[Mapping[str, Any]] = {"big": 2**63}

    def sink(self, key: tuple[str, ...] = ("id",), columns: Sequence[SinkColumn] = COLUMNS) -> Sink:
        self.columns, self.key = columns, key
        return RocksDbSink(SinkTable("t", tuple(columns), key, {"path": str(self.path)}), takeover_wait_s=0.2)

    def rows(self) -> dict[tuple[Any, ...], Row]:
        newest: dict[bytes, bytes] = {}
        for number, shard in enumerate(sorted((self.path / "t" / "shards").iterdir())):
            scratch = AccessType.secondary(str(self.path / f"scratch-{number}"))
            raw = Rdict(str(shard), Options(raw_mode=True), access_type=scratch)
            raw.try_catch_up_with_primary()
            for key, value in raw.items():
                newest[key] = max(value, newest.get(key, b""))
            raw.close()
        found = [self._typed(value) for value in newest.values() if struct.unpack_from(">QH", value)[1]]
        return {tuple(row[name] for name in self.key): row for row in found}

    def _typed(self, value: bytes) -> Row:
        stored = json.loads(value[10:])
        names = [column.name for column in self.columns]
        return {name: self._of_json(name, v) for name, v in zip(names, stored, strict=True)}

    def _of_json(self, name: str, value: Any) -> Any:
        readers: dict[str, Callable[[Any], Any]] = {
            "price": Decimal,
            "at": lambda v: datetime.fromisoformat(v).replace(tzinfo=timezone.utc),
            "local_at": datetime.fromisoformat,
            "day": date.fromisoformat,
            "clock": time.fromisoformat,
            "raw": base64.b64decode,
        }
        return value if value is None else readers.get(name, lambda v: v)(value)


class Memory(StoreUnderTest):
    poison: ClassVar[Mapping[str, Any]] = {"name": "poison"}

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.store = MemoryStore()

    def sink(self, key: tuple[str, ...] = ("id",), columns: Sequence[SinkColumn] = COLUMNS) -> Sink:
        return MemorySink(SinkTable("t", tuple(columns), key, {}), self.store, refuses=frozenset({(437,)}))

    def rows(self) -> dict[tuple[Any, ...], Row]:
        return {key: dict(row) for key, row in self.store.rows.items()}


STORES = {"rocksdb": RocksDb, "memory": Memory}


@pytest.fixture(params=list(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> StoreUnderTest:
    made: StoreUnderTest = STORES[request.param](tmp_path)
    return made


def upsert(key: int, counter: int = 1, **values: Any) -> Record:
    return Record((key,), {**NULLS, "id": key, **values}, RecordKind.UPSERT, counter)


def delete(key: int, counter: int = 1) -> Record:
    return Record((key,), {"id": key}, RecordKind.DELETE, counter)


def attempt(number: int = 0, *, subtask: int = 0, parallelism: int = 1, run: str = "run") -> Attempt:
    return Attempt(run, subtask, parallelism, number)


def opened(store: StoreUnderTest, who: Attempt | None = None, **how: Any) -> Sink:
    sink = store.sink(**how)
    sink.open(who or attempt())
    return sink


def row(key: int, **values: Any) -> Row:
    return {**NULLS, "id": key, **values}


def test_all_types_read_back_exactly_by_another_client(store: StoreUnderTest) -> None:
    sink = opened(store)
    assert sink.write([upsert(1, **FULL), upsert(2)]).rejected == ()
    assert store.rows() == {(1,): row(1, **FULL), (2,): row(2)}
    sink.close()


def test_written_twice_is_written_once(store: StoreUnderTest) -> None:
    sink = opened(store)
    batch = [upsert(1, name="a"), delete(2), upsert(3, name="c")]
    sink.write(batch)
    sink.write(batch)
    assert store.rows() == {(1,): row(1, name="a"), (3,): row(3, name="c")}
    sink.close()


@pytest.mark.parametrize("suffix", range(6))
def test_any_suffix_replayed_by_a_newer_attempt_gives_the_same_rows(
    store: StoreUnderTest, suffix: int
) -> None:
    log = [upsert(1, 1, name="a"), upsert(2, 2, name="b"), delete(1, 3), upsert(3, 4), upsert(2, 5, name="z")]
    sink = opened(store)
    for record in log:
        sink.write([record])
    before = store.rows()
    newer = opened(store, attempt(1))
    for record in log[suffix:]:
        newer.write([record])
    assert store.rows() == before == {(2,): row(2, name="z"), (3,): row(3)}
    newer.close()


def test_older_attempt_cannot_write_after_a_newer_one_has_opened(store: StoreUnderTest) -> None:
    zombie = opened(store)
    zombie.write([upsert(1, name="old")])
    newer = opened(store, attempt(1))
    newer.write([upsert(1, name="new")])
    with pytest.raises(SystemicError, match="newer attempt"):
        zombie.write([upsert(1, 99, name="zombie")])
    assert store.rows() == {(1,): row(1, name="new")}
    newer.close()


def test_deleting_a_missing_row_changes_nothing(store: StoreUnderTest) -> None:
    sink = opened(store)
    assert sink.write([delete(1)]).rejected == ()
    assert store.rows() == {}
    sink.close()


def test_key_change_is_a_delete_and_an_insert(store: StoreUnderTest) -> None:
    sink = opened(store)
    sink.write([upsert(1, name="a")])
    sink.write([delete(1, 2), upsert(2, 3, name="a")])
    assert store.rows() == {(2,): row(2, name="a")}
    sink.close()


def test_null_overwrites_and_absent_keeps(store: StoreUnderTest) -> None:
    sink = opened(store)
    sink.write([upsert(1, name="a", big=5)])
    sink.write([Record((1,), {"id": 1, "name": None}, RecordKind.UPSERT, 2)])
    sink.write([Record((2,), {"id": 2, "big": 7}, RecordKind.UPSERT, 3)])
    assert store.rows() == {(1,): row(1, big=5), (2,): row(2, big=7)}
    sink.close()


def test_keys_of_any_text_stay_apart(store: StoreUnderTest) -> None:
    columns = (SinkColumn("a", "STRING"), SinkColumn("b", "STRING"))
    keys = [
        ("", ""),
        ("", "\x00"),
        ("\x00", ""),
        ("a\x00", "b"),
        ("a", "\x00b"),
        ("ä", "🦊"),
        ("a" * 9000, ""),
    ]
    sink = opened(store, key=("a", "b"), columns=columns)
    for number, (a, b) in enumerate(sorted(keys)):
        sink.write([Record((a, b), {"a": a, "b": b}, RecordKind.UPSERT, number)])
    assert store.rows() == {(a, b): {"a": a, "b": b} for a, b in keys}
    sink.close()


def test_full_batch_is_written_whole(store: StoreUnderTest) -> None:
    sink = opened(store)
    count = sink.traits.max_batch_rows
    sink.write([upsert(n) for n in range(count)])
    assert len(store.rows()) == count - (0 if isinstance(store, RocksDb) else 1)
    sink.close()


def test_row_as_big_as_a_batch_may_be_is_written(store: StoreUnderTest) -> None:
    sink = opened(store)
    big = "x" * sink.traits.max_batch_bytes
    assert sink.write([upsert(1, name=big)]).rejected == ()
    assert store.rows() == {(1,): row(1, name=big)}
    sink.close()


def test_one_poison_in_a_thousand_leaves_the_others(store: StoreUnderTest) -> None:
    sink = opened(store)
    batch = [upsert(n, **(store.poison if n == 437 else {})) for n in range(1000)]
    rejected = sink.write(batch).rejected
    assert [rejection.record for rejection in rejected] == [batch[437]]
    assert set(store.rows()) == {(n,) for n in range(1000)} - {(437,)}
    sink.close()


def test_row_of_two_subtasks_is_one_table(store: StoreUnderTest) -> None:
    first = opened(store, attempt(parallelism=2))
    second = opened(store, attempt(subtask=1, parallelism=2))
    first.write([upsert(1, name="a")])
    second.write([upsert(2, name="b")])
    assert store.rows() == {(1,): row(1, name="a"), (2,): row(2, name="b")}
    first.close()
    second.close()


def test_traits_are_all_said(store: StoreUnderTest) -> None:
    traits: SinkTraits = store.sink().traits
    texts = (traits.guarantee, traits.idempotence, traits.deletes, traits.ordering, traits.rejects)
    assert all(text.endswith(".") and len(text) > 15 for text in texts)
    assert traits.max_batch_rows > 0
    assert traits.max_batch_bytes > 0
