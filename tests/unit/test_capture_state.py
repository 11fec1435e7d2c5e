"""What a capture remembers: whole or not at all, one owner, the tables of its place; and what it serves."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.mysql.schema.definitions import ColumnDefinition, TableDefinition
from connectors.mysql.schema.history import Catalog
from streamjobs.capture.config.routes import Route, Routes, Way
from streamjobs.capture.ddl_policy import KeptShape
from streamjobs.capture.publish.partitions import Topic
from streamjobs.capture.publish.topics import KnownTopics
from streamjobs.capture.source.schema_history import Definitions, definitions_from_json, definitions_to_json
from streamjobs.capture.state import CaptureState, FileStore, TablePart, read_file
from streamjobs.capture.status.http import Endpoint, ask_snapshot, read_status
from streamjobs.capture.status.requests import Requests
from streamjobs.capture.status.status import CaptureStatus, Telemetry
from streamjobs.changes.row_change import Column, SqlType, TableId, TableSchema
from streamjobs.errors import ConfigError, RetriableError, SystemicError

ITEM = TableId("shop", "item")
STATE = CaptureState(
    "uuid-1",
    2,
    "bin.000007",
    4711,
    "0-1-590",
    1000,
    {"shop.item": (TablePart(("17", "_latin1 x'e9'"), ("20",), rows=5), TablePart(done=True))},
    ("shop.user",),
    3,
    partitions={"shop.item": 4},
    sweeps={"shop.item": "0:1:4:0"},
)


def test_a_state_comes_back_as_it_was() -> None:
    again = CaptureState.from_json(STATE.to_json())
    assert again == STATE
    assert again.to_json() == STATE.to_json()


def test_topics_keep_the_partitions_that_were_stored_for_them(tmp_path: Path) -> None:
    there = {"a": 2, "b": 3}
    store = FileStore(tmp_path / "state", "shop")

    def known(*, resnapshot: bool = False) -> KnownTopics:
        topics = KnownTopics(
            store, lambda wanted: {name: Topic(there[name], {}) for name in wanted}, resnapshot=resnapshot
        )
        topics.read()
        return topics

    store.write(replace(STATE, partitions={}))  # of a version that did not know of them
    known().open({"a": 9})
    assert store.read() == replace(STATE, partitions={"a": 2})
    there["a"] = 5
    known().open({"b": 9})
    assert known().open({"a": 9, "b": 9}) == {"a": Topic(5, {}, rows_in=2), "b": Topic(3, {})}
    assert store.read() == replace(STATE, partitions={"a": 2, "b": 3})
    there["a"] = 1
    with pytest.raises(ConfigError, match=r"topic a had 2 partitions .* and has 1 now: it was deleted"):
        known().open({"a": 9, "b": 9})
    there["a"] = 5
    topics = known(resnapshot=True)
    topics.open({"a": 9})
    topics.write(replace(STATE, offset=9))
    assert store.read() == replace(STATE, offset=9, partitions={"a": 5})
    store.close()


@pytest.mark.parametrize("data", [b"", b"[]", b'{"v":1}', b'{"v":2}'])
def test_what_is_no_state_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigError, match="state"):
        CaptureState.from_json(data)


def test_a_file_holds_the_newest_state_of_its_source(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "shop"
    store = FileStore(path, "shop")
    assert store.read() is None
    store.write(STATE)
    newer = replace(STATE, offset=5000)
    store.write(newer)
    assert store.read() == read_file(path, "shop") == newer
    with pytest.raises(ConfigError, match="not of other"):
        read_file(path, "other")
    store.close()


def test_a_file_has_one_owner(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "shop", "shop")
    with pytest.raises(SystemicError, match="another capture holds"):
        FileStore(tmp_path / "shop", "shop")
    store.close()
    FileStore(tmp_path / "shop", "shop").close()


def test_two_numbers_of_tables_are_kept(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "shop", "shop")
    assert store.read_catalog(1) is None
    for number in (1, 2):
        store.write_catalog(number, b"%d" % number)
    assert (store.read_catalog(1), store.read_catalog(2)) == (b"1", b"2")
    store.close()


def test_table_definitions_of_captured_tables_come_back() -> None:
    kind = ColumnDefinition("kind", "enum", "enum('a','b')", charset="utf8mb4", labels=("a", "b"))
    definition = TableDefinition(ITEM, (kind,), ("kind",), "latin1")
    other = replace(definition, table=TableId("other", "t"))
    catalog = Catalog(
        [definition, other], mariadb=True, database_charsets={"shop": "latin1"}, sequences=[ITEM]
    )
    kept = [
        KeptShape(TableSchema(ITEM, (Column("a", SqlType.BIGINT, "bigint(20)", key=True),)), "add_column")
    ]
    given = Definitions(catalog, kept, (("shop.*", "shop.tmp_*"), ("a.b",)))
    back = definitions_from_json(definitions_to_json(given, Routes([Route.made("shop.*")])))
    tables = back.catalog
    assert (tables.tables, tables.mariadb, tables.database_charsets) == (
        (definition,),
        True,
        {"shop": "latin1"},
    )
    assert (back.kept, back.patterns) == (kept, given.patterns)
    assert back.ways == {"shop.item": Way("shop.item", ())}
    assert tables.sequences == {ITEM}


def test_the_port_tells_metrics_and_status_and_takes_requests(tmp_path: Path) -> None:
    telemetry, requests = Telemetry(CaptureStatus('sh"op', rows=7)), Requests()
    address = tmp_path / "address"
    with Endpoint(0, telemetry, requests, Routes([Route.made("shop.*")]), address) as endpoint:
        with urllib.request.urlopen(f"http://127.0.0.1:{endpoint.port}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        assert 'streamjobs_capture_rows_total{source="sh\\"op"} 7' in lines
        assert 'streamjobs_capture_phase{source="sh\\"op",phase="starting"} 1' in lines
        telemetry.add(rows=3)
        status = read_status(address)
        assert status is not None
        assert (status["rows"], status["snapshots"]) == (10, [])
        assert ask_snapshot(address, "shop.item") == "a snapshot of shop.item will be sent"
        assert requests.next == ITEM
        requests.done()
        assert not requests.waiting
        with pytest.raises(ConfigError, match=r"other\.item is not captured"):
            ask_snapshot(address, "other.item")
        page = urllib.request.Request(
            f"http://127.0.0.1:{endpoint.port}/snapshot?table=shop.item", method="POST"
        )
        with pytest.raises(urllib.error.HTTPError, match="Forbidden") as refused:
            urllib.request.urlopen(page)  # noqa: S310 (loopback)
        refused.value.close()
    assert not requests.waiting
    assert read_status(address) is None
    with pytest.raises(RetriableError, match="no capture runs here"):
        ask_snapshot(address, "shop.item")


def test_a_process_that_is_stopped_is_not_told_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamjobs.capture.status.http._ANSWER_S", 0.1)
    address = tmp_path / "address"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address.write_text(f"127.0.0.1:{silent.getsockname()[1]}\n", encoding="utf-8")
        with pytest.raises(SystemicError, match=r"does not answer within 0\.1 s: its process is stopped"):
            read_status(address)
