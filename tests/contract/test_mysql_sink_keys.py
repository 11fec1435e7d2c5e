"""Keys and sessions of the MySQL sink: each key is one row, whatever table and server have in store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pymysql
import pytest

from connectors.mysql.store.session import ASKED, SETTINGS
from connectors.mysql.store.sink import MySqlSink
from streamjobs.errors import SystemicError
from streamjobs.sinks.contract import Record, RecordKind, SinkColumn, SinkTable
from tests.contract.store_mysql import MySql
from tests.contract.stores import attempt, upsert
from tests.contract.test_mysql_sink import ID, NAME, changed, record, refusal, written

pytestmark = pytest.mark.services


def gone(table: SinkTable, *keys: Any) -> None:
    sink = MySqlSink(table)
    sink.open(attempt())
    deletes = [Record((key,), {table.key[0]: key}, RecordKind.DELETE, 2) for key in keys]
    assert sink.write(deletes).rejected == ()
    sink.close()


@pytest.mark.parametrize(
    "type_", ["BIGINT AUTO_INCREMENT", "BIGINT INVISIBLE AUTO_INCREMENT", "SMALLINT UNSIGNED AUTO_INCREMENT"]
)
def test_a_key_0_of_a_counted_column_is_0(mysql: MySql, type_: str) -> None:
    table = mysql.table((ID, NAME), types={"id": f"{type_} NOT NULL"})
    written(table, [record(0, name="a"), record(1, name="b")], [record(0, name="c")])
    assert mysql.sql(f"SELECT id, name FROM {table.name} ORDER BY id") == [["0", "c"], ["1", "b"]]
    gone(table, 0)
    assert mysql.sql(f"SELECT id, name FROM {table.name}") == [["1", "b"]]


def test_a_0_in_a_counted_column_beside_the_key_is_0(mysql: MySql) -> None:
    columns = (ID, SinkColumn("big", "BIGINT"))
    table = mysql.table(columns, types={"big": "BIGINT NOT NULL AUTO_INCREMENT"}, more=", KEY (big)")
    written(table, [record(1, big=0), record(2, big=0)])
    assert mysql.sql(f"SELECT id, big FROM {table.name} ORDER BY id") == [["1", "0"], ["2", "0"]]


@pytest.mark.parametrize(
    "more",
    [
        ", lower_name VARCHAR(50) AS (LOWER(name)) STORED, UNIQUE KEY u (lower_name)",
        ", lower_name VARCHAR(50) AS (LOWER(name)) STORED INVISIBLE, UNIQUE KEY u (lower_name)",
        ", code VARCHAR(10) NOT NULL DEFAULT '', UNIQUE KEY u (code)",
        ", made INT DEFAULT 7, UNIQUE KEY u (made)",
    ],
)
def test_a_unique_index_over_columns_that_the_job_does_not_give_is_refused(mysql: MySql, more: str) -> None:
    table = mysql.table((ID, NAME), types={"name": "VARCHAR(50)"}, more=more)
    told = "would turn a new row into an update of another row: make it a plain index: ALTER TABLE "
    assert f"{told}`{table.name}` DROP INDEX `u`, ADD INDEX `u` (" in refusal(table)


def test_a_unique_index_in_which_new_rows_never_meet_is_fine(mysql: MySql) -> None:
    more = ", code VARCHAR(10) DEFAULT NULL, UNIQUE KEY u (code), UNIQUE KEY w (name, code)"
    table = mysql.table((ID, NAME), types={"name": "VARCHAR(50)"}, more=more)
    written(table, [record(1, name="a"), record(2, name="a")], [record(1, name="b")])
    assert mysql.sql(f"SELECT id, name FROM {table.name} ORDER BY id") == [["1", "b"], ["2", "a"]]


def test_a_key_of_which_the_index_has_only_the_beginning_is_refused(mysql: MySql) -> None:
    name = mysql.next_name()
    mysql.sql(f"CREATE TABLE {name} (a VARCHAR(50) COLLATE utf8mb4_nopad_bin NOT NULL, PRIMARY KEY (a(3)))")
    table = SinkTable(name, (SinkColumn("a", "STRING"),), ("a",), mysql.table().options)
    assert "the UNIQUE index PRIMARY of store." in refusal(table)
    shown = "contains only the first characters of a, so keys with the same beginning would be one row"
    assert shown in refusal(table)


def test_a_number_as_a_text_key_deletes_itself_alone(mysql: MySql) -> None:
    table = mysql.table((ID,), types={"id": "VARCHAR(30) COLLATE utf8mb4_bin NOT NULL"})
    mysql.sql(f"INSERT INTO {table.name} VALUES ('5x'), ('05'), ('5.0'), (' 5')")
    written(table, [record(5), record(6)])
    gone(table, 5)
    assert mysql.sql(f"SELECT id FROM {table.name} ORDER BY id") == [[" 5"], ["05"], ["5.0"], ["5x"], ["6"]]


def test_bytes_that_a_binary_key_would_pad_are_refused_and_merge_with_none(mysql: MySql) -> None:
    raw = SinkColumn("raw", "BYTES")
    table = mysql.table((raw,), ("raw",), types={"raw": "BINARY(2) NOT NULL"})
    sink = MySqlSink(table)
    sink.open(attempt())
    keys: Sequence[bytes] = (b"\x09", b"\x09\x00", b"\x01\x02")
    rejected = sink.write([Record((key,), {"raw": key}, RecordKind.UPSERT, 1) for key in keys]).rejected
    sink.close()
    assert [(each.record.key, each.reason, each.detail) for each in rejected] == [
        (
            (b"\x09",),
            "type",
            "column raw: x'09' has 1 bytes; binary(2) fills it up with zero bytes; a VARBINARY keeps it",
        )
    ]
    gone(table, b"\x01\x02")
    assert mysql.sql(f"SELECT HEX(raw) FROM {table.name}") == [["0900"]]


def test_a_column_that_updates_leave_alone_does_not_follow_them(mysql: MySql) -> None:
    stamp = "TIMESTAMP(3) NULL ON UPDATE CURRENT_TIMESTAMP(3)"
    columns = (ID, NAME, SinkColumn("at", "TIMESTAMP_LTZ(3)"))
    table = changed(mysql.table(columns, types={"at": stamp}), excludeUpdateColumns="at")
    written(table, [record(1, name="a", at=None)], [record(1, name="b", at=None)])
    assert mysql.sql(f"SELECT id, name, at FROM {table.name}") == [["1", "b", "NULL"]]
    written(replace(table, options=mysql.table().options), [record(1, name="c")])
    assert mysql.sql(f"SELECT id, name, at FROM {table.name}") == [["1", "c", "NULL"]]


@pytest.mark.parametrize("type_", ["INT NOT NULL", "VARCHAR(9) NOT NULL COMMENT 'x'"])
def test_a_column_without_a_default_that_the_job_does_not_give_is_refused(mysql: MySql, type_: str) -> None:
    table = mysql.table((ID, NAME))
    mysql.sql(f"ALTER TABLE {table.name} ADD COLUMN must {type_}")
    assert refusal(table) == (
        f"table {table.name}: column must of store.{table.name} at 127.0.0.1:{mysql.service.port} is NOT "
        "NULL without a default, and the job does not write it"
    )


def test_a_row_that_lacks_what_a_trigger_needs_stops_the_job(mysql: MySql) -> None:
    table = mysql.table((ID, NAME))
    sink = MySqlSink(table)
    sink.open(attempt())
    mysql.sql(f"CREATE TABLE {table.name}_log (n INT NOT NULL)")
    mysql.sql(
        f"CREATE TRIGGER {table.name}_t AFTER INSERT ON {table.name} FOR EACH ROW INSERT INTO "
        f"{table.name}_log () "
        "VALUES ()"
    )
    with pytest.raises(SystemicError, match=r"Field 'n' doesn't have a default value"):
        sink.write([record(1, name="a")])
    sink.close()


def create_trigger(mysql: MySql, table: SinkTable, event: str, body: str) -> str:
    """Create a trigger that the job's user may read; return its name."""
    name, port = f"{table.name}_t", mysql.service.port
    with pymysql.connect(host="127.0.0.1", port=port, user="root", database="store") as connection:
        cursor = connection.cursor()
        cursor.execute(f"CREATE TRIGGER {name} BEFORE {event} ON {table.name} FOR EACH ROW {body}")
        cursor.execute(f"GRANT TRIGGER ON {table.name} TO writer@127.0.0.1")
    return name


@pytest.mark.parametrize(
    ("event", "body", "sets"),
    [
        ("INSERT", "SET NEW.name = UPPER(NEW.name)", "name"),
        ("UPDATE", "BEGIN SET @x = 1, NEW.`name` := 'x'; END", "name"),
        ("INSERT", "SET NEW.id = (SELECT MAX(a) FROM (SELECT 1 AS a) AS x), NEW.NAME = 'x'", "id, NAME"),
    ],
)
def test_a_trigger_that_stores_other_values_is_refused(
    mysql: MySql, event: str, body: str, sets: str
) -> None:
    table = mysql.table((ID, NAME))
    name = create_trigger(mysql, table, event, body)
    shown = f"table {table.name}: the trigger {name} (BEFORE {event}) of store.{table.name} at "
    shown += f"127.0.0.1:{mysql.service.port} "
    assert refusal(table) == (
        f"{shown}sets {sets}, so other values would be stored than the job writes: let it set only columns "
        f"that the job does not write, or DROP TRIGGER `{name}`"
    )
    mysql.sql(f"REVOKE TRIGGER ON {table.name} FROM writer@127.0.0.1")
    assert refusal(table) == (
        f"{shown}cannot be read, so it may store other values than the job writes: GRANT TRIGGER on the "
        f"table to the job's user, or DROP TRIGGER `{name}`"
    )


@pytest.mark.parametrize(
    "body",
    [
        "SET NEW.n = 7",
        "BEGIN IF NEW.name = 'bad' THEN SIGNAL SQLSTATE '45000'; END IF; END",
        "SET @name = NEW.name",
    ],
)
def test_a_trigger_that_leaves_the_jobs_columns_alone_is_fine(mysql: MySql, body: str) -> None:
    table = mysql.table((ID, NAME, SinkColumn("n", "BIGINT")), types={"n": "BIGINT"})
    create_trigger(mysql, table, "INSERT", body)
    written(replace(table, columns=(ID, NAME)), [record(1, name="a")])
    assert mysql.sql(f"SELECT id, name FROM {table.name}") == [["1", "a"]]


BAD = {
    "sql_mode": "'NO_BACKSLASH_ESCAPES,ANSI_QUOTES,PAD_CHAR_TO_FULL_LENGTH,EMPTY_STRING_IS_NULL'",
    "sql_select_limit": "1", "time_zone": "'-09:00'", "tx_isolation": "'SERIALIZABLE'", "tx_read_only": "1",
    "completion_type": "'RELEASE'", "check_constraint_checks": "0", "sql_safe_updates": "1",
    "sql_big_selects": "0",
    "max_statement_time": "5", "wait_timeout": "2", "lock_wait_timeout": "0", "foreign_key_checks": "0",
    "unique_checks": "0", "innodb_lock_wait_timeout": "1", "idle_transaction_timeout": "1",
    "idle_readonly_transaction_timeout": "1", "idle_write_transaction_timeout": "1", "net_read_timeout": "1",
    "net_write_timeout": "1", "sql_auto_is_null": "1", "sql_quote_show_create": "0",
}  # fmt: skip
"""What a server may hand out to new sessions."""


def test_a_session_is_as_the_sink_needs_it_whatever_the_server_hands_out(mysql: MySql) -> None:
    table = mysql.table()
    keeper = pymysql.connect(host="127.0.0.1", port=mysql.service.port, user="root", autocommit=True)
    with keeper, keeper.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(f'@@GLOBAL.{name}' for name in BAD)}")
        before = cursor.fetchone()
        try:
            for name, value in BAD.items():
                cursor.execute(f"SET GLOBAL {name} = {value}")
            sink = MySqlSink(table)
            sink.open(attempt())
            assert sink.write([upsert(1, name="a\\'b"), upsert(2, name="")]).rejected == ()
            shown = sink._connection.run(ASKED, "asking")
            (limit,) = sink._connection.run("SELECT @@sql_select_limit", "asking")[0]
            sink.close()
        finally:
            for name, value in zip(BAD, before, strict=True):
                cursor.execute(f"SET GLOBAL {name} = %s", (value,))
    found = {str(name).lower(): str(value) for name, value in shown}
    assert found.pop("lock_wait_timeout") == found.pop("innodb_lock_wait_timeout") == str(lock_wait_s(table))
    assert set(found.pop("sql_mode").split(",")) == {
        "STRICT_ALL_TABLES", "NO_AUTO_VALUE_ON_ZERO", "NO_ENGINE_SUBSTITUTION",
    }  # fmt: skip
    ours = {setting.name: setting.value.strip("'") for setting in SETTINGS}
    assert len(found) >= 18
    for name, value in found.items():
        wanted = ours[name]
        assert value in (wanted, {"1": "ON", "0": "OFF"}.get(wanted), f"{wanted}.000000"), name
    assert limit == 18446744073709551615
    rows = mysql.rows(table)
    assert {key: values["name"] for key, values in rows.items()} == {(1,): "a\\'b", (2,): ""}


def lock_wait_s(table: SinkTable) -> int:
    """Four fifths of the request's time."""
    return max(1, int(int(str(table.options["requestTimeout"]).split()[0]) / 1000 * 0.8))
