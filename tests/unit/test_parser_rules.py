"""The parser's blocks and single rows, against a slow and plain reading of the same rules."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streamjobs.changes import wire_values
from streamjobs.changes.position import Position
from streamjobs.changes.row_change import ABSENT, ChangeKind, RowChange, SqlType
from tests.unit.items import FIELDS, ITEM, OTHER, letters
from thrift_idl.codec import Header, PartitionMessageBuilder
from udfs.parser_spec import MODES, ParserSpec
from udfs.projection import Field
from udfs.row_change import RowChangeParser

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
        at = wire_values.decode(SqlType.BIGINT, value) if isinstance(value, bytes) else None
    except ValueError:
        return None
    return (
        at
        if at is not None and wire_values.MIN_EVENT_TIME_MS <= at <= wire_values.MAX_EVENT_TIME_MS
        else None
    )


def _plain(field: Field, value: bytes) -> Any:
    if field.type == "STRING":
        return value.decode("utf-8", "strict")
    if field.type == "BIGINT":
        return wire_values.decode(SqlType.BIGINT, value)
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
    for mode in MODES
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
