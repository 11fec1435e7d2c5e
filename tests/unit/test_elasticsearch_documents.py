"""Elasticsearch documents: exact fields, ids that stay apart, index names by date, mappings that fit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.elasticsearch.answers import Answers
from connectors.elasticsearch.documents import DocumentForm, IndexPattern, text_fields
from streamjobs.changes.moments import NanoMoment, OutOfRange
from streamjobs.errors import ConfigError, SystemicError
from streamjobs.sinks.contract import Record, RecordKind, SinkColumn, SinkTable
from streamjobs.sinks.stored_types import UnfitValueError

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
MOMENT = datetime(2026, 11, 23, 7, 20, 25, 123456)  # noqa: DTZ001


def table(key: tuple[str, ...], **types: str) -> SinkTable:
    return SinkTable("t", tuple(SinkColumn(name, type_) for name, type_ in types.items()), key, {})


def document(types: Mapping[str, str], **values: Any) -> dict[str, Any]:
    form = DocumentForm(table((next(iter(types)),), **types))
    (fast,) = form.bodies([[values[name]] for name in form.names]) or [b""]
    slow = form.body(values, None)
    assert fast in (b"", slow)
    found: dict[str, Any] = orjson.loads(slow)
    return found


def test_fields_are_exact() -> None:
    types = {
        "id": "BIGINT", "price": "DECIMAL(20, 4)", "at": "TIMESTAMP_LTZ(3)", "local": "TIMESTAMP(6)",
        "nanos": "TIMESTAMP_LTZ(9)", "day": "DATE", "clock": "TIME(3)", "raw": "BYTES", "text": "STRING",
        "flag": "BOOLEAN", "share": "DOUBLE",
    }  # fmt: skip
    assert document(
        types, id=2**63 - 1, price=Decimal("1.5"), at=MOMENT.replace(tzinfo=timezone.utc), local=MOMENT,
        nanos=MOMENT.replace(tzinfo=timezone.utc), day=date(1, 1, 1), clock=time(0, 0, 1), raw=b"\x00\xff",
        text="", flag=False, share=0.1,
    ) == {
        "id": 2**63 - 1, "price": "1.5000", "at": "2026-11-23T07:20:25.123456Z",
        "local": "2026-11-23T07:20:25.123456", "nanos": "2026-11-23T07:20:25.123456000Z",
        "day": "0001-01-01", "clock": "00:00:01.000000", "raw": "AP8=", "text": "", "flag": False,
        "share": 0.1,
    }  # fmt: skip


def test_many_rows_are_spelled_as_one_is() -> None:
    form = DocumentForm(
        table(
            ("id",),
            id="BIGINT",
            name="STRING",
            at="TIMESTAMP(6)",
            price="DECIMAL(5, 2)",
            utc="TIMESTAMP_LTZ(3)",
        )
    )
    aware = [MOMENT.replace(tzinfo=timezone.utc), MOMENT.replace(tzinfo=timezone(timedelta(hours=8)))]
    for zones in (aware[:1], aware, [None]):
        rows = [
            {
                "id": n, "name": None if n % 3 else f"n{n}", "at": MOMENT,
                "price": None if n % 2 else Decimal(n), "utc": zones[n % len(zones)],
            }
            for n in range(9)
        ]  # fmt: skip
        columns = [[row[name] for row in rows] for name in form.names]
        assert form.bodies(columns) == [form.body(row, None) for row in rows]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**63, "x"])
def test_what_no_field_holds_is_unfit(value: Any) -> None:
    form = DocumentForm(table(("id",), id="INT", share="DOUBLE"))
    assert form.bodies([[1], [value]]) is None
    with pytest.raises(UnfitValueError):
        form.body({"id": 1, "share": value}, None)


def test_absent_columns_come_from_the_document_that_is_there() -> None:
    form = DocumentForm(table(("id",), id="INT", a="STRING", b="DECIMAL(4, 1)"))
    assert orjson.loads(form.body({"id": 1, "a": "x"}, {"a": "y", "b": "2.5"})) == {
        "id": 1, "a": "x", "b": "2.5",
    }  # fmt: skip


@given(st.tuples(TEXT, TEXT), st.tuples(TEXT, TEXT))
def test_ids_are_equal_only_if_the_keys_are(one: tuple[str, str], other: tuple[str, str]) -> None:
    form = DocumentForm(table(("a", "b"), a="STRING", b="STRING"))
    assert (form.id(one) == form.id(other)) == (one == other)


@given(TEXT, TEXT)
def test_ids_of_one_text_are_equal_only_if_the_texts_are(one: str, other: str) -> None:
    form = DocumentForm(table(("a",), a="STRING"))
    assert (form.id((one,)) == form.id((other,))) == (one == other)
    assert form.id((one,))


@given(st.binary(max_size=4), st.binary(max_size=4))
def test_ids_of_bytes_are_equal_only_if_the_bytes_are(one: bytes, other: bytes) -> None:
    form = DocumentForm(table(("a",), a="BYTES"))
    assert (form.id((one,)) == form.id((other,))) == (one == other)
    assert form.id((one,))


def test_an_id_is_what_people_type() -> None:
    assert DocumentForm(table(("id",), id="BIGINT")).id((42,)) == "42"
    assert DocumentForm(table(("u",), u="STRING")).id(("a:b",)) == "a:b"
    assert (
        DocumentForm(table(("a", "d"), a="STRING", d="DATE")).id(("a:b", date(2026, 1, 2)))
        == "a\\:b:2026-01-02"
    )


def test_an_id_of_513_bytes_is_unfit() -> None:
    form = DocumentForm(table(("a",), a="STRING"))
    assert form.id(("x" * 512,))
    with pytest.raises(UnfitValueError, match="513 bytes"):
        form.id(("x" * 513,))


def test_index_takes_its_date_from_a_key_column() -> None:
    daily = table(("id", "at"), id="INT", at="TIMESTAMP_LTZ(3)", n="INT")
    assert IndexPattern("items-{at|yyyy.MM.dd}", daily).of((1, MOMENT)) == "items-2026.11.23"
    assert IndexPattern("items-{at|yyyyMMdd-HH}-x", daily).of((1, MOMENT)) == "items-20261123-07-x"
    assert IndexPattern("items", daily).of((1, MOMENT)) == "items"


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("Items", "lower-case"),
        ("-items", "lower-case"),
        ("a,b", "lower-case"),
        ("items*", "lower-case"),
        ("i-{day|yyyy}-{day|MM}", "at most one"),
        ("i-{n|yyyy}", "not a DATE or TIMESTAMP"),
        ("i-{other|yyyy}", "must be part of the PRIMARY KEY"),
        ("i-{day|yyyyHH}", "has no hours"),
        ("i-{day|ww}", "a date is made of yyyy, MM, dd, HH"),
        ("i-{day|yyyy/MM}", "a date is made of"),
    ],
)
def test_index_pattern_that_cannot_work_is_refused(pattern: str, told: str) -> None:
    dated = table(("id", "day"), id="INT", day="DATE", other="DATE", n="INT")
    with pytest.raises(ConfigError, match=told):
        IndexPattern(pattern, dated)


def test_mapping_fits_what_we_make_and_names_what_does_not_fit() -> None:
    form = DocumentForm(table(("id",), id="BIGINT", price="DECIMAL(5, 2)", text="STRING", at="TIMESTAMP(3)"))
    assert form.misfits(form.mapping()) == []
    assert (
        form.misfits({"id": {"type": "keyword"}, "text": {"type": "text"}, "more": {"type": "nested"}}) == []
    )
    assert form.misfits({"id": {"type": "integer"}, "at": {"properties": {}}}) == [
        "field id is integer, and BIGINT needs long or keyword",
        "field at is object, and TIMESTAMP(3) needs date or date_nanos or keyword",
    ]


def test_text_fields_are_searched_by_word_and_as_a_whole() -> None:
    declared = table(("id",), id="BIGINT", title="VARCHAR(300)", descr="STRING", code="CHAR(5)")
    form = DocumentForm(declared, text_fields(" title , `descr`", declared))
    whole = {"type": "keyword", "ignore_above": 8191}
    words = {"type": "text", "fields": {"keyword": whole}}
    assert form.mapping() == {"id": {"type": "long"}, "title": words, "descr": words, "code": whole}
    assert form.misfits(form.mapping()) == []
    assert form.without_words(form.mapping()) == []
    assert form.without_words({"title": whole, "descr": {"type": "match_only_text"}, "more": {}}) == ["title"]


@pytest.mark.parametrize("name", ["titel", "id", "raw"])
def test_text_fields_that_hold_no_text_are_refused(name: str) -> None:
    declared = table(("id",), id="BIGINT", title="VARCHAR(300)", raw="BYTES", code="CHAR(5)")
    with pytest.raises(ConfigError) as caught:
        text_fields(f"title, {name}", declared)
    assert str(caught.value) == (
        f"table t: 'textFields' names {name}; the columns that hold text are title, code"
    )


@pytest.mark.parametrize("name", ["a.b", "_id", " "])
def test_field_name_that_no_document_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot have a field"):
        DocumentForm(table(("id",), **{"id": "INT", name: "INT"}))


def test_a_float_is_its_shortest_text_in_fields_and_ids() -> None:
    form = DocumentForm(table(("f",), f="FLOAT", d="DOUBLE"))
    wide = 0.10000000149011612
    assert form.body({"f": wide, "d": wide}, None) == b'{"f":0.1,"d":0.10000000149011612}'
    assert form.bodies([[wide], [wide]]) == [b'{"f":0.1,"d":0.10000000149011612}']
    assert form.id((wide,)) == "0.1"


def test_what_no_field_holds_is_told_with_its_column() -> None:
    form = DocumentForm(table(("day",), day="DATE", at="TIMESTAMP(3)"))
    values = {"day": date(2026, 1, 1), "at": OutOfRange("10001-12-31 23:59:59")}
    assert form.bodies([[value] for value in values.values()]) is None
    with pytest.raises(UnfitValueError) as caught:
        form.body(values, None)
    assert str(caught.value) == (
        "column at: 10001-12-31 23:59:59 is out of range for TIMESTAMP(3) (0001-01-01 to 9999-12-31)"
    )
    with pytest.raises(UnfitValueError, match="column day: 10000-01-01 is out of range for DATE"):
        form.id((OutOfRange("10000-01-01"),))


def test_nanoseconds_are_in_fields_and_ids() -> None:
    form = DocumentForm(table(("at",), at="TIMESTAMP(9)", local="TIMESTAMP_LTZ(9)"))
    at = NanoMoment.of(datetime(2026, 1, 1), 1)  # noqa: DTZ001
    values = {
        "at": at,
        "local": NanoMoment.of(datetime(2026, 1, 1, 8, tzinfo=timezone(timedelta(hours=8))), 9),
    }
    assert form.body(values, None) == (
        b'{"at":"2026-01-01T00:00:00.000000001","local":"2026-01-01T00:00:00.000000009Z"}'
    )
    assert form.id((at,)) == "2026-01-01T00:00:00.000000001"


def answer(**error: Any) -> Mapping[str, Any]:
    return {"errors": True, "items": [{"index": {"status": 400, "error": error}}]}


@pytest.mark.parametrize(
    "error",
    [
        {"type": "document_parsing_exception", "reason": "failed to parse"},
        {"type": "mapper_parsing_exception", "reason": "failed to parse"},
        {"type": "illegal_argument_exception", "reason": "immense term",
         "caused_by": {"type": "max_bytes_length_exceeded_exception", "reason": "at at most 32766"}},
    ],
)  # fmt: skip
def test_what_one_document_is_to_blame_for_is_a_dead_letter(error: Mapping[str, Any]) -> None:
    answers = Answers([0], "table t")
    answers.take([Record((1,), {"id": 1}, RecordKind.UPSERT, 1)], [0], answer(**error))
    assert [rejection.reason for rejection in answers.rejected] == ["mapping"]


@pytest.mark.parametrize(
    ("type_", "reason"),
    [
        (
            "illegal_argument_exception",
            "only write ops with an op_type of create are allowed in data streams",
        ),
        (
            "strict_dynamic_mapping_exception",
            "mapping set to strict, dynamic introduction of [x] is not allowed",
        ),
        ("routing_missing_exception", "routing is required for [t]/[1]"),
        ("cluster_block_exception", "index [t] blocked by: [FORBIDDEN/8/index write (api)]"),
    ],
)
def test_what_says_something_of_the_index_stops_the_job(type_: str, reason: str) -> None:
    answers = Answers([0], "table t")
    with pytest.raises(SystemicError) as caught:
        answers.take([Record((1,), {"id": 1}, RecordKind.UPSERT, 1)], [0], answer(type=type_, reason=reason))
    assert str(caught.value) == (
        f"table t: writing documents: HTTP 400 {type_}: {reason}; first of all for the key (1,). No "
        "single document causes this: repair the index, then start the job again"
    )
    assert answers.rejected == []
