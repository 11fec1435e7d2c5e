"""What searches, sorting and aggregations over Elasticsearch see of a row, beside its exact `_source`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.elasticsearch import ElasticsearchSink
from streamjobs.sinks.contract import Record, RecordKind, SinkColumn, SinkTable
from tests.contract.conftest import Started
from tests.contract.store_elasticsearch import Elasticsearch
from tests.contract.stores import attempt

pytestmark = pytest.mark.services
ID, TITLE, DESCR = SinkColumn("id", "BIGINT"), SinkColumn("title", "VARCHAR(300)"), SinkColumn("d", "STRING")
WHOLE = {"type": "keyword", "ignore_above": 8191}
ROWS: Sequence[Mapping[str, Any]] = (
    {"title": "Green tea from Uji", "d": "leaf " * 2000 + "harvest"},
    {"title": "Tea pot, green", "d": "clay"},
    {"title": "green", "d": None},
)


@pytest.fixture(scope="module")
def node(started: Started) -> Elasticsearch:
    made = started["elasticsearch"]
    assert isinstance(made, Elasticsearch)
    return made


@contextmanager
def opened(table: SinkTable) -> Iterator[ElasticsearchSink]:
    sink = ElasticsearchSink(table)
    try:
        sink.open(attempt())
        yield sink
    finally:
        sink.close()


def record(key: int, values: Mapping[str, Any]) -> Record:
    return Record((key,), {"id": key, **values}, RecordKind.UPSERT, key)


def ask(node: Elasticsearch, index: str, body: Mapping[str, Any]) -> Any:
    with node.client() as client:
        client.post(f"/{index}/_refresh").raise_for_status()
        return client.post(f"/{index}/_search", json={"size": 1000, **body}).raise_for_status().json()


def found(node: Elasticsearch, index: str, query: Mapping[str, Any]) -> list[int]:
    return sorted(int(hit["_id"]) for hit in ask(node, index, {"query": query})["hits"]["hits"])


def properties(node: Elasticsearch, index: str) -> Any:
    with node.client() as client:
        answer = client.get(f"/{index}/_mapping").raise_for_status().json()
    return answer[index]["mappings"]["properties"]


def with_options(table: SinkTable, **options: str) -> SinkTable:
    return replace(table, options={**table.options, **options})


def test_text_fields_are_found_by_word_and_as_a_whole(node: Elasticsearch) -> None:
    table = with_options(node.table((ID, TITLE, DESCR)), textFields="title, d")
    with opened(table) as sink:
        assert sink.write([record(key, values) for key, values in enumerate(ROWS)]).rejected == ()
    words = {"type": "text", "fields": {"keyword": WHOLE}}
    assert properties(node, table.name) == {"id": {"type": "long"}, "title": words, "d": words}
    assert found(node, table.name, {"match": {"title": "TEA"}}) == [0, 1]
    assert found(node, table.name, {"match_phrase": {"title": "green tea"}}) == [0]
    assert found(node, table.name, {"term": {"title.keyword": "green"}}) == [2]
    assert found(node, table.name, {"match": {"d": "harvest"}}) == [0]
    by_title = {"sort": [{"title.keyword": "asc"}], "_source": False}
    assert [hit["_id"] for hit in ask(node, table.name, by_title)["hits"]["hits"]] == ["0", "1", "2"]
    assert [source["title"] for source in node.sources(table.name)] == [row["title"] for row in ROWS]


def test_other_texts_are_found_as_a_whole_alone(node: Elasticsearch) -> None:
    table = node.table((ID, TITLE, DESCR))
    with opened(table) as sink:
        assert sink.write([record(key, values) for key, values in enumerate(ROWS)]).rejected == ()
    assert properties(node, table.name) == {"id": {"type": "long"}, "title": WHOLE, "d": WHOLE}
    assert found(node, table.name, {"match": {"title": "tea"}}) == []
    assert found(node, table.name, {"term": {"title": "Tea pot, green"}}) == [1]
    assert found(node, table.name, {"term": {"d": ROWS[0]["d"]}}) == []  # 10,007 characters


def test_settings_name_the_analyzer_of_text_fields(node: Elasticsearch) -> None:
    default = "settings.analysis.analyzer.default"
    short = {f"{default}.type": "standard", f"{default}.max_token_length": "3"}
    table = with_options(node.table((ID, TITLE)), textFields="title", **short)
    with opened(table) as sink:
        sink.write([record(1, {"title": "teapot"})])
    assert found(node, table.name, {"match": {"title": "pot"}}) == [1]


def test_an_index_that_exists_keeps_its_field_and_the_log_says_so(
    node: Elasticsearch, caplog: pytest.LogCaptureFixture
) -> None:
    table = node.table((ID, TITLE, DESCR))
    with opened(table):
        pass
    with caplog.at_level(logging.WARNING), opened(with_options(table, textFields="title,d")) as sink:
        assert sink.write([record(1, ROWS[0])]).rejected == ()
    assert [each.getMessage() for each in caplog.records] == [
        f"table {table.name}: index {table.name} exists with title as keyword, d as keyword, so a search by "
        "word does not find it, as 'textFields' asks: name another 'index' and start the job from the "
        "beginning of its input"
    ]
    assert properties(node, table.name)["title"] == WHOLE


SCALES = (0, 1, 2, 7, 14, 15)
EDGES = (0, 1, -1, 3, 7, 29, 57, 10**15 - 1, -(10**15) + 1, 10**14 + 1, 2**49 + 1, 999_999_999_999_998)
DIGITS = st.lists(
    st.integers(-(10**15) + 1, 10**15 - 1) | st.integers(-(10**6), 10**6), max_size=60, unique=True
)


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DIGITS)
def test_decimals_of_15_digits_are_exact_for_searches_and_aggregations(
    node: Elasticsearch, digits: Sequence[int]
) -> None:
    numbers = sorted({*EDGES, *digits})
    columns = [ID, *(SinkColumn(f"s{scale}", f"DECIMAL(15, {scale})") for scale in SCALES)]
    table = node.table(columns)
    rows = [{f"s{scale}": Decimal(number).scaleb(-scale) for scale in SCALES} for number in numbers]
    with opened(table) as sink:
        assert sink.write([record(key, row) for key, row in enumerate(rows)]).rejected == ()
    aggregations: dict[str, Any] = {}
    for name in rows[0]:
        aggregations |= {f"{name}_{kind}": {kind: {"field": name}} for kind in ("min", "max")}
        aggregations[f"{name}_terms"] = {"terms": {"field": name, "size": 1000}}
    answer = ask(node, table.name, {"docvalue_fields": list(rows[0]), "aggs": aggregations})
    compared = 0
    for hit in answer["hits"]["hits"]:
        row = rows[int(hit["_id"])]
        for name, value in row.items():
            assert Decimal(hit["_source"][name]) == value
            assert Decimal(repr(hit["fields"][name][0])) == value
            compared += 1
    for name in rows[0]:
        wanted = [row[name] for row in rows]
        found_here = answer["aggregations"]
        terms = [bucket["key"] for bucket in found_here[f"{name}_terms"]["buckets"]]
        assert sorted(Decimal(repr(term)) for term in terms) == wanted
        assert Decimal(repr(found_here[f"{name}_min"]["value"])) == wanted[0]
        assert Decimal(repr(found_here[f"{name}_max"]["value"])) == wanted[-1]
    for key, row in list(enumerate(rows))[:: max(1, len(rows) // 12)]:
        for name, value in row.items():
            text = format(value, "f")
            assert found(node, table.name, {"term": {name: text}}) == [key]
            assert found(node, table.name, {"range": {name: {"gte": text, "lte": text}}}) == [key]
            assert found(node, table.name, {"range": {name: {"gt": text}}}) == list(range(key + 1, len(rows)))
    print(f"{compared} decimals of 15 digits equal, {len(rows)} rows, scales {SCALES}")
    assert compared >= len(EDGES) * len(SCALES)


def test_decimals_of_more_digits_are_exact_in_the_document_and_near_in_searches(node: Elasticsearch) -> None:
    table = node.table((ID, SinkColumn("n", "DECIMAL(20, 2)")))
    near = [Decimal("123456789012345678.01"), Decimal("123456789012345678.02")]
    with opened(table) as sink:
        assert sink.write([record(key, {"n": value}) for key, value in enumerate(near)]).rejected == ()
    assert [Decimal(source["n"]) for source in node.sources(table.name)] == near
    assert found(node, table.name, {"term": {"n": str(near[0])}}) == [0, 1]


def test_a_keyword_that_is_made_before_finds_decimals_of_all_digits(node: Elasticsearch) -> None:
    table = node.table((ID, SinkColumn("n", "DECIMAL(20, 2)")))
    with node.client() as client:
        body = {"mappings": {"properties": {"n": {"type": "keyword"}}}}
        client.put(f"/{table.name}", json=body).raise_for_status()
    with opened(table) as sink:
        sink.write([record(1, {"n": Decimal("123456789012345678.01")})])
        sink.write([record(2, {"n": Decimal("123456789012345678.02")})])
    assert found(node, table.name, {"term": {"n": "123456789012345678.01"}}) == [1]
