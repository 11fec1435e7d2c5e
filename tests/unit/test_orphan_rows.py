"""Rows that a topic still has and a table has not: against a model of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjobs.capture.snapshot.orphan_rows import FinishedSnapshot, NewestRows
from streamjobs.changes.position import Half, Position
from streamjobs.changes.row_change import (
    ABSENT,
    ChangeKind,
    Column,
    Row,
    RowChange,
    SqlType,
    TableId,
    TableSchema,
)
from streamjobs.errors import SystemicError
from thrift_idl.codec import Header, MessageBuilder

ITEM = TableSchema(
    TableId("shop", "item"),
    (
        Column("shop", SqlType.INT, "int", key=True),
        Column("title", SqlType.TEXT, "varchar(9)"),
        Column("code", SqlType.TEXT, "varchar(9)", key=True),
    ),
)
WITHOUT_KEY = replace(ITEM, columns=tuple(replace(column, key=False) for column in ITEM.columns))
VALUES = st.sampled_from([b"", b"a", b"\x00\x00", b"aa", "é".encode()])
KEYS = st.tuples(st.sampled_from([b"1", b"2"]), VALUES)


@dataclass
class History:
    """A table and its topic: a part is followed, a part is not, then the table is read whole."""

    schema: TableSchema
    rows: set[Row] = field(default_factory=set)
    told: list[RowChange] = field(default_factory=list)
    followed: bool = True

    def key(self, row: Row) -> Row:
        return tuple(row[index] for index in self.schema.key_indexes or range(len(row)))

    def put(self, row: Row) -> None:
        before = next((one for one in self.rows if self.key(one) == self.key(row)), None)
        self.rows.discard(before or row)
        self.rows.add(row)
        self._tell(lambda p: RowChange.insert(self.schema, row, p, 1) if before is None else RowChange.update(
            self.schema, before, row, p, 1))  # fmt: skip

    def change(self, row: Row, to: Row) -> None:
        if row in self.rows and to not in self.rows:
            self.rows.discard(row)
            self.rows.add(to)
            self._tell(lambda p: RowChange.update(self.schema, row, to, p, 1))

    def delete(self, key: Row) -> None:
        for row in [one for one in self.rows if self.key(one) == key]:
            self.rows.discard(row)
            self._tell(lambda p, row=row: RowChange.delete(self.schema, row, p, 1))  # type: ignore[misc]

    @property
    def place(self) -> Position:
        return Position(0, 1, 10 * len(self.told) + 4)

    def read_whole(self) -> Position:
        since = self.place
        rows = sorted(self.rows, key=repr)
        self.told += [
            RowChange.snapshot(self.schema, row, replace(since, row=n), 1) for n, row in enumerate(rows)
        ]
        return since

    def _tell(self, change: Callable[[Position], RowChange]) -> None:
        if self.followed:
            self.told.append(change(self.place))


def downstream(told: Iterable[RowChange], schema: TableSchema) -> set[Row]:
    """The rows that a consumer holds, by key."""
    places = schema.key_indexes or range(len(schema.columns))
    held: dict[Row, Row] = {}
    for change in sorted(told, key=lambda one: one.seq):
        if change.kind is ChangeKind.UPDATE and change.before is not None:
            held.pop(tuple(change.before[place] for place in places), None)
        key = tuple(change.image[place] for place in places)
        held.pop(key, None) if change.kind is ChangeKind.DELETE else held.update({key: change.image})
    return set(held.values())


def payloads(told: Sequence[RowChange], source: str = "shop") -> Iterator[bytes]:
    builder = MessageBuilder()
    for change in told:
        builder.add(change)
    for message in builder.flush(Header(source, None)):
        yield message.payload


def gone_of(told: Sequence[RowChange], one: FinishedSnapshot) -> list[Row]:
    rows = NewestRows("shop", [one])
    try:
        for payload in payloads(told):
            rows.take(payload)
        gone = rows.gone(one)
        return [] if gone is None else list(gone.images)
    finally:
        rows.close()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, VALUES),
        st.tuples(st.just("delete"), KEYS, VALUES),
        st.tuples(st.just("change"), KEYS, VALUES),
        st.tuples(st.sampled_from(["lose", "whole", "shuffle"]), KEYS, VALUES),
    ),
    max_size=25,
)


@pytest.mark.parametrize("schema", [ITEM, WITHOUT_KEY], ids=["key", "no key"])
@given(steps=STEPS, order=st.randoms(use_true_random=False))
def test_with_their_deletes_a_consumer_holds_the_table(schema: TableSchema, steps, order) -> None:  # type: ignore[no-untyped-def]
    history = History(schema)
    for step, (shop, code), title in steps:
        row: Row = (shop, title, code)
        match step:
            case "put":
                history.put(row)
            case "delete":
                history.delete(history.key(row))
            case "change" if not schema.key_indexes:
                history.change(row, (shop, code, title))
            case "lose":
                history.followed = False
            case "whole":
                history.followed = True
                history.read_whole()
            case _:
                pass
    since = history.read_whole()
    told = list(history.told)
    order.shuffle(told)  # the order in which partitions are read
    gone = gone_of(told, FinishedSnapshot(schema.table, since))
    assert len(gone) == len(set(gone))
    place = replace(history.place, row=0)
    deletes = [
        RowChange(schema, ChangeKind.DELETE, image, None, replace(place, row=n), 1, "", Half.SNAPSHOT)
        for n, image in enumerate(gone)
    ]
    assert downstream([*history.told, *deletes], schema) == history.rows


def test_a_delete_says_the_key_and_what_is_needed() -> None:
    told = [RowChange.insert(ITEM, (b"1", b"x", b"a"), Position(0, 1, 4), 1)]
    since = Position(0, 1, 90)
    assert gone_of(told, FinishedSnapshot(ITEM.table, since)) == [(b"1", ABSENT, b"a")]
    assert gone_of(told, FinishedSnapshot(ITEM.table, since, ("title",))) == [(b"1", b"x", b"a")]
    told = [RowChange.insert(ITEM, (b"1", None, b"a"), Position(0, 1, 4), 1)]
    assert gone_of(told, FinishedSnapshot(ITEM.table, since, ("title",))) == [(b"1", None, b"a")]


def test_keys_of_another_shape_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    wider = replace(ITEM, columns=(*ITEM.columns[:2], replace(ITEM.columns[2], native_type="char(9)")))
    told = [
        RowChange.insert(ITEM, (b"1", b"x", b"a"), Position(0, 1, 4), 1),
        RowChange.insert(wider, (b"1", b"x", b"b"), Position(0, 1, 5), 1),
    ]
    assert gone_of(told, FinishedSnapshot(ITEM.table, Position(0, 1, 90))) == [(b"1", ABSENT, b"b")]
    assert "shop.item: 1 rows of its topic had a key of another type or name" in caplog.text


def test_a_whole_number_of_another_width_is_the_same_key() -> None:
    wider = replace(ITEM, columns=(replace(ITEM.columns[0], native_type="int(11)"), *ITEM.columns[1:]))
    told = [
        RowChange.insert(ITEM, (b"1", b"x", b"a"), Position(0, 1, 4), 1),
        RowChange.snapshot(wider, (b"1", b"x", b"a"), Position(0, 1, 90), 1),
    ]
    assert gone_of(told, FinishedSnapshot(ITEM.table, Position(0, 1, 90))) == []


def test_rows_of_another_capture_do_not_count() -> None:
    told = [RowChange.insert(ITEM, (b"1", b"x", b"a"), Position(0, 1, 4), 1)]
    one = FinishedSnapshot(ITEM.table, Position(0, 1, 90))
    rows = NewestRows("shop", [one])
    for payload in payloads(told, "other"):
        rows.take(payload)
    assert rows.gone(one) is None
    rows.close()


def test_a_full_disk_stops_it_and_says_what_is_kept() -> None:
    one = FinishedSnapshot(ITEM.table, Position(0, 1, 90))
    rows = NewestRows("shop", [one])
    rows._db.execute("PRAGMA max_page_count = 10")
    told = [RowChange.insert(ITEM, (b"%d" % n, b"x", b"a" * 99), Position(0, 1, n), 1) for n in range(5000)]
    said = r"keys of shop.item .*: database or disk is full; each needs"
    with pytest.raises(SystemicError, match=said):
        list(map(rows.take, payloads(told)))
    rows.close()


def test_without_a_needed_column_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    told = [RowChange.insert(ITEM, (b"1", b"x", b"a"), Position(0, 1, 4), 1)]
    assert gone_of(told, FinishedSnapshot(ITEM.table, Position(0, 1, 90), ("region",))) == []
    assert "no column region" in caplog.text
