"""Declared row-change tables (`type='metaq'`): from raw messages to the table that the job's SQL reads.

    raw table (Kafka; message time, watermark per partition)
      -> parser UDTF (one row per change, bad rows with an error)
      -> DataStream round trip (the rows' own time becomes the rowtime, watermarks pass through)
      -> good rows: the declared name        bad and late rows: dead letters

docs/decisions explain each step (0001 event time, 0002 late rows, 0003 versioned tables).
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from streamjobs.brokers.kafka import KafkaConnection
from streamjobs.changes.dead_letter import FORMAT_VERSION, Stage
from streamjobs.dialect.connectors import Ingest, MetaqTable
from streamjobs.dialect.nodes import Column, CreateTable, Script
from streamjobs.job.plan.flink_ddl import (
    DEAD_LETTER_TABLE,
    TableDdl,
    function_of,
    kafka_source,
    literal,
    quoted,
)
from udfs.columns import FlinkType
from udfs.parser_spec import ERROR_COLUMN, ROW_PATTERN, ParserSpec
from udfs.projection import Field

_EVENT_MS = "__event_time_ms"
_ROW = "__row"
_METADATA_FIELDS = {
    "event_time": (_EVENT_MS, "BIGINT", "event_time_ms"),
    "committed_at": ("__committed_at_ms", "BIGINT", "committed_at_ms"),
    "kind": ("__kind", "STRING", "kind"),
    "seq": ("__seq", "BYTES", "seq"),
    "row": (_ROW, "INT", "row"),
    "origin": (_ROW, "INT", "row"),
    "transaction_id": ("__transaction_id", "STRING", "transaction_id"),
}
"""Declared metadata key -> the parser's field (name, type, metadata)."""


@dataclass(frozen=True)
class StreamColumn:
    """A column of the round-tripped stream, with its full Flink type."""

    name: str
    type: str


@dataclass(frozen=True)
class SourcePlan:
    """The steps that make one declared table.

    `parsed` is the query over the raw table. With a `rowtime`, its rows go through the DataStream round trip
    and come back as `stream` with `columns` and `key` (versioned tables); without one, `stream` is a plain
    view. `view` then defines the declared name. `dead_letters` is the INSERT of its bad rows, "" for none.
    """

    name: str
    raw_ddl: TableDdl
    function: str
    parser: ParserSpec
    parsed: str
    stream: str
    columns: tuple[StreamColumn, ...]
    rowtime: str | None
    key: tuple[str, ...]
    view: str
    dead_letters: str


def plan_raw_table(table: CreateTable, connector: MetaqTable, broker: KafkaConnection, job: str) -> TableDdl:
    """Return the DDL of a table of raw messages, which a hand-written parser reads."""
    lines = []
    for column in table.columns:
        name = quoted(column.name)
        if column.computed is not None:
            lines.append(f"  {name} AS {column.computed}")
        elif column.metadata_from is not None:
            lines.append(f"  {name} {column.type} METADATA FROM {literal(column.metadata_from)} VIRTUAL")
        else:
            lines.append(f"  {name} {column.type}")
    if table.watermark is not None:
        lines.append(f"  WATERMARK FOR {quoted(table.watermark.column)} AS {table.watermark.expr}")
    body = ",\n".join(lines)
    head = f"CREATE TEMPORARY TABLE {quoted(table.name)} (\n{body}\n)"
    return kafka_source(head, connector.topic, broker, connector.consumer_group or job, connector.start)


def plan_source(
    table: CreateTable,
    connector: MetaqTable,
    broker: KafkaConnection,
    job: str,
    script: Script,
    disorder_ms: int | None = None,
) -> SourcePlan:
    """Plan a declared table; `disorder_ms` overrides its disorder bound.

    Raises SqlError for a rowtime that the messages cannot contain.
    """
    return _SourcePlanner(table, connector, broker, job, script, disorder_ms).plan()


class _SourcePlanner:
    def __init__(
        self,
        table: CreateTable,
        connector: MetaqTable,
        broker: KafkaConnection,
        job: str,
        script: Script,
        disorder_ms: int | None,
    ) -> None:
        self._disorder_ms = disorder_ms
        assert connector.table is not None and connector.ingest is not None  # noqa: PT018 - checked by the rules
        self._table = table
        self._connector = connector
        self._ingest = connector.ingest
        self._broker = broker
        self._job = job
        self._script = script
        self._raw = f"__raw_{table.name}"
        self._stream = f"__stream_{table.name}"
        self._function = function_of("parse", table.name)

    @property
    def _timed(self) -> bool:
        """Return whether the table has event time; in an upsert table ROW_NUMBER removes it."""
        return self._table.watermark is not None and self._ingest is not Ingest.UPSERT

    @property
    def _has_dead_letters(self) -> bool:
        """Return whether rows can have an error; a parser that skips leaves those that Flink finds late."""
        return not self._connector.skip_all_exception or (self._ingest is Ingest.APPEND and self._timed)

    def plan(self) -> SourcePlan:
        parser = self._parser()
        return SourcePlan(
            name=self._table.name,
            raw_ddl=self._raw_ddl(),
            function=self._function,
            parser=parser,
            parsed=self._parsed(parser),
            stream=self._stream,
            columns=self._stream_columns(),
            rowtime=self._table.watermark.column if self._timed and self._table.watermark else None,
            key=self._table.primary_key if self._ingest is Ingest.VERSIONED else (),
            view=self._view(),
            dead_letters=self._dead_letters() if self._has_dead_letters else "",
        )

    def _raw_ddl(self) -> TableDdl:
        lines = [
            "  `__message` BYTES",
            "  `__partition` INT METADATA FROM 'partition' VIRTUAL",
            "  `__offset` BIGINT METADATA FROM 'offset' VIRTUAL",
        ]
        if self._timed:
            delay_ms = self._delay_ms()
            # A row is late if it is *below* its message's time; Flink's late is "at or below": add one ms.
            delay = _interval(delay_ms + 1)
            lines.append("  `__time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL")
            lines.append(f"  WATERMARK FOR `__time` AS `__time` - {delay}")
        body = ",\n".join(lines)
        return kafka_source(
            f"CREATE TEMPORARY TABLE {quoted(self._raw)} (\n{body}\n)",
            self._connector.topic,
            self._broker,
            self._connector.consumer_group or self._job,
            self._connector.start,
        )

    def _delay_ms(self) -> int:
        watermark = self._table.watermark
        assert watermark is not None
        if self._disorder_ms is not None:
            return self._disorder_ms
        if watermark.delay_ms is None:
            message = (
                f"the watermark must be the rowtime column minus the topic's disorder bound, such as "
                f"{watermark.column} - INTERVAL '5' SECOND"
            )
            raise self._script.error(message, watermark.span)
        return watermark.delay_ms

    def _parser(self) -> ParserSpec:
        fields = [
            Field(column.name, column.type, nullable=column.nullable, as_epoch_ms=_travels_as_ms(column))
            for column in self._table.columns
            if column.is_physical
        ]
        wanted = [column.metadata_from for column in self._table.columns if column.metadata_from is not None]
        if self._ingest is Ingest.UPSERT:
            wanted += ["kind", "seq"]
        if self._timed:
            wanted += ["event_time", "row"]
        for key in wanted:
            if key in _METADATA_FIELDS:
                name, type_, metadata = _METADATA_FIELDS[key]
                if all(field.name != name for field in fields):
                    fields.append(Field(name, type_, metadata))
        return ParserSpec(
            table=self._connector.table or "",
            fields=tuple(fields),
            mode=self._ingest.value,
            key=self._table.primary_key,  # a DELETE needs only these columns, in either mode
            rowtime=self._rowtime_column(),
            casts=self._connector.casts,
            skip_all_exception=self._connector.skip_all_exception,
            judge_late=self._timed,
            job=self._job,
        )

    def _rowtime_column(self) -> str | None:
        """Return the table column that must be the messages' event time; None if it is their metadata."""
        if not self._timed or self._table.watermark is None:
            return None
        column = self._table.column(self._table.watermark.column)
        if column is None or column.computed is not None:
            message = (
                f"the rowtime must be a column of the messages or 'event_time' metadata: declare "
                f"{self._table.watermark.column} TIMESTAMP_LTZ(3) METADATA FROM 'event_time'"
            )
            raise self._script.error(message, self._table.watermark.span)
        return column.name if column.is_physical else None

    def _expression(self, column: Column) -> str:
        """Return the SQL of a declared column's value, from the parser's fields and the message's offset."""
        topic = literal(self._connector.topic)
        match column.metadata_from:
            case None if _travels_as_ms(column):
                return f"CAST(TO_TIMESTAMP_LTZ({quoted(column.name)}, 3) AS {column.type})"
            case None:
                return quoted(column.name)
            case "event_time":
                return f"TO_TIMESTAMP_LTZ({quoted(_EVENT_MS)}, 3)"
            case "committed_at":
                return "TO_TIMESTAMP_LTZ(`__committed_at_ms`, 3)"
            case "topic":
                return f"CAST({topic} AS STRING)"
            case "partition" | "offset":
                return quoted(f"__{column.metadata_from}")
            case "origin":
                return _origin(self._connector.topic, f"CAST({quoted(_ROW)} AS STRING)")
            case other:
                return quoted(_METADATA_FIELDS[other][0])

    def _extras(self) -> list[tuple[str, str, str]]:
        """Return the framework's own columns of the stream that are needed: name, type and expression."""
        extras = [
            ("__partition", "INT", "`__partition`"),
            ("__offset", "BIGINT", "`__offset`"),
            (ERROR_COLUMN, "STRING", self._error()),
        ]
        if self._ingest is Ingest.UPSERT:
            extras += [("__kind", "STRING", "`__kind`"), ("__seq", "BYTES", "`__seq`")]
        return extras

    def _error(self) -> str:
        """Return the SQL of the row's error: the parser's, or that an event is late by the watermark.

        The parser finds late rows by their message's time. While producers keep the time rule, no other row
        is below the watermark; a foreign producer may break the rule, and joins and windows would drop its
        rows. This is checked before the round trip: after it, mini-batching may emit watermarks of another
        clock.
        """
        error, watermark = quoted(ERROR_COLUMN), "CURRENT_WATERMARK(`__time`)"
        if self._ingest is not Ingest.APPEND or not self._timed or self._table.watermark is None:
            return error
        rowtime = self._table.column(self._table.watermark.column)
        assert rowtime is not None
        late = f"{error} IS NULL AND {self._expression(rowtime)} <= {watermark}"
        return f"CASE WHEN {late} THEN {self._late_letter()} ELSE {error} END"

    def _declared(self) -> list[Column]:
        return [column for column in self._table.columns if column.computed is None]

    def _parsed(self, parser: ParserSpec) -> str:
        names = ", ".join(map(quoted, parser.result_names))
        selected = [f"{self._expression(column)} AS {quoted(column.name)}" for column in self._declared()]
        selected += [f"{expression} AS {quoted(name)}" for name, _, expression in self._extras()]
        return (
            f"SELECT {', '.join(selected)}\nFROM {quoted(self._raw)}, "
            f"LATERAL TABLE({quoted(self._function)}(`__message`)) AS `__t` ({names})"
        )

    def _stream_columns(self) -> tuple[StreamColumn, ...]:
        """Return the stream's columns; only the key is NOT NULL: errors and deletes have NULLs elsewhere."""
        key = self._table.primary_key
        declared = [
            StreamColumn(column.name, column.type + (" NOT NULL" if column.name in key else ""))
            for column in self._declared()
        ]
        return (*declared, *(StreamColumn(name, type_) for name, type_, _ in self._extras()))

    def _view(self) -> str:
        columns = ", ".join(
            quoted(column.name) if column.computed is None else f"{column.computed} AS {quoted(column.name)}"
            for column in self._table.columns
        )
        head = f"CREATE TEMPORARY VIEW {quoted(self._table.name)} AS\nSELECT {columns}\nFROM "
        stream, good = quoted(self._stream), f"{quoted(ERROR_COLUMN)} IS NULL"
        if self._ingest is Ingest.UPSERT:
            keys = ", ".join(map(quoted, self._table.primary_key))
            ranked = (
                f"SELECT *, ROW_NUMBER() OVER (PARTITION BY {keys} ORDER BY `__seq` DESC) AS `__rank`\n"
                f"  FROM {stream} WHERE {good}"
            )
            return f"{head}(\n  {ranked}\n) WHERE `__rank` = 1 AND `__kind` <> 'DELETE'"
        return f"{head}{stream}\nWHERE {good}"

    def _dead_letters(self) -> str:
        """Return the INSERT of bad rows: the JSON of the error, with the origin added at its start."""
        error, topic = quoted(ERROR_COLUMN), self._connector.topic
        row = f"REGEXP_EXTRACT(SUBSTRING({error} FROM 1 FOR 40), {literal(ROW_PATTERN)}, 1)"
        named = json.dumps(topic)[1:-1]
        return (
            f"INSERT INTO {quoted(DEAD_LETTER_TABLE)}\n"
            f"""SELECT '{{"id":"' || {_origin(named, row)} || {literal('","topic":"' + named)} """
            f"""|| '","partition":' """
            f"""|| CAST(`__partition` AS STRING) || ',"offset":' || CAST(`__offset` AS STRING) """
            f"""|| ',' || SUBSTRING({error} FROM 2)\nFROM {quoted(self._stream)} WHERE {error} IS NOT NULL"""
        )

    def _late_letter(self) -> str:
        letter = {
            "v": FORMAT_VERSION,
            "stage": Stage.LATE.value,
            "reason": "watermark",
            "detail": "the event time is not above the watermark: the producer breaks the topic's time rule",
            "job": self._job,
            "table": self._connector.table,
            "raw": None,
        }
        return (
            f"""'{{"row":' || CAST({quoted(_ROW)} AS STRING) """
            f"""|| ',"event_time_ms":' || CAST({quoted(_EVENT_MS)} AS STRING) """
            f"""|| ',"at_ms":' || CAST(UNIX_TIMESTAMP() * 1000 AS STRING) """
            f"|| {literal(', ' + json.dumps(letter)[1:])}"
        )


def _travels_as_ms(column: Column) -> bool:
    """Return whether the parser returns epoch milliseconds: for times of at most that precision."""
    flink = FlinkType.parse(column.type) if column.is_physical else None
    return (
        flink is not None and flink.root == "TIMESTAMP_LTZ" and flink.first is not None and flink.first <= 3
    )


def _origin(topic: str, row: str) -> str:
    return (
        f"{literal(topic + '/')} || CAST(`__partition` AS STRING) || '/' "
        f"|| CAST(`__offset` AS STRING) || '/' || {row}"
    )


def _interval(ms: int) -> str:
    """Return the SQL literal of a time span (Flink's SECOND accepts two digits of seconds)."""
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"INTERVAL '{days} {hours:02d}:{minutes:02d}:{seconds:02d}.{ms:03d}' DAY TO SECOND(3)"
