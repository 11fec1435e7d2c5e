"""What is read back from a store is what was written: the edges of each SQL type in each form that it has.

MySQL has columns of its own types, and `test_mysql_sink_values.py` for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

import httpx
import pytest

from connectors.elasticsearch.documents import field_types
from connectors.redis import RedisSink
from streamjobs.changes.moments import NanoMoment, OutOfRange
from streamjobs.sinks.contract import Record, RecordKind, Sink, SinkColumn, SinkTable
from tests.contract.conftest import Started
from tests.contract.mysql_edges import EDGES
from tests.contract.raw_values import held, held_in, text_of
from tests.contract.store_elasticsearch import Elasticsearch
from tests.contract.store_redis import RedisReader, RedisTexts
from tests.contract.stores import Store, attempt

pytestmark = pytest.mark.services
_NANOS = tuple(
    NanoMoment.of(at, nanos)
    for at in (datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999))  # noqa: DTZ001
    for nanos in (1, 999)
)
VALUES: Mapping[str, Sequence[Any]] = {
    **EDGES,
    "STRING": (*EDGES["STRING"], "\ud800", "__streamjobs__:fence:x", ":", "\\", "a:b", "\\0"),
    "TIMESTAMP(9)": (*EDGES["TIMESTAMP(9)"], *_NANOS),
    "TIMESTAMP_LTZ(9)": tuple(each.replace(tzinfo=timezone.utc) for each in _NANOS[:1]),
}
NAMES = {type_: f"c{place}" for place, type_ in enumerate(VALUES)}
COUNT = sum(map(len, VALUES.values()))


@dataclass(frozen=True)
class Form:
    """A store with options that say how it keeps values, and the least that it must keep of VALUES."""

    store: str
    options: Mapping[str, str]
    kept: int


FORMS = {
    "rocksdb": Form("rocksdb", {}, COUNT - 12),
    "redis-texts": Form("redis-texts", {}, COUNT - 12),
    "redis-hashes": Form("redis-hashes", {}, COUNT - 12),
    "hbase-bytes": Form("hbase", {}, COUNT - 12),
    "hbase-texts": Form("hbase", {"stringWriteMode": "true"}, COUNT - 12),
    "elasticsearch": Form("elasticsearch", {}, COUNT - 14),
}


def is_unfit(type_: str, value: Any) -> bool:
    """Whether no store of JSON, texts or bytes may take a value."""
    return isinstance(value, OutOfRange) or value == "\ud800"


def written(sink: Sink, records: Sequence[Record]) -> dict[str, str]:
    """Write records, alone where one spoils all; the reason by the key of each that was refused."""
    rejected = sink.write(records).rejected
    if len(rejected) == len(records) > 1:
        rejected = tuple(each for record in records for each in sink.write([record]).rejected)
    return {each.record.key[0]: each.reason for each in rejected}


def write_all(store: Store, table: SinkTable) -> tuple[dict[str, dict[str, str]], Counter[str]]:
    """Write each of VALUES in a row of its own; what must be there then, and why others were refused."""
    nulls = dict.fromkeys((column.name for column in table.columns[1:]), None)
    wanted: dict[str, dict[str, str]] = {}
    refused = Counter[str]()
    with closing(store.sink(table)) as sink:
        sink.open(attempt())
        for type_, values in VALUES.items():
            column = NAMES[type_]
            if column not in nulls:
                continue
            keys = [f"{column}-{place:03}" for place in range(len(values))]
            records = [
                Record((key,), {"id": key, **nulls, column: value}, RecordKind.UPSERT, 1)
                for key, value in zip(keys, values, strict=True)
            ]
            reasons = written(sink, records)
            refused.update(reasons.values())
            for key, value in zip(keys, values, strict=True):
                if key not in reasons:
                    wanted[key] = {"id": key, column: text_of(type_, value)}
                    assert not is_unfit(type_, value), (type_, value)
    return wanted, refused


def declared() -> tuple[SinkColumn, ...]:
    return (SinkColumn("id", "STRING"), *(SinkColumn(name, type_) for type_, name in NAMES.items()))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("form", FORMS, scope="session")
def test_each_value_that_a_store_takes_is_read_back_as_it_was(started: Started, form: str) -> None:
    chosen = FORMS[form]
    store = started[chosen.store]
    table = store.table(declared())
    table = replace(table, options={**table.options, **chosen.options})
    wanted, refused = write_all(store, table)
    found = held(store, table)
    assert {key: row for key, row in found.items() if row != wanted.get(key)} == {}
    assert found.keys() == wanted.keys()
    print(f"{form}: {len(VALUES)} SQL types, {len(wanted)} values kept, refused: {dict(refused)}")
    assert len(wanted) >= chosen.kept


@pytest.mark.timeout(900)
def test_each_field_type_that_an_index_may_have_returns_what_it_took(started: Started) -> None:
    store = started["elasticsearch"]
    assert isinstance(store, Elasticsearch)
    counts = Counter[str]()
    legal = {type_: field_types(type_.partition("(")[0]) for type_ in VALUES}
    with store.client() as client:
        known = {kind for kind in sorted(set().union(*legal.values())) if _takes(client, kind)}
    for place in range(max(map(len, legal.values()))):
        targets = {
            type_: kinds[place]
            for type_, kinds in legal.items()
            if place < len(kinds) and kinds[place] in known
        }
        columns = (SinkColumn("id", "STRING"), *(SinkColumn(NAMES[type_], type_) for type_ in targets))
        table = store.table(columns)
        properties = {NAMES[type_]: {"type": kind} for type_, kind in targets.items()}
        with store.client() as client:
            body = {
                "mappings": {"dynamic": "strict", "properties": {"id": {"type": "keyword"}, **properties}}
            }
            client.put(f"/{table.name}", json=body).raise_for_status()
        wanted, refused = write_all(store, table)
        assert held(store, table) == wanted, targets
        counts.update({"pairs": len(targets), "values kept": len(wanted), "values refused": refused.total()})
    print(f"field types {sorted(known)}: {dict(counts)}")
    assert counts["pairs"] >= 45
    assert counts["values kept"] >= 500
    assert counts["values refused"] >= 30


def _takes(client: httpx.Client, kind: str) -> bool:
    """Whether the node has a field type; a small one lacks those of modules."""
    answer = client.put(f"/probe-{kind}", json={"mappings": {"properties": {"f": {"type": kind}}}})
    if answer.is_success:
        client.delete(f"/probe-{kind}").raise_for_status()
    else:
        assert "No handler for type" in answer.text or "Failed to parse mapping" in answer.text, answer.text
    return answer.is_success


def test_each_score_that_a_sorted_set_takes_is_read_back_as_it_was(started: Started) -> None:
    store = started["redis-texts"]
    assert isinstance(store, RedisTexts)
    reader = RedisReader(store.service.port)
    counts = Counter[str]()
    for type_ in ("TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE"):
        table = store.table((SinkColumn("k", "STRING"), SinkColumn("score", type_)), ("k",))
        table = replace(table, options={**table.options, "mode": "SORTEDSET"})
        values = {f"{place:03}": value for place, value in enumerate(VALUES[type_])}
        with closing(RedisSink(table)) as sink:
            sink.open(attempt())
            refused = written(
                sink,
                [Record((k,), {"k": k, "score": v}, RecordKind.UPSERT, 1) for k, v in values.items()],
            )
        flat = reader.ask("ZRANGE", table.name, "0", "-1", "WITHSCORES")
        found = {k.decode(): float(score) + 0.0 for k, score in zip(flat[::2], flat[1::2], strict=True)}
        wanted = {k: float(text_of(type_, v)) + 0.0 for k, v in values.items() if k not in refused}
        # Redis keeps no sign of a zero
        assert {k: repr(v) for k, v in found.items()} == {k: repr(v) for k, v in wanted.items()}
        counts.update({"scores kept": len(found), "refused": len(refused)})
    reader.close()
    print(dict(counts))
    assert counts["scores kept"] >= 45
    assert counts["refused"] >= 3


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", sorted({form.store for form in FORMS.values()}), scope="session")
def test_each_key_is_one_row_and_its_delete_takes_no_other(started: Started, name: str) -> None:
    store = started[name]
    counts = Counter[str]()
    for type_, values in VALUES.items():
        table = store.table((SinkColumn("k", type_), SinkColumn("n", "BIGINT")), ("k",))
        keys = list(dict.fromkeys(values))  # 0.0 and -0.0 are one key
        with closing(store.sink(table)) as sink:
            sink.open(attempt())
            rejected = [
                rejection.record.key[0]
                for place, key in enumerate(keys)
                for rejection in sink.write(
                    [Record((key,), {"k": key, "n": place}, RecordKind.UPSERT, 1)]
                ).rejected
            ]
            taken = [place for place, key in enumerate(keys) if not any(key is each for each in rejected)]
            assert numbers(store, table) == taken
            for place in taken[::2]:
                gone = Record((keys[place],), {"k": keys[place]}, RecordKind.DELETE, 2)
                assert sink.write([gone]).rejected == ()
            assert numbers(store, table) == taken[1::2]
        counts.update({"keys": len(taken), "refused": len(rejected)})
    print(f"{name}: {len(VALUES)} SQL types, {dict(counts)}")
    assert counts["keys"] >= COUNT - 30


def numbers(store: Store, table: SinkTable) -> list[int]:
    """The column n of all rows, in its order."""
    return sorted(map(int, held_in(store, table, table.columns[1])))
