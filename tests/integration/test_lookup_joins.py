"""Lookup joins with MySQL and Redis in Flink give what a batch join of the same tables gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pymysql
import pytest
import redis

from streamjobs.errors import ConfigError
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.local.redis import RedisOptions, RedisServer
from tests.integration.waiting import wait_for
from tests.services.kinds import FlinkAddress, KafkaAddress, MariaDbAddress
from tests.services.shared import unique_name

pytestmark = pytest.mark.services

ROWS = 6000
TABLES = """-- Rows that are looked up.
CREATE TABLE probe (id BIGINT, item_id AS NULLIF(CAST(MOD(id, 60) AS INT), 7),
  city AS CONCAT('c', CAST(MOD(id, 9) AS STRING)),
  proctime AS PROCTIME())
WITH ('connector'='datagen', 'number-of-rows'='{rows}', 'fields.id.kind'='sequence', 'fields.id.start'='1',
  'fields.id.end'='{rows}');

CREATE TABLE item (item_id BIGINT, title VARCHAR, price DECIMAL(10, 2), big BIGINT, since TIMESTAMP(3),
  PRIMARY KEY (item_id) NOT ENFORCED)
WITH (type='rds', url='jdbc:mysql://127.0.0.1:{mysql}/{database}', userName='{database}',
  password='${{STORE_PASSWORD}}', cache='LRU', cacheSize='20', cacheTTLMs='600000');

CREATE TABLE item_title (item_id BIGINT, title VARCHAR, price DECIMAL(10, 2),
  PRIMARY KEY (item_id) NOT ENFORCED)
WITH (type='mysql', url='jdbc:mysql://127.0.0.1:{mysql}/{database}', tableName='item', userName='{database}',
  password='${{STORE_PASSWORD}}', 'cache'='ALL', 'cacheTTLMs'='1 s');

CREATE TABLE level (item_id BIGINT, city VARCHAR, level INT, share DOUBLE,
  PRIMARY KEY (item_id, city) NOT ENFORCED)
WITH (type='redis', host='127.0.0.1', port='{redis}', password='${{STORE_PASSWORD}}', mode='HASHMAP');

CREATE TABLE wide (id BIGINT, title VARCHAR, price DECIMAL(10, 2), big BIGINT, since TIMESTAMP(3), level INT,
  share DOUBLE, PRIMARY KEY (id) NOT ENFORCED)
WITH (type='rds', url='jdbc:mysql://127.0.0.1:{mysql}/{database}', userName='{database}',
  password='${{STORE_PASSWORD}}');

CREATE TABLE dear (id BIGINT, title VARCHAR, PRIMARY KEY (id) NOT ENFORCED)
WITH (type='rds', url='jdbc:mysql://127.0.0.1:{mysql}/{database}', userName='{database}',
  password='${{STORE_PASSWORD}}');
"""
JOB = """
CREATE VIEW looked_up AS
SELECT p.*, i.title, i.price, i.big, i.since
FROM probe AS p LEFT JOIN item FOR SYSTEM_TIME AS OF p.proctime AS i ON i.item_id = p.item_id;

INSERT INTO wide
SELECT o.id, o.title, o.price, o.big, o.since, l.level, l.share
FROM looked_up AS o
LEFT JOIN level FOR SYSTEM_TIME AS OF PROCTIME() AS l ON l.city = o.city AND l.item_id = o.item_id
ON CONFLICT DO NOTHING;

INSERT INTO dear
SELECT p.id, item_title.title FROM probe AS p
JOIN item_title FOR SYSTEM_TIME AS OF p.proctime ON p.item_id = item_title.item_id WHERE item_title.price > 20
ON CONFLICT DO NOTHING;
"""
UPDATING = """
INSERT INTO dear
SELECT p.k, i.title FROM (SELECT MOD(id, 9) AS k, COUNT(*) AS n FROM probe GROUP BY MOD(id, 9)) AS p
LEFT JOIN item FOR SYSTEM_TIME AS OF PROCTIME() AS i ON i.item_id = p.n
ON CONFLICT DO DEDUPLICATE;
"""
Item = tuple[str | None, Decimal, int | None, datetime]
ITEMS: Mapping[int, Item] = {
    number: (
        None if number % 5 == 0 else f"Nº {number} 🦊",
        Decimal(number) + Decimal("0.25"),
        None if number % 3 == 0 else 2**62 + number,
        datetime(2026, 11, 23, 7, 20, 25, number * 1000),  # noqa: DTZ001
    )
    for number in range(45)
}
"""Of the 60 items that are asked for; some columns are NULL."""
LEVELS: Mapping[tuple[int, str], tuple[int, float]] = {
    (number, f"c{number % 9}"): (number % 4, number / 7) for number in range(0, 60, 2)
}


@dataclass(frozen=True)
class Services:
    """Where the job runs and its stores are; `database` is also the name of its user."""

    bootstrap: str
    rest_url: str
    mysql_port: int
    redis_port: int
    database: str


@pytest.fixture(scope="module")
def redis_options() -> RedisOptions:
    return RedisOptions(password="secret-7")  # noqa: S106


@pytest.fixture(scope="module")
def services(
    kafka: KafkaAddress, flink: FlinkAddress, mariadb: MariaDbAddress, own_redis: RedisServer
) -> Iterator[Services]:
    made = Services(kafka.bootstrap, flink.rest_url, mariadb.port, own_redis.port, unique_name("lookups"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORE_PASSWORD", "secret-7")
        fill(made)
        yield made


def ask(services: Services, sql: str, rows: Sequence[object] = ()) -> Sequence[tuple[object, ...]]:
    with (
        closing(
            pymysql.connect(host="127.0.0.1", port=services.mysql_port, user="root", autocommit=True)
        ) as connection,
        connection.cursor() as cursor,
    ):
        if rows:
            cursor.executemany(sql, rows)
        else:
            cursor.execute(sql)
        return list(cursor.fetchall())


def fill(services: Services) -> None:
    """Make the tables, and the rows that are looked up."""
    database = services.database
    for sql in (
        f"CREATE DATABASE {database}",
        f"CREATE USER {database}@'127.0.0.1' IDENTIFIED BY 'secret-7'",
        f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON {database}.* TO {database}@'127.0.0.1'",
        f"CREATE TABLE {database}.item (item_id BIGINT PRIMARY KEY, "
        "title VARCHAR(100) CHARACTER SET utf8mb4, "
        "price DECIMAL(10,2), big BIGINT, since DATETIME(3), more TEXT)",
        f"CREATE TABLE {database}.wide (id BIGINT PRIMARY KEY, title VARCHAR(100) CHARACTER SET utf8mb4, "
        "price DECIMAL(10,2), big BIGINT, since DATETIME(3), level INT, share DOUBLE)",
        f"CREATE TABLE {database}.dear (id BIGINT PRIMARY KEY, title VARCHAR(100) CHARACTER SET utf8mb4)",
    ):
        ask(services, sql)
    rows = [(number, *item) for number, item in ITEMS.items()]
    ask(services, f"INSERT INTO {database}.item VALUES (%s, %s, %s, %s, %s, 'x')", rows)
    with redis.Redis(port=services.redis_port, password="secret-7") as client:  # noqa: S106
        for (number, city), (level, share) in LEVELS.items():
            client.hset(f"level:{number}:{city}", mapping={"level": level, "share": repr(share)})


def joined() -> tuple[set[tuple[object, ...]], set[tuple[object, ...]]]:
    """What a batch join gives: the rows of `wide` and `dear`."""
    wide, dear = set[tuple[object, ...]](), set[tuple[object, ...]]()
    for id_ in range(1, ROWS + 1):
        number = id_ % 60
        item = ITEMS.get(number) if number != 7 else None
        level = LEVELS.get((number, f"c{id_ % 9}")) if number != 7 else None
        wide.add((id_, *(item or (None,) * 4), *(level or (None, None))))
        if item is not None and item[1] > 20:
            dear.add((id_, item[0]))
    return wide, dear


def file_of(services: Services, path: Path, job: str) -> Path:
    tables = TABLES.format(
        rows=ROWS, mysql=services.mysql_port, redis=services.redis_port, database=services.database
    )
    path.write_text(tables + job, encoding="utf-8")
    return path


def test_a_lookup_join_gives_what_a_batch_join_gives(services: Services, tmp_path: Path) -> None:
    file = file_of(services, tmp_path / "lookups.sql", JOB)
    job = FlinkSession(services.rest_url).start(file, RunSettings(services.bootstrap, tmp_path, 1, None))
    try:
        wait_for(job.ended, "the end of the input", 120)
    finally:
        job.cancel()
    wide, dear = joined()
    assert set(ask(services, f"SELECT * FROM {services.database}.wide")) == wide
    assert set(ask(services, f"SELECT * FROM {services.database}.dear")) == dear


def test_rows_that_change_later_are_not_looked_up(services: Services, tmp_path: Path) -> None:
    file = file_of(services, tmp_path / "updating.sql", UPDATING)
    with pytest.raises(ConfigError, match=r"updating\.sql:\d+:11: item is looked up for rows that change"):
        FlinkSession(services.rest_url).start(file, RunSettings(services.bootstrap, tmp_path, 1, None))
