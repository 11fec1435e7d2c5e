"""The parser: rows and dead letters of a message."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamjobs.changes.position import Position
from streamjobs.changes.row_change import ABSENT, Column, RowChange, SqlType, TableId, TableSchema
from streamjobs.metrics import PARSE_SKIPPED
from tests.unit.items import (
    FIELDS,
    HEADER,
    ITEM,
    OTHER,
    ROW,
    SPEC,
    delete,
    insert,
    letters,
    only_letter,
    parse,
    payload_of,
    update,
)
from thrift_idl.codec import Header, PartitionMessageBuilder
from udfs.parser_spec import ParserSpec
from udfs.projection import Field
from udfs.row_change import MAX_RAW_BYTES, RowChangeParser, parser


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
    assert "not a day of the calendar" in letter["detail"]


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
