"""The Elasticsearch sink: one bulk request per batch, each document with a version that only grows."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any
from urllib.parse import quote

import orjson

from connectors.elasticsearch.answers import Answers
from connectors.elasticsearch.connection import Cluster, TooLargeError
from connectors.elasticsearch.documents import DocumentForm, IndexPattern, text_fields
from connectors.elasticsearch.fences import ElasticsearchFence
from connectors.elasticsearch.indexes import Indexes, Target
from streamjobs.errors import RetriableError, SystemicError
from streamjobs.options.store_options import ELASTICSEARCH_OPTIONS
from streamjobs.sinks.contract import (
    Attempt,
    Record,
    RecordKind,
    Rejection,
    SinkTable,
    SinkTraits,
    WriteResult,
)
from streamjobs.sinks.stored_types import Reason, UnfitValueError
from streamjobs.sinks.upsert_batch import columns_of, has_deletes, keys_of, versions_of

logger = logging.getLogger(__name__)

_COUNTER_BITS = 33
_COUNTER_MASK = (1 << _COUNTER_BITS) - 1
_IN_SHORT, _IN_FULL = "filter_path=errors", "filter_path=errors,items.*.status,items.*.error"
"""The part of a bulk answer to ask for: whether an item failed, or the result of each item."""


class ElasticsearchSink:
    """Writes one table's rows to an index, or to one per date; fulfils `streamjobs.sinks.contract.Sink`.

    Promise: an older attempt never overwrites or deletes a document of a newer one: versions contain the
    epoch, which each `open` increases. Deletes are real; Elasticsearch keeps their version for
    `index.gc_deletes` (an hour in indexes we create), and a connection does not survive a restart of its
    node.
    """

    traits = SinkTraits(
        guarantee="Each document holds the last change of its key; searches see it after the next refresh.",
        idempotence="Each document has our version: a write that is not newer changes nothing.",
        deletes="A delete removes the document; its version is remembered for index.gc_deletes.",
        ordering="Changes of a key take effect in order; an older attempt never overtakes a newer one.",
        rejects=(
            "Values that their declared type cannot hold or that the index's mapping refuses, NaN and "
            "infinite numbers, NULL in a key, ids > 512 bytes, documents > 16 MiB."
        ),
        max_batch_rows=5000,
        max_batch_bytes=8 * 1024 * 1024,
        operation=(
            "The sink raises `index.gc_deletes` to an hour in every index that it writes: for so long a late "
            "request of an older attempt cannot write a deleted document again. The writer needs the "
            "rights to create indexes and aliases: each index gets a hidden alias, `streamjobs-write-` and "
            "its name. So a job stops when its index is deleted, and the server does not create a new one "
            "with a guessed mapping; the index of a date, which retention deletes, is created again with "
            "our mapping. A data stream is refused because it keeps changed and deleted documents; so is an "
            "index that changes _source, or that has a pipeline, also by a template. An error that no "
            "single document causes stops the job."
            " `_source` holds each value exactly. For searches, sorting and aggregations an index that the "
            "sink creates also keeps: a text as `keyword`, found as a whole, if it has at most 8191 "
            "characters; a text of 'textFields' as `text`, found by its words, with the whole text in the "
            "sub-field `keyword`; a DECIMAL as `double`, exact with up to 15 digits (with more digits, close "
            "values are found as one, [decision 0072](decisions/0072-what-elasticsearch-searches.md)); "
            "times in milliseconds. `'settings.analysis.analyzer.default.type'` names the analyzer "
            "that divides texts into words. An existing index keeps its own field types if they can "
            "hold the columns: create the index yourself to get other types."
        ),
    )

    def __init__(self, table: SinkTable) -> None:
        where = f"table {table.name}"
        options = ELASTICSEARCH_OPTIONS.parse(table.options, where)
        self._table = table
        self._form = DocumentForm(table, text_fields(options.text_or_none("textFields") or "", table))
        self._pattern = IndexPattern(options.text_or_none("index") or table.name.lower(), table)
        self._cluster = Cluster(options, where)
        settings = {name: str(value) for name, value in options.prefixed("settings.").items()}
        self._indexes = Indexes(
            self._cluster, self._form, where, create=options.flag("createIndex"), settings=settings
        )
        writer = options.text_or_none("writer")
        target = self._pattern.text if writer is None else f"{self._pattern.text} {writer}"
        self._fence = ElasticsearchFence(self._cluster, table.name, target)
        self._names = frozenset(self._form.names)
        self._unsent: tuple[Sequence[Record], Answers] | None = None
        self._asks_in_full = False

    def open(self, attempt: Attempt) -> None:
        """Connect, create or check the index, become the writer. Raises ConfigError too."""
        self._unsent = None
        self._cluster.connect()
        index = self._pattern.text
        if self._pattern.column is None:
            if not self._indexes.exists(index) and self._fence.is_of(attempt.run_id):
                raise self._gone()
            self._indexes.ensure(index)
        self._fence.take(attempt)

    def write(self, batch: Sequence[Record]) -> WriteResult:
        """Write the batch; see the contract. After a RetriableError only what has no answer is sent again."""
        if not self._cluster.connected:
            self._cluster.connect()
        self._fence.check()
        if self._unsent is None or self._unsent[0] is not batch:
            self._unsent = (batch, Answers(range(len(batch)), f"table {self._table.name}"))
        answers = self._unsent[1]
        try:
            self._send(batch, answers)
        except TooLargeError as exc:
            self._unsent = None
            return _refused(batch, Reason.SIZE.value, str(exc))
        if answers.lost_index:
            if self._pattern.column is None:
                raise self._gone()
            self._indexes.forget()  # retention deletes old dates: the next try creates them again
        if answers.waiting:
            count = len(answers.waiting)
            message = f"table {self._table.name}: {count} documents are not written yet: {answers.why}"
            raise RetriableError(message)
        self._unsent = None
        return WriteResult(tuple(answers.rejected))

    def close(self) -> None:
        """Close the connection."""
        self._cluster.close()

    def _gone(self) -> SystemicError:
        message = (
            f"table {self._table.name}: index {self._pattern.text} was deleted under the job, with all that "
            "it had written: restore it, or start the job again from the beginning of its input"
        )
        return SystemicError(message)

    def _send(self, batch: Sequence[Record], answers: Answers) -> None:
        places = answers.waiting
        records = batch if len(places) == len(batch) else [batch[place] for place in places]
        deleted: set[Target] = set()
        path, lines, sent = "/_bulk?", self._lines_at_once(records), list(places)
        if lines is None:
            lines, sent = self._lines(records, places, answers, deleted)
        else:
            target = self._indexes.ensure(self._pattern.text)
            alias = "true" if target.is_alias else "false"
            path = f"/{quote(target.name, safe='')}{path}require_alias={alias}&"
        answers.waiting = sent
        answers.lost_index = self._indexes.lost(deleted)
        if answers.lost_index or not sent:
            return
        answers.take(
            batch, sent, self._bulk(f"writing {len(sent)} documents", path, b"\n".join((*lines, b"")))
        )

    def _bulk(self, what: str, path: str, body: bytes) -> Mapping[str, Any]:
        """Send a request; ask for the result of each item only if one failed.

        Then the same request is sent again: documents that are already written are as new, and stay. After a
        request with failures the next one asks at once: in a replay many documents are newer.
        """
        if not self._asks_in_full:
            answer: Mapping[str, Any] = self._cluster.request(what, "POST", path + _IN_SHORT, body)
            if not answer["errors"]:
                return answer
        answer = self._cluster.request(what, "POST", path + _IN_FULL, body)
        self._asks_in_full = answer["errors"]
        return answer

    def _lines_at_once(self, records: Sequence[Record]) -> list[bytes] | None:
        """Return the request's lines of complete UPSERTs, all of one index, which the lines do not name.

        None if one of them must be handled alone.
        """
        if self._pattern.column is not None or has_deletes(records):
            return None
        ids = self._form.ids(keys_of(records))
        columns = None if ids is None else columns_of(records, self._form.names)
        bodies = None if columns is None else self._form.bodies(columns)
        if ids is None or bodies is None:
            return None
        epoch, lines = self._fence.epoch << _COUNTER_BITS, [b""] * (2 * len(ids))
        lines[::2] = [
            b'{"index":{"version_type":"external","version":%d,"_id":"%b"}}'
            % (epoch | (version & _COUNTER_MASK), id_.encode())
            for id_, version in zip(ids, versions_of(records), strict=True)
        ]
        lines[1::2] = bodies
        return lines

    def _lines(
        self, records: Sequence[Record], places: Sequence[int], answers: Answers, deleted: set[Target]
    ) -> tuple[list[bytes], list[int]]:
        """Return the request's lines, and the indexes of their records in the batch.

        Records that cannot be encoded are rejected in `answers`; `deleted` gets the targets of deletes.
        """
        upserts = [record for record in records if record.kind is RecordKind.UPSERT]
        columns = columns_of(upserts, self._form.names)
        bodies = None if columns is None else self._form.bodies(columns)
        ids: Iterable[str | None] = self._form.ids(keys_of(records)) or repeat(None)
        before = {} if bodies is not None else self._before(records)
        ready = iter(bodies or ())
        epoch = self._fence.epoch << _COUNTER_BITS
        lines, sent = [], []
        for place, record, known in zip(places, records, ids, strict=False):
            is_upsert = record.kind is RecordKind.UPSERT
            body = next(ready) if bodies is not None and is_upsert else None
            try:
                id_ = known or self._form.id(record.key)
                index = self._pattern.of(record.key)
                if is_upsert and body is None:
                    body = self._form.body(record.values, before.get((index, id_)))
            except UnfitValueError as exc:
                answers.rejected.append(Rejection(record, exc.reason.value, str(exc)))
                continue
            if not is_upsert and self._pattern.column is not None and not self._indexes.exists(index):
                continue  # a delete creates no index
            target = self._indexes.ensure(index)
            if not is_upsert:
                deleted.add(target)
            head = _head(is_upsert, target)
            version = epoch | (record.version & _COUNTER_MASK)
            lines.append(b'%b%d,"_id":%b}}' % (head, version, orjson.dumps(id_)))
            if body is not None:
                lines.append(body)
            sent.append(place)
        return lines, sent

    def _before(self, records: Sequence[Record]) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        """Read the documents that UPSERTs with ABSENT columns are merged into, by index and id."""
        wanted = []
        for record in records:
            if record.kind is RecordKind.UPSERT and not record.values.keys() >= self._names:
                try:
                    place = {"_index": self._pattern.of(record.key), "_id": self._form.id(record.key)}
                except UnfitValueError:
                    continue
                if self._indexes.exists(place["_index"]):
                    wanted.append(place)
        if not wanted:
            return {}
        answer = self._cluster.request("reading what partial rows keep", "POST", "/_mget", {"docs": wanted})
        return {(d["_index"], d["_id"]): d["_source"] for d in answer["docs"] if d.get("found")}


@lru_cache(1000)
def _head(is_upsert: bool, target: Target) -> bytes:
    """Return the start of a document's line; it is cached because a job writes few indexes."""
    action, alias = b"index" if is_upsert else b"delete", b"true" if target.is_alias else b"false"
    return b'{"%b":{"_index":%b,"require_alias":%b,"version_type":"external","version":' % (
        action, orjson.dumps(target.name), alias,
    )  # fmt: skip


def _refused(batch: Sequence[Record], reason: str, detail: str) -> WriteResult:
    return WriteResult(tuple(Rejection(record, reason, detail) for record in batch))
