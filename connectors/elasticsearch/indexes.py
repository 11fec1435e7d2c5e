"""The indexes that a sink writes: created with a strict mapping, or checked against the declared columns."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from connectors.elasticsearch.connection import Cluster, RefusedError
from connectors.elasticsearch.documents import DocumentForm
from streamjobs.errors import ConfigError, SystemicError

logger = logging.getLogger(__name__)

_ALIAS_PREFIX = "streamjobs-write-"
GC_DELETES_MS = 3_600_000
"""How long an index must keep the version of a deleted document: longer than any zombie lives."""
_DURATION = re.compile(r"(-?\d+)(nanos|micros|ms|s|m|h|d)?")
_UNIT_MS = {"nanos": 1e-6, "micros": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6, "d": 8.64e7, None: 1.0}
_DEFAULT_GC_DELETES = "60s"


@dataclass(frozen=True)
class Target:
    """The name by which a bulk request writes an index.

    An alias (`is_alias`) is deleted with its index, so a request for it never creates an index. With the name
    of the index the server would create it, with a mapping that it guesses from the first document.
    """

    name: str
    is_alias: bool


class Indexes:
    """Creates an index at its first use, or checks the existing one; each once.

    An index without an alias of the user gets a hidden one of ours: see `Target`.
    """

    def __init__(
        self,
        cluster: Cluster,
        form: DocumentForm,
        where: str,
        *,
        create: bool,
        settings: Mapping[str, str],
    ) -> None:
        self._cluster = cluster
        self._form = form
        self._where = where
        self._create = create
        self._settings = settings
        self._ready: dict[str, Target] = {}

    def exists(self, index: str) -> bool:
        """Return whether the index exists; do not create it."""
        return index in self._ready or self._read(index) is not None

    def ensure(self, index: str) -> Target:
        """Create or check the index. Raises ConfigError (it does not fit), SystemicError (it is missing)."""
        known = self._ready.get(index)
        if known is not None:
            return known
        found = self._read(index)
        if found is None:
            if not self._create:
                message = f"{self._where}: there is no index {index}: create it, or set 'createIndex' to true"
                raise SystemicError(message)
            self._make(index)
            found = self._read(index) or {}  # an index template may have changed it
        self._check(index, found)
        target = self._ready[index] = self._target(index, found)
        return target

    def lost(self, targets: Iterable[Target]) -> bool:
        """Return whether one of these aliases was deleted with its index: a delete would create an index.

        Deletes ignore `require_alias`; the next request finds what is deleted between this check and the
        request.
        """
        names = sorted(quote(target.name, safe="") for target in targets if target.is_alias)
        found = [
            self._cluster.request("looking for an alias", "GET", f"/_alias/{name}", missing=True)
            for name in names
        ]
        return None in found

    def forget(self) -> None:
        """Check each index again before it is written: one of them was deleted."""
        self._ready.clear()

    def _target(self, index: str, found: Mapping[str, Any]) -> Target:
        aliases = found.get("aliases", {})
        if index in aliases:
            return Target(index, is_alias=True)
        name = f"{_ALIAS_PREFIX}{index}"
        if name not in aliases:
            add = {"index": index, "alias": name, "is_hidden": True, "is_write_index": True}
            try:
                self._cluster.request(
                    f"adding the hidden alias {name}", "POST", "/_aliases", {"actions": [{"add": add}]}
                )
            except SystemicError as exc:
                logger.warning("%s; if the index is deleted, the server will guess a new mapping", exc)
                return Target(index, is_alias=False)
        return Target(name, is_alias=True)

    def _read(self, index: str) -> Mapping[str, Any] | None:
        path = f"/{index}?flat_settings=true&include_defaults=false"
        answer = self._cluster.request(f"looking at index {index}", "GET", path, missing=True)
        if answer is None:
            return None
        found = list(answer.values())
        for one in found:
            self._refuse_stream(index, one)
        if len(found) != 1:
            message = f"{self._where}: {index} is an alias of {len(found)} indexes; a sink writes one"
            raise ConfigError(message)
        only: Mapping[str, Any] = found[0]
        return only

    def _refuse_stream(self, index: str, found: Mapping[str, Any]) -> None:
        stream = found.get("data_stream")
        if stream is not None:
            message = (
                f"{self._where}: {index} is the data stream {stream}, which only accepts new documents: "
                "a changed or deleted row "
                "would stay as it was. Name another 'index', or delete the data stream"
            )
            raise ConfigError(message)

    def _make(self, index: str) -> None:
        settings = {"index.gc_deletes": f"{GC_DELETES_MS}ms"}
        settings |= {
            name if name.startswith("index.") else f"index.{name}": v for name, v in self._settings.items()
        }
        if _milliseconds(settings["index.gc_deletes"]) < GC_DELETES_MS:
            message = f"{self._where}: index.gc_deletes must be at least {GC_DELETES_MS} ms, against zombies"
            raise ConfigError(message)
        body = {
            "settings": settings,
            "mappings": {"dynamic": "strict", "properties": self._form.mapping()},
        }
        try:
            self._cluster.request(f"creating index {index}", "PUT", f"/{index}", body)
        except RefusedError as exc:
            if "resource_already_exists" not in str(exc):
                raise ConfigError(str(exc)) from exc

    def _check(self, index: str, found: Mapping[str, Any]) -> None:
        properties = found.get("mappings", {}).get("properties", {})
        if misfits := [*_source_misfits(found), *self._form.misfits(properties)]:
            message = f"{self._where}: index {index} does not fit: {'; '.join(misfits)}"
            raise ConfigError(message)
        if whole := self._form.without_words(properties):
            logger.warning(
                "%s: index %s exists with %s, so a search by word does not find it, as 'textFields' asks: "
                "name another 'index' and start the job from the beginning of its input",
                self._where,
                index,
                ", ".join(f"{name} as {properties[name]['type']}" for name in whole),
            )
        missing = {name: form for name, form in self._form.mapping().items() if name not in properties}
        if missing:
            what = f"adding {', '.join(missing)} to the mapping of index {index}"
            self._cluster.request(what, "PUT", f"/{index}/_mapping", {"properties": missing})
        kept = str(found.get("settings", {}).get("index.gc_deletes", _DEFAULT_GC_DELETES))
        if _milliseconds(kept) < GC_DELETES_MS:
            what = f"raising index.gc_deletes of index {index} from {kept}, so that no zombie restores a row"
            self._cluster.request(
                what, "PUT", f"/{index}/_settings", {"index.gc_deletes": f"{GC_DELETES_MS}ms"}
            )


def _source_misfits(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the reasons why the index returns other documents than were written."""
    source, settings = found.get("mappings", {}).get("_source", {}), found.get("settings", {})
    for name in ("includes", "excludes"):
        if source.get(name):
            yield f"its _source {name} {', '.join(source[name])}, so documents lose fields"
    if source.get("enabled") in (False, "false"):
        yield "its _source is not enabled, so documents cannot be read back"
    mode = str(source.get("mode") or settings.get("index.mapping.source.mode") or "stored").lower()
    kind = str(settings.get("index.mode") or "standard").lower()
    if mode != "stored" or kind in ("logsdb", "time_series"):
        shown = f"index.mode {kind}" if mode == "stored" else f"_source mode {mode}"
        yield f"its {shown} rebuilds documents from what is indexed, which is less exact"
    for name in ("default_pipeline", "final_pipeline"):
        pipeline = settings.get(f"index.{name}", "_none")
        if pipeline != "_none":
            yield f"its {name} {pipeline} may change documents first: set index.{name} to _none"


def _milliseconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    return -1.0 if match is None else int(match[1]) * _UNIT_MS[match[2]]
