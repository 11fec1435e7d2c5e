"""Reads a table's WITH clause into the typed form of its connector."""

from __future__ import annotations

from collections.abc import Mapping

from streamjobs.dialect import kafka_properties
from streamjobs.dialect.connectors import (
    TYPES,
    BlackholeTable,
    Connector,
    Delivery,
    FlinkTable,
    Ingest,
    KafkaTable,
    MetaqTable,
    PrintTable,
    Role,
    StoreTable,
    kafka_options,
)
from streamjobs.dialect.findings import Finding, error
from streamjobs.dialect.nodes import CreateTable
from streamjobs.dialect.scan_start import ScanStart, scan_start
from streamjobs.options.options import OptionProblem, Options, OptionValue, Secret
from streamjobs.options.store_options import STORE_KINDS, STORE_OPTIONS

_TEXT_OPTIONS = ("linedelimiter", "fielddelimiter", "lengthcheck", "columnerrordebug")
"""Blink's options for splitting a message into rows and columns."""


def read_connector(
    table: CreateTable, env: Mapping[str, str] | None = None, time_zone: str = "UTC"
) -> tuple[Connector | None, list[Finding]]:
    """Read the WITH clause of a table.

    Secrets read `${NAME}` from `env`, by default from the environment; `time_zone` is the job's, for times
    without a zone. The connector is None if anything is wrong; then there are findings.
    """
    if "connector" in table.options:
        findings = _flink_findings(table)
        connector = table.options["connector"]
        return (None if findings else FlinkTable(connector, _flink_role(connector))), findings
    if "type" not in table.options:
        message = f"table {table.name} has neither 'type' ({', '.join(TYPES)}) nor Flink's own 'connector'"
        return None, [error("option-missing", message, table.options_span)]
    type_ = table.options["type"].lower()
    if type_ not in TYPES:
        written = table.options.entry("type")
        legal = ", ".join(TYPES)
        message = f"unknown type {written.value!r}; the types are {legal}, or 'connector' for Flink's own"
        return None, [error("type-unknown", message, written.value_span)]
    option_set = TYPES[type_]
    if type_ == "kafka":
        option_set = kafka_options(table.options.get("format", "json").lower())
    options, problems = option_set.read(table.options, env)
    findings = [_finding(table, problem) for problem in problems]
    if not findings:
        findings = _property_findings(table, options) + _secret_findings(table, options)
    if findings:
        return None, findings
    try:
        return _build(type_, table, options, time_zone), []
    except ValueError as exc:
        span = next(
            (each.value_span for each in table.options.entries if each.key.lower().startswith("start")),
            table.options_span,
        )
        return None, [error("option-value", str(exc), span)]


def _build(type_: str, table: CreateTable, options: Options, time_zone: str) -> Connector:
    if type_ == "metaq":
        return _metaq(table, options, scan_start(options, time_zone))
    if type_ == "kafka":
        return _kafka(options, scan_start(options, time_zone))
    if type_ in STORE_OPTIONS:
        given = STORE_OPTIONS[type_].as_given(table.options, options)
        return StoreTable(STORE_KINDS.get(type_, type_), given)
    if type_ == "print":
        return PrintTable(options.text_or_none("print-identifier") or "", options.flag("standard-error"))
    return BlackholeTable()


def _metaq(table: CreateTable, options: Options, start: ScanStart) -> MetaqTable:
    ingest = options.text_or_none("ingest")
    declared = options.text_or_none("table")
    by_key = Ingest.UPSERT if table.primary_key else Ingest.APPEND
    return MetaqTable(
        topic=options.text("topic"),
        table=declared,
        ingest=None if declared is None else (by_key if ingest is None else Ingest(ingest)),
        consumer_group=options.text_or_none("consumerGroup"),
        start=start,
        broker=options.text("broker"),
        tag=options.text_or_none("tag"),
        pull_interval_ms=options.number_or_none("pullIntervalMs"),
        casts=frozenset(column for column, wanted in options.prefixed("cast.").items() if wanted),
        skip_all_exception=options.flag("skipAllException"),
    )


def _kafka(options: Options, start: ScanStart) -> KafkaTable:
    format_ = options.text("format")
    passed_on = (f"{format_.lower()}.", "key.", "value.")
    return KafkaTable(
        topic=options.text("topic"),
        format=format_,
        delivery=Delivery(options.text("delivery")),
        transaction_prefix=options.text_or_none("transactionPrefix"),
        consumer_group=options.text_or_none("consumerGroup"),
        start=start,
        broker=options.text("broker"),
        sink_parallelism=options.number_or_none("sink.parallelism"),
        properties={name: _text(value) for name, value in _given_properties(options).items()},
        format_options={
            name: str(value) for name, value in options.items() if name.lower().startswith(passed_on)
        },
    )


def _given_properties(options: Options) -> dict[str, OptionValue]:
    properties = options.prefixed("properties.")
    return {name: value for name, value in properties.items() if f"properties.{name}" in options.given}


def _text(value: OptionValue) -> str | Secret:
    return value if isinstance(value, Secret) else str(value)


def _finding(table: CreateTable, problem: OptionProblem) -> Finding:
    if problem.about == "missing":
        message = f"table {table.name}: {problem.message}"
        return error("option-missing", message, table.options_span)
    entry = table.options.entry(problem.key)
    if problem.about == "key" and problem.key.lower() in _TEXT_OPTIONS:
        message = (
            f"option {problem.key!r} is Blink's, for messages that are lines of text: declare the table with "
            "one VARBINARY column and without 'table', and cut its messages by a function: LATERAL "
            "TABLE(f(message))"
        )
        return error("option-unknown", message, entry.key_span)
    span = entry.key_span if problem.about == "key" else entry.value_span
    return error(f"option-{problem.about}".replace("key", "unknown"), problem.message, span)


def _property_findings(table: CreateTable, options: Options) -> list[Finding]:
    findings = []
    for name, value in _given_properties(options).items():
        text = value.reveal() if isinstance(value, Secret) else str(value)
        refusal = kafka_properties.refusal(name, text)
        if refusal is not None:
            findings.append(
                error("kafka-property", refusal, table.options.entry(f"properties.{name}").key_span)
            )
    return findings


def _secret_findings(table: CreateTable, options: Options) -> list[Finding]:
    """Return errors for passwords of a store that are written in the file."""
    if table.options["type"].lower() not in STORE_OPTIONS:
        return []
    given = STORE_OPTIONS[table.options["type"].lower()]
    findings = []
    for entry in table.options.entries:
        is_secret = any(
            isinstance(v, Secret) for v in given.as_given({entry.key: entry.value}, options).values()
        )
        if is_secret and "${" not in entry.value:
            message = (
                f"option {entry.key!r}: a file is no place for a secret: write '${{NAME}}', and set NAME"
            )
            findings.append(error("secret-in-file", message, entry.value_span))
    return findings


def _flink_findings(table: CreateTable) -> list[Finding]:
    findings = []
    if "type" in table.options:
        message = "'type' and 'connector' are two ways to choose the table's connector: give one"
        findings.append(error("option-unknown", message, table.options.entry("type").key_span))
    for entry in table.options.entries:
        if entry.key.lower().startswith("properties."):
            refusal = kafka_properties.refusal(entry.key[len("properties.") :], entry.value, own_broker=True)
            if refusal is not None:
                findings.append(error("kafka-property", refusal, entry.key_span))
    return findings


def _flink_role(connector: str) -> Role:
    return {"datagen": Role.SOURCE, "blackhole": Role.SINK, "print": Role.SINK}.get(connector, Role.UNKNOWN)
