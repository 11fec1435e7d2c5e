"""GTID sets in both dialects: MySQL's `uuid:1-7:9`, MariaDB's `0-1-590`."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from connectors.mysql.errors import BinlogError
from streamjobs.errors import ConfigError

Interval = tuple[int, int]
"""First and last number, both included."""


@dataclass(frozen=True)
class GtidSet:
    """A set of MySQL GTIDs, which may have gaps. `str()` writes it as the server does, sorted by server.

    Shape: intervals by source, where a source is a lower-case UUID, or `uuid:tag` for tagged GTIDs (MySQL
    8.3).
    """

    intervals: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> GtidSet:
        """Read `uuid:1-7:9,uuid:tag:3`. Raises ConfigError."""
        found: dict[str, list[Interval]] = {}
        for part in filter(None, "".join(text.split()).split(",")):
            words = part.lower().split(":")
            try:
                source = server = str(uuid.UUID(words[0]))
                for word in words[1:]:
                    if word[:1].isdigit():
                        low, dash, high = word.partition("-")
                        found.setdefault(source, []).append(_interval(int(low), int(high if dash else low)))
                    else:
                        source = f"{server}:{_tag(word)}"
            except ValueError as exc:
                message = f"{part!r} is not a GTID set, such as 3e11fa47-71ca-11e1-9e33-c80aa9429562:1-7:9"
                raise ConfigError(message) from exc
        return cls({source: _merged(ranges) for source, ranges in found.items()})

    def with_gtid(self, gtid: str) -> GtidSet:
        """Return the set with one more transaction: `uuid:7` or `uuid:tag:7`."""
        source, _, number = gtid.rpartition(":")
        before = self.intervals.get(source, ())
        value = int(number)
        if before and before[-1][1] + 1 == value:
            after: tuple[Interval, ...] = (*before[:-1], (before[-1][0], value))
        else:
            after = _merged([*before, (value, value)])
        return GtidSet({**self.intervals, source: after})

    def __contains__(self, gtid: str) -> bool:
        source, _, number = gtid.rpartition(":")
        return any(low <= int(number) <= high for low, high in self.intervals.get(source, ()))

    def covers(self, other: GtidSet) -> bool:
        """Return whether every transaction of `other` is in this set."""
        return all(
            any(low <= start and end <= high for low, high in self.intervals.get(source, ()))
            for source, ranges in other.intervals.items()
            for start, end in ranges
        )

    def without(self, other: GtidSet) -> GtidSet:
        """Return the transactions that the other set lacks."""
        left = {
            source: tuple(_gaps(ranges, other.intervals.get(source, ())))
            for source, ranges in self.intervals.items()
        }
        return GtidSet({source: ranges for source, ranges in left.items() if ranges})

    def union(self, other: GtidSet) -> GtidSet:
        """Return all transactions of both sets."""
        sources = [*self.intervals, *(source for source in other.intervals if source not in self.intervals)]
        return GtidSet(
            {
                source: _merged([*self.intervals.get(source, ()), *other.intervals.get(source, ())])
                for source in sources
            }
        )

    def __str__(self) -> str:
        parts: dict[str, str] = {}
        for source in sorted(self.intervals):
            server, _, tag = source.partition(":")
            ranges = ":".join(
                f"{low}-{high}" if high > low else f"{low}" for low, high in self.intervals[source]
            )
            piece = f":{tag}:{ranges}" if tag else f":{ranges}"
            parts[server] = parts.get(server, server) + piece
        return ",".join(parts.values())

    def encoded(self) -> bytes:
        """Return the bytes that COM_BINLOG_DUMP_GTID expects."""
        tagged = any(":" in source for source in self.intervals)
        data = _set_head(len(self.intervals), tagged=tagged)
        for source in sorted(self.intervals):
            server, _, tag = source.partition(":")
            ranges = self.intervals[source]
            data += uuid.UUID(server).bytes
            if tagged:
                data += bytes((len(tag) * 2,)) + tag.encode()
            data += struct.pack("<Q", len(ranges))
            data += b"".join(struct.pack("<QQ", low, high + 1) for low, high in ranges)
        return data

    @classmethod
    def decode(cls, data: bytes) -> GtidSet:
        """Read the bytes of a PREVIOUS_GTIDS event. Raises BinlogError."""
        found: dict[str, list[Interval]] = {}
        try:
            tagged, count, at = data[7] == 1, struct.unpack_from("<Q", data)[0], 8
            if tagged:
                count = count >> 8 & 0xFFFFFFFFFFFF
            for _ in range(count):
                source = str(uuid.UUID(bytes=data[at : at + 16]))
                at += 16
                if tagged:
                    size = data[at] >> 1
                    tag = data[at + 1 : at + 1 + size].decode("ascii")
                    at += 1 + size
                    source = f"{source}:{tag}" if tag else source
                (ranges,) = struct.unpack_from("<Q", data, at)
                at += 8
                for _ in range(ranges):
                    low, end = struct.unpack_from("<QQ", data, at)
                    found.setdefault(source, []).append(_interval(low, end - 1))
                    at += 16
        except (struct.error, ValueError, IndexError) as exc:
            message = f"not a GTID set: {data[:64].hex()}"
            raise BinlogError(message) from exc
        return cls({source: _merged(ranges) for source, ranges in found.items()})


@dataclass(frozen=True)
class MariaGtids:
    """MariaDB's position: the last transaction of each replication domain. `str()` is `0-1-590,7-2-3`.

    Shape: domain -> (server, number).
    """

    domains: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> MariaGtids:
        """Read `0-1-590,7-2-3`. Raises ConfigError."""
        domains = {}
        for part in filter(None, "".join(text.split()).split(",")):
            try:
                domain, server, number = map(int, part.split("-"))
            except ValueError as exc:
                message = f"{part!r} is not a MariaDB GTID, such as 0-1-590"
                raise ConfigError(message) from exc
            if domain in domains:
                message = f"{text!r} names domain {domain} twice; a position has one GTID for each domain"
                raise ConfigError(message)
            domains[domain] = (server, number)
        return cls(domains)

    @classmethod
    def decode(cls, data: bytes) -> MariaGtids:
        """Read a GTID_LIST event: the last GTID of each domain counts. Raises BinlogError."""
        try:
            count = struct.unpack_from("<I", data)[0] & 0xFFFFFFF
            entries: Iterable[tuple[int, int, int]] = [
                struct.unpack_from("<IIQ", data, 4 + 16 * index) for index in range(count)
            ]
        except struct.error as exc:
            message = f"not a GTID list: {data[:64].hex()}"
            raise BinlogError(message) from exc
        return cls({domain: (server, number) for domain, server, number in entries})

    def with_gtid(self, gtid: str) -> MariaGtids:
        """Return the position after one more transaction: `0-1-591`."""
        domain, server, number = map(int, gtid.split("-"))
        return MariaGtids({**self.domains, domain: (server, number)})

    def covers(self, other: MariaGtids) -> bool:
        """Return whether `other` is not ahead in any domain."""
        return all(
            domain in self.domains and self.domains[domain][1] >= number
            for domain, (_, number) in other.domains.items()
        )

    def __str__(self) -> str:
        return ",".join(
            f"{domain}-{server}-{number}" for domain, (server, number) in sorted(self.domains.items())
        )


def _interval(low: int, high: int) -> Interval:
    if not 0 < low <= high < 1 << 63:
        message = f"{low}-{high} is not a range of transactions"
        raise ValueError(message)
    return low, high


def _gaps(ranges: Iterable[Interval], taken: Iterable[Interval]) -> Iterator[Interval]:
    """Return what is left of the ranges without the taken ones; both are sorted."""
    taken = tuple(taken)
    for low, high in ranges:
        at = low
        for start, end in taken:
            if end < at or start > high:
                continue
            if start > at:
                yield at, start - 1
            at = end + 1
        if at <= high:
            yield at, high


def _tag(word: str) -> str:
    if not (0 < len(word) <= 32 and word.isidentifier() and word.isascii()):
        message = f"{word!r} is not a tag"
        raise ValueError(message)
    return word


def _merged(ranges: Iterable[Interval]) -> tuple[Interval, ...]:
    merged: list[Interval] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)


def _set_head(sources: int, *, tagged: bool) -> bytes:
    return struct.pack("<Q", sources << 8 | 1 | 1 << 56) if tagged else struct.pack("<Q", sources)
