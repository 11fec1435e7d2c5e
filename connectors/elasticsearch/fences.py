"""The fence in Elasticsearch: one document per target in a hidden index, replaced by compare-and-set."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import quote

from connectors.elasticsearch.connection import Cluster, RefusedError
from streamjobs.errors import RetriableError
from streamjobs.sinks.contract import Attempt
from streamjobs.sinks.fence import Fence, fenced_off, take

INDEX = "streamjobs-fences"
"""Hidden: neither `_search` without an index name nor `*` finds it."""
_SETTINGS = {
    "settings": {"index.hidden": True, "index.number_of_shards": 1, "index.auto_expand_replicas": "0-1"},
    "mappings": {"dynamic": "strict", "properties": {"fence": {"type": "keyword", "index": False}}},
}


class ElasticsearchFence:
    """Who may write; taken once by `open`, checked before each batch over the same connection.

    A batch that has passed the check but is late has versions of an older epoch, which every document of a
    newer epoch refuses.
    """

    def __init__(self, cluster: Cluster, table: str, target: str) -> None:
        self._cluster = cluster
        self._table = table
        self._path = f"/{INDEX}/_doc/{quote(target, safe='')}"
        self.token = ""
        self.epoch = 0

    def take(self, attempt: Attempt) -> None:
        """Become the writer of this subtask. Raises SystemicError when another has taken over from us."""
        token, what = secrets.token_hex(8), "fencing off older writers"
        self._create_index()
        for _ in range(10):
            found = self._read()
            before = None if found is None else Fence.from_json(found["_source"]["fence"])
            fence = take(before, attempt, token, self._table)
            condition = (
                "op_type=create"
                if found is None
                else f"if_seq_no={found['_seq_no']}&if_primary_term={found['_primary_term']}"
            )
            try:
                body = {"fence": fence.to_json()}
                self._cluster.request(what, "PUT", f"{self._path}?{condition}", body)
            except RefusedError:
                continue  # another subtask was faster
            self.token, self.epoch = token, fence.epoch
            return
        message = f"table {self._table}: {what}: another running job keeps taking it over; stop one of them"
        raise RetriableError(message)

    def is_of(self, run_id: str) -> bool:
        """Return whether an attempt of this run has already taken it."""
        answer = self._cluster.request("looking for the fence", "GET", f"/{INDEX}/_settings", missing=True)
        found = None if answer is None else self._read()
        return found is not None and Fence.from_json(found["_source"]["fence"]).run_id == run_id

    def check(self) -> None:
        """Raise SystemicError when a newer attempt writes."""
        found = self._read()
        fence = None if found is None else Fence.from_json(found["_source"]["fence"])
        if fence is None or self.token not in fence.tokens():
            raise fenced_off(self._table, self.token, fence)

    def _read(self) -> dict[str, Any] | None:
        answer = self._cluster.request("asking who writes", "GET", self._path, missing=True)
        found: dict[str, Any] | None = None if answer is None else dict(answer)
        return found

    def _create_index(self) -> None:
        what = f"creating the hidden index {INDEX}"
        if self._cluster.request(what, "GET", f"/{INDEX}/_settings?filter_path=*", missing=True) is None:
            try:
                self._cluster.request(what, "PUT", f"/{INDEX}", _SETTINGS)
            except RefusedError as exc:
                if "resource_already_exists" not in str(exc):
                    raise
