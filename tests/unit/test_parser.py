"""The parser: rows and dead letters of a message, by blocks and row by row alike."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamjobs import values
from streamjobs.metrics import PARSE_SKIPPED
from streamjobs.position import Position
from streamjobs.rowchange import ABSENT, ChangeKind, Column, Row, RowChange, SqlType, TableId, TableSchema
from thrift_idl.codec import Header, PartitionMessageBuilder
from udfs import row_change
from udfs.projection import Field
from udfs.row_change import MAX_RAW_BYTES, ParserSpec, RowChangeParser, parser

ITEM = TableSchema(
    TableId("shop", "item"),
    (
        Column("item_id", SqlType.BIGINT, "bigint(20)", key=True, nullable=False),
        Column("title", SqlType.TEXT, "varchar(64)"),
        Column("price", SqlType.DECIMAL, "decimal(10,2)"),
        Column("stock", SqlType.INT, "int(11)"),
        Column("happened_ms", SqlType.BIGINT, "bigint(20)"),
    ),
)
OTHER = replace(ITEM, table=TableId("shop", "other"))
FIELDS = (
    Field("item_id", "BIGINT", nullable=False),
    Field("title", "STRING"),
    Field("price", "DECIMAL(10, 2)"),
)
SPEC = ParserSpec("shop.item", FIELDS, "upsert", ("item_id",), job="job")
HEADER = Header("test")
ROW: Row = (b"7", b"tea", b"9.90", b"3", b"1700000000000")


def insert(row: Row = ROW, schema: TableSchema = ITEM, offset: int = 1, at_ms: int = 1000) -> RowChange:
    return RowChange.insert(schema, row, Position(0, 1, offset), at_ms)


def payload_of(changes: Sequence[RowChange], header: Header = HEADER, low_ms: int = 0) -> bytes:
    """One message; `low_ms` is a time that its partition has reached already."""
    builder = PartitionMessageBuilder(1, disorder_ms=0)
    builder.resume(0, low_ms)
    for change in changes:
        builder.add(change)
    ((_, message),) = builder.flush(header)
    return message.payload


def parse(spec: ParserSpec, payload: bytes | None) -> list[tuple[Any, ...]]:
    return list(RowChangeParser(spec).eval(payload))


def letters(rows: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [json.loads(row[-1]) for row in rows if row[-1] is not None]


def only_letter(spec: ParserSpec, payload: bytes | None) -> dict[str, Any]:
    (letter,) = letters(parse(spec, payload))
    return letter


class Group:
    """The metric group of a worker, in memory."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def get_metric_group(self) -> Group:
        return self

    def counter(self, name: str) -> Counter:
        return Counter(self.counts, name)


@dataclass(frozen=True)
class Counter:
    counts: dict[str, int]
    name: str

    def inc(self, count: int) -> None:
        self.counts[self.name] = self.counts.get(self.name, 0) + count


def test_only_the_columns_of_the_job_are_read() -> None:
    rubbish = (b"7", b"tea", b"9.90", b"no number", b"1700000000000")
    assert parse(SPEC, payload_of([insert(rubbish)])) == [(7, "tea", Decimal("9.90"), None)]


def test_null_is_null_and_absent_is_a_dead_letter() -> None:
    rows = parse(
        SPEC,
        payload_of([insert((b"7", None, None, ABSENT, None)), insert((b"8", ABSENT, b"1.00", None, None))]),
    )
    assert rows[0] == (7, None, None, None)
    (letter,) = letters(rows)
    assert (letter["stage"], letter["reason"], letter["row"]) == ("convert", "absent_column", 1)
    assert "'title'" in letter["detail"]
    assert len(rows) == 2


def test_null_of_a_not_null_column_is_a_dead_letter() -> None:
    letter = only_letter(SPEC, payload_of([insert((None, *ROW[1:]))]))
    assert (letter["stage"], letter["reason"]) == ("convert", "null")
    assert "'item_id'" in letter["detail"]


def test_a_missing_column_is_named_with_those_that_are_there() -> None:
    spec = replace(SPEC, fields=(*FIELDS, Field("colour", "STRING")))
    letter = only_letter(spec, payload_of([insert()]))
    assert letter["reason"] == "missing_column"
    assert "'colour'" in letter["detail"]
    assert "item_id, title, price, stock, happened_ms" in letter["detail"]


def test_a_type_that_differs_is_a_dead_letter_with_column_value_and_both_types() -> None:
    spec = replace(SPEC, fields=(Field("title", "BIGINT"),), key=())
    letter = only_letter(spec, payload_of([insert()]))
    assert letter["reason"] == "type"
    for word in ("'title'", "varchar(64)", "TEXT", "BIGINT", "b'tea'", "cast.title"):
        assert word in letter["detail"]


def test_a_declared_cast_converts_or_names_the_value() -> None:
    spec = replace(SPEC, fields=(Field("title", "BIGINT"),), key=(), casts=frozenset({"title"}))
    rows = parse(spec, payload_of([insert((b"7", b"42", *ROW[2:])), insert()]))
    assert rows[0] == (42, None)
    (letter,) = letters(rows)
    assert (letter["reason"], letter["row"]) == ("value", 1)
    assert "b'tea'" in letter["detail"]


@pytest.mark.parametrize(
    ("place", "value"), [(1, b"\xff"), (2, b"123456789.00"), (2, b"1.005"), (0, b"9223372036854775808")]
)
def test_a_value_that_does_not_fit_is_one_dead_letter_and_the_others_pass(place: int, value: bytes) -> None:
    bad = (*ROW[:place], value, *ROW[place + 1 :])
    payload = payload_of([insert(), insert(bad), insert((b"8", *ROW[1:]))])
    rows = parse(SPEC, payload)
    assert [row[0] for row in rows if row[-1] is None] == [7, 8]
    (letter,) = letters(rows)
    assert (letter["stage"], letter["reason"], letter["row"]) == ("convert", "value", 1)
    assert base64.b64decode(letter["raw"]) == payload
    assert (letter["job"], letter["table"]) == ("job", "shop.item")


def test_a_zero_date_is_a_dead_letter_or_a_text() -> None:
    schema = TableSchema(TableId("shop", "item"), (Column("day", SqlType.DATE, "date"),))
    payload = payload_of([insert((b"0000-00-00",), schema)])
    assert parse(ParserSpec("shop.item", (Field("day", "STRING"),)), payload) == [("0000-00-00", None)]
    letter = only_letter(ParserSpec("shop.item", (Field("day", "DATE"),)), payload)
    assert "no day of the calendar" in letter["detail"]


def delete(row: Row = ROW, offset: int = 2) -> RowChange:
    return RowChange.delete(ITEM, row, Position(0, 1, offset), 1000)


def update(before: Row, after: Row, offset: int = 3) -> RowChange:
    return RowChange.update(ITEM, before, after, Position(0, 1, offset), 1000)


def test_append_takes_no_update_and_no_delete() -> None:
    spec = ParserSpec("shop.item", FIELDS, "append")
    snapshot = RowChange.snapshot(ITEM, ROW, Position(0, 1, 1), 1000)
    rows = parse(spec, payload_of([insert(), snapshot, update(ROW, ROW), delete()]))
    assert rows[:2] == [(7, "tea", Decimal("9.90"), None)] * 2
    assert [(each["reason"], each["row"]) for each in letters(rows)] == [("kind", 2), ("kind", 3)]
    assert len(rows) == 4


@pytest.mark.parametrize("mode", ["upsert", "versioned"])
def test_a_delete_is_its_key(mode: str) -> None:
    fields = (*FIELDS, Field("kind", "STRING", "kind"))
    payload = payload_of([delete((b"7", ABSENT, None, ABSENT, ABSENT)), insert(), delete()])
    assert parse(replace(SPEC, fields=fields, mode=mode), payload) == [
        (7, None, None, "DELETE", None),
        (7, "tea", Decimal("9.90"), "INSERT", None),
        (7, None, None, "DELETE", None),
    ]


def test_rows_of_one_message_keep_their_order() -> None:
    fields = (*FIELDS[:1], Field("kind", "STRING", "kind"), Field("row", "INT", "row"))
    payload = payload_of([delete(), insert((b"x", *ROW[1:])), insert(), update(ROW, ROW), delete()])
    rows = parse(replace(SPEC, fields=fields), payload)
    assert rows[:4] == [
        (7, "DELETE", 0, None),
        (7, "INSERT", 2, None),
        (7, "UPDATE", 3, None),
        (7, "DELETE", 4, None),
    ]


def test_rows_of_other_tables_are_passed_over_and_counted_in_row_numbers() -> None:
    fields = (Field("item_id", "BIGINT"), Field("row", "INT", "row"))
    other = insert(schema=OTHER)
    payload = payload_of([other, insert(), other, other, insert((b"8", *ROW[1:])), insert((b"?", *ROW[1:]))])
    rows = parse(ParserSpec("shop.item", fields), payload)
    assert rows[:2] == [(7, 1, None), (8, 4, None)]
    assert letters(rows)[0]["row"] == 5


def test_a_heartbeat_gives_no_row() -> None:
    ((_, message),) = PartitionMessageBuilder(1, disorder_ms=0).heartbeat(HEADER, 1000)
    assert parse(SPEC, message.payload) == []


def test_late_rows_are_dead_letters_of_events() -> None:
    spec = ParserSpec("shop.item", FIELDS, judge_late=True)
    rows = parse(spec, payload_of([insert(at_ms=4999), insert(at_ms=5000)], low_ms=5000))
    assert rows[0] == (7, "tea", Decimal("9.90"), None)
    (letter,) = letters(rows)
    assert (letter["stage"], letter["reason"], letter["row"], letter["event_time_ms"]) == (
        "late",
        "late",
        0,
        4999,
    )
    assert "1 ms below" in letter["detail"]


def test_a_late_version_is_a_dead_letter_and_a_version_all_the_same() -> None:
    spec = replace(SPEC, mode="versioned", judge_late=True)
    rows = parse(spec, payload_of([insert(at_ms=4999)], low_ms=5000))
    assert rows[0] == (7, "tea", Decimal("9.90"), None)
    assert [each["stage"] for each in letters(rows)] == ["late"]


@pytest.mark.parametrize("happened", [None, b"", b"soon", b"007", b"99999999999999999"])
def test_a_row_without_event_time_is_a_dead_letter_of_events(happened: bytes | None) -> None:
    spec = ParserSpec("shop.item", FIELDS, judge_late=True)
    letter = only_letter(spec, payload_of([insert((*ROW[:4], happened))], Header("test", "happened_ms")))
    assert (letter["stage"], letter["reason"], letter["event_time_ms"]) == ("convert", "event_time", None)


def test_another_event_time_than_the_jobs_is_refused() -> None:
    spec = replace(SPEC, rowtime="stock")
    letter = only_letter(spec, payload_of([insert()], Header("test", "happened_ms")))
    assert letter["reason"] == "event_time_column"
    assert "happened_ms" in letter["detail"]


def test_skipped_rows_are_counted() -> None:
    group = Group()
    function = RowChangeParser(replace(SPEC, skip_all_exception=True))
    function.open(group)
    payload = payload_of([insert(), insert((b"?", *ROW[1:])), insert((b"8", b"\xff", *ROW[2:]))])
    assert function.eval(payload) == [(7, "tea", Decimal("9.90"), None)]
    assert function.eval(b"rubbish") == []
    assert group.counts == {PARSE_SKIPPED: 3}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (None, "truncated"),
        (b"", "truncated"),
        (b"{}", "protocol"),
        (payload_of([insert()])[:-1], "truncated"),
        (payload_of([insert()]) + b"\0", "trailing"),
        (payload_of([insert()])[:-20] + b"!" + payload_of([insert()])[-19:], "crc"),
    ],
)
def test_rubbish_is_one_dead_letter_of_the_message(payload: bytes | None, reason: str) -> None:
    ((*blank, error),) = parse(SPEC, payload)
    letter = json.loads(error)
    assert (letter["stage"], letter["reason"], letter["row"]) == ("decode", reason, -1)
    assert letter["raw"] == (None if payload is None else base64.b64encode(payload).decode())
    assert blank == [0, None, None]


def test_what_stands_for_a_missing_key_is_of_the_keys_type() -> None:
    types = (
        "DATE",
        "TIME(0)",
        "TIMESTAMP(3)",
        "DECIMAL(4, 2)",
        "BOOLEAN",
        "DOUBLE",
        "BYTES",
        "VARCHAR(3)",
        "INT",
    )
    fields = tuple(Field(f"c{i}", type_, nullable=False) for i, type_ in enumerate(types))
    ((*blank, _),) = parse(ParserSpec("shop.item", fields), b"")
    assert [type(value).__name__ for value in blank] == [
        "date", "time", "Moment", "Decimal", "bool", "float", "bytes", "str", "int",
    ]  # fmt: skip


def test_a_message_too_big_for_its_dead_letter_is_named_by_its_size() -> None:
    letter = only_letter(SPEC, b"\xff" * (MAX_RAW_BYTES + 1))
    assert letter["raw"] is None
    assert f"{MAX_RAW_BYTES + 1} bytes" in letter["detail"]


def test_the_rows_number_stands_where_the_job_looks_for_it() -> None:
    error = parse(SPEC, b"")[0][-1]
    assert error[:40].startswith('{"row":-1,')


@settings(max_examples=300)
@given(st.binary(max_size=400), st.integers(0, 10**6))
def test_no_payload_raises(noise: bytes, place: int) -> None:
    payload = payload_of([insert(), delete(), update(ROW, ROW)])
    at = place % len(payload)
    for broken in (
        noise,
        payload[:at],
        payload[:at] + noise,
        payload[:at] + noise + payload[at + len(noise) :],
    ):
        for row in parse(SPEC, broken):
            assert len(row) == 4
            if row[-1] is not None:
                assert len(row[-1]) < 4 * len(broken) + 4000
                assert set(json.loads(row[-1])) == {
                    "row", "v", "stage", "reason", "detail", "job", "table", "at_ms", "event_time_ms", "raw",
                }  # fmt: skip


def test_a_message_of_bad_rows_is_parsed_within_bounds() -> None:
    payload = payload_of([insert((b"7", b"\xff" * 4000, *ROW[2:]))] * 10)
    started = time.process_time()
    rows = parse(SPEC, payload)
    assert time.process_time() - started < 1
    assert len(letters(rows)) == 10
    assert sum(len(row[-1]) for row in rows) < 2 * len(payload) + 10 * 3000
    assert [each["raw"] is None for each in letters(rows)] == [False] + [True] * 9


# ---- blocks and single rows, against a slow and plain reading of the same rules

KEYS = st.sampled_from([b"1", b"2", b"-3", b"9223372036854775807", b"x", b"", b"1_0", None])
TITLES = st.sampled_from([b"tea", "naïve 🦊".encode(), b"", b"\xff", None, ABSENT])
PRICES = st.sampled_from([b"1.00", b"-0.01", b"99999999.99", b"100000000.00", b"1.001", None, ABSENT])
TIMES = st.sampled_from(
    [
        b"1700000000000",
        b"1700000000001",
        b"1699999999999",
        b"5",
        b"soon",
        b"-1",
        b"99999999999999999",
        None,
        ABSENT,
    ]
)
GOOD = st.tuples(
    st.sampled_from([b"1", b"-3", b"12"]),
    st.sampled_from([b"tea", None, b""]),
    st.sampled_from([b"1.00", None, b"2.5"]),
    st.just(b"3"),
    st.sampled_from([b"1700000000000", b"1700000000005"]),
)
ANY = st.tuples(KEYS, TITLES, PRICES, st.just(b"3"), TIMES)


@st.composite
def changes_of(draw: st.DrawFn, rows: st.SearchStrategy[Any]) -> list[RowChange]:
    changes = []
    for offset in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from([*ChangeKind, ChangeKind.INSERT]))
        at_ms = draw(st.integers(995, 1005))
        before = draw(rows) if kind in (ChangeKind.UPDATE, ChangeKind.DELETE) else None
        after = None if kind is ChangeKind.DELETE else draw(rows)
        schema = draw(st.sampled_from([ITEM, ITEM, ITEM, OTHER]))
        changes.append(RowChange(schema, kind, before, after, Position(0, 1, offset), at_ms))
    return changes


def expected(  # noqa: PLR0912 - plain on purpose
    spec: ParserSpec, changes: Sequence[RowChange], header: Header, time_ms: int
) -> tuple[list[Any], list[Any]]:
    """The rules, one value at a time: good rows and (stage, reason, row) of bad ones."""
    good: list[Any] = []
    bad: list[Any] = []
    for number, change in enumerate(changes):
        if change.schema is not ITEM:
            continue
        row, is_delete = dict(zip(ITEM.names, change.image, strict=True)), change.kind is ChangeKind.DELETE
        event_time = change.committed_at_ms
        if header.event_time_column:
            event_time = _time_of(row["happened_ms"])
        if spec.mode == "append" and change.kind in (ChangeKind.UPDATE, ChangeKind.DELETE):
            bad.append(("convert", "kind", number))
            continue
        out, reason = [], None
        for field in spec.fields:
            if field.metadata is not None:
                metadata = {"event_time_ms": event_time, "kind": change.kind.name, "row": number,
                            "seq": change.seq, "committed_at_ms": change.committed_at_ms}  # fmt: skip
                out.append(metadata[field.metadata])
                continue
            value = row[field.name]
            if is_delete and spec.key and field.name not in spec.key:
                out.append(None)
            elif value is ABSENT:
                reason = reason or "absent_column"
            elif value is None:
                reason = reason or (None if field.nullable else "null")
                out.append(None)
            else:
                try:
                    out.append(_plain(field, value))
                except ValueError:
                    reason = reason or "value"
        if reason is not None:
            bad.append(("convert", reason, number))
        elif spec.judge_late and event_time is None:
            bad.append(("convert", "event_time", number))
        elif spec.judge_late and event_time < time_ms:
            bad.append(("late", "late", number))
            if spec.mode == "versioned":
                good.append((*out, None))
        else:
            good.append((*out, None))
    return good, bad


def _time_of(value: Any) -> Any:
    try:
        at = values.decode(SqlType.BIGINT, value) if isinstance(value, bytes) else None
    except ValueError:
        return None
    return at if at is not None and values.MIN_EVENT_TIME_MS <= at <= values.MAX_EVENT_TIME_MS else None


def _plain(field: Field, value: bytes) -> Any:
    if field.type == "STRING":
        return value.decode("utf-8", "strict")
    if field.type == "BIGINT":
        return values.decode(SqlType.BIGINT, value)
    number = Decimal(value.decode())
    if number != round(number, 2) or abs(number) >= 10**8:
        raise ValueError(value)
    return number


SPECS = [
    ParserSpec(
        "shop.item",
        (*FIELDS, *metadata),
        mode,
        () if mode == "append" else ("item_id",),
        judge_late=judge_late,
    )
    for mode in row_change.MODES
    for judge_late in (False, True)
    for metadata in (
        (),
        (Field("e", "BIGINT", "event_time_ms"), Field("n", "INT", "row"), Field("s", "BYTES", "seq"),
         Field("k", "STRING", "kind"), Field("c", "BIGINT", "committed_at_ms")),
    )
]  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(SPECS),
    st.one_of(changes_of(ANY), changes_of(GOOD)),
    st.sampled_from([Header("a"), Header("a", "happened_ms")]),
    st.sampled_from([0, 1000, 1_700_000_000_000]),
)
def test_blocks_and_single_rows_follow_the_same_rules(
    spec: ParserSpec, changes: list[RowChange], header: Header, low_ms: int
) -> None:
    builder = PartitionMessageBuilder(1, disorder_ms=0)
    builder.resume(0, low_ms)
    for change in changes:
        builder.add(change)
    # the span may cut: each message is judged by its own time
    place = 0
    function = RowChangeParser(spec)
    for _, message in builder.flush(header):
        rows = function.eval(message.payload)
        good, bad = expected(spec, changes[place : place + message.rows], header, message.time_ms)
        assert [row for row in rows if row[-1] is None] == good
        assert [(each["stage"], each["reason"], each["row"]) for each in letters(rows)] == bad
        place += message.rows


# ---- parsers by hand


def test_a_parser_by_hand_gives_columns_metadata_and_error() -> None:
    made = parser("shop.item", {"item_id": "BIGINT", "title": "VARCHAR"}, metadata=("kind", "row"))
    function = made._func
    assert function.eval(payload_of([delete()])) == [(7, "tea", "DELETE", 0, None)]
    assert made._result_types == ["BIGINT", "STRING", "STRING", "INT", "STRING"]
    assert json.loads(function.eval(b"")[0][-1])["stage"] == "decode"


def test_a_parser_by_hand_that_skips_has_no_error_column() -> None:
    made = parser("shop.item", {"item_id": "BIGINT"}, skip_all_exception=True)
    assert made._func.eval(payload_of([insert(), insert((b"x", *ROW[1:]))])) == [(7,)]
    assert made._result_types == ["BIGINT"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"columns": {"a": "ROW<a INT>"}},
        {"columns": {"a": "INT"}, "metadata": ("seqno",)},
        {"columns": {"a": "INT"}, "key": ("b",)},
        {"columns": {"a": "INT"}, "casts": ("b",)},
        {"columns": {"a": "INT"}, "mode": "changelog"},
    ],
)
def test_a_wrong_parser_by_hand_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"none of|no values"):
        parser("shop.item", **wrong)
