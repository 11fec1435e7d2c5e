"""Redis beyond the contract: clusters, sorted sets, lives, other people's keys, a full memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from connectors.redis import RedisSink
from connectors.redis.connection import slot_of, slot_tags
from streamjobs.errors import ConfigError, RetriableError, SystemicError
from streamjobs.metrics import MemoryMetrics
from streamjobs.sinks.contract import Record, RecordKind, SinkColumn, SinkTable
from tests.contract.conftest import Started
from tests.contract.delivering import delivering
from tests.contract.store_redis import PASSWORD, RedisCluster, RedisHashes, RedisReader, RedisTexts
from tests.contract.stores import FULL, attempt, delete, row, upsert
from tests.contract.test_sink_convergence import History, model
from tests.contract.test_sink_faults import retries, running
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.services
SCORES = (SinkColumn("scene", "STRING"), SinkColumn("item", "BIGINT"), SinkColumn("ctr", "DOUBLE"))


@pytest.fixture(scope="module")
def texts(started: Started) -> RedisTexts:
    made = started["redis-texts"]
    assert isinstance(made, RedisTexts)
    return made


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    store = RedisCluster(tmp_path_factory.mktemp("cluster"))
    store.start()
    yield store
    store.stop()


@pytest.fixture
def reader(texts: RedisTexts) -> Iterator[RedisReader]:
    client = RedisReader(texts.service.port)
    yield client
    client.close()


def changed(table: SinkTable, **options: str) -> SinkTable:
    return replace(table, options={**table.options, **options})


def written(table: SinkTable, *batches: list[Record]) -> None:
    sink = RedisSink(table)
    sink.open(attempt())
    for batch in batches:
        assert sink.write(batch).rejected == ()
    sink.close()


def test_slots_are_those_of_the_server(cluster: RedisCluster) -> None:
    client = RedisReader(cluster.service.port)
    keys = [b"", b"a", b"{user}:1", b"{}x", b"a{b}c{d}", b"{", b"ab{c", "ä🦊".encode()]
    assert [client.ask("CLUSTER", "KEYSLOT", key) for key in keys] == [slot_of(key) for key in keys]
    tags = slot_tags()
    assert [slot_of(b"x{" + tags[slot] + b"}y") for slot in (0, 1, 9999, 16383)] == [0, 1, 9999, 16383]
    client.close()


def test_a_cluster_keeps_all_rows_wherever_their_slots_are(cluster: RedisCluster) -> None:
    table = cluster.table()
    written(table, [upsert(n, **FULL) for n in range(300)], [delete(n, 2) for n in range(0, 300, 3)])
    assert cluster.rows(table) == {(n,): row(n, **FULL) for n in range(300) if n % 3}


def test_a_zombie_is_fenced_off_in_every_slot_of_a_cluster(cluster: RedisCluster) -> None:
    table = cluster.table()
    zombie, newer = RedisSink(table), RedisSink(table)
    zombie.open(attempt())
    newer.open(attempt(1))
    for key in range(50):
        with pytest.raises(SystemicError, match="newer attempt"):
            zombie.write([upsert(key)])
    assert cluster.rows(table) == {}
    zombie.close()
    newer.close()


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.long) for n in range(2, 40))])
def test_any_history_converges_in_a_cluster(cluster: RedisCluster, seed: int) -> None:
    history = History(cluster, seed)
    history.run()
    assert cluster.rows(history.table) == model(history.log)
    history.close()


def scored(scene: str | None, item: int, ctr: Any) -> Record:
    return Record((scene, item), {"scene": scene, "item": item, "ctr": ctr}, RecordKind.UPSERT, 1)


def test_a_sorted_set_gives_the_top_by_score(texts: RedisTexts, reader: RedisReader) -> None:
    table = changed(texts.table(SCORES, ("scene", "item")), mode="SORTEDSET")
    gone = Record(("home", 2), {}, RecordKind.DELETE, 2)
    written(
        table,
        [scored("home", n, n / 8) for n in range(5)] + [scored("cart", 1, -0.5)],
        [gone, scored("home", 0, 9.0)],
    )
    assert reader.ask("ZREVRANGE", f"{table.name}:home", "0", "1", "WITHSCORES") == [
        b"0", b"9", b"4", b"0.5"
    ]  # fmt: skip
    assert reader.ask("ZRANGE", f"{table.name}:home", "0", "-1") == [b"1", b"3", b"4", b"0"]
    assert reader.ask("ZSCORE", f"{table.name}:cart", "1") == b"-0.5"


def test_scores_that_no_double_holds_are_dead_letters(texts: RedisTexts) -> None:
    columns = (*SCORES[:2], SinkColumn("ctr", "BIGINT"))
    table = changed(texts.table(columns, ("scene", "item")), mode="SORTEDSET")
    bad = [scored("a", 1, 2**53 + 1), scored("a", 2, None), scored("a", 3, float("nan")), scored(None, 4, 1)]
    with delivering(texts, table) as (delivery, letters):
        delivery.write([*bad, scored("a", 5, 2**53)])
    assert sorted(letter.reason for letter in letters.kept) == ["null", "null", "range", "range"]


def test_a_sorted_set_without_one_score_is_refused(texts: RedisTexts) -> None:
    with pytest.raises(ConfigError, match="the last of which is the member, and one score"):
        RedisSink(changed(texts.table(), mode="SORTEDSET"))
    columns = (*SCORES[:2], SinkColumn("ctr", "DECIMAL(10, 2)"))
    with pytest.raises(ConfigError, match="Redis keeps scores as DOUBLE"):
        RedisSink(changed(texts.table(columns, ("scene", "item")), mode="SORTEDSET"))


@pytest.mark.parametrize("mode", ["STRING", "HASHMAP"])
def test_a_life_begins_anew_with_each_change_and_ends_with_the_option(
    texts: RedisTexts, reader: RedisReader, mode: str
) -> None:
    table = changed(texts.table(), mode=mode)
    key = f"{table.name}:1"
    written(changed(table, ttl="1 h"), [upsert(1, name="a")])
    assert 3_500_000 < reader.ask("PTTL", key) <= 3_600_000
    reader.ask("PEXPIRE", key, "5000")
    partial = Record((1,), {"id": 1, "big": 5}, RecordKind.UPSERT, 2)
    written(changed(table, ttl="1 h"), [partial])
    assert 3_500_000 < reader.ask("PTTL", key) <= 3_600_000
    written(table, [upsert(1, 3, name="b")])
    assert reader.ask("PTTL", key) == -1


def test_a_key_of_another_kind_is_a_dead_letter_alone(texts: RedisTexts, reader: RedisReader) -> None:
    table = changed(texts.table(), mode="HASHMAP")
    reader.ask("SET", f"{table.name}:2", "not ours")
    with delivering(texts, table) as (delivery, letters):
        delivery.write([upsert(n) for n in range(1, 4)])
    assert [letter.reason for letter in letters.kept] == ["wrongtype"]
    assert reader.ask("EXISTS", f"{table.name}:1", f"{table.name}:3") == 2
    assert reader.ask("GET", f"{table.name}:2") == b"not ours"
    reader.ask("DEL", f"{table.name}:2")


def test_two_jobs_share_hashes_as_writers_of_their_own_fields(texts: RedisTexts, reader: RedisReader) -> None:
    key, a, b = SinkColumn("id", "BIGINT"), SinkColumn("a", "STRING"), SinkColumn("b", "STRING")
    name = texts.next_name()
    options = {**texts.table().options, "mode": "HASHMAP"}
    first = SinkTable(name, (key, a), ("id",), {**options, "writer": "one"})
    second = SinkTable(name, (key, b), ("id",), {**options, "writer": "two"})
    one, two = RedisSink(first), RedisSink(second)
    one.open(attempt(run="r1"))
    two.open(attempt(run="r2"))
    one.write([Record((1,), {"id": 1, "a": "x"}, RecordKind.UPSERT, 1)])
    two.write([Record((1,), {"id": 1, "b": "y"}, RecordKind.UPSERT, 1)])
    one.write([Record((1,), {}, RecordKind.DELETE, 2)])
    assert reader.ask("HGETALL", f"{name}:1") == [b"b", b"y"]
    one.close()
    two.close()


@pytest.mark.parametrize("prefix", ["_", "__stream", "__streamjobs__:", "__streamjobs__:fence:"])
def test_a_prefix_that_finds_fences_is_refused(texts: RedisTexts, prefix: str) -> None:
    table = texts.table()
    with pytest.raises(ConfigError) as caught:
        RedisSink(changed(table, keyPrefix=prefix))
    assert str(caught.value) == (
        f"table {table.name}: 'keyPrefix'='{prefix}' also finds the framework's own keys, which start "
        "with __streamjobs__:: choose another"
    )


def scanned(client: RedisReader, pattern: str) -> set[bytes]:
    """All keys that a SCAN of the pattern finds."""
    found, cursor = set[bytes](), b"0"
    while True:
        cursor, keys = client.ask("SCAN", cursor, "MATCH", pattern, "COUNT", "5000")
        found |= set(keys)
        if cursor == b"0":
            return found


@pytest.mark.parametrize("prefix", ["scanned:", "s", "_x", "__streamjobs:", "{tag}:", "fence:"])
def test_a_scan_by_the_prefix_finds_rows_alone(texts: RedisTexts, cluster: RedisCluster, prefix: str) -> None:
    for store in (texts, cluster):
        client = RedisReader(store.service.port)
        table = changed(store.table(), keyPrefix=prefix)
        written(table, [upsert(key) for key in (1, 2, 3)])
        found = scanned(client, f"{prefix}*")
        client.close()
        assert found >= {f"{prefix}{key}".encode() for key in (1, 2, 3)}
        assert not [key for key in found if key.startswith(b"__streamjobs__:")]


def test_the_fence_is_the_one_that_older_versions_took(texts: RedisTexts, reader: RedisReader) -> None:
    table = texts.table()
    written(table, [upsert(1)])
    assert scanned(reader, f"*{table.name}:*") == {
        f"{table.name}:1".encode(),
        f"__streamjobs__:fence:{table.name}:".encode(),
    }


def test_null_is_no_field_and_an_empty_text_is_one(started: Started) -> None:
    hashes = started["redis-hashes"]
    assert isinstance(hashes, RedisHashes)
    table = hashes.table()
    written(table, [upsert(1, **FULL), upsert(2, name="")], [upsert(1, 2)])
    client = RedisReader(hashes.service.port)
    one, two, none = (f"{table.name}:{key}" for key in (1, 2, 3))
    assert client.ask("HGETALL", one) == [b"id", b"1"]
    assert [client.ask("HGET", key, "name") for key in (one, two, none)] == [None, b"", None]
    assert [client.ask("HEXISTS", key, "name") for key in (one, two, none)] == [0, 1, 0]
    assert [client.ask("EXISTS", key) for key in (one, two, none)] == [1, 1, 0]
    client.close()


def test_a_full_memory_is_backpressure_and_loses_nothing(texts: RedisTexts, reader: RedisReader) -> None:
    table, metrics = texts.table(), MemoryMetrics()
    with delivering(texts, table, metrics=metrics) as (delivery, letters):
        reader.ask("CONFIG", "SET", "maxmemory", "1mb")
        with running(lambda: delivery.write([upsert(n, name="x" * 1000) for n in range(3000)])):
            wait_for(retries(metrics, 2), "two retries", 60)
            assert texts.rows(table) == {}
            reader.ask("CONFIG", "SET", "maxmemory", "0")
    assert letters.kept == []
    assert len(texts.rows(table)) == 3000


def test_forgotten_scripts_and_a_replica_that_became_writable_pass(
    texts: RedisTexts, reader: RedisReader
) -> None:
    table, metrics = texts.table(), MemoryMetrics()
    with delivering(texts, table, metrics=metrics) as (delivery, letters):
        reader.ask("SCRIPT", "FLUSH")
        delivery.write([upsert(1)])
        reader.ask("REPLICAOF", "127.0.0.1", "1")
        with running(lambda: delivery.write([upsert(2, 2)])):
            wait_for(retries(metrics, 3), "two retries of a read-only server", 60)
            reader.ask("REPLICAOF", "NO", "ONE")
    assert letters.kept == []
    assert texts.rows(table).keys() == {(1,), (2,)}


def test_an_emptied_store_stops_the_job(texts: RedisTexts, reader: RedisReader) -> None:
    table = texts.table()
    sink = RedisSink(table)
    sink.open(attempt())
    sink.write([upsert(1)])
    reader.ask("FLUSHALL")
    with pytest.raises(SystemicError, match="has lost the fence of its writers, and may have lost rows"):
        sink.write([upsert(2)])
    sink.close()


def test_an_unverified_certificate_is_refused(texts: RedisTexts) -> None:
    sink = RedisSink(changed(texts.table(), tls="true"))
    with pytest.raises((SystemicError, RetriableError), match="connecting to Redis"):
        sink.open(attempt())
    sink.close()


def test_no_secret_is_shown(texts: RedisTexts) -> None:
    assert PASSWORD not in repr(texts.table())
