"""Reads binlog files, plain and .gz, from disk."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from connectors.mysql.binlog.reader import LogReader
from connectors.mysql.codec.framing import (
    HEADER_BYTES,
    MAGIC,
    EventType,
    Format,
    FramedEvent,
    read_format,
    read_header,
)
from connectors.mysql.errors import BinlogError, RefusedError
from connectors.mysql.events import Wanted
from connectors.mysql.gtid import GtidSet, MariaGtids
from connectors.mysql.position import LogPosition
from connectors.mysql.schema.history import Catalog
from connectors.mysql.server.table_names import ServerNames

_ENCRYPTED_MAGIC = b"\xfdbin"
_READ_AHEAD = 1 << 20


def open_file(
    path: Path, *, wanted: Wanted, catalog: Catalog | None = None, epoch: int = 0, name: str | None = None,
    offset: int = 4, gtids: GtidSet | MariaGtids | None = None,
    names: ServerNames = ServerNames.AS_SPELLED,
) -> LogReader:  # fmt: skip
    """Open a binlog file; `.gz` is unpacked while it is read.

    `name` is the file's name on its server (default: the name of this file, without .gz); its number is part
    of every position, 0 if it has none. `offset` is where to start: 4, or the end of a Commit. `gtids` are
    those before it, None: those that the file contains. `catalog` has the tables at that position and is kept
    up to date; without a catalog, `names` is how the server compares names. Raises: BinlogError when it is
    not a binlog, RefusedError when it is encrypted, OSError.
    """
    server_name = name or path.name.removesuffix(".gz")
    place = LogPosition(server_name, offset)
    source = _FileSource(path, offset)
    catalog = catalog or Catalog(mariadb=source.is_mariadb, names=names)
    return LogReader(
        source, place, wanted=wanted, catalog=catalog, epoch=epoch, gtids=gtids,
        clock_ms=lambda: time.time_ns() // 1_000_000,
    )  # fmt: skip


class _FileSource:
    """The framed events of one file."""

    def __init__(self, path: Path, offset: int) -> None:
        self._path = path
        self._offset = offset
        self._file: BinaryIO = _opened(path)
        try:
            magic = self._read(4)
            if magic == _ENCRYPTED_MAGIC:
                message = f"{path} is encrypted (MySQL binlog_encryption): read it from the server"
                raise RefusedError(message)
            if magic != MAGIC:
                message = f"{path} is not a binlog: it starts with {magic.hex(' ')}"
                raise BinlogError(message)
            event = self._event(4)
            if event is None or event[4] != EventType.FORMAT_DESCRIPTION:
                message = f"{path} does not start with a FORMAT_DESCRIPTION"
                raise BinlogError(message)
            self._format = read_format(event, f"{path}:4")
            self._first = event
        except BaseException:
            self._file.close()
            raise

    @property
    def is_mariadb(self) -> bool:
        """The server's dialect."""
        return self._format.is_mariadb

    def __iter__(self) -> Iterator[tuple[FramedEvent, Format]]:
        at = 4 + len(self._first)
        if self._offset <= 4:
            yield FramedEvent(read_header(self._first, ""), self._first, 4, at), self._plain(self._first)
        elif self._offset < at:
            message = f"{self._path}: offset {self._offset} is inside the first event, which ends at {at}"
            raise BinlogError(message)
        else:
            self._skip(self._offset - at)
            at = self._offset
        while (data := self._event(at)) is not None:
            header = read_header(data, "")
            if header.end not in (0, (at + header.size) & 0xFFFFFFFF):
                message = f"an event of {header.size} bytes that claims to end at {header.end}"
                raise BinlogError(message, f"{self._path}:{at}")
            if header.type == EventType.FORMAT_DESCRIPTION:
                self._format = read_format(data, f"{self._path}:{at}")
            yield FramedEvent(header, data, at, at + header.size), self._plain(data)
            at += header.size

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _plain(self, event: bytes) -> Format:
        """Return the format that checks an event: the FORMAT_DESCRIPTION itself always has a checksum."""
        if event[4] == EventType.FORMAT_DESCRIPTION:
            return Format(self._format.server_version, checksum=False, post_header=self._format.post_header)
        return self._format

    def _event(self, at: int) -> bytes | None:
        """Return the next complete event; None at the end. Raises BinlogError when it is cut off."""
        head = self._read(HEADER_BYTES)
        if not head:
            return None
        place = f"{self._path}:{at}"
        size = read_header(head, place).size
        data = head + self._read(size - HEADER_BYTES)
        if len(data) != size:
            message = f"the file ends in the middle of an event: {len(data)} of {size} bytes"
            raise BinlogError(message, place)
        return data

    def _skip(self, size: int) -> None:
        while size > 0:
            chunk = self._read(min(size, _READ_AHEAD))
            if not chunk:
                message = f"{self._path} ends before offset {self._offset}"
                raise BinlogError(message)
            size -= len(chunk)

    def _read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except (EOFError, gzip.BadGzipFile, zlib.error) as exc:
            message = f"{self._path} is not a complete .gz file: {exc}"
            raise BinlogError(message) from exc


def _opened(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]  # it is read like any other file
    return path.open("rb", buffering=_READ_AHEAD)
