"""Builders that put row changes into messages, within limits and with times that follow the time rule."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from crc32c import crc32c

from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ABSENT, Row, RowChange
from streamjobs.errors import ConfigError
from thrift_idl import bounds
from thrift_idl.decoding import Header
from thrift_idl.encoding import PendingRow, TableForm, encode_message, frame_bytes, row_event_time

_LENGTH = struct.Struct(">I")
_NULL, _ABSENT = b"\xff\xff\xff\xff", b"\xff\xff\xff\xfe"
_REMEMBERED_TABLES = 256


@dataclass(frozen=True)
class Limits:
    """When a message is full. A single row larger than `max_bytes` is alone in its message.

    `max_rows` is 1 to 16,384, `max_bytes` (of the payload) 1 to 65,536: bigger messages do not decode faster,
    and readers first count the items of a bigger one. `max_span_ms` is the maximum difference of event times
    in one message; it bounds how much older a message's time is than its newest row.
    """

    max_rows: int = 200
    max_bytes: int = bounds.WALK_FREE_BYTES
    max_span_ms: int = 1000

    def __post_init__(self) -> None:
        legal = (
            0 < self.max_rows <= bounds.MAX_LIST_ITEMS
            and 0 < self.max_bytes <= bounds.WALK_FREE_BYTES
            and self.max_span_ms >= 0
        )
        if not legal:
            message = (
                f"{self}: max_rows is 1 to {bounds.MAX_LIST_ITEMS}, max_bytes 1 to {bounds.WALK_FREE_BYTES}, "
                "max_span_ms at least 0"
            )
            raise ConfigError(message)


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class BuiltMessage:
    """A payload, its broker timestamp, and its number of rows (0: a heartbeat)."""

    payload: bytes
    time_ms: int
    rows: int


class MessageBuilder:
    """Collects changes for messages without a partition, and therefore without earlier times.

    Promise: messages hold the changes in the order of `add`; time_ms is the smallest event time of the
    rows (0 when no row has one). Nothing is lost: a change is in exactly one message of the next `flush`.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._forms = _TableForms()
        self._pending: list[PendingRow] = []

    @property
    def rows(self) -> int:
        """Return the number of changes that wait for `flush`."""
        return len(self._pending)

    def add(self, change: RowChange) -> None:
        """Add one change. Raises RowTooLargeError or ConfigError, and then has not added it."""
        self._pending.append(self._forms.of(change).pending(change))

    def flush(self, header: Header) -> Iterator[BuiltMessage]:
        """Yield messages of all added changes. Raises ConfigError on a bad header, and keeps the rows."""
        built = [
            _built(header, rows, max(smallest or 0, 0))
            for rows, smallest in _cut(self._pending, header, self._limits, self._limits.max_span_ms)
        ]
        self._pending = []
        return iter(built)


class PartitionMessageBuilder:
    """Collects changes for messages of several partitions, and follows the IDL's time rule on each.

    Promise: changes of one key go to one partition (`partition_of`), each partition keeps the order of
    `add`, nothing is lost. For every message, time_ms >= the largest earlier time_ms of its partition -
    `disorder_ms`, and a row is older than its message's time_ms only if it breaks that bound.
    Rows up to `max_span_ms` + `disorder_ms` apart may share a message: disorder within the bound does not
    split messages.
    """

    def __init__(self, partitions: int, *, disorder_ms: int, limits: Limits = DEFAULT_LIMITS) -> None:
        if partitions < 1 or disorder_ms < 0:
            message = f"partitions is {partitions}, at least 1; disorder_ms is {disorder_ms}, at least 0"
            raise ConfigError(message)
        self._limits = limits
        self._disorder_ms = disorder_ms
        self._forms = _TableForms()
        self._partitions = partitions
        self._pending: list[list[PendingRow]] = [[] for _ in range(partitions)]
        self._bytes = 0
        self._max_ms = [0] * partitions

    def listen(self, partitions: int) -> None:
        """Set the number of partitions of the topic: the added ones only get heartbeats.

        Keys always stay in their partitions.
        """
        more = partitions - len(self._pending)
        self._pending += [[] for _ in range(more)]
        self._max_ms += [0] * more

    @property
    def rows(self) -> int:
        """Return the number of changes that wait for `flush`."""
        return sum(map(len, self._pending))

    @property
    def bytes(self) -> int:
        """Return the encoded size of the changes that wait for `flush`."""
        return self._bytes

    def add(self, change: RowChange, partition_by: tuple[int, ...] | None = None) -> None:
        """Add one change. Raises RowTooLargeError or ConfigError, and then has not added it.

        `partition_by` are the indexes of the columns that choose the partition, by default the key's.
        """
        row = self._forms.of(change).pending(change)
        key = row.table.key if partition_by is None else partition_by
        self._pending[partition_of_row(row.image, key, self._partitions)].append(row)
        self._bytes += len(row.data)

    def add_batch(self, batch: RowBatch, partition_by: tuple[int, ...] | None = None) -> None:
        """Add a batch, as if its changes were added one by one.

        Raises: RowTooLargeError or ConfigError; the rows before the one that does not fit are added.
        """
        table = self._forms.of(batch)
        key = table.key if partition_by is None else partition_by
        pending, count = self._pending, self._partitions
        first = key[0] if len(key) == 1 else None
        size = 0
        for row in table.pending_batch(batch):
            value = None if first is None else row.image[first]
            if isinstance(value, bytes):  # a key of one column, which most keys are
                partition = crc32c(_LENGTH.pack(len(value)) + value) % count
            else:
                partition = partition_of_row(row.image, key, count)
            pending[partition].append(row)
            size += len(row.data)
        self._bytes += size

    def flush(self, header: Header) -> Iterator[tuple[int, BuiltMessage]]:
        """Yield messages of all added changes. Raises ConfigError on a bad header, and keeps the rows."""
        span = self._limits.max_span_ms + self._disorder_ms
        cut = [list(_cut(rows, header, self._limits, span)) for rows in self._pending]
        self._pending = [[] for _ in self._pending]
        self._bytes = 0
        return iter(
            [
                (partition, _built(header, rows, self._stamp(partition, smallest)))
                for partition, messages in enumerate(cut)
                for rows, smallest in messages
            ]
        )

    def heartbeat(
        self, header: Header, time_ms: int, partitions: Iterable[int] | None = None
    ) -> Iterator[tuple[int, BuiltMessage]]:
        """Yield a message without rows for each partition, by default all: event time is now `time_ms` there.

        A partition with rows that wait for `flush` gets none: their message also carries the time.
        """
        chosen = range(len(self._pending)) if partitions is None else partitions
        return iter(
            [
                (partition, _built(header, (), self._stamp(partition, time_ms)))
                for partition in chosen
                if not self._pending[partition]
            ]
        )

    def resume(self, partition: int, max_time_ms: int) -> None:
        """Set the largest broker timestamp of the messages that a partition already holds."""
        self._max_ms[partition] = max(self._max_ms[partition], max_time_ms)

    def _stamp(self, partition: int, smallest: int | None) -> int:
        low = max(self._max_ms[partition] - self._disorder_ms, 0)
        time_ms = low if smallest is None else max(smallest, low)
        self.resume(partition, time_ms)
        return time_ms


def partition_of(change: RowChange, partitions: int) -> int:
    """Return a change's partition by the IDL's hash of its key, or of the whole row if it has no key."""
    return partition_of_row(change.image, change.schema.identity_indexes, partitions)


def partition_of_row(row: Row, indexes: tuple[int, ...], partitions: int) -> int:
    """Return the partition of a row image by the IDL's hash of these columns."""
    data = b""
    for index in indexes:
        value = row[index]
        if value is None:
            data += _NULL
        elif value is ABSENT:
            data += _ABSENT
        else:
            data += _LENGTH.pack(len(value)) + value
    return crc32c(data) % partitions


class _TableForms:
    """The wire form of each schema, found by identity first: producers share schema objects."""

    def __init__(self) -> None:
        self._last: TableForm | None = None
        self._known: dict[int, TableForm] = {}

    def of(self, change: RowChange | RowBatch) -> TableForm:
        schema = change.schema
        if self._last is not None and self._last.schema is schema:
            return self._last
        form = self._known.get(id(schema))
        if form is None:
            if len(self._known) >= _REMEMBERED_TABLES:
                self._known.clear()
            form = self._known[id(schema)] = TableForm(schema)
        self._last = form
        return form


def _cut(
    pending: Sequence[PendingRow], header: Header, limits: Limits, span_ms: int
) -> Iterator[tuple[list[PendingRow], int | None]]:
    """Split rows into messages; yield each with its smallest event time, None when no row has one."""
    frame, max_rows, max_bytes = frame_bytes(header), limits.max_rows, limits.max_bytes
    rows: list[PendingRow] = []
    count, size = 0, frame
    low: int | None = None
    high = 0
    table: TableForm | None = None
    index: int | None = None
    for row in pending:
        added = len(row.data)
        if row.table is not table:
            table = row.table
            index = table.event_time_index(header)
            added += table.size
        time = row.committed_at_ms if index is None else row_event_time(row, index)
        full = count >= max_rows or size + added > max_bytes
        if low is not None and time is not None and not full and not low <= time <= high:
            full = max(high, time) - min(low, time) > span_ms
        if count and full:
            yield rows, low
            rows, count, size, low = [], 0, frame, None
            added = len(row.data) + table.size
        rows.append(row)
        count += 1
        size += added
        if low is None:
            low, high = time, time or 0
        elif time is not None and not low <= time <= high:
            low, high = min(low, time), max(high, time)
    if rows:
        yield rows, low


def _built(header: Header, rows: Sequence[PendingRow], time_ms: int) -> BuiltMessage:
    return BuiltMessage(encode_message(header, time_ms, rows), time_ms, len(rows))
