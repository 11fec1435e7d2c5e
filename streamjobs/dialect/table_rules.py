"""Checks of each declared table by itself."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from streamjobs.dialect.connectors import Connector, Ingest, MetaqTable, StoreTable
from streamjobs.dialect.findings import Finding, error
from streamjobs.dialect.lexer import Span
from streamjobs.dialect.nodes import Column, CreateTable

RESERVED_PREFIX = "__"
EVENT_TIME = "event_time"
ROW_METADATA: Mapping[str, str] = {
    EVENT_TIME: "TIMESTAMP_LTZ(3)",
    "committed_at": "TIMESTAMP_LTZ(3)",
    "kind": "STRING",
    "seq": "BYTES",
    "transaction_id": "STRING",
    "topic": "STRING",
    "partition": "INT",
    "offset": "BIGINT",
    "row": "INT",
    "origin": "STRING",
}
"""Metadata keys of a row change and their types. `origin` is the text `topic/partition/offset/row`."""

MESSAGE_METADATA: Mapping[str, str] = {
    "timestamp": "TIMESTAMP_LTZ(3)",
    "topic": "STRING",
    "partition": "INT",
    "offset": "BIGINT",
}
"""Metadata keys of a raw message and their types."""


def table_findings(table: CreateTable, connector: Connector | None) -> Iterator[Finding]:
    """Yield what is wrong with columns, key and watermark. `connector` is None if it could not be read."""
    for column in table.columns:
        if column.name.startswith(RESERVED_PREFIX):
            yield reserved(f"column {column.name}", column.name_span)
    if isinstance(connector, MetaqTable):
        yield from _metaq(table, connector)
    elif isinstance(connector, StoreTable):
        yield from _store(table, connector)


def reserved(what: str, span: Span) -> Finding:
    """Return the error for a name that the framework reserves."""
    message = f"{what}: names that start with {RESERVED_PREFIX} are the framework's own"
    return error("reserved-name", message, span)


def _metaq(table: CreateTable, connector: MetaqTable) -> Iterator[Finding]:
    yield from _metadata(table, ROW_METADATA if connector.table is not None else MESSAGE_METADATA)
    if connector.table is None:
        yield from _raw(table)
        return
    if "." not in connector.table:
        message = f"'table' reads database.table, not {connector.table!r}"
        yield error("table-name", message, table.options.entry("table").value_span)
    for column in table.physical_columns:
        if column.type.startswith(("ARRAY", "MAP", "MULTISET", "ROW")):
            message = f"column {column.name}: a row change has no {column.type}; parse it from a STRING"
            yield error("column-type", message, column.span)
    yield from _ingest(table, connector)
    yield from _rowtime(table)
    names = [column.name for column in table.physical_columns]
    for name in sorted(connector.casts.difference(names)):
        message = f"cast.{name}: the table has no such column{_nearest(name, names)}"
        yield error("cast-unknown", message, table.options.entry(f"cast.{name}").key_span)


def _ingest(table: CreateTable, connector: MetaqTable) -> Iterator[Finding]:
    span = table.options.entry("ingest").value_span if "ingest" in table.options else table.name_span
    ingest = connector.ingest
    if ingest is Ingest.CHANGELOG:
        message = (
            "'ingest'='changelog' is not supported yet: it trusts the log, and a repeated message would make "
            "every result wrong. Use 'upsert' (the latest row of each key) or 'versioned' (joins as of "
            "event time)"
        )
        yield error("ingest-changelog", message, span)
    elif ingest is Ingest.APPEND and table.primary_key:
        message = (
            f"table {table.name}: rows of an 'append' table can repeat, so it has no primary key: remove "
            "the key and count DISTINCT ids, or use 'upsert'"
        )
        yield error("append-key", message, span)
    elif ingest in (Ingest.UPSERT, Ingest.VERSIONED) and not table.primary_key:
        message = f"table {table.name}: 'ingest'='{ingest.value}' needs PRIMARY KEY (…) NOT ENFORCED"
        yield error("key-missing", message, span)
    if ingest is Ingest.VERSIONED and table.watermark is None:
        message = (
            f"table {table.name}: a versioned table needs its rowtime: declare a column TIMESTAMP_LTZ(3) "
            f"METADATA FROM '{EVENT_TIME}' and WATERMARK FOR it"
        )
        yield error("watermark-missing", message, span)


def _rowtime(table: CreateTable) -> Iterator[Finding]:
    watermark = table.watermark
    if watermark is None:
        return
    column = table.column(watermark.column)
    if column is not None and column.metadata_from != EVENT_TIME:
        message = (
            f"the rowtime of table {table.name} is its column METADATA FROM '{EVENT_TIME}': watermarks are "
            f"made of that time only, not of {watermark.column}"
        )
        yield error("rowtime", message, watermark.span)
    elif watermark.delay_ms is None:
        message = f"the watermark of table {table.name} reads {watermark.column} - INTERVAL '5' SECOND"
        yield error("watermark", message, watermark.span)


def _raw(table: CreateTable) -> Iterator[Finding]:
    physical = table.physical_columns
    if [column.type for column in physical] != ["BYTES"]:
        message = (
            f"table {table.name}: give 'table'='database.table' for a table of row changes, or one single "
            "VARBINARY column for the raw messages"
        )
        yield error("table-missing", message, table.options_span)
    for entry in table.options.entries:
        key = entry.key.lower()
        if key in ("ingest", "skipallexception", "skip_all_exception") or key.startswith("cast."):
            message = f"option {entry.key!r} is for row changes: it needs 'table'='database.table'"
            yield error("option-unknown", message, entry.key_span)
    if table.primary_key:
        message = f"table {table.name} holds raw messages, which have no primary key"
        yield error("raw-key", message, table.name_span)


def _metadata(table: CreateTable, known: Mapping[str, str]) -> Iterator[Finding]:
    for column in table.columns:
        key = column.metadata_from
        if key is None:
            continue
        if key not in known:
            message = f"unknown metadata key {key!r}{_nearest(key, known)}; the keys are {', '.join(known)}"
            yield error("metadata-unknown", message, column.span)
        elif column.type != known[key]:
            message = f"column {column.name}: the metadata {key!r} is a {known[key]}, not {column.type}"
            yield error("metadata-type", message, column.span)
    for name in table.primary_key:
        key_column = table.column(name)
        if key_column is not None and not key_column.is_physical:
            message = f"the primary key names {name}, which is no column of the stored row"
            yield error("key-column", message, key_column.span)


def _store(table: CreateTable, connector: StoreTable) -> Iterator[Finding]:
    if not table.primary_key:
        kind = connector.kind
        message = f"table {table.name}: a {kind} table needs PRIMARY KEY (…) NOT ENFORCED: it is keyed by it"
        yield error("key-missing", message, table.name_span)
    for column in table.columns:
        if not column.is_physical:
            yield _not_stored(column, connector.kind)
    yield from _delete_when_null(table, connector)
    yield from _origin_column(table, connector)
    if table.watermark is not None:
        message = f"table {table.name} is a sink: it has no watermark"
        yield error("sink-watermark", message, table.watermark.span)


def _delete_when_null(table: CreateTable, connector: StoreTable) -> Iterator[Finding]:
    name = connector.options.get("deleteWhenNull")
    if name is None:
        return
    column, entry = table.column(str(name)), table.options.entry("deleteWhenNull")
    if column is None:
        near = _nearest(str(name), [each.name for each in table.columns])
        message = f"deleteWhenNull: table {table.name} has no column {name}{near}"
    elif column.name in table.primary_key or not column.nullable:
        message = f"deleteWhenNull: {name} is never NULL; name a column that can be, and is not in the key"
    else:
        return
    yield error("delete-when-null", message, entry.value_span)


def _origin_column(table: CreateTable, connector: StoreTable) -> Iterator[Finding]:
    name = connector.options.get("originColumn")
    if name is None:
        return
    column, entry = table.column(str(name)), table.options.entry("originColumn")
    if column is None:
        near = _nearest(str(name), [each.name for each in table.columns])
        message = f"originColumn: table {table.name} has no column {name}{near}"
    elif column.type != "STRING":
        message = (
            f"originColumn: {name} is {column.type}, but METADATA FROM 'origin' of a metaq table is a STRING"
        )
    else:
        return
    yield error("origin-column", message, entry.value_span)


def _not_stored(column: Column, kind: str) -> Finding:
    message = f"column {column.name}: a {kind} table has plain columns only"
    return error("column-type", message, column.span)


def _nearest(name: str, known: Mapping[str, str] | list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {near[0]!r}?" if near else ""
