"""Replay of several files: what one file tells of tables holds in the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from connectors.mysql.server.table_names import ServerNames
from streamjobs.brokers.contract import Envelope
from streamjobs.capture.config.routes import Route, Routes
from streamjobs.capture.publish.partitions import Topic
from streamjobs.capture.replay import Replay, ReplaySummary
from streamjobs.changes.row_change import RowChange
from streamjobs.cli.capture_line import replay_lines
from tests.unit.binlog_writer import ColumnForm, Writer, row_image
from thrift_idl.codec import decode

INT = ColumnForm(3, numeric=True)


@dataclass
class Broker:
    """What a replay asks of its broker; keeps what it is given."""

    envelopes: list[Envelope] = field(default_factory=list)

    def topics(self, wanted: Mapping[str, int]) -> dict[str, Topic]:
        return {name: Topic(partitions, {}) for name, partitions in wanted.items()}

    def producer(self) -> Broker:
        return self

    def dead_letters(self) -> Broker:
        return self

    def send(self, envelope: Envelope) -> None:
        self.envelopes.append(envelope)

    def flush(self) -> None:
        return

    def abandon(self) -> None:
        return

    def close(self) -> None:
        return

    @property
    def changes(self) -> list[RowChange]:
        return [change for one in self.envelopes for change in decode(one.payload).changes]


def inserted(path: Path, *statements: str) -> Path:
    log = Writer()
    for statement in statements:
        log.query(statement)
    log.query("BEGIN")
    log.table_map((INT, INT), ("id", "v"))
    log.rows(30, [row_image((b"\1\0\0\0", b"\2\0\0\0"))], 2)
    log.xid()
    path.write_bytes(log.data)
    return path


def test_definitions_of_one_file_hold_in_the_next(tmp_path: Path) -> None:
    """The key in the log's metadata is a UNIQUE one: the definition says that there is no primary key."""
    broker = Broker()
    first = inserted(tmp_path / "bin.000001", "CREATE TABLE t (id INT(7) NOT NULL UNIQUE, v INT)")
    second = inserted(tmp_path / "bin.000002")
    replay = Replay("shop", Routes([Route.made("*.*", partitions=1)]), cast("Any", broker))
    summary = replay.run([first, second])
    assert summary.rows == {"d.t": 2}
    one, two = broker.changes
    assert one.schema == two.schema
    assert [column.native_type for column in two.schema.columns] == ["int(7)", "int"]
    assert not two.schema.key_indexes


def logged(path: Path, *statements: str, database: bytes = b"d") -> Path:
    """Write a log of these statements, each in a transaction of its own, and of one row."""
    log = Writer()
    for statement in statements:
        log.query("BEGIN")
        log.query(statement)
        log.query("COMMIT")
    log.query("BEGIN")
    log.table_map((INT, INT), ("id", "v"), database=database)
    log.rows(30, [row_image((b"\1\0\0\0", b"\2\0\0\0"))], 2)
    log.xid()
    path.write_bytes(log.data)
    return path


def replayed(
    path: Path,
    *statements: str,
    match: str = "*.*",
    database: bytes = b"d",
    names: ServerNames | None = None,
) -> ReplaySummary:
    """Replay a log of these statements, each in a transaction of its own, and of one row."""
    file = logged(path / "bin.000001", *statements, database=database)
    routes = Routes([Route.made(match, partitions=1)])
    return Replay("shop", routes, cast("Any", Broker()), names=names).run([file])


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO t VALUES (1, 2)",
        "UPDATE t SET v = 3",
        "DELETE FROM t",
        "REPLACE INTO t SELECT * FROM other",
        "LOAD DATA INFILE 'x' INTO TABLE t",
    ],
)
def test_statements_that_change_rows_and_are_no_rows_are_counted_and_told(
    tmp_path: Path, statement: str
) -> None:
    summary = replayed(tmp_path, *[statement] * 10)
    assert (summary.rows, summary.unseen) == ({"d.t": 1}, {"statement_format": 10})
    assert list(replay_lines(replace(summary, seconds=0.5))) == [
        "           1  d.t",
        "          10  statements: statement format",
        "1 row changes of 11 transactions acknowledged in 0.5 s, 0 dead letters",
        "Not complete: the log has no rows of these statements (10 statement format), so their changes were "
        "not sent. Load those tables in another way, such as by a snapshot of the server",
    ]


@pytest.mark.parametrize(
    ("statement", "brings"),
    [
        ("CREATE TABLE u SELECT * FROM t", 1),
        ("CREATE TABLE u (PRIMARY KEY (id)) AS SELECT 1 AS id", 1),
        ("CREATE OR REPLACE TABLE u (id INT) SELECT id FROM t WHERE v LIKE 'x'", 1),
        ("CREATE TABLE u TABLE t", 1),
        ("CREATE TABLE u LIKE unknown", 0),
        ("CREATE TABLE u (id INT, v INT DEFAULT 3)", 0),
    ],
)
def test_a_table_that_a_query_fills_has_rows_that_the_log_has_not(
    tmp_path: Path, statement: str, brings: int
) -> None:
    summary = replayed(tmp_path, statement)
    assert summary.unseen == ({"statement_format": 1} if brings else {})
    assert summary.statements == {"create_table": 1}


def test_a_truncate_leaves_rows_downstream_and_is_told(tmp_path: Path) -> None:
    assert replayed(tmp_path, "TRUNCATE TABLE t").unseen == {"truncate_table": 1}


def test_statements_on_tables_that_are_not_sent_and_new_tables_leave_a_replay_complete(
    tmp_path: Path,
) -> None:
    summary = replayed(tmp_path, "INSERT INTO other.t VALUES (1)", "CREATE TABLE u (id INT)", match="d.*")
    assert (summary.unseen, summary.statements) == ({}, {"create_table": 1})


def test_tables_of_the_system_are_named_as_not_sent(tmp_path: Path) -> None:
    summary = replayed(tmp_path, database=b"mysql")
    assert list(replay_lines(replace(summary, seconds=0.5))) == [
        "Not sent, because they are system tables: mysql.t",
        "0 row changes of 1 transactions acknowledged in 0.5 s, 0 dead letters",
    ]
    assert replayed(tmp_path, match="shop.*", database=b"mysql").system_tables == ()


@pytest.mark.parametrize("names", [ServerNames.IN_LOWER_CASE, ServerNames.ALIKE])
def test_names_are_compared_as_the_server_compares_them(tmp_path: Path, names: ServerNames) -> None:
    """A log of a server that does not tell upper case from lower case, of its table `d.t`."""
    made = "CREATE TABLE t (id INT PRIMARY KEY, v INT)"
    summary = replayed(
        tmp_path, made, "TRUNCATE TABLE D.T", "INSERT INTO T VALUES (7, 7)", match="d.t", names=names
    )
    assert (summary.unseen, summary.alike) == ({"truncate_table": 1, "statement_format": 1}, ())


def test_names_that_differ_in_case_are_told_where_it_is_not_known_whether_they_are_the_same(
    tmp_path: Path,
) -> None:
    summary = replayed(tmp_path, "TRUNCATE TABLE D.T", "TRUNCATE TABLE other", match="d.t")
    assert (summary.unseen, summary.alike) == ({}, ("D.T",))
    assert list(replay_lines(replace(summary, seconds=0.5)))[-1] == (
        "Not certain: statements name D.T, and the log has rows of tables with these names in another case. "
        "Only the server knows whether they are the same: pass --lower-case-table-names "
        "(SELECT @@lower_case_table_names)"
    )
    told = replayed(tmp_path, "TRUNCATE TABLE D.T", match="d.t", names=ServerNames.AS_SPELLED)
    assert (told.unseen, told.alike) == ({}, ())


def test_a_schema_is_read_under_the_names_of_the_server(tmp_path: Path) -> None:
    schema = tmp_path / "schema.sql"
    schema.write_text("CREATE TABLE D.T (id INT(7) PRIMARY KEY, v INT)", encoding="utf-8")
    path, broker = inserted(tmp_path / "bin.000001"), Broker()
    routes = Routes([Route.made("*.*", partitions=1)])
    names = ServerNames.IN_LOWER_CASE
    Replay("shop", routes, cast("Any", broker), schema, names=names).run([path])
    (change,) = broker.changes
    assert [column.native_type for column in change.schema.columns] == ["int(7)", "int"]
