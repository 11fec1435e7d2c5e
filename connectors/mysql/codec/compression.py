"""Compressed logs: MariaDB's compressed events (zlib) and MySQL's transaction payloads (zstd)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from connectors.mysql.codec.framing import HEADER_BYTES, MAX_EVENT_BYTES, read_header
from connectors.mysql.codec.packet import PackedReader
from connectors.mysql.errors import BinlogError, RefusedError

_ZSTD, _NONE = 0, 255
_CHUNK_BYTES: Final = 256 * 1024


def inflate_event(body: bytes, at: int) -> bytes:
    """Unpack the data from `at` on in an event of MariaDB's log_bin_compress.

    A first byte with the algorithm (bits 4 to 6, 0 is zlib) and the length of the length (bits 0 to 2), the
    length big-endian, a zlib stream. Raises BinlogError.
    """
    head = body[at] if at < len(body) else 0
    size = head & 7
    if not head & 0x80 or head & 0x70 or not 0 < size <= 4:
        message = f"a compressed event whose data start with byte {head:#04x}"
        raise BinlogError(message)
    length = int.from_bytes(body[at + 1 : at + 1 + size], "big")
    if length > MAX_EVENT_BYTES:
        message = f"a compressed event that claims {length} bytes"
        raise BinlogError(message)
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(memoryview(body)[at + 1 + size :], length + 1)
    except zlib.error as exc:
        message = f"a compressed event that cannot be unpacked: {exc}"
        raise BinlogError(message) from exc
    if len(data) != length or not inflater.eof:
        message = f"a compressed event of {len(data)} bytes instead of {length}"
        raise BinlogError(message)
    return data


@dataclass(frozen=True)
class Payload:
    """A TRANSACTION_PAYLOAD: its compression, and where its data start in the event's body."""

    compression: int
    uncompressed_bytes: int
    data_at: int
    data_bytes: int


def read_payload(body: bytes) -> Payload:
    """Read the fields before the data. Raises BinlogError and RefusedError."""
    reader = PackedReader(body)
    fields = {1: 0, 2: _NONE, 3: 0}
    while kind := reader.length():
        value = PackedReader(reader.counted())
        fields[kind] = value.length()
    if fields[2] not in (_ZSTD, _NONE):
        message = f"a transaction compressed by algorithm {fields[2]}; 0 (ZSTD) and 255 (none) are read"
        raise RefusedError(message)
    if fields[1] != reader.left:
        message = f"a transaction payload of {reader.left} bytes that claims {fields[1]}"
        raise BinlogError(message)
    return Payload(fields[2], fields[3], reader.at, fields[1])


def payload_events(body: bytes) -> Iterator[bytes]:
    """Yield the complete events in a TRANSACTION_PAYLOAD, each without a checksum.

    Promise: it needs memory for one event and a chunk, whatever the unpacked size of the transaction.
    Raises: BinlogError and RefusedError.
    """
    payload = read_payload(body)
    data = memoryview(body)[payload.data_at :]
    chunks = _unpacked(data) if payload.compression == _ZSTD else iter((bytes(data),))
    held = bytearray()
    total = 0
    for chunk in chunks:
        total += len(chunk)
        held += chunk
        at = 0
        while len(held) - at >= HEADER_BYTES:
            size = read_header(bytes(held[at : at + HEADER_BYTES]), "").size
            if len(held) - at < size:
                break
            yield bytes(held[at : at + size])
            at += size
        del held[:at]
    if held or (payload.uncompressed_bytes and total != payload.uncompressed_bytes):
        message = f"a transaction payload of {total} bytes instead of {payload.uncompressed_bytes}"
        raise BinlogError(message)


def _unpacked(data: memoryview) -> Iterator[bytes]:
    import zstandard  # noqa: PLC0415 (a log without payloads needs no zstd)

    try:
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            while chunk := reader.read(_CHUNK_BYTES):
                yield chunk
    except zstandard.ZstdError as exc:
        message = f"a transaction payload that cannot be unpacked: {exc}"
        raise BinlogError(message) from exc
