"""MySQL beyond the contract: what is refused at the start, what one row is to blame for, what passes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from connectors.mysql.store.connection import Target, target_of
from connectors.mysql.store.sink import MySqlSink
from streamjobs.errors import ConfigError, RetriableError, SystemicError
from streamjobs.metrics import MemoryMetrics
from streamjobs.options.store_options import MYSQL_OPTIONS
from streamjobs.sinks.contract import Record, RecordKind, SinkColumn, SinkTable
from tests.contract.delivering import delivering
from tests.contract.store_mysql import PASSWORD, MySql
from tests.contract.stores import COLUMNS, attempt, row, upsert
from tests.contract.test_sink_faults import retries, running
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.services
ID = SinkColumn("id", "BIGINT")
NAME = SinkColumn("name", "STRING")


def changed(table: SinkTable, **options: str) -> SinkTable:
    return replace(table, options={**table.options, **options})


def record(key: int, **values: Any) -> Record:
    return Record((key,), {"id": key, **values}, RecordKind.UPSERT, 1)


def written(table: SinkTable, *batches: list[Record]) -> None:
    sink = MySqlSink(table)
    sink.open(attempt())
    for batch in batches:
        assert sink.write(batch).rejected == ()
    sink.close()


def refusal(table: SinkTable) -> str:
    sink = MySqlSink(table)
    with pytest.raises(ConfigError) as caught:
        sink.open(attempt())
    sink.close()
    return str(caught.value)


def test_a_zombie_stopped_in_the_middle_of_a_transaction_keeps_nobody_waiting(mysql: MySql) -> None:
    table = mysql.table()
    zombie, newer = MySqlSink(table), MySqlSink(table)
    zombie.open(attempt())
    zombie._fence.check()
    for statement in zombie._statements([upsert(1, name="zombie")], []):
        zombie._connection.run(statement, "half a batch")
    newer.open(attempt(1))
    assert newer.write([upsert(1, name="new")]).rejected == ()
    with pytest.raises(RetriableError):
        zombie._connection.commit("the other half")
    with pytest.raises(SystemicError, match="newer attempt"):
        zombie.write([upsert(1, name="zombie")])
    assert mysql.rows(table) == {(1,): row(1, name="new")}
    zombie.close()
    newer.close()


def test_nothing_of_ours_is_in_the_table(mysql: MySql) -> None:
    table = mysql.table()
    before = mysql.sql(f"SHOW CREATE TABLE {table.name}")
    written(table, [upsert(1)])
    assert mysql.sql(f"SHOW CREATE TABLE {table.name}") == before
    assert mysql.sql(f"SELECT COUNT(*) FROM {table.name}") == [["1"]]


def test_columns_that_updates_leave_alone(mysql: MySql) -> None:
    table = changed(mysql.table(), excludeUpdateColumns="name, big")
    written(table, [upsert(1, name="first", big=1, share=1.0)], [upsert(1, 2, name="x", big=2, share=2.0)])
    assert mysql.rows(table) == {(1,): row(1, name="first", big=1, share=2.0)}
    only = changed(mysql.table((ID, NAME)), excludeUpdateColumns="name")
    written(only, [record(1, name="a")], [record(1, name="b")])
    assert mysql.rows(only) == {(1,): {"id": 1, "name": "a"}}
    with pytest.raises(ConfigError, match="'excludeUpdateColumns' names nam; the columns are id, name"):
        MySqlSink(changed(only, excludeUpdateColumns="nam"))


def test_unsigned_numbers_and_moments_are_exact(mysql: MySql) -> None:
    columns = (SinkColumn("id", "DECIMAL(20, 0)"), SinkColumn("at", "TIMESTAMP_LTZ(3)"))
    table = mysql.table(columns, types={"id": "BIGINT UNSIGNED NOT NULL"})
    key = Decimal(2**64 - 1)
    at = datetime(2026, 11, 23, 23, 30, tzinfo=timezone.utc)
    written(table, [Record((key,), {"id": key, "at": at}, RecordKind.UPSERT, 1)])
    there = f"SET time_zone = '+08:00'; SELECT * FROM {table.name}"
    assert mysql.sql(there) == [["18446744073709551615", "2026-11-24 07:30:00.000"]]


def test_a_unique_index_that_could_hijack_another_row_is_refused(mysql: MySql) -> None:
    table = mysql.table((ID, NAME), types={"name": "VARCHAR(50)"}, more=", UNIQUE KEY by_name (name)")
    assert "UNIQUE index by_name (name)" in refusal(table)
    wider = mysql.table((ID, NAME), types={"name": "VARCHAR(50)"}, more=", UNIQUE KEY wider (id, name)")
    written(wider, [record(1, name="a"), record(2, name="a")], [record(1, name="b")])
    assert len(mysql.rows(wider)) == 2


def test_a_key_beside_a_counter_of_the_server_is_fine(mysql: MySql) -> None:
    name = mysql.next_name()
    mysql.sql(
        f"CREATE TABLE {name} (n BIGINT PRIMARY KEY AUTO_INCREMENT, id BIGINT NOT NULL UNIQUE, name TEXT)"
    )
    table = SinkTable(name, (ID, NAME), ("id",), mysql.table().options)
    written(table, [record(7, name="a")], [record(7, name="b"), record(8, name="c")])
    assert mysql.rows(table) == {(7,): {"id": 7, "name": "b"}, (8,): {"id": 8, "name": "c"}}


@pytest.mark.parametrize(
    ("declared", "type_", "told"),
    [
        ("DOUBLE", "FLOAT", "which cannot hold all its values; use "),
        ("DOUBLE", "DECIMAL(20,5)", "which cannot hold all its values; use "),
        ("DECIMAL(10, 2)", "DECIMAL(20,1)", "1 digits after the point: the others would be rounded"),
        ("TIMESTAMP(3)", "DATETIME", "0 fraction digits: the fraction would be rounded"),
        ("TIMESTAMP(3)", "TIMESTAMP(3)", "cannot hold all its values; use datetime"),
        ("BIGINT", "BIGINT AS (id + 1)", "generated by the server"),
        ("BIGINT", "BIGINT AS (id + 1) STORED INVISIBLE", "generated by the server"),
        ("BYTES", "TEXT", "which cannot hold all its values; use "),
    ],
)
def test_a_column_that_would_lose_values_is_refused(
    mysql: MySql, declared: str, type_: str, told: str
) -> None:
    table = mysql.table((ID, SinkColumn("name", declared)), types={"name": type_})
    assert told in refusal(table)


def test_tables_that_cannot_be_written_safely_are_refused(mysql: MySql) -> None:
    plain = mysql.table((ID, NAME))
    mysql.sql(f"ALTER TABLE {plain.name} ENGINE=MyISAM")
    assert "not an InnoDB table (BASE TABLE, MyISAM)" in refusal(plain)
    needs = mysql.table((ID, NAME), types={"name": "VARCHAR(5) NOT NULL"})
    assert "column name" in refusal(replace(needs, columns=(ID,)))
    text = SinkColumn("a", "STRING")
    loose = mysql.table((text,), ("a",), types={"a": "VARCHAR(50) COLLATE utf8mb4_general_ci NOT NULL"})
    assert "has the collation utf8mb4_general_ci, for which different texts can be equal" in refusal(loose)
    written(changed(loose, looseKeys="true"), [Record(("x",), {"a": "x"}, RecordKind.UPSERT, 1)])


def test_a_key_that_the_collation_pads_is_a_dead_letter(mysql: MySql) -> None:
    text = SinkColumn("a", "STRING")
    table = mysql.table((text,), ("a",), types={"a": "VARCHAR(50) COLLATE utf8mb4_bin NOT NULL"})
    with delivering(mysql, table) as (delivery, letters):
        delivery.write([Record((key,), {"a": key}, RecordKind.UPSERT, 1) for key in ("x", "x ", "X")])
    assert [letter.reason for letter in letters.kept] == ["type"]
    assert mysql.rows(table).keys() == {("x",), ("X",)}


def test_rows_that_the_server_refuses_are_dead_letters_with_its_words(mysql: MySql) -> None:
    columns = (ID, NAME, SinkColumn("big", "BIGINT"))
    types = {"name": "VARCHAR(3) CHARACTER SET utf8mb3", "big": "SMALLINT NOT NULL CHECK (big <> 13)"}
    table = mysql.table(columns, types=types)
    rows = [
        record(1, name="abcd", big=1),
        record(2, name="🦊", big=1),
        record(3, name="a", big=40000),
        record(4, name="a", big=None),
        record(5, name="a", big=13),
        *(record(n, name="ok", big=1) for n in range(6, 200)),
    ]
    with delivering(mysql, table) as (delivery, letters):
        delivery.write(rows)
    reasons = [letter.reason for letter in letters.kept]
    assert reasons == ["size", "encoding", "range", "null", "constraint"]
    assert "Data too long for column 'name'" in letters.kept[0].detail
    assert len(mysql.rows(table)) == 194


def test_the_servers_packet_limit_splits_batches_and_refuses_giants(mysql: MySql) -> None:
    table = mysql.table((ID, NAME), types={"name": "LONGTEXT"})
    before = mysql.sql("SELECT @@max_allowed_packet")[0][0]
    mysql.sql("SET GLOBAL max_allowed_packet = 262144")
    try:
        with delivering(mysql, table) as (delivery, letters):
            delivery.write([record(0, name="x" * 250_000)])
            delivery.write([record(n, name="y" * 1000) for n in range(1, 2000)])
    finally:
        mysql.sql(f"SET GLOBAL max_allowed_packet = {before}")
    assert [letter.reason for letter in letters.kept] == ["size"]
    assert len(mysql.rows(table)) == 1999


def test_a_row_that_another_holds_is_waited_for(mysql: MySql) -> None:
    table, metrics = mysql.table(), MemoryMetrics()
    holder = MySqlSink(changed(table, writer="another", requestTimeout="60 s"))
    holder.open(attempt())
    with delivering(mysql, table, metrics=metrics) as (delivery, letters):
        delivery.write([upsert(1)])
        holder._connection.run(f"SELECT * FROM {table.name} WHERE id = 1 FOR UPDATE", "holding")
        with running(lambda: delivery.write([upsert(1, 2, name="b")])):
            wait_for(retries(metrics, 1), "a lock wait that was given up", 60)
            holder._connection.rollback()
    holder.close()
    assert letters.kept == []
    assert mysql.rows(table) == {(1,): row(1, name="b")}


def test_a_fail_over_to_a_read_only_server_is_waited_for(mysql: MySql) -> None:
    table, metrics = mysql.table(), MemoryMetrics()
    with delivering(mysql, table, metrics=metrics) as (delivery, letters):
        mysql.sql("SET GLOBAL read_only = 1")
        try:
            with running(lambda: delivery.write([upsert(1)])):
                wait_for(retries(metrics, 2), "two retries", 60)
                mysql.sql("SET GLOBAL read_only = 0")
        finally:
            mysql.sql("SET GLOBAL read_only = 0")
    assert letters.kept == []
    assert mysql.rows(table) == {(1,): row(1)}


def test_a_server_without_tls_is_refused_where_tls_is_asked_for(mysql: MySql) -> None:
    sink = MySqlSink(changed(mysql.table(), tls="true"))
    with pytest.raises(SystemicError, match=r"SSL|TLS|CERTIFICATE"):
        sink.open(attempt())
    sink.close()


def test_no_error_shows_the_password(mysql: MySql) -> None:
    table = mysql.table()
    assert PASSWORD not in repr(table)
    away = changed(table, url="mysql://127.0.0.1:1/store")
    sink = MySqlSink(away)
    with pytest.raises(RetriableError) as caught:
        sink.open(attempt())
    assert PASSWORD not in str(caught.value)
    sink.close()


LOGIN = {"userName": "u"}


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({"url": "jdbc:mysql://db:3307/shop?rewriteBatchedStatements=true"}, Target("db", 3307, "shop", "t")),
        ({"url": "mysql://db/shop", "tableName": "x"}, Target("db", 3306, "shop", "x")),
        ({"host": "db", "database": "shop"}, Target("db", 3306, "shop", "t")),
    ],
)
def test_where_a_table_is(options: dict[str, str], target: Target) -> None:
    assert target_of(MYSQL_OPTIONS.parse({**LOGIN, **options}, "table t"), "t") == target


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"host": "db"}, "give 'url' as"),
        ({"url": "mysql://db/shop", "host": "db"}, "use 'url' alone"),
        ({"url": "postgres://db/shop"}, "use 'url' alone"),
        ({"url": "mysql://db/shop?autoDeserialize=true"}, "parameter autoDeserialize is unknown"),
    ],
)
def test_where_no_table_is(options: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        target_of(MYSQL_OPTIONS.parse({**LOGIN, **options}, "table t"), "t")


def test_a_key_that_is_no_column_is_refused() -> None:
    with pytest.raises(ConfigError, match="is not one of its columns"):
        MySqlSink(SinkTable("t", COLUMNS, ("nope",), {"url": "mysql://db/shop", **LOGIN}))
