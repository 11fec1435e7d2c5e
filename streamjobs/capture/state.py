"""The state that a capture stores between runs, in a file or in a compacted topic."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Protocol

from streamjobs.changes.row_change import TableId
from streamjobs.errors import ConfigError, SystemicError

FORMAT_VERSION = 1


@dataclass(frozen=True)
class TablePart:
    """A range of a table's primary keys in a snapshot, as literals of the server.

    Shape: `after` is the last key that was sent, None before the first; `until` is the last key of the range,
    None: no end (the table is one part). Keys are tuples of SQL literals, `("17", "x'6162'")`.
    """

    after: tuple[str, ...] | None = None
    until: tuple[str, ...] | None = None
    done: bool = False
    rows: int = 0


@dataclass(frozen=True)
class CaptureState:
    """The position of a capture, and what belongs to it; the broker has acknowledged everything before it.

    `server` identifies the server (its UUID); `epoch` counts the servers of this source. The next read starts
    at `file` and `offset`, always between transactions; `gtids` is the set of all transactions before it, ""
    without GTIDs. `snapshots` has the tables with a running snapshot, `tables` those that are complete;
    `catalog` is the number of the stored table definitions for this position, 0: none are stored.
    `file_made_at_s` identifies the file among others of the same name, 0: not known. `partitions` has the
    number of partitions that rows go to, for every written topic; a topic that is not in it may have any
    number. `sweeps` has the tables with a running or finished snapshot whose orphan rows may still be
    downstream, each with the position since which all of its rows have messages. `stopped` has the tables
    that are no longer sent, and why. `delivered_to_ms`: see `CaptureStatus`, 0 if not known.
    """

    server: str
    epoch: int
    file: str
    offset: int
    gtids: str = ""
    at_ms: int = 0
    snapshots: Mapping[str, tuple[TablePart, ...]] = field(default_factory=dict)
    tables: tuple[str, ...] = ()
    catalog: int = 0
    file_made_at_s: int = 0
    partitions: Mapping[str, int] = field(default_factory=dict)
    sweeps: Mapping[str, str] = field(default_factory=dict)
    stopped: Mapping[str, str] = field(default_factory=dict)
    delivered_to_ms: int = 0

    @property
    def place(self) -> str:
        """The position where the next read starts, as `file:offset`."""
        return f"{self.file}:{self.offset}"

    def to_json(self) -> bytes:
        """Return the state as JSON in one line."""
        fields = asdict(self) | {"v": FORMAT_VERSION, "snapshots": _plain(self.snapshots)}
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> CaptureState:
        """Read the state back. Raises ConfigError if `data` is not a state."""
        try:
            fields: dict[str, Any] = json.loads(data)
            if fields.pop("v") != FORMAT_VERSION:
                message = f"this capture state has another version: {data[:80]!r}"
                raise ConfigError(message)
            parts = {
                table: tuple(TablePart(_key(p["after"]), _key(p["until"]), p["done"], p["rows"]) for p in of)
                for table, of in fields.pop("snapshots").items()
            }
            tables = tuple(fields.pop("tables"))
            return cls(**fields, snapshots=parts, tables=tables)
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            message = f"not a capture state: {data[:80]!r}"
            raise ConfigError(message) from exc

    def at(self, file: str, offset: int, gtids: str, at_ms: int, file_made_at_s: int = 0) -> CaptureState:
        """Return the same state at another log position."""
        return replace(
            self, file=file, offset=offset, gtids=gtids, at_ms=at_ms, file_made_at_s=file_made_at_s
        )


class StateStore(Protocol):
    """Stores the latest state of one source.

    Promise: `write` is atomic and durable when it returns: `read` returns the old state or the new one, never
    a mix. The last two numbers of table definitions are kept, so that a crash between the two writes loses
    none. A store that another process has taken over raises SystemicError: otherwise, two captures of one
    source would overwrite each other's position.
    """

    def read(self) -> CaptureState | None:
        """Return the state, None if there is none yet."""

    def write(self, state: CaptureState) -> None:
        """Replace the state."""

    def read_catalog(self, number: int) -> bytes | None:
        """Return the table definitions with this number, None if they do not exist."""

    def write_catalog(self, number: int, data: bytes) -> None:
        """Store table definitions before the state that refers to them; keep the previous ones."""

    def close(self) -> None:
        """Close the file or the connection."""


class FileStore:
    """The state in one file; a lock file beside it keeps out a second capture.

    Raises: SystemicError when another process has the lock, or when writing fails.
    """

    def __init__(self, path: Path, source: str) -> None:
        self._path = path
        self._source = source
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock: IO[bytes] = path.with_name(f"{path.name}.lock").open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            self._lock.close()
            message = f"another capture holds {path}: only one process can capture a source"
            raise SystemicError(message) from exc

    def read(self) -> CaptureState | None:
        """Return the state, None if there is none yet."""
        return read_file(self._path, self._source)

    def write(self, state: CaptureState) -> None:
        """Replace the state in one step, durably."""
        self._replace(self._path, self._source.encode() + b"\n" + state.to_json())

    def read_catalog(self, number: int) -> bytes | None:
        """Return the table definitions with this number, None if they do not exist."""
        try:
            return self._slot(number).read_bytes()
        except FileNotFoundError:
            return None

    def write_catalog(self, number: int, data: bytes) -> None:
        """Store table definitions next to the state, durably."""
        self._replace(self._slot(number), data)

    def _slot(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.tables{number % 2}")

    def _replace(self, path: Path, data: bytes) -> None:
        draft = path.with_name(f"{path.name}.new")
        try:
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as exc:
            message = f"cannot store the position in {self._path}: {exc}"
            raise SystemicError(message) from exc

    def close(self) -> None:
        """Release the lock."""
        self._lock.close()


def read_file(path: Path, source: str) -> CaptureState | None:
    """Read a state's file; None if it does not exist. Raises ConfigError if it is another source's."""
    try:
        name, _, data = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    if name.decode("utf-8", "replace") != source:
        message = f"{path} holds the position of {name!r}, not of {source}: use another file"
        raise ConfigError(message)
    return CaptureState.from_json(data)


class Register(Protocol):
    """Storage for one value per slot in a broker (`connectors.kafka.KafkaRegister`)."""

    def read(self, slot: str = "") -> bytes | None:
        """Return the value of a slot."""

    def write(self, value: bytes, slot: str = "") -> None:
        """Replace the value of a slot."""

    def close(self) -> None:
        """Close the connection."""


class RegisterStore:
    """The state in a broker; `open_register` takes it over from any other process."""

    def __init__(self, open_register: Callable[[], Register]) -> None:
        self._register = open_register()

    def read(self) -> CaptureState | None:
        """Return the state, None if there is none yet."""
        data = self._register.read()
        return None if data is None else CaptureState.from_json(data)

    def write(self, state: CaptureState) -> None:
        """Replace the state."""
        self._register.write(state.to_json())

    def read_catalog(self, number: int) -> bytes | None:
        """Return the table definitions with this number, None if they do not exist."""
        return self._register.read(f"tables{number % 2}")

    def write_catalog(self, number: int, data: bytes) -> None:
        """Store table definitions next to the state."""
        self._register.write(data, f"tables{number % 2}")

    def close(self) -> None:
        """Close the connection."""
        self._register.close()


def table_id(name: str) -> TableId:
    """Return the table of a name in a stored state."""
    database, _, table = name.partition(".")
    return TableId(database, table)


def _plain(snapshots: Mapping[str, tuple[TablePart, ...]]) -> dict[str, list[dict[str, Any]]]:
    return {table: [asdict(part) for part in parts] for table, parts in snapshots.items()}


def _key(value: list[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)
