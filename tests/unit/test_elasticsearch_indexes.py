"""Indexes that a sink refuses, by what a server answers of them; the local node has no data streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from connectors.elasticsearch.connection import Cluster
from connectors.elasticsearch.documents import DocumentForm
from connectors.elasticsearch.indexes import Indexes
from streamjobs.errors import ConfigError
from streamjobs.options.options import Options
from streamjobs.options.store_options import ELASTICSEARCH_OPTIONS
from streamjobs.sinks.contract import SinkColumn, SinkTable

OPTIONS: Options = ELASTICSEARCH_OPTIONS.parse({"endPoint": "http://127.0.0.1:1"}, "table t")
FORM = DocumentForm(SinkTable("t", (SinkColumn("id", "BIGINT"),), ("id",), {}))
ID = {"properties": {"id": {"type": "long"}}}


class Answering(Cluster):
    """Gives one answer to `GET /index`; anything else is a request that should not be made."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__(OPTIONS, "table t")
        self._answer = answer

    def request(
        self, what: str, method: str, path: str, body: object = None, *, missing: bool = False
    ) -> Any:
        assert (what, method, body, missing) == ("looking at index t", "GET", None, True), path
        return self._answer


def refusal(answer: Mapping[str, Any]) -> str:
    indexes = Indexes(Answering(answer), FORM, "table t", create=True, settings={})
    with pytest.raises(ConfigError) as caught:
        indexes.ensure("t")
    return str(caught.value)


@pytest.mark.parametrize("generations", [1, 2])
def test_a_data_stream_is_refused_at_the_start(generations: int) -> None:
    backing = {
        f".ds-t-2026.11.23-{number:06}": {"aliases": {}, "mappings": ID, "settings": {}, "data_stream": "t"}
        for number in range(1, generations + 1)
    }
    assert refusal(backing) == (
        "table t: t is the data stream t, which only accepts new documents: a changed or deleted row would "
        "stay as it was. Name another 'index', or delete the data stream"
    )


@pytest.mark.parametrize(
    ("mappings", "settings", "told"),
    [
        ({"_source": {"enabled": False}}, {}, "its _source is not enabled, so documents cannot be read back"),
        ({"_source": {"enabled": "false"}}, {},
         "its _source is not enabled, so documents cannot be read back"),
        ({"_source": {"excludes": ["a", "b"]}}, {}, "its _source excludes a, b, so documents lose fields"),
        ({"_source": {"mode": "synthetic"}}, {},
         "its _source mode synthetic rebuilds documents from what is indexed, which is less exact"),
        ({}, {"index.mapping.source.mode": "SYNTHETIC"},
         "its _source mode synthetic rebuilds documents from what is indexed, which is less exact"),
        ({}, {"index.mode": "logsdb"},
         "its index.mode logsdb rebuilds documents from what is indexed, which is less exact"),
        ({}, {"index.mode": "time_series"},
         "its index.mode time_series rebuilds documents from what is indexed, which is less exact"),
    ],
)  # fmt: skip
def test_an_index_that_gives_back_other_documents_is_refused(
    mappings: Mapping[str, Any], settings: Mapping[str, Any], told: str
) -> None:
    answer = {"t": {"aliases": {}, "mappings": {**ID, **mappings}, "settings": settings}}
    assert refusal(answer) == f"table t: index t does not fit: {told}"
