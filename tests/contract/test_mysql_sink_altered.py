"""A MySQL table that is altered under a job: written on where it still fits, else the job stops."""

from __future__ import annotations

import itertools
import threading
import time
from datetime import datetime, timezone
from decimal import Decimal

import pymysql
import pytest

from connectors.mysql.store.sink import MySqlSink
from streamjobs.errors import SystemicError
from streamjobs.metrics import MemoryMetrics
from tests.contract.delivering import delivering
from tests.contract.store_mysql import MySql
from tests.contract.stores import attempt, upsert
from tests.contract.test_mysql_sink import changed, refusal
from tests.contract.test_sink_faults import running
from tests.integration.waiting import wait_for
from tests.patience import limit_s

pytestmark = pytest.mark.services


@pytest.mark.parametrize("trouble", ["DROP TABLE {0}", "ALTER TABLE {0} DROP COLUMN name"])
def test_a_target_that_changes_under_way_stops_the_job(mysql: MySql, trouble: str) -> None:
    table = mysql.table()
    with delivering(mysql, table) as (delivery, letters):
        delivery.write([upsert(1)])
        mysql.sql(trouble.format(table.name))
        with pytest.raises(SystemicError):
            delivery.write([upsert(2, 2)])
    assert letters.kept == []


@pytest.mark.parametrize(
    ("type_", "told"),
    [
        ("DECIMAL(10,1)", "1 digits after the point: the others would be rounded off"),
        ("DECIMAL(10,0)", "0 digits after the point"),
        ("DOUBLE", "which cannot hold all its values; use "),
        ("BIGINT", "which cannot hold all its values; use "),
    ],
)
def test_a_column_that_is_altered_to_round_stops_the_job(mysql: MySql, type_: str, told: str) -> None:
    table = mysql.table()
    with delivering(mysql, table) as (delivery, letters):
        delivery.write([upsert(1, price=Decimal("7.00"))])
        mysql.sql(f"ALTER TABLE {table.name} MODIFY price {type_}")
        with pytest.raises(SystemicError, match=r"altered while the job runs.*column price") as caught:
            delivery.write([upsert(2, 2, price=Decimal("1.25"))])
    assert told in str(caught.value)
    assert letters.kept == []
    assert mysql.sql(f"SELECT id FROM {table.name}") == [["1"]]


@pytest.mark.parametrize(
    ("column", "type_", "value"),
    [
        ("at", "DATETIME", datetime(2026, 11, 23, 7, 20, 25, 999000, tzinfo=timezone.utc)),
        ("share", "FLOAT", 0.1),
        ("id", "VARCHAR(30) COLLATE utf8mb4_general_ci NOT NULL", 7),
    ],
)
def test_other_columns_that_are_altered_stop_the_job(
    mysql: MySql, column: str, type_: str, value: object
) -> None:
    table = mysql.table()
    with delivering(mysql, table) as (delivery, letters):
        delivery.write([upsert(1)])
        mysql.sql(f"ALTER TABLE {table.name} MODIFY `{column}` {type_}")
        with pytest.raises(SystemicError, match=f"altered while the job runs.*column {column}"):
            delivery.write([upsert(2, 2, **({} if column == "id" else {column: value}))])
    assert letters.kept == []


def test_a_unique_index_that_comes_under_way_stops_the_job(mysql: MySql) -> None:
    table = mysql.table()
    with delivering(mysql, table) as (delivery, _):
        delivery.write([upsert(1)])
        mysql.sql(f"ALTER TABLE {table.name} ADD UNIQUE KEY by_big (big)")
        with pytest.raises(SystemicError, match=r"altered while the job runs.*UNIQUE index by_big"):
            delivery.write([upsert(2, 2)])


def test_a_column_that_is_narrowed_gives_dead_letters_and_no_short_value(mysql: MySql) -> None:
    table = mysql.table()
    with delivering(mysql, table) as (delivery, letters):
        delivery.write([upsert(1, name="long enough")])
        mysql.sql(f"UPDATE {table.name} SET name = 'x'")
        mysql.sql(f"ALTER TABLE {table.name} MODIFY name VARCHAR(5), MODIFY big SMALLINT")
        delivery.write([upsert(2, 2, name="sixsix"), upsert(3, 3, big=40_000), upsert(4, 4, name="five5")])
    assert [letter.reason for letter in letters.kept] == ["size", "range"]
    assert mysql.sql(f"SELECT id, name FROM {table.name}") == [["1", "x"], ["4", "five5"]]


def test_a_table_that_still_fits_is_written_on_while_it_is_altered(mysql: MySql) -> None:
    table, metrics = mysql.table(), MemoryMetrics()
    with delivering(mysql, table, metrics=metrics) as (delivery, letters):
        written, done = itertools.count(1), threading.Event()

        def write() -> None:
            while not done.is_set():
                delivery.write([upsert(next(written), name="n", price=Decimal("1.25")) for _ in range(50)])

        with running(write):
            try:
                for change in (
                    "MODIFY price DECIMAL(20,4)", "MODIFY name LONGTEXT", "ADD COLUMN more INT",
                    "MODIFY price DECIMAL(30,6)", "ADD INDEX by_big (big)", "ENGINE=InnoDB",
                ):  # fmt: skip
                    mysql.sql(f"ALTER TABLE {table.name} {change}")
                end = time.monotonic() + limit_s(60)
                while not metrics.counts().get("retries"):  # an ALTER in the middle of a batch
                    assert time.monotonic() < end
                    mysql.sql(f"ALTER TABLE {table.name} ENGINE=InnoDB")
            finally:
                done.set()
    count = next(written) - 1
    assert letters.kept == []
    assert mysql.sql(f"SELECT COUNT(*), COUNT(DISTINCT id), MIN(price), MAX(price) FROM {table.name}") == [
        [str(count), str(count), "1.250000", "1.250000"]
    ]


def test_nobody_alters_a_table_between_the_look_and_the_commit(mysql: MySql) -> None:
    table = mysql.table()
    sink = MySqlSink(table)
    sink.open(attempt())
    sink._fence.check()
    sink._check_definition()
    other = pymysql.connect(host="127.0.0.1", port=mysql.service.port, user="root", database="store")
    with other, other.cursor() as cursor:
        cursor.execute("SET lock_wait_timeout = 1")
        with pytest.raises(pymysql.err.OperationalError, match="Lock wait timeout"):
            cursor.execute(f"ALTER TABLE {table.name} MODIFY price DECIMAL(10,1)")
        sink._connection.commit("letting go")
        cursor.execute(f"ALTER TABLE {table.name} MODIFY price DECIMAL(10,1)")
    sink.close()


def test_an_alter_that_waits_while_a_sink_is_opened_is_seen(mysql: MySql) -> None:
    table = changed(mysql.table(), requestTimeout="30 s")
    waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE '%metadata lock%'"
    reader = pymysql.connect(host="127.0.0.1", port=mysql.service.port, user="root", database="store")
    told: list[str] = []

    def alter() -> None:
        mysql.sql(f"ALTER TABLE {table.name} MODIFY price DECIMAL(10,1)")

    with reader, reader.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table.name}")
        with running(alter):
            wait_for(lambda: mysql.sql(waiting) == [["1"]], "the ALTER to wait", 30)
            with running(lambda: told.append(refusal(table))):
                wait_for(lambda: mysql.sql(waiting) == [["2"]], "the sink to wait behind it", 30)
                reader.rollback()
    assert "with 1 digits after the point: the others would be rounded off" in told[0]
