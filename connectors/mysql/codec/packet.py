"""Reads the protocol's packed lengths and strings, within bounds."""

from __future__ import annotations

from connectors.mysql.errors import BinlogError

_WIDTHS = {252: 2, 253: 3, 254: 8}


class PackedReader:
    """Reads bytes step by step. Every method raises BinlogError if they end too early."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self.at = at

    @property
    def left(self) -> int:
        """The number of bytes that are left."""
        return len(self._data) - self.at

    def take(self, size: int) -> bytes:
        """Read the next `size` bytes."""
        end = self.at + size
        if end > len(self._data):
            message = f"{size} bytes at byte {self.at} of an event body of {len(self._data)}"
            raise BinlogError(message)
        data = self._data[self.at : end]
        self.at = end
        return data

    def integer(self, size: int) -> int:
        """Read an unsigned little-endian number of `size` bytes."""
        return int.from_bytes(self.take(size), "little")

    def length(self) -> int:
        """Read a length-encoded number: one byte up to 250, or 2, 3, 8 bytes after a mark."""
        first = self.integer(1)
        if first < 251:
            return first
        if first not in _WIDTHS:
            message = f"a length that starts with byte {first}, at byte {self.at - 1}"
            raise BinlogError(message)
        return self.integer(_WIDTHS[first])

    def serialized(self) -> int:
        """Read a number of mysql::serialization: the low one bits of its first byte count the other bytes.

        Source: https://dev.mysql.com/doc/dev/mysql-server/latest/PageLibsMysqlSerialization.html
        """
        first = self.integer(1)
        more = (~first & first + 1).bit_length() - 1
        value = first | self.integer(more) << 8
        return value >> min(more + 1, 8)

    def counted(self) -> bytes:
        """Read bytes after their length-encoded number."""
        return self.take(self.length())

    def name(self) -> str:
        """Read a name of at most 255 bytes, with its length before it and a NUL after it."""
        data = self.take(self.integer(1))
        if self.take(1) != b"\0":
            message = f"the name {data!r} is not NUL-terminated"
            raise BinlogError(message)
        try:
            return data.decode()
        except UnicodeDecodeError as exc:
            message = f"the name {data!r} is not UTF-8"
            raise BinlogError(message) from exc

    def rest(self) -> bytes:
        """Read all bytes that are left."""
        return self.take(self.left)


def bits(data: bytes, count: int) -> tuple[bool, ...]:
    """Return the first `count` bits, lowest first."""
    number = int.from_bytes(data, "little")
    return tuple(bool(number >> index & 1) for index in range(count))


def bits_high_first(data: bytes, count: int) -> tuple[bool, ...]:
    """Return the first `count` bits, highest first, as table metadata has them."""
    return tuple(bool(data[index // 8] >> (7 - index % 8) & 1) for index in range(count))
