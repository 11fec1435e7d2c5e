"""What HBase adds to the contract: times and compaction, gateways, salt, text cells, times to live."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from thrift.Thrift import TType

from connectors.hbase import HBaseSink
from streamjobs.errors import ConfigError, RetriableError, SystemicError
from streamjobs.options.options import Secret
from streamjobs.sinks.contract import Attempt, SinkColumn, SinkTable
from tests.contract.conftest import Started
from tests.contract.store_hbase import HBase, HBaseReader
from tests.contract.stores import attempt, delete, row, upsert
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def cluster(started: Started) -> HBase:
    made = started["hbase"]
    assert isinstance(made, HBase)
    return made


@contextmanager
def opened(table: SinkTable, who: Attempt | None = None) -> Iterator[HBaseSink]:
    sink = HBaseSink(table)
    try:
        sink.open(who or attempt())
        yield sink
    finally:
        sink.close()


@contextmanager
def reader(cluster: HBase) -> Iterator[HBaseReader]:
    made = HBaseReader(cluster.service.port)
    try:
        yield made
    finally:
        made.close()


def with_options(table: SinkTable, **options: str | Secret) -> SinkTable:
    return replace(table, options={**table.options, **options})


def stopped_after_its_look(sink: HBaseSink) -> None:
    """Make it a writer that was stopped between its look at the fence and its request."""
    moment = sink._fence.next_time_ms()
    sink._fence.next_time_ms = lambda: moment  # type: ignore[method-assign]


def flush(cluster: HBase, table: SinkTable) -> None:
    """Write what is in memory to a file: a region does so when it is closed."""
    name = (TType.STRING, table.name.encode())
    with reader(cluster) as client:
        client.call("disableTable", name)
        client.call("enableTable", name)


def compacted(cluster: HBase, table: SinkTable) -> bool:
    """Tell whether the server says that it made one file of all three of the family `cf`."""
    (region,) = (cluster.environment.root / "hbase" / "data" / "data" / "default" / table.name).glob(
        "[0-9a-f]*"
    )
    done = f"Completed compaction of 3 (all) file(s) in {region.name}/cf"
    return done in cluster.service.server.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["upserts", "deletes"])
def test_a_late_request_of_a_zombie_changes_nothing(cluster: HBase, kind: str) -> None:
    table = cluster.table()
    with opened(table) as zombie:
        stopped_after_its_look(zombie)
        with opened(table, attempt(1)) as newer:
            newer.write([upsert(1, name="new"), delete(2), upsert(3, name="new")])
            newer.write([delete(3, 2)])
            old = [upsert(n, 9, name="old", big=1) for n in (1, 2, 3)]
            zombie.write(old if kind == "upserts" else [delete(1, 9)])
            assert cluster.rows(table) == {(1,): row(1, name="new")}


def test_a_deleted_row_stays_deleted_when_the_compaction_comes_first(cluster: HBase) -> None:
    table = cluster.table()
    with opened(table) as zombie:
        zombie.write([upsert(n, name="old") for n in range(3)])
        stopped_after_its_look(zombie)
        flush(cluster, table)
        with opened(table, attempt(1)) as newer:
            newer.write([upsert(1, name="new")])
            flush(cluster, table)
            newer.write([delete(1, 2), delete(2, 3)])
            flush(cluster, table)
        wait_for(lambda: compacted(cluster, table), "the compaction of all files", 60)
        zombie.write([upsert(1, 9, name="old"), upsert(2, 9, name="old")])
    assert cluster.rows(table) == {(0,): row(0, name="old")}


def test_a_newer_attempt_has_later_times_whatever_its_clock_says(
    cluster: HBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = cluster.table()
    now = time.time_ns()
    with opened(table) as zombie:
        monkeypatch.setattr("connectors.hbase.fences.time.time_ns", lambda: now + 3_600_000_000_000)
        last = zombie._fence.next_time_ms()
        monkeypatch.setattr("connectors.hbase.fences.time.time_ns", lambda: now - 3_600_000_000_000)
        with opened(table, attempt(1)) as newer:
            assert newer._fence.next_time_ms() > last


def test_times_are_those_of_the_clock_and_grow(cluster: HBase) -> None:
    table = cluster.table()
    with opened(table) as sink:
        times = [sink._fence.next_time_ms() for _ in range(50)]
    assert times == sorted(set(times))
    assert abs(times[-1] - time.time_ns() // 1_000_000) < 60_000


def test_a_gateway_that_died_is_connected_to_again(cluster: HBase) -> None:
    table = cluster.table()
    with opened(table) as sink:
        sink.write([upsert(1)])
        cluster.service.gateway.kill()
        with pytest.raises(RetriableError):
            sink.write([upsert(2)])
        with pytest.raises(RetriableError):
            sink.write([upsert(2)])
        cluster.service.gateway.restart()
        sink.write([upsert(2)])
    assert cluster.rows(table) == {(1,): row(1), (2,): row(2)}


def test_the_next_gateway_is_asked_where_one_is_gone(cluster: HBase) -> None:
    table = cluster.table()
    sink = HBaseSink(with_options(table, endPoint=f"127.0.0.1:1, 127.0.0.1:{cluster.service.port}"))
    with pytest.raises(RetriableError, match=r"connecting to 127\.0\.0\.1:1"):
        sink.open(attempt())
    sink.open(attempt())
    sink.write([upsert(1)])
    sink.close()
    assert cluster.rows(table) == {(1,): row(1)}


def test_a_disabled_table_is_told(cluster: HBase) -> None:
    table = cluster.table()
    with reader(cluster) as client:
        client.call("disableTable", (TType.STRING, table.name.encode()))
    with pytest.raises(SystemicError, match=f"HBase table {table.name} is disabled"), opened(table):
        pass


def test_salt_and_text_cells_are_what_a_scan_shows(cluster: HBase) -> None:
    columns = (SinkColumn("id", "STRING"), SinkColumn("n", "DECIMAL(6, 2)"), SinkColumn("at", "TIMESTAMP(3)"))
    options: dict[str, str | Secret] = {
        "endPoint": f"127.0.0.1:{cluster.service.port}", "saltBuckets": "8", "stringWriteMode": "true",
        "createTable": "true",
    }  # fmt: skip
    table = SinkTable(cluster.next_name(), columns, ("id",), options)
    with opened(table) as sink:
        sink.write([replace(upsert(1), key=("a",), values={"id": "a", "n": 7, "at": None})])
    with reader(cluster) as client:
        ((key, cells),) = client.scan(table.name)
    assert (key[1:], key[0] < 8, cells) == (b"a", True, {b"cf:id": b"a", b"cf:n": b"7.00"})


def test_a_cell_with_a_time_to_live_goes(cluster: HBase) -> None:
    table = cluster.table()
    with opened(with_options(table, ttl="3 s")) as sink:
        sink.write([upsert(1, name="a")])
    assert cluster.rows(table) == {(1,): row(1, name="a")}
    wait_for(lambda: cluster.rows(table) == {}, "the row to expire", 30)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"endPoint": "host:port"}, "host:port of the Thrift gateway"),
        ({"saltBuckets": "300"}, "0 to 256"),
        ({"family.a": "id", "family.b": "id"}, "is in the families a and b"),
        ({"family.a": "nope"}, "there is no column nope"),
        ({"columnFamly": "x"}, "did you mean 'columnFamily'"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, str | Secret], told: str) -> None:
    base: dict[str, str | Secret] = {"endPoint": "127.0.0.1:1"}
    with pytest.raises(ConfigError, match=told):
        HBaseSink(SinkTable("t", (SinkColumn("id", "INT"),), ("id",), base | options))
