"""What lookups read from real stores is what sinks wrote there, and what an independent reader sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from connectors.hbase.lookup import HBaseLookup
from connectors.mysql.store.lookup import MySqlLookup
from connectors.redis.lookup import RedisLookup
from streamjobs.changes.wire_values import binary32
from streamjobs.errors import ConfigError, RetriableError, SystemicError
from streamjobs.lookups.contract import CachedLookup, Key, Lookup, LookupSettings, Row
from streamjobs.metrics import MemoryMetrics
from streamjobs.retry import RetryPolicy
from streamjobs.sinks.contract import Record, RecordKind, SinkColumn, SinkTable
from tests.contract.conftest import MYSQLS
from tests.contract.store_mysql import MySql
from tests.contract.stores import FULL, LEAST, TEXT_COLUMNS, ServerStore, attempt, delete, patient, upsert

pytestmark = pytest.mark.services

LOOKUPS: Mapping[str, Callable[[SinkTable], Lookup]] = {
    "MySqlSink": MySqlLookup,
    "RedisSink": RedisLookup,
    "HBaseSink": HBaseLookup,
}


def lookup_of(store: ServerStore, table: SinkTable) -> Lookup:
    return LOOKUPS[type(store.sink(table)).__name__](table)


@contextmanager
def opened(store: ServerStore, table: SinkTable) -> Iterator[Lookup]:
    lookup = lookup_of(store, table)
    lookup.open()
    with closing(lookup):
        yield lookup


def written(store: ServerStore, table: SinkTable, *records: Record) -> None:
    sink = store.sink(table)
    sink.open(attempt())
    for start in range(0, len(records), 1000):
        assert sink.write(records[start : start + 1000]).rejected == ()
    sink.close()


def seen(store: ServerStore, table: SinkTable) -> dict[Key, Row]:
    """The rows as the store's independent reader gives them, in the form of lookups."""
    return {
        key: tuple(row[column.name] for column in table.columns) for key, row in store.rows(table).items()
    }


def test_every_type_comes_back_exactly(looked_up: ServerStore) -> None:
    table = looked_up.table()
    written(looked_up, table, upsert(1, **FULL), upsert(2, **LEAST), upsert(3), upsert(4))
    written(looked_up, table, delete(4, 2))
    expected = seen(looked_up, table)
    assert len(expected) == 3
    with opened(looked_up, table) as lookup:
        found = lookup.fetch([(1,), (2,), (3,), (4,), (99,)])
    assert found == expected
    kinds = [[type(value) for value in row] for row in found.values()]
    assert kinds == [[type(value) for value in expected[key]] for key in found]


def test_keys_that_look_alike_stay_apart(looked_up: ServerStore) -> None:
    table = looked_up.table(TEXT_COLUMNS, ("a", "b"))
    keys = looked_up.text_keys()
    written(
        looked_up, table,
        *(Record(key, dict(zip("ab", key, strict=True)), RecordKind.UPSERT, 1) for key in sorted(keys)),
    )  # fmt: skip
    with opened(looked_up, table) as lookup:
        assert lookup.fetch(keys) == {key: key for key in keys}
        assert lookup.fetch([("nobody", "x"), ("a", "B")]) == {}


def test_thousands_of_keys_are_read_at_once(looked_up: ServerStore) -> None:
    table = patient(looked_up.table())
    written(looked_up, table, *(upsert(number, name=f"n{number}") for number in range(0, 4000, 2)))
    with opened(looked_up, table) as lookup:
        found = lookup.fetch([(number,) for number in range(4000)])
    assert {key: row[1] for key, row in found.items()} == {
        (number,): f"n{number}" for number in range(0, 4000, 2)
    }


def test_a_change_is_seen_by_the_next_request(looked_up: ServerStore) -> None:
    table = looked_up.table()
    written(looked_up, table, upsert(1, name="old"))
    with opened(looked_up, table) as lookup:
        assert lookup.fetch([(1,)])[1,][1] == "old"
        written(looked_up, table, upsert(1, 2, name="new"))
        assert lookup.fetch([(1,)])[1,][1] == "new"


def test_a_store_that_dies_is_waited_for(server: ServerStore, looked_up: ServerStore) -> None:
    table = looked_up.table()
    written(looked_up, table, upsert(1, name="kept"))
    metrics, waits = MemoryMetrics(), list[int]()

    def restart() -> None:
        if not waits:
            server.service.restart()
        waits.append(1)

    settings = LookupSettings(policy=RetryPolicy(budget_s=120, max_delay_s=1))
    lookup = CachedLookup(lookup_of(looked_up, table), table.name, settings, metrics, alive=restart)
    lookup.open()
    with closing(lookup):
        server.service.kill()
        rows = lookup.rows([(1,), (2,)])
    assert (rows[0] or ())[1:2] == ("kept",)
    assert rows[1] is None
    assert metrics.counts()["retries"] == len(waits) > 0


def test_a_frozen_store_is_no_answer(server: ServerStore, looked_up: ServerStore) -> None:
    table = looked_up.table()
    written(looked_up, table, upsert(1, name="kept"))
    with opened(looked_up, table) as lookup:
        server.service.freeze()
        with pytest.raises(RetriableError):
            lookup.fetch([(1,)])
        server.service.thaw()
        assert lookup.fetch([(1,)])[1,][1] == "kept"


def test_credentials_that_are_wrong_stop_the_job(looked_up: ServerStore) -> None:
    wrong = looked_up.wrong_password(looked_up.table())
    if wrong is not None:  # HBase's gateway knows no credentials
        with pytest.raises(SystemicError), opened(looked_up, wrong):
            pass


def test_a_whole_table_is_read(looked_up: ServerStore) -> None:
    table = looked_up.table()
    written(looked_up, table, upsert(0, **FULL), *(upsert(number) for number in range(1, 2500)))
    if "host" in table.options:
        with pytest.raises(ConfigError, match="'cache'='NONE' or 'LRU'"):
            lookup_of(looked_up, replace(table, options={**table.options, "cache": "ALL"}))
        return
    with opened(looked_up, table) as lookup:
        assert dict(lookup.scan()) == seen(looked_up, table)


def test_a_missing_table_stops_the_job(looked_up: ServerStore) -> None:
    table = looked_up.table()
    if "host" in table.options:  # Redis has keys only
        with opened(looked_up, table) as lookup:
            assert lookup.fetch([(1,)]) == {}
        return
    with pytest.raises(SystemicError, match="nowhere"), opened(looked_up, replace(table, name="nowhere")):
        pass


@pytest.mark.parametrize("store", MYSQLS, indirect=True, scope="session")
def test_mysql_compares_texts_by_their_characters(store: MySql) -> None:
    table = store.table(TEXT_COLUMNS, ("a",), {"a": "VARCHAR(20) COLLATE utf8mb4_general_ci NOT NULL"})
    store.sql(f"INSERT INTO {table.name} VALUES ('Ä', 'x')")
    with opened(store, table) as lookup:
        assert lookup.fetch([("ä",), ("a",), ("Ä ",)]) == {}
        assert lookup.fetch([("Ä",), ("a",)]) == {("Ä",): ("Ä", "x")}


@pytest.mark.parametrize("store", MYSQLS, indirect=True, scope="session")
def test_mysql_gives_all_digits_of_a_float(store: MySql) -> None:
    columns = (SinkColumn("id", "BIGINT"), SinkColumn("f", "FLOAT"), SinkColumn("d", "FLOAT"))
    table = store.table(columns, types={"f": "FLOAT", "d": "DOUBLE"})
    wider = replace(table, columns=(columns[0], SinkColumn("f", "DOUBLE"), SinkColumn("d", "DOUBLE")))
    values = (16777215.0, 123456.7890625, 1.401298464324817e-45)
    rows = {number: (number, binary32(value), binary32(value)) for number, value in enumerate(values)}
    written(
        store, table,
        *(Record((n,), {"id": n, "f": f, "d": d}, RecordKind.UPSERT, 1) for n, f, d in rows.values()),
    )  # fmt: skip
    with opened(store, table) as lookup:
        found = lookup.fetch([(number,) for number in rows])
    assert {key[0]: (n, binary32(f), binary32(d)) for key, (n, f, d) in found.items()} == rows
    with opened(store, wider) as lookup:
        found = lookup.fetch([(number,) for number in rows])
    assert [row[1] for _, row in sorted(found.items())] == [16777215.0, 123456.79, 1e-45]
    with pytest.raises(ConfigError) as caught:
        MySqlLookup(replace(table, key=("f",)))
    assert str(caught.value) == (
        f"table {table.name}: a lookup by f, a FLOAT, compares digits that are never shown: look up by "
        "another column, or make it a DOUBLE or DECIMAL"
    )


@pytest.mark.parametrize("store", MYSQLS, indirect=True, scope="session")
def test_mysql_refuses_two_rows_of_a_key_and_values_of_another_type(store: MySql) -> None:
    table = store.table(TEXT_COLUMNS, ("a", "b"))
    store.sql(f"INSERT INTO {table.name} VALUES ('k', 'x'), ('k', 'y')")
    with opened(store, replace(table, key=("a",))) as lookup:
        with pytest.raises(SystemicError, match="two rows with the key"):
            lookup.fetch([("k",)])
    column = replace(table.columns[1], type="BIGINT")
    with opened(store, replace(table, columns=(table.columns[0], column))) as lookup:
        with pytest.raises(SystemicError, match=r"column b of .* holds 'x'"):
            lookup.scan()
