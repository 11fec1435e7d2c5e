"""The Elasticsearch sink under the contract: behind a password and TLS, read by plain HTTP."""

from __future__ import annotations

import base64
import ssl
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import httpx

from connectors.elasticsearch import ElasticsearchSink
from streamjobs.local.elasticsearch import USER, ElasticsearchOptions, ElasticsearchServer
from streamjobs.local.environment import Environment
from streamjobs.options.options import Secret
from streamjobs.sinks.contract import Sink, SinkColumn, SinkTable
from tests.contract.stores import COLUMNS, TEXT_KEYS, Row, Rows, ServerStore
from tests.patience import limit_s

PASSWORD = "right-password-7"  # noqa: S105


def self_signed(directory: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 and its key."""
    certificate, key = directory / "node.crt", directory / "node.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


class Elasticsearch(ServerStore):
    """A table an index."""

    poison: ClassVar[Mapping[str, Any]] = {"share": float("nan")}
    biggest_text = 16 * 1024 * 1024 - 300
    too_big_text = 16 * 1024 * 1024

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.certificate, key = self_signed(root)
        options = ElasticsearchOptions(password=PASSWORD, certificate=self.certificate, key=key)
        self.environment = Environment(root / "env", kafka=False, flink=False, elasticsearch=options)

    def start(self) -> None:
        self.environment.start()
        with self.client() as client:  # the first index takes seconds
            client.put("/warm").raise_for_status()
            client.delete("/warm").raise_for_status()

    def stop(self) -> None:
        self.environment.stop()

    @property
    def service(self) -> ElasticsearchServer:
        return self.environment.elasticsearch

    def table(self, columns: Sequence[SinkColumn] = COLUMNS, key: tuple[str, ...] = ("id",)) -> SinkTable:
        options: dict[str, str | Secret] = {
            "endPoint": self.service.url,
            "userName": USER,
            "password": Secret(PASSWORD),
            "tlsCa": str(self.certificate),
            "requestTimeout": f"{round(limit_s(3) * 1000)} ms",
            "settings.number_of_replicas": "0",
        }
        return SinkTable(self.next_name(), tuple(columns), key, options)

    def sink(self, table: SinkTable) -> Sink:
        return ElasticsearchSink(table)

    def rows(self, table: SinkTable) -> Rows:
        found = [_typed(table, source) for source in self.sources(table.name)]
        return {tuple(row[name] for name in table.key): row for row in found}

    def sources(self, index: str) -> list[dict[str, Any]]:
        """Everything that a search over the index shows."""
        with self.client() as client:
            client.post(f"/{index}/_refresh").raise_for_status()
            found: list[dict[str, Any]] = []
            body: dict[str, Any] = {"size": 5000, "sort": ["_doc"], "query": {"match_all": {}}}
            page = client.post(f"/{index}/_search?scroll=1m", json=body).raise_for_status().json()
            while page["hits"]["hits"]:
                found += [hit["_source"] for hit in page["hits"]["hits"]]
                body = {"scroll": "1m", "scroll_id": page["_scroll_id"]}
                page = client.post("/_search/scroll", json=body).raise_for_status().json()
            client.request("DELETE", "/_search/scroll", json={"scroll_id": page["_scroll_id"]})
        return found

    def client(self) -> httpx.Client:
        """A client of nothing but HTTP."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        return httpx.Client(
            base_url=self.service.url, auth=(USER, PASSWORD), verify=context, timeout=limit_s(60)
        )

    def wrong_password(self, table: SinkTable) -> SinkTable:
        return replace(table, options={**table.options, "password": Secret("wrong-password-7")})

    def broken_targets(self) -> Mapping[str, SinkTable]:
        missing, clashing = self.table(), self.table()
        with self.client() as client:
            properties = {"id": {"type": "long"}, "price": {"type": "boolean"}}
            body = {"mappings": {"properties": properties}}
            client.put(f"/{clashing.name}", json=body).raise_for_status()
        return {
            f"there is no index {missing.name}": replace(
                missing, options={**missing.options, "createIndex": "false"}
            ),
            r"field price is boolean, and DECIMAL\(10, 2\) needs double": clashing,
        }

    def text_keys(self) -> Sequence[tuple[str, str]]:
        return [*TEXT_KEYS, ("a" * 255, "b" * 256)]


def _typed(table: SinkTable, source: dict[str, Any]) -> Row:
    assert source.keys() == {column.name for column in table.columns}
    return {name: _of_json(name, value) for name, value in source.items()}


def _of_json(name: str, value: Any) -> Any:
    readers: dict[str, Callable[[Any], Any]] = {
        "price": Decimal,
        "at": lambda text: datetime.fromisoformat(text.replace("Z", "+00:00")),
        "local_at": datetime.fromisoformat,
        "day": date.fromisoformat,
        "clock": time.fromisoformat,
        "raw": base64.b64decode,
    }
    return value if value is None else readers.get(name, lambda v: v)(value)
