"""The configuration file of a capture: TOML, checked completely before anything starts."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from streamjobs.capture.config.routes import Route
from streamjobs.capture.config.settings import (
    BrokerSettings,
    CaptureConfig,
    MessageSettings,
    OffsetSettings,
    ServerAddress,
    SnapshotSettings,
)
from streamjobs.errors import ConfigError
from streamjobs.options.options import Option, OptionKind, Options, OptionSet, Secret

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

_SOURCE = OptionSet(
    (
        Option("name", "name of this source in messages, offsets and metrics", required=True),
        Option("url", "mysql://user@host:port", required=True),
        Option("password", 'the user\'s password, written "${NAME}"', secret=True, default=""),
        Option("server_id", "number that no other replica of the server has; a hash of the name by default",
               OptionKind.INTEGER, minimum=1),
        Option("tls", "verify: certificate and host name; verify_ca: the certificate alone; off: plain text",
               choices=("verify", "verify_ca", "off"), default="verify"),
        Option("tls_ca_file", "CA that signed the server's certificate; the system's CAs by default"),
        Option("snapshot", "all rows first, or only changes from now on",
               choices=("initial", "never"), default="initial"),
        Option("watchdog", "connect again after the server has been silent this long",
               OptionKind.DURATION_MS, default="15 s", minimum=1000),
        Option("retry_budget", "retry errors of server and broker this long without progress",
               OptionKind.DURATION_MS, default="10 min", minimum=0),
    )
)  # fmt: skip
_BROKER = OptionSet(
    (
        Option("bootstrap", "host:port of the brokers, separated by commas", required=True),
        Option("protocol", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", default="PLAINTEXT"),
        Option("mechanism", "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
        Option("username", "SASL user"),
        Option("password", 'SASL password, written "${NAME}"', secret=True),
        Option("ca_file", "CA that signed the brokers' certificates"),
        Option("partitions", "partitions of new topics", OptionKind.INTEGER, default="2", minimum=1),
        Option(
            "dead_letters",
            "dead-letter topic: rows that cannot be decoded or sent",
            default="streamjobs.dead_letters",
        ),
    )
)
_OFFSETS = OptionSet(
    (
        Option("topic", "compacted topic of the position", default="streamjobs.capture"),
        Option("file", "store the position in this file instead"),
        Option("every", "how often the position is stored", OptionKind.DURATION_MS, default="1 s", minimum=1),
    )
)
_MESSAGES = OptionSet(
    (
        Option("max_rows", "maximum rows of one message", OptionKind.INTEGER, default="200", minimum=1),
        Option("max_bytes", "maximum bytes of one message", OptionKind.SIZE_BYTES, default="64 kb",
               minimum=1),
        Option("max_span", "maximum difference between the times of one message",
               OptionKind.DURATION_MS, default="1 s", minimum=0),
        Option("linger", "how long a row waits for more rows of its message", OptionKind.DURATION_MS,
               default="100 ms", minimum=0),
        Option("heartbeat", "send a message without rows to a partition that is quiet this long",
               OptionKind.DURATION_MS, default="1 s", minimum=100),
        Option("large_rows", "a row too large for its topic becomes a dead letter, or stops the capture",
               choices=("dead_letter", "fail"), default="dead_letter"),
    )
)  # fmt: skip
_SNAPSHOT = OptionSet(
    (
        Option("readers", "connections that read in parallel", OptionKind.INTEGER, default="2", minimum=1),
        Option("chunk_rows", "rows of one snapshot chunk", OptionKind.INTEGER, default="10000", minimum=1),
        Option("chunk_bytes", "approximate bytes of one snapshot chunk", OptionKind.SIZE_BYTES,
               default="16 mb", minimum=1024),
        Option("max_rows_per_second", "limit for all readers together; none by default",
               OptionKind.INTEGER, minimum=1),
    )
)  # fmt: skip
POLICIES = ("evolve", "ignore", "fail")
_DDL = OptionSet(
    (
        Option("add_column", "ALTER TABLE that adds columns", choices=POLICIES, default="evolve"),
        Option("drop_column", "… that drops columns", choices=POLICIES, default="evolve"),
        Option("rename_column", "… that renames columns", choices=POLICIES, default="evolve"),
        Option(
            "modify_column",
            "… that changes a column's type, or other properties that messages contain",
            choices=POLICIES,
            default="evolve",
        ),
        Option("primary_key", "… that adds or changes the primary key", choices=POLICIES, default="fail"),
        Option(
            "columns_without_key",
            "a change of the columns of a table without a primary key",
            choices=("evolve", "fail"),
            default="fail",
        ),
        Option(
            "charset", "… that converts a table to another character set", choices=POLICIES, default="evolve"
        ),
        Option(
            "create_table", "a new table that matches a route", choices=("evolve", "fail"), default="evolve"
        ),
        Option(
            "rename_table", "a table that gets or loses a captured name", choices=POLICIES, default="evolve"
        ),
        Option(
            "drop_table",
            "a table, or a database, that is dropped",
            choices=("ignore", "fail"),
            default="ignore",
        ),
        Option(
            "truncate_table",
            "TRUNCATE, and other statements that replace rows without row events; evolve makes a snapshot",
            choices=POLICIES,
            default="fail",
        ),
        Option(
            "statement_format",
            "rows changed by a logged statement, without row events",
            choices=("ignore", "fail"),
            default="fail",
        ),
        Option("unknown", "a statement that cannot be parsed", choices=("ignore", "fail"), default="fail"),
    )
)
_METRICS = OptionSet(
    (
        Option("port", "loopback port of /metrics and /status; 0: any free port", OptionKind.INTEGER,
               default="0", minimum=0),
    )
)  # fmt: skip
TABLES = OptionSet(
    (
        Option("match", "database.table; * matches any characters", required=True),
        Option("exclude", "patterns of tables to leave out, separated by commas"),
        Option("topic", "topic of the changes", default="{database}.{table}"),
        Option("partitions", "partitions of a new topic; those of [broker] by default",
               OptionKind.INTEGER, minimum=1),
        Option("partition_by", "columns that choose the partition, by commas; the primary key by default"),
        Option("event_time_column", "column with the event time; the commit time by default"),
        Option("disorder", "how far event times are out of order", OptionKind.DURATION_MS, default="5 s",
               minimum=0),
        Option("without_key", "a table without a primary key uses all columns as key, or stops the capture",
               choices=("whole", "fail"), default="whole"),
    )
)  # fmt: skip
"""The options of `[[tables]]`."""
SECTIONS: Mapping[str, OptionSet] = {
    "source": _SOURCE,
    "broker": _BROKER,
    "offsets": _OFFSETS,
    "messages": _MESSAGES,
    "snapshot": _SNAPSHOT,
    "ddl": _DDL,
    "metrics": _METRICS,
}
"""The options of each section; docs/capture_options.md is generated from them."""
_LEGAL = OptionSet(Option(name, "") for name in (*SECTIONS, "tables"))


def read_config(path: Path, env: Mapping[str, str] | None = None) -> CaptureConfig:
    """Read a capture's file. Raises ConfigError that names every mistake, one a line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        message = f"cannot read the capture configuration {path}: {exc}"
        raise ConfigError(message) from exc
    return parse_config(text, str(path), env)


def parse_config(text: str, where: str, env: Mapping[str, str] | None = None) -> CaptureConfig:
    """Read a capture's TOML text; `where` names it in messages. Raises ConfigError."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        message = f"{where} is not TOML: {exc}"
        raise ConfigError(message) from exc
    env = os.environ if env is None else env
    _, problems = _LEGAL.read(dict.fromkeys(content, "-"), env)
    wrong = [f"{where}: {problem.message.replace('option', 'section', 1)}" for problem in problems]
    found: dict[str, Options] = {}
    for name, legal in SECTIONS.items():
        found[name], messages = _section(content.get(name, {}), legal, f"{where}: [{name}]", env)
        wrong += messages
    tables = content.get("tables", [])
    if not isinstance(tables, list) or not tables:
        wrong.append(f'{where}: no tables; add [[tables]] with match = "shop.*"')
        tables = []
    routes: list[Options] = []
    for number, table in enumerate(tables, 1):
        options, messages = _section(table, TABLES, f"{where}: [[tables]] {number}", env)
        routes.append(options)
        wrong += messages
    if wrong:
        raise ConfigError("\n".join(wrong))
    return _built(found, routes, where)


def _section(content: Any, legal: OptionSet, where: str, env: Mapping[str, str]) -> tuple[Options, list[str]]:
    if not isinstance(content, dict):
        return Options({}), [f"{where} is a table, not {content!r}"]
    texts = {key: _text(value) for key, value in content.items()}
    options, problems = legal.read(texts, env)
    found = [problem.message for problem in problems]
    for key, text in texts.items():
        is_secret = any(isinstance(value, Secret) for value in legal.as_given({key: text}, options).values())
        if is_secret and text and "${" not in text:
            found.append(f'option {key!r}: a file is no place for a secret: write "${{NAME}}", and set NAME')
    return options, [f"{where}: {each}" for each in found]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _built(found: Mapping[str, Options], tables: list[Options], where: str) -> CaptureConfig:
    source, broker, offsets = found["source"], found["broker"], found["offsets"]
    messages, snapshot = found["messages"], found["snapshot"]
    name = source.text("name")
    if not _NAME.fullmatch(name):
        message = f"{where}: [source]: name {name!r} is made of letters, digits, '.', '_' and '-'"
        raise ConfigError(message)
    file = offsets.text_or_none("file")
    partitions = broker.number("partitions")
    return CaptureConfig(
        name=name,
        server=_server(source, where),
        server_id=source.number_or_none("server_id"),
        snapshot_first=source.text("snapshot") == "initial",
        watchdog_ms=source.number("watchdog"),
        retry_budget_ms=source.number("retry_budget"),
        broker=BrokerSettings(
            broker.text("bootstrap"),
            broker.text("protocol"),
            broker.text_or_none("mechanism"),
            broker.text_or_none("username"),
            broker.secret("password"),
            broker.text_or_none("ca_file"),
            partitions,
            broker.text("dead_letters"),
        ),
        offsets=OffsetSettings(offsets.text("topic"), Path(file) if file else None, offsets.number("every")),
        messages=MessageSettings(
            messages.number("max_rows"),
            messages.number("max_bytes"),
            messages.number("max_span"),
            messages.number("linger"),
            messages.number("heartbeat"),
            messages.text("large_rows") == "fail",
        ),
        snapshot=SnapshotSettings(
            snapshot.number("readers"),
            snapshot.number("chunk_rows"),
            snapshot.number("chunk_bytes"),
            snapshot.number_or_none("max_rows_per_second"),
        ),
        routes=tuple(_route(table, partitions, where) for table in tables),
        ddl={option.name: found["ddl"].text(option.name) for option in _DDL.options},
        metrics_port=found["metrics"].number("port"),
    )


def _server(source: Options, where: str) -> ServerAddress:
    url = urlsplit(source.text("url"))
    try:
        port = url.port or 3306
    except ValueError as exc:
        message = f"{where}: [source]: url: {exc}"
        raise ConfigError(message) from exc
    if url.scheme not in ("mysql", "mariadb") or not url.hostname or not url.username:
        message = f"{where}: [source]: url is mysql://user@host:port, not {source.text('url')!r}"
        raise ConfigError(message)
    if source.text("tls") == "verify_ca" and source.text_or_none("tls_ca_file") is None:
        message = (
            f"{where}: [source]: verify_ca needs tls_ca_file, the CA that signed the server's certificate"
        )
        raise ConfigError(message)
    if url.password is not None:
        message = f'{where}: [source]: no password in the url; write password = "${{NAME}}"'
        raise ConfigError(message)
    return ServerAddress(
        url.hostname,
        port,
        unquote(url.username),
        source.secret("password") or Secret(""),
        tls=source.text("tls") != "off",
        tls_ca_file=source.text_or_none("tls_ca_file"),
        check_host=source.text("tls") == "verify",
    )


def _route(table: Options, partitions: int, where: str) -> Route:
    given: Callable[[str], str | None] = table.text_or_none
    return Route.made(
        table.text("match"),
        exclude=_names(given("exclude")),
        topic=table.text("topic"),
        partitions=table.number_or_none("partitions") or partitions,
        partition_by=_names(given("partition_by")),
        event_time_column=given("event_time_column"),
        disorder_ms=table.number("disorder") if given("event_time_column") else 0,
        refuse_without_key=table.text("without_key") == "fail",
        where=where,
    )


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())
