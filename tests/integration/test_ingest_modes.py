"""Every ingest mode from real Kafka through real Flink into RocksDB, against a batch over final tables."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from datetime import time as clock
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.kafka import KafkaConsumer, KafkaProducer, create_topic, read_dead_letters, read_topic
from connectors.rocksdb.reader import RocksDbTable
from streamjobs.brokers.contract import Envelope
from streamjobs.changes.dead_letter import DeadLetter
from streamjobs.changes.position import Half, Position
from streamjobs.changes.row_change import Column, Row, RowChange, SqlType, TableId, TableSchema
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.job_plan import DEAD_LETTER_TOPIC
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.local.kafka import KafkaServer
from tests.integration.waiting import wait_for
from tests.services.kinds import FlinkAddress
from thrift_idl.codec import BuiltMessage, Header, Limits, PartitionMessageBuilder, decode

pytestmark = pytest.mark.services

JOB = Path(__file__).parent / "ingest_modes.sql"
SOURCE = Header("test")
BY_SALE = Header("test", "sold_ms")


def schema(name: str, *columns: tuple[str, SqlType, str], keys: int = 1) -> TableSchema:
    made = tuple(Column(c, type_, native, key=i < keys) for i, (c, type_, native) in enumerate(columns))
    return TableSchema(TableId("shop", name), made)


BIG = (SqlType.BIGINT, "bigint(20)")
TEXT = (SqlType.TEXT, "varchar(64)")
MONEY = (SqlType.DECIMAL, "decimal(10,2)")
ITEM = schema("item", ("item_id", *BIG), ("title", *TEXT), ("category_id", *BIG), ("price", *MONEY))
CATEGORY = schema("category", ("category_id", *BIG), ("name", *TEXT))
PRICE = schema("price", ("item_id", *BIG), ("price", *MONEY), ("note", *TEXT))
SALE = schema("sale", ("item_id", *BIG), ("sale_id", *BIG), ("sold_ms", *BIG))
EVERY = schema(
    "every_type", ("id", *BIG), ("t", SqlType.TINYINT, "tinyint(4)"), ("s", SqlType.SMALLINT, "smallint(6)"),
    ("i", SqlType.INT, "int(11)"), ("b", *BIG), ("u", SqlType.UNSIGNED_BIGINT, "bigint(20) unsigned"),
    ("d", SqlType.DECIMAL, "decimal(38,10)"), ("f", SqlType.FLOAT, "float"), ("dd", SqlType.DOUBLE, "double"),
    ("yes", SqlType.BOOLEAN, "tinyint(1)"), ("tx", *TEXT), ("bin", SqlType.BYTES, "varbinary(9)"),
    ("born", SqlType.DATE, "date"), ("tm", SqlType.TIME, "time(3)"), ("dt", SqlType.DATETIME, "datetime(6)"),
    ("ts", SqlType.TIMESTAMP, "timestamp(3)"), ("ts6", SqlType.TIMESTAMP, "timestamp(6)"),
)  # fmt: skip


@dataclass
class Table:
    """A source table with its rows now, and the changes that led to them."""

    schema: TableSchema
    rows: dict[bytes, Row] = field(default_factory=dict)
    changes: list[RowChange] = field(default_factory=list)

    def put(self, *row: bytes | None, at_ms: int = 1000) -> None:
        before, place = self.rows.get(row[0] or b""), self._next()
        if before is None:
            self.changes.append(RowChange.insert(self.schema, row, place, at_ms))
        else:
            self.changes.append(RowChange.update(self.schema, before, row, place, at_ms))
        self.rows[row[0] or b""] = row

    def drop(self, key: bytes, at_ms: int = 1000) -> None:
        self.changes.append(RowChange.delete(self.schema, self.rows.pop(key), self._next(), at_ms))

    def change_key(self, old: bytes, new: bytes) -> None:
        row, place = self.rows.pop(old), self._next()
        self.rows[new] = (new, *row[1:])
        self.changes += [
            RowChange.delete(self.schema, row, place, 1000, half=Half.KEY_CHANGE_DELETE),
            RowChange.insert(self.schema, self.rows[new], place, 1000, half=Half.KEY_CHANGE_INSERT),
        ]

    def _next(self) -> Position:
        # offsets that cross the sign bit of their bytes: seq has to be compared unsigned
        return Position(0, 1, 100 + len(self.changes))


def shop(rng: random.Random) -> tuple[Table, Table]:
    """Items and categories after a few hundred random changes."""
    items, categories = Table(ITEM), Table(CATEGORY)
    for _ in range(600):
        key, category = b"%d" % rng.randrange(40), b"%d" % rng.randrange(6)
        chance = rng.random()
        if chance < 0.05 and category in categories.rows:
            categories.drop(category)
        elif chance < 0.15:
            categories.put(category, rng.choice([b"tea", "Ünï 🦊".encode(), b"cups"]))
        elif chance < 0.3 and key in items.rows:
            items.drop(key)
        elif chance < 0.4 and key in items.rows and (new := b"%d" % rng.randrange(40)) not in items.rows:
            items.change_key(key, new)
        else:
            price = b"%d.%02d" % (rng.randrange(100), rng.randrange(100))
            items.put(key, rng.choice([b"pot", b"", None]), rng.choice([category, None]), price)
    return items, categories


def built(
    changes: Sequence[RowChange], header: Header = SOURCE, rows: int = 7
) -> list[tuple[int, BuiltMessage]]:
    builder = PartitionMessageBuilder(2, disorder_ms=1000, limits=Limits(max_rows=rows))
    for change in changes:
        builder.add(change)
    return list(builder.flush(header))


def replayed(messages: list[tuple[int, BuiltMessage]], rng: random.Random) -> list[tuple[int, BuiltMessage]]:
    """The same messages out of order, a third of them twice."""
    again = [*messages, *rng.sample(messages, len(messages) // 3)]
    rng.shuffle(again)
    return again


SALES = [
    # item, sale, sold: before the first version, at it, between, after the delete, at the late version
    (b"1", b"10", 9_000), (b"1", b"11", 10_000), (b"1", b"12", 19_999), (b"1", b"13", 20_000),
    (b"1", b"14", 30_000), (b"2", b"15", 40_000), (b"1", b"16", 45_000), (b"3", b"17", 200_000),
    (b"1", b"18", 200_500),
]  # fmt: skip


def sales() -> list[RowChange]:
    return [
        RowChange.insert(SALE, (item, sale, b"%d" % at), Position(0, 1, int(sale)), 1)
        for item, sale, at in SALES
    ]


def prices() -> tuple[list[RowChange], list[RowChange]]:
    """Versions in order, and one that comes far too late."""
    table = Table(PRICE)
    table.put(b"1", b"1.00", b"first", at_ms=10_000)
    table.put(b"1", b"2.00", b"second", at_ms=20_000)
    table.drop(b"1", at_ms=30_000)
    table.put(b"1", b"4.00", b"again", at_ms=45_000)
    table.put(b"1", b"5.00", b"same moment", at_ms=45_000)
    in_time = list(table.changes)
    table.put(b"3", b"9.00", b"late", at_ms=5_000)
    return in_time, table.changes[len(in_time) :]


TYPES: list[dict[str, Any]] = [
    {"t": -128, "s": 32767, "i": -(2**31), "b": 2**53 + 1, "u": Decimal(2**64 - 1),
     "d": Decimal("9999999999999999999999999999.9999999999"), "f": 0.1, "dd": 0.1, "yes": True,
     "tx": "Ü 🦊\n\0", "bin": b"\0\xff", "born": date(9999, 12, 31), "tm": clock(23, 59, 59, 999000),
     "dt": datetime(9999, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001 - the column has no zone
     "ts": datetime(2038, 1, 19, 3, 14, 8, 1000, timezone.utc),
     "ts6": datetime(1969, 12, 31, 23, 59, 59, 500001, timezone.utc)},
    dict.fromkeys(EVERY.names[1:]),
    {"t": 0, "s": 0, "i": 0, "b": -(2**63), "u": Decimal(0), "d": Decimal("-0.0000000001"), "f": -1.5,
     "dd": 5e-324, "yes": False, "tx": "", "bin": b"", "born": date(1, 1, 1), "tm": clock(0),
     "dt": datetime(1, 1, 1),  # noqa: DTZ001 - the column has no zone
     "ts": datetime(1969, 12, 31, 23, 59, 59, 999000, timezone.utc), "ts6": None},
]  # fmt: skip


def wire(value: Any) -> bytes | None:
    match value:
        case None | bytes():
            return value
        case bool():
            return b"1" if value else b"0"
        case datetime():
            return value.replace(tzinfo=None).isoformat(" ").encode()
        case Decimal():
            return f"{value:f}".encode()
        case _:
            return str(value).encode()


@dataclass(frozen=True)
class Outcome:
    """What the run left: its store, its dead letters, and the source tables as they are now."""

    store: Path
    letters: list[DeadLetter]
    items: Table
    categories: Table

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        with closing(RocksDbTable(self.store, table)) as found:
            return sorted((tuple(row.values()) for row in found.scan()), key=repr)


@pytest.fixture(scope="module")
def outcome(own_kafka: KafkaServer, flink: FlinkAddress, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    rng = random.Random(7)
    items, categories = shop(rng)
    in_time, late = prices()
    bad = RowChange.insert(ITEM, (b"7", b"\xff", None, None), Position(0, 2, 1), 1000)
    feeds = {
        "shop.item": [*replayed(built(items.changes), rng), *built([bad])],
        "shop.category": replayed(built(categories.changes), rng),
        "shop.price": priced(in_time, late),
        "shop.sale": [*sold(), (0, BuiltMessage(b"rubbish", 200_600, 0))],
        "every_type": built([every(number, row) for number, row in enumerate(TYPES)]),
    }
    bootstrap, store = own_kafka.bootstrap, tmp_path_factory.mktemp("store")
    for topic in feeds:
        create_topic(bootstrap, topic, 2)
    with closing(KafkaProducer(bootstrap)) as producer:
        for topic, messages in feeds.items():
            for partition, message in messages:
                producer.send(Envelope(topic, partition, message.payload, message.time_ms))
        producer.flush()
    job = FlinkSession(flink.rest_url).start(JOB, RunSettings(bootstrap, store, 2, None))
    try:
        wait_for(lambda: job.is_idle(3.0), "all input is read", 120)
        job.drain()
    finally:
        job.cancel()
    letters = [
        each for each in read_dead_letters(bootstrap, DEAD_LETTER_TOPIC) if isinstance(each, DeadLetter)
    ]
    return Outcome(store, letters, items, categories)


def priced(in_time: list[RowChange], late: list[RowChange]) -> list[tuple[int, BuiltMessage]]:
    builder = PartitionMessageBuilder(2, disorder_ms=1000, limits=Limits(max_rows=3))
    messages: list[tuple[int, BuiltMessage]] = []
    for change in in_time:
        builder.add(change)
    messages += builder.flush(SOURCE)
    messages += builder.heartbeat(SOURCE, 60_000)
    for change in late:
        builder.add(change)
    messages += builder.flush(SOURCE)
    messages += builder.heartbeat(SOURCE, 300_000)
    return messages


def sold() -> list[tuple[int, BuiltMessage]]:
    """The sales, all twice but in the order of their times, and one that is late for good."""
    builder = PartitionMessageBuilder(2, disorder_ms=1000, limits=Limits(max_rows=3))
    for sale in sales():
        builder.add(sale)
        builder.add(sale)
    messages = list(builder.flush(BY_SALE))
    builder.add(RowChange.insert(SALE, (b"1", b"99", b"100000"), Position(0, 1, 99), 1))
    messages += builder.flush(BY_SALE)
    messages += builder.heartbeat(BY_SALE, 300_000)
    return messages


def every(number: int, row: dict[str, Any]) -> RowChange:
    values = (b"%d" % number, *(wire(row[name]) for name in EVERY.names[1:]))
    return RowChange.insert(EVERY, values, Position(0, 1, number), 1000)


def plain(row: Row) -> tuple[Any, ...]:
    """A row of `item` as Python values."""
    key, title, category, price = (None if each is None else bytes(each).decode() for each in row)  # type: ignore[arg-type]
    number = None if category is None else int(category)
    return int(key or 0), title, number, None if price is None else Decimal(price)


@pytest.mark.parametrize("table", ["item_latest", "item_by_hand"])
def test_an_upsert_table_is_the_source_table(outcome: Outcome, table: str) -> None:
    assert outcome.rows(table) == sorted(map(plain, outcome.items.rows.values()), key=repr)


def test_joins_and_aggregates_of_upserts_equal_a_batch(outcome: Outcome) -> None:
    with closing(sqlite3.connect(":memory:")) as batch:
        batch.execute("CREATE TABLE item (item_id, title, category_id, cents)")
        batch.execute("CREATE TABLE category (category_id, name)")
        items = [(*row[:3], int(row[3] * 100)) for row in map(plain, outcome.items.rows.values())]
        batch.executemany("INSERT INTO item VALUES (?, ?, ?, ?)", items)
        named = [(int(key), bytes(row[1]).decode()) for key, row in outcome.categories.rows.items()]  # type: ignore[arg-type]
        batch.executemany("INSERT INTO category VALUES (?, ?)", named)
        joined = batch.execute("SELECT item_id, title, name FROM item LEFT JOIN category USING (category_id)")
        assert outcome.rows("item_named") == sorted(joined.fetchall(), key=repr)
        totals = batch.execute(
            "SELECT name, COUNT(*), SUM(cents) FROM item JOIN category USING (category_id) GROUP BY name"
        )
        wanted = [(name, count, Decimal(cents) / 100) for name, count, cents in totals]
        assert [tuple(map(str, row)) for row in outcome.rows("category_totals")] == sorted(
            (name, str(count), f"{total:.2f}") for name, count, total in wanted
        )


def test_rows_that_share_a_key_leave_the_greatest(outcome: Outcome) -> None:
    greatest: dict[int, tuple[Any, ...]] = {}
    for item_id, title, category, _ in sorted(
        map(plain, outcome.items.rows.values()), key=lambda row: row[0]
    ):
        if category is not None:
            greatest[category] = (category, item_id, title)
    assert outcome.rows("greatest_of_category") == sorted(greatest.values(), key=repr)


def test_inserts_that_share_a_key_leave_the_last(outcome: Outcome) -> None:
    last = {int(item): (int(item), int(sale)) for item, sale, _ in SALES}
    assert outcome.rows("last_sale") == sorted(last.values(), key=repr)


def test_constants_are_written_once(outcome: Outcome) -> None:
    at = datetime(2024, 1, 2, 3, 4, 5, 678000)  # noqa: DTZ001 - the column has no zone
    assert outcome.rows("constant") == [(1, "it's", Decimal("1.50"), b"\x00\xff", at, None)]
    assert outcome.rows("listed") == [(1, "a"), (2, None)]
    assert outcome.rows("chosen") == [(12, "chosen")]


def test_a_union_has_one_writer(outcome: Outcome) -> None:
    twice = {(sign * int(sale), int(item)) for item, sale, _ in SALES for sign in (1, -1)}
    assert outcome.rows("sale_twice") == sorted(twice, key=repr)


def test_events_are_joined_as_of_their_time(outcome: Outcome) -> None:
    versions = {10: (None, None), 11: ("1.00", "first"), 12: ("1.00", "first"), 13: ("2.00", "second"),
                14: (None, None), 15: (None, None), 16: ("5.00", "same moment"), 17: ("9.00", "late"),
                18: ("5.00", "same moment")}  # fmt: skip
    found = {row[0]: (None if row[2] is None else str(row[2]), row[3]) for row in outcome.rows("sale_priced")}
    assert found == versions


def test_every_type_crosses_exactly(outcome: Outcome) -> None:
    with closing(RocksDbTable(outcome.store, "every_type_kept")) as table:
        found = sorted(table.scan(), key=lambda row: int(row["id"]))
    for number, row in enumerate(TYPES):
        assert found[number] == {"id": number, **row}, row


def test_a_day_outside_of_the_calendar_is_a_dead_letter_and_spoils_no_other(outcome: Outcome) -> None:
    nanos = "2024-01-01T00:00:00.123456789"
    assert outcome.rows("far_day") == [
        (1, None, None, None, nanos),
        (2, date(1, 1, 2), datetime(3, 1, 1), TYPES[2]["ts"], nanos),  # noqa: DTZ001
    ]
    letters = [each for each in outcome.letters if each.table == "far_day"]
    assert {each.has_origin for each in letters} == {False}
    assert {(each.table, each.reason, each.detail) for each in letters} == {
        (
            "far_day",
            "range",
            "column born: 10000-01-01 is out of range for DATE (0001-01-01 to 9999-12-31); UPSERT key=(0,) "
            "values={'id': 0, 'born': OutOfRange(text='10000-01-01'), "
            "'dt': OutOfRange(text='10001-12-31 23:59:59'), "
            "'ts': datetime.datetime(2038, 1, 19, 3, 14, 8, 1000, tzinfo=datetime.timezone.utc), "
            "'nanos': NanoMoment(2024-01-01T00:00:00.123456 and 789 ns)}",
        )
    }


def test_a_dead_letter_of_a_sink_names_the_message_that_its_query_keeps(
    outcome: Outcome, own_kafka: KafkaServer
) -> None:
    with closing(KafkaConsumer(own_kafka.bootstrap)) as consumer:
        places = {
            change.image[0]: (envelope.partition, envelope.offset, row)
            for envelope in read_topic(consumer, "every_type")
            for row, change in enumerate(decode(envelope.payload).changes)
        }
    kept = {row[0]: row[2] for row in outcome.rows("far_day_traced")}
    assert kept == {key: "every_type/{}/{}/{}".format(*places[b"%d" % key]) for key in (1, 2)}
    letters = [each for each in outcome.letters if each.table == "far_day_traced"]
    why = {(each.stage.value, each.reason, each.topic) for each in letters}
    assert why == {("sink", "range", "every_type")}
    assert {(each.partition, each.offset, each.row) for each in letters} == {places[b"0"]}
    assert len({each.id for each in letters}) == 1
    assert letters[0].id.startswith("far_day_traced/")


def test_what_is_wrong_is_a_dead_letter_with_its_origin(outcome: Outcome) -> None:
    letters = [each for each in outcome.letters if each.stage.value != "sink"]
    found = {(each.topic, each.stage.value, each.reason) for each in letters}
    assert found == {
        ("shop.item", "convert", "value"),
        ("shop.price", "late", "late"),
        ("shop.sale", "late", "late"),
        ("shop.sale", "decode", "protocol"),
    }
    for letter in letters:
        assert letter.id == f"{letter.topic}/{letter.partition}/{letter.offset}/{letter.row}"
        assert letter.job == "ingest_modes"
    (rubbish,) = [each for each in letters if each.stage.value == "decode"]
    assert (rubbish.row, rubbish.raw) == (-1, b"rubbish")
    (late,) = [each for each in letters if each.topic == "shop.sale" and each.stage.value == "late"]
    assert late.event_time_ms == 100_000
    assert abs(late.at_ms - time.time() * 1000) < 600_000
