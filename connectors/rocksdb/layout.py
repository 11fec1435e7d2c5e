"""The directory of a table and its files, each written completely, durable, and never replaced.

<path>/<table>/schemas/00000001.json    a declaration of the table, by number
               attempts/0000000007.json a writer's claim, by epoch (claims.py)
               layouts/4-1c0ffee…       which run has spread keys over the shards
               shards/00000/            one RocksDB per subtask
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from connectors.rocksdb.rows import Schema
from streamjobs.errors import ConfigError
from streamjobs.sinks.contract import Attempt, SinkColumn, SinkTable

FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_serial = itertools.count()


class TableDirectory:
    """The directory of one table. Raises ConfigError for a name that is not a plain file name."""

    def __init__(self, path: Path, table: str) -> None:
        if not _NAME.fullmatch(table):
            message = f"table name {table!r}: letters, digits, '_', '.', '-' only"
            raise ConfigError(message)
        self.table = table
        self.root = path / table
        self.attempts = self.root / "attempts"

    @property
    def exists(self) -> bool:
        """Return True once a writer has declared the table."""
        return bool(_numbered(self.root / "schemas"))

    def shard(self, subtask: int) -> Path:
        """Return the RocksDB directory of a subtask."""
        return self.root / "shards" / f"{subtask:05d}"

    def shards(self) -> list[Path]:
        """Return the RocksDB directories that hold data, in subtask order."""
        return sorted(path.parent for path in (self.root / "shards").glob("*/CURRENT"))

    def schemas(self) -> dict[int, Schema]:
        """Return all declarations so far, by number."""
        return {n: _schema_of(path) for n, path in _numbered(self.root / "schemas").items()}

    def declare(self, table: SinkTable) -> dict[int, Schema]:
        """Record the present declaration of the table; return all: the one with the greatest number is valid.

        Raises: ConfigError when the key or a column's type differs from before.
        """
        wanted = Schema.of_table(table, 0)
        while True:
            schemas = self.schemas()
            last = max(schemas, default=0)
            for older in schemas.values():
                wanted.refuse_change_from(older, self.table)
            if last and schemas[last].columns == wanted.columns:
                return schemas
            create_file(self.root / "schemas" / f"{last + 1:08d}.json", _schema_json(wanted))

    def spread(self, attempt: Attempt) -> bool:
        """Record who spreads keys over the shards; return True if a key may be in more than one shard.

        It is True once the table was written with another parallelism, or in parallel by another run, whose
        query may spread keys differently.
        """
        run = hashlib.sha256(attempt.run_id.encode()).hexdigest()[:16]
        name = "1" if attempt.parallelism == 1 else f"{attempt.parallelism}-{run}"
        layouts = self.root / "layouts"
        create_file(layouts / name, b"")
        return len([path for path in layouts.iterdir() if not path.name.startswith(".")]) > 1


def create_file(path: Path, content: bytes) -> bool:
    """Create a complete, durable file in one step; return False, and change nothing, if it already exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.parent / f".{os.getpid()}-{next(_serial)}.tmp"
    with draft.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    sync_directory(path.parent)
    return True


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _numbered(path: Path) -> dict[int, Path]:
    return {int(entry.stem): entry for entry in sorted(path.glob("[0-9]*.json"))}


def _schema_json(schema: Schema) -> bytes:
    columns = [asdict(column) for column in schema.columns]
    return json.dumps({"format": FORMAT, "key": schema.key, "columns": columns}, indent=1).encode()


def _schema_of(path: Path) -> Schema:
    fields: dict[str, Any] = json.loads(path.read_bytes())
    if fields["format"] != FORMAT:
        message = f"{path} has format {fields['format']}, this version reads {FORMAT}"
        raise ConfigError(message)
    columns = tuple(SinkColumn(**column) for column in fields["columns"])
    return Schema(int(path.stem), columns, tuple(fields["key"]))
