"""What Elasticsearch adds to the contract: zombies, dated indexes, mappings, API keys and TLS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from connectors.elasticsearch import ElasticsearchSink
from streamjobs.errors import ConfigError, RetriableError, SystemicError
from streamjobs.options.options import Secret
from streamjobs.sinks.contract import Attempt, Record, RecordKind, SinkColumn, SinkTable
from tests.contract.conftest import Started
from tests.contract.delivering import Letters, delivering, delivery_to
from tests.contract.store_elasticsearch import Elasticsearch, self_signed
from tests.contract.stores import attempt, delete, row, upsert

pytestmark = pytest.mark.services

DAILY = (SinkColumn("id", "INT"), SinkColumn("day", "DATE"), SinkColumn("n", "INT"))


@pytest.fixture(scope="module")
def node(started: Started) -> Elasticsearch:
    made = started["elasticsearch"]
    assert isinstance(made, Elasticsearch)
    return made


@contextmanager
def opened(table: SinkTable, who: Attempt | None = None) -> Iterator[ElasticsearchSink]:
    sink = ElasticsearchSink(table)
    try:
        sink.open(who or attempt())
        yield sink
    finally:
        sink.close()


def blind(sink: ElasticsearchSink) -> None:
    """Make it a writer that was stopped just after it had looked at the fence."""
    sink._fence.check = lambda: None  # type: ignore[method-assign]


def with_options(table: SinkTable, **options: str | Secret) -> SinkTable:
    return replace(table, options={**table.options, **options})


def put(node: Elasticsearch, path: str, body: Mapping[str, Any]) -> None:
    with node.client() as client:
        client.put(path, json=body).raise_for_status()


def settings_of(node: Elasticsearch, index: str) -> dict[str, Any]:
    with node.client() as client:
        found = client.get(f"/{index}?flat_settings=true").raise_for_status().json()
    one: dict[str, Any] = found[index]
    return one


def daily(node: Elasticsearch) -> SinkTable:
    table = node.table(DAILY, ("id", "day"))
    return with_options(table, index=f"{table.name}-{{day|yyyy.MM}}")


def record(id_: int, day: date, n: int | None, counter: int) -> Record:
    kind = RecordKind.DELETE if n is None else RecordKind.UPSERT
    return Record((id_, day), {"id": id_, "day": day, "n": n}, kind, counter)


def test_a_late_request_of_a_zombie_changes_nothing(node: Elasticsearch) -> None:
    table = node.table()
    with opened(table) as zombie, opened(table, attempt(1)) as newer:
        blind(zombie)
        newer.write([upsert(1, name="new"), delete(2), upsert(3, 1, name="new")])
        newer.write([delete(3, 2)])
        late = [upsert(1, 9, name="old"), upsert(2, 9, name="old"), upsert(3, 9, name="old")]
        assert zombie.write(late).rejected == ()
        assert zombie.write([delete(1, 10)]).rejected == ()
        assert node.rows(table) == {(1,): row(1, name="new")}


def test_a_zombie_does_not_reach_a_node_that_has_forgotten_the_deletes(node: Elasticsearch) -> None:
    table = node.table()
    with opened(table) as zombie:
        zombie.write([upsert(1, name="old")])
        blind(zombie)
        with opened(table, attempt(1)) as newer:
            newer.write([delete(1)])
        with node.client() as client:
            client.post(f"/{table.name}/_flush").raise_for_status()
        node.service.kill()
        node.service.restart()
        with pytest.raises(RetriableError):
            zombie.write([upsert(1, 9, name="old")])
    assert node.rows(table) == {}


def test_nothing_of_ours_shows_in_a_search_over_everything(node: Elasticsearch) -> None:
    table = node.table()
    with opened(table) as sink:
        sink.write([upsert(1)])
    with node.client() as client:
        client.post(f"/{table.name}/_refresh").raise_for_status()
        hits = client.get("/_search?size=1000").raise_for_status().json()["hits"]["hits"]
        names = client.get("/_cat/indices?format=json").raise_for_status().json()
    assert not {hit["_index"] for hit in hits} & {"streamjobs-fences"}
    assert "streamjobs-fences" not in {each["index"] for each in names}


def test_rows_go_to_the_index_of_their_date_and_move_with_it(node: Elasticsearch) -> None:
    table = daily(node)
    october, november = date(2026, 10, 31), date(2026, 11, 1)
    with opened(table) as sink:
        sink.write([record(1, october, 1, 1), record(2, november, 2, 2)])
        sink.write(
            [record(1, october, None, 3), record(1, november, 1, 4), record(9, date(1999, 1, 1), None, 5)]
        )
    moved = [{"id": 1, "day": "2026-11-01", "n": 1}, {"id": 2, "day": "2026-11-01", "n": 2}]
    assert node.sources(f"{table.name}-2026.10") == []
    assert sorted(node.sources(f"{table.name}-2026.11"), key=lambda found: found["id"]) == moved
    with node.client() as client:
        assert client.get(f"/{table.name}-1999.01").status_code == 404


def test_an_index_that_is_deleted_under_the_job_stops_it_and_is_not_made_anew(node: Elasticsearch) -> None:
    table = node.table()
    letters = Letters()
    with node.client() as client:
        with opened(table) as sink:
            sink.write([upsert(1)])
            client.delete(f"/{table.name}").raise_for_status()
            for batch in ([upsert(2, 2)], [upsert(2, 3), delete(1, 4)], [delete(1, 5)]):
                with pytest.raises(SystemicError, match=f"index {table.name} was deleted under the job"):
                    sink.write(batch)
        restarted = delivery_to(node, table, attempt(1), letters)
        with pytest.raises(SystemicError, match="start the job again"):
            restarted.open()
        restarted.close()
        assert client.get(f"/{table.name}").status_code == 404
        with opened(table, attempt(run="anew")) as sink:
            sink.write([upsert(3)])
        assert settings_of(node, table.name)["mappings"]["dynamic"] == "strict"
    assert letters.kept == []
    assert node.rows(table) == {(3,): row(3)}


def test_a_dated_index_that_retention_deletes_is_made_again_as_it_was(node: Elasticsearch) -> None:
    table = daily(node)
    day, next_month = date(2026, 10, 31), date(2026, 11, 1)
    with delivering(node, table) as (delivery, letters), node.client() as client:
        delivery.write([record(1, day, 1, 1), record(2, next_month, 2, 2)])
        client.delete(f"/{table.name}-2026.10").raise_for_status()
        delivery.write([record(1, day, None, 3), record(3, day, 3, 4), record(4, next_month, 4, 5)])
        client.delete(f"/{table.name}-2026.10").raise_for_status()
        delivery.write([record(3, day, None, 6)])
        assert client.get(f"/{table.name}-2026.10").status_code == 404
        delivery.write([record(5, day, 5, 7)])
    assert letters.kept == []
    assert settings_of(node, f"{table.name}-2026.10")["mappings"]["dynamic"] == "strict"
    assert [found["id"] for found in node.sources(f"{table.name}-2026.10")] == [5]
    assert sorted(found["id"] for found in node.sources(f"{table.name}-2026.11")) == [2, 4]


def test_an_alias_of_the_users_is_followed_to_its_next_index(node: Elasticsearch) -> None:
    table = node.table()
    for number in (1, 2):
        put(node, f"/{table.name}-v{number}", {"mappings": {"dynamic": "false"}})
    put(node, f"/{table.name}-v1/_alias/{table.name}", {})
    with opened(table) as sink, node.client() as client:
        sink.write([upsert(1)])
        actions = [
            {"remove": {"index": f"{table.name}-v1", "alias": table.name}},
            {"add": {"index": f"{table.name}-v2", "alias": table.name}},
        ]
        client.post("/_aliases", json={"actions": actions}).raise_for_status()
        sink.write([upsert(2, 2)])
    assert [found["id"] for found in node.sources(f"{table.name}-v1")] == [1]
    assert [found["id"] for found in node.sources(f"{table.name}-v2")] == [2]


def test_what_the_mapping_refuses_is_rejected_alone(node: Elasticsearch) -> None:
    table = node.table()
    put(node, f"/{table.name}", {"mappings": {"properties": {"name": {"type": "ip"}}}})
    with opened(table) as sink:
        batch = [upsert(1, name="10.0.0.1"), upsert(2, name="no address"), upsert(3)]
        (rejection,) = sink.write(batch).rejected
    assert (rejection.record, rejection.reason) == (batch[1], "mapping")
    assert "no address" in rejection.detail
    assert node.rows(table).keys() == {(1,), (3,)}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            {"mappings": {"_source": {"enabled": False}}},
            "its _source is not enabled, so documents cannot be read back",
        ),
        (
            {"mappings": {"_source": {"excludes": ["name"]}}},
            "its _source excludes name, so documents lose fields",
        ),
        (
            {"mappings": {"_source": {"includes": ["id"]}}},
            "its _source includes id, so documents lose fields",
        ),
    ],
)
def test_an_index_that_gives_back_other_documents_is_refused(
    node: Elasticsearch, body: Mapping[str, Any], told: str
) -> None:
    table = node.table()
    put(node, f"/{table.name}", body)
    with pytest.raises(ConfigError) as caught, opened(table):
        pass
    assert str(caught.value) == f"table {table.name}: index {table.name} does not fit: {told}"


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (
            {"mappings": {"_source": {"excludes": ["name"]}}},
            "its _source excludes name, so documents lose fields",
        ),
        (
            {"settings": {"index.default_pipeline": "upper"}},
            "its default_pipeline upper may change documents first: set index.default_pipeline to _none",
        ),
        (
            {"settings": {"index.final_pipeline": "upper"}},
            "its final_pipeline upper may change documents first: set index.final_pipeline to _none",
        ),
    ],
)
def test_an_index_that_a_template_makes_otherwise_is_refused(
    node: Elasticsearch, template: Mapping[str, Any], told: str
) -> None:
    table = node.table()
    put(node, "/_ingest/pipeline/upper", {"processors": []})
    put(node, f"/_index_template/{table.name}", {"index_patterns": [table.name], "template": template})
    for _ in ("made", "found"):
        with pytest.raises(ConfigError) as caught, opened(table):
            pass
        assert str(caught.value) == f"table {table.name}: index {table.name} does not fit: {told}"


def test_what_no_document_is_to_blame_for_stops_the_job(node: Elasticsearch) -> None:
    table = node.table()
    put(node, f"/{table.name}", {"mappings": {"_routing": {"required": True}}})
    with opened(table) as sink, pytest.raises(SystemicError, match="routing_missing_exception"):
        sink.write([upsert(1), upsert(2)])


def test_an_index_that_is_there_is_completed(node: Elasticsearch) -> None:
    table = node.table()
    put(node, f"/{table.name}", {"mappings": {"properties": {"id": {"type": "long"}}}})
    with opened(table):
        found = settings_of(node, table.name)
    assert found["settings"]["index.gc_deletes"] == "3600000ms"
    assert found["mappings"]["properties"]["price"] == {"type": "double"}


def test_an_index_that_we_make_is_strict_and_takes_settings(node: Elasticsearch) -> None:
    table = with_options(node.table(), **{"settings.refresh_interval": "5s"})
    with opened(table):
        found = settings_of(node, table.name)
    assert found["mappings"]["dynamic"] == "strict"
    assert found["settings"]["index.refresh_interval"] == "5s"


def test_a_setting_that_does_not_exist_is_told(node: Elasticsearch) -> None:
    table = with_options(node.table(), **{"settings.refresh": "5s"})
    with pytest.raises(ConfigError, match=r"unknown setting \[index.refresh\]"), opened(table):
        pass


def test_a_blocked_index_stops_the_job_without_rejections(node: Elasticsearch) -> None:
    table = node.table()
    with opened(table) as sink:
        put(node, f"/{table.name}/_settings", {"index.blocks.write": True})
        with pytest.raises(SystemicError, match="cluster_block_exception"):
            sink.write([upsert(1)])


def test_big_integers_are_found_exactly(node: Elasticsearch) -> None:
    table = node.table()
    with opened(table) as sink:
        sink.write([upsert(1, big=2**53 + 1), upsert(2, big=2**53)])
    with node.client() as client:
        client.post(f"/{table.name}/_refresh").raise_for_status()
        query = {"query": {"term": {"big": 2**53 + 1}}}
        found = client.post(f"/{table.name}/_search", json=query).raise_for_status().json()
    assert [hit["_id"] for hit in found["hits"]["hits"]] == ["1"]


def test_a_wrong_api_key_stops_and_is_not_shown(node: Elasticsearch) -> None:
    table = node.table()
    plain = {name: text for name, text in table.options.items() if name not in ("userName", "password")}
    wrong = replace(table, options={**plain, "apiKey": Secret("d3Jvbmc6d3Jvbmc=")})
    with pytest.raises(SystemicError, match="HTTP 401") as caught, opened(wrong):
        pass
    assert "d3Jvbmc" not in str(caught.value)


def test_a_server_that_no_authority_vouches_for_is_refused(node: Elasticsearch, tmp_path: Any) -> None:
    stranger, _ = self_signed(tmp_path)
    table = node.table()
    with (
        pytest.raises(SystemicError, match="certificate verify failed"),
        opened(with_options(table, tlsCa=str(stranger))),
    ):
        pass
    insecure = {name: text for name, text in table.options.items() if name != "tlsCa"}
    with opened(replace(table, options={**insecure, "tlsInsecure": "true"})) as sink:
        sink.write([upsert(1)])
    assert node.rows(table) == {(1,): row(1)}


def test_the_next_node_is_asked_where_one_is_gone(node: Elasticsearch) -> None:
    table = node.table()
    both = with_options(table, endPoint=f"https://127.0.0.1:1,{node.service.url}")
    sink = ElasticsearchSink(both)
    with pytest.raises(RetriableError, match="Connection refused"):
        sink.open(attempt())
    sink.open(attempt())
    sink.write([upsert(1)])
    sink.close()
    assert node.rows(table) == {(1,): row(1)}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"endPoint": "ftp://x:1"}, "http://host:port"),
        ({"endPoint": "http://me:secret@x:1"}, "holds credentials"),
        ({"endPoint": "http://x:1"}, "ask for TLS"),
        ({"userName": "a", "apiKey": Secret("k")}, "not both"),
        ({"indx": "x"}, "did you mean 'index'"),
        ({"tlsCa": "/nowhere/ca.crt"}, "cannot be used"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, str | Secret], told: str) -> None:
    columns = (SinkColumn("id", "INT"),)
    base: dict[str, str | Secret] = {"endPoint": "https://127.0.0.1:1", "tls": "true"}
    with pytest.raises(ConfigError, match=told) as caught:
        ElasticsearchSink(SinkTable("t", columns, ("id",), base | options))
    assert "secret" not in str(caught.value)
