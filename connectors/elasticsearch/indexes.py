"""The indexes that a sink writes: made with a strict mapping, or checked against the declared columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from connectors.elasticsearch.connection import Cluster, RefusedError
from connectors.elasticsearch.documents import DocumentForm
from streamjobs.errors import ConfigError, SystemicError

GC_DELETES_MS = 3_600_000
"""How long an index must remember the version of a deleted document: longer than any zombie lives."""
_DURATION = re.compile(r"(-?\d+)(nanos|micros|ms|s|m|h|d)?")
_UNIT_MS = {"nanos": 1e-6, "micros": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6, "d": 8.64e7, None: 1.0}
_DEFAULT_GC_DELETES = "60s"


class Indexes:
    """Makes an index at its first use, or checks the one that is there; each once."""

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
        self._ready: set[str] = set()

    def exists(self, index: str) -> bool:
        """Tell whether the index is there; makes none."""
        return index in self._ready or self._read(index) is not None

    def ensure(self, index: str) -> None:
        """Make or check the index. Raises ConfigError (it does not fit), SystemicError (it is missing)."""
        if index in self._ready:
            return
        found = self._read(index)
        if found is None:
            if not self._create:
                message = f"{self._where}: there is no index {index}: create it, or set 'createIndex' to true"
                raise SystemicError(message)
            self._make(index)
        else:
            self._check(index, found)
        self._ready.add(index)

    def _read(self, index: str) -> Mapping[str, Any] | None:
        path = f"/{index}?flat_settings=true&include_defaults=false"
        answer = self._cluster.request(f"looking at index {index}", "GET", path, missing=True)
        if answer is None:
            return None
        found = list(answer.values())
        if len(found) != 1:
            message = f"{self._where}: {index} is an alias of {len(found)} indexes; a sink writes one"
            raise ConfigError(message)
        one: Mapping[str, Any] = found[0]
        return one

    def _make(self, index: str) -> None:
        settings = {"index.gc_deletes": f"{GC_DELETES_MS}ms"}
        settings |= {
            name if name.startswith("index.") else f"index.{name}": v for name, v in self._settings.items()
        }
        if _milliseconds(settings["index.gc_deletes"]) < GC_DELETES_MS:
            message = f"{self._where}: index.gc_deletes must be at least {GC_DELETES_MS} ms, for zombies"
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
            self._check(index, self._read(index) or {})

    def _check(self, index: str, found: Mapping[str, Any]) -> None:
        properties = found.get("mappings", {}).get("properties", {})
        if misfits := self._form.misfits(properties):
            message = f"{self._where}: index {index} does not fit: {'; '.join(misfits)}"
            raise ConfigError(message)
        missing = {name: form for name, form in self._form.mapping().items() if name not in properties}
        if missing:
            what = f"adding {', '.join(missing)} to the mapping of index {index}"
            self._cluster.request(what, "PUT", f"/{index}/_mapping", {"properties": missing})
        kept = str(found.get("settings", {}).get("index.gc_deletes", _DEFAULT_GC_DELETES))
        if _milliseconds(kept) < GC_DELETES_MS:
            what = f"raising index.gc_deletes of index {index} from {kept}, that no zombie resurrects a row"
            self._cluster.request(
                what, "PUT", f"/{index}/_settings", {"index.gc_deletes": f"{GC_DELETES_MS}ms"}
            )


def _milliseconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    return -1.0 if match is None else int(match[1]) * _UNIT_MS[match[2]]
