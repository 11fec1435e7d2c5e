"""Messages of one table of items, and what a parser makes of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from streamjobs.changes.position import Position
from streamjobs.changes.row_change import Column, Row, RowChange, SqlType, TableId, TableSchema
from thrift_idl.codec import Header, PartitionMessageBuilder
from udfs.parser_spec import ParserSpec
from udfs.projection import Field
from udfs.row_change import RowChangeParser

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


def delete(row: Row = ROW, offset: int = 2) -> RowChange:
    return RowChange.delete(ITEM, row, Position(0, 1, offset), 1000)


def update(before: Row, after: Row, offset: int = 3) -> RowChange:
    return RowChange.update(ITEM, before, after, Position(0, 1, offset), 1000)
