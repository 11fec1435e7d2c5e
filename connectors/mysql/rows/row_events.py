"""Row events -> row batches: images, key changes, and rows that cannot be decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from connectors.mysql.codec.compression import inflate_event
from connectors.mysql.codec.framing import EventType
from connectors.mysql.codec.packet import PackedReader, bits
from connectors.mysql.errors import BinlogError
from connectors.mysql.events import BadRow
from connectors.mysql.rows.partial_updates import read_partial_updates
from connectors.mysql.rows.row_decoder import (
    FAILURES,
    CarefulDecoder,
    FastDecoder,
    Present,
    Undecodable,
    compile_rows,
)  # fmt: skip
from connectors.mysql.rows.table_plan import TablePlan
from streamjobs.changes.position import Half, Position
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ABSENT, ChangeKind, Row

STATEMENT_END: Final = 1
"""Flag of a row event: the table maps end after it."""
_KINDS: Final = {
    EventType.WRITE_ROWS_V1: ChangeKind.INSERT,
    EventType.WRITE_ROWS: ChangeKind.INSERT,
    EventType.WRITE_ROWS_COMPRESSED_V1: ChangeKind.INSERT,
    EventType.WRITE_ROWS_COMPRESSED: ChangeKind.INSERT,
    EventType.UPDATE_ROWS_V1: ChangeKind.UPDATE,
    EventType.UPDATE_ROWS: ChangeKind.UPDATE,
    EventType.UPDATE_ROWS_COMPRESSED_V1: ChangeKind.UPDATE,
    EventType.UPDATE_ROWS_COMPRESSED: ChangeKind.UPDATE,
    EventType.PARTIAL_UPDATE_ROWS: ChangeKind.UPDATE,
    EventType.DELETE_ROWS_V1: ChangeKind.DELETE,
    EventType.DELETE_ROWS: ChangeKind.DELETE,
    EventType.DELETE_ROWS_COMPRESSED_V1: ChangeKind.DELETE,
    EventType.DELETE_ROWS_COMPRESSED: ChangeKind.DELETE,
}
ROW_EVENTS: Final = frozenset(_KINDS)
_COMPRESSED: Final = frozenset(
    range(EventType.WRITE_ROWS_COMPRESSED_V1, EventType.DELETE_ROWS_COMPRESSED + 1)
)
MINIMAL_KEY_CHANGE: Final = (
    "the primary key changed, and the row image leaves out other columns of the row; "
    "SET GLOBAL binlog_row_image = 'FULL'"
)
MINIMAL_REPLACE: Final = (
    "the row image leaves out columns, and MariaDB logs a REPLACE (which resets them) like an UPDATE "
    "(which keeps them); SET GLOBAL binlog_row_image = 'FULL'"
)
_EMPTY: Final[tuple[Row, ...]] = ()


@dataclass(frozen=True)
class Origin:
    """The origin of an event's rows; the first row has `position`."""

    position: Position
    committed_at_ms: int
    transaction_id: str


@dataclass(frozen=True)
class RowsHead:
    """The fixed part of a row event. `rows_at` is where the images start."""

    table_id: int
    flags: int
    columns: int
    images: tuple[Present, ...]
    rows_at: int


def read_rows_head(event_type: int, body: bytes, post_header_bytes: int) -> RowsHead:
    """Read the part before the rows. Raises BinlogError."""
    reader = PackedReader(body)
    table_id = reader.integer(4 if post_header_bytes == 6 else 6)
    flags = reader.integer(2)
    if post_header_bytes == 10:
        extra = reader.integer(2)
        reader.take(max(extra - 2, 0))
    columns = reader.length()
    size = (columns + 7) // 8
    count = 2 if _KINDS[EventType(event_type)] is ChangeKind.UPDATE else 1
    images = tuple(bits(reader.take(size), columns) for _ in range(count))
    return RowsHead(table_id, flags, columns, images, reader.at)


class TableRows:
    """The compiled decoders of one table, for a log of MariaDB or MySQL."""

    def __init__(self, plan: TablePlan, *, mariadb: bool) -> None:
        self.plan = plan
        self._mariadb = mariadb
        self._fast: dict[tuple[Present, ...], FastDecoder] = {}
        self._careful = CarefulDecoder(plan)
        self._key = plan.schema.key_indexes

    def read(
        self, event_type: int, head: RowsHead, body: bytes, origin: Origin
    ) -> tuple[list[RowBatch | BadRow], int]:
        """Return the event's rows as batches and bad rows, and the number of rows.

        Raises: BinlogError when the event does not fit the table, or ends in the middle of a row.
        """
        schema = self.plan.schema
        if head.columns != len(self.plan.codecs):
            message = f"a row event of {head.columns} columns for {schema.table} with {len(self.plan.codecs)}"
            raise BinlogError(message)
        kind = _KINDS[EventType(event_type)]
        data = inflate_event(body, head.rows_at) if event_type in _COMPRESSED else body[head.rows_at :]
        if event_type != EventType.PARTIAL_UPDATE_ROWS:
            outs: tuple[list[Row], ...] = tuple([] for _ in head.images)
            try:
                self._decoder(head.images)(data, 0, outs)
            except FAILURES:
                pass  # the careful decoder finds what is wrong
            else:
                return list(self._batches(kind, self._visible(head.images), outs, origin)), len(outs[0])
            rows: Iterable[tuple[Row, ...] | Undecodable] = self._read_carefully(data, head.images)
        else:
            rows = read_partial_updates(self._careful, self.plan, data, head.images)
        return self._sorted_out(kind, self._visible(head.images), rows, origin)

    def _visible(self, images: tuple[Present, ...]) -> tuple[Present, ...]:
        """Return the images without the server's hidden columns."""
        width = self.plan.width
        return tuple(present[:width] for present in images)

    def _decoder(self, images: tuple[Present, ...]) -> FastDecoder:
        decoder = self._fast.get(images)
        if decoder is None:
            decoder = self._fast[images] = compile_rows(self.plan, images)
        return decoder

    def _read_carefully(
        self, data: bytes, images: Sequence[Present]
    ) -> Iterator[tuple[Row, ...] | Undecodable]:
        at = 0
        while at < len(data):
            raws = []
            for present in images:
                raw, at = self._careful.raw(data, at, present)
                raws.append(raw)
            yield self._converted(raws, images)

    def _converted(
        self, raws: Sequence[Sequence[bytes | None]], images: Sequence[Present]
    ) -> tuple[Row, ...] | Undecodable:
        rows = []
        for raw, present in zip(raws, images, strict=True):
            row = self._careful.convert(raw, present)
            if isinstance(row, Undecodable):
                return row
            rows.append(row)
        return tuple(rows)

    def _sorted_out(
        self, kind: ChangeKind, images: tuple[Present, ...], rows: Iterable[tuple[Row, ...] | Undecodable],
        origin: Origin,
    ) -> tuple[list[RowBatch | BadRow], int]:  # fmt: skip
        """Return batches of the good rows, with the bad ones between them."""
        found: list[RowBatch | BadRow] = []
        good: list[tuple[Row, ...]] = []
        number = 0
        for number, row in enumerate(rows, start=1):
            if not isinstance(row, Undecodable):
                good.append(row)
                continue
            found += self._good(kind, images, good, _later(origin, number - 1 - len(good)))
            good = []
            found.append(self._bad(kind, row, _later(origin, number - 1)))
        found += self._good(kind, images, good, _later(origin, number - len(good)))
        return found, number

    def _good(
        self, kind: ChangeKind, images: tuple[Present, ...], rows: Sequence[tuple[Row, ...]], origin: Origin
    ) -> Iterator[RowBatch | BadRow]:
        if rows:
            outs = tuple(list(column) for column in zip(*rows, strict=True))
            yield from self._batches(kind, images, outs, origin)

    def _bad(self, kind: ChangeKind, bad: Undecodable, origin: Origin) -> BadRow:
        column = self.plan.schema.columns[bad.column].name
        return BadRow(self.plan.schema, kind, origin.position, column, bad.data, bad.reason)

    def _batches(
        self, kind: ChangeKind, images: tuple[Present, ...], outs: tuple[list[Row], ...], origin: Origin
    ) -> Iterator[RowBatch | BadRow]:
        if kind is not ChangeKind.UPDATE:
            if outs[0]:
                yield self._batch(kind, outs[0], _EMPTY, origin)
            return
        befores, afters = outs
        if not all(images[1]):
            indexes = [index for index, there in enumerate(images[1]) if not there and images[0][index]]
            afters = [_filled(before, after, indexes) for before, after in zip(befores, afters, strict=True)]
            if self._may_be_replace(images):
                yield from self._replaced(befores, afters, origin)
                return
        start = 0
        for index in self._key_changes(befores, afters):
            if index > start:
                part = slice(start, index)
                yield self._batch(kind, afters[part], befores[part], _later(origin, start))
            yield from self._key_change(befores[index], afters[index], _later(origin, index))
            start = index + 1
        if start < len(afters):
            yield self._batch(kind, afters[start:], befores[start:], _later(origin, start))

    def _may_be_replace(self, images: tuple[Present, ...]) -> bool:
        """Return whether it may be a REPLACE: SET key = … and REPLACE put the key into a partial image."""
        return (
            self._mariadb
            and bool(self._key)
            and all(images[1][index] for index in self._key)
            and not all(
                before or after or index in self.plan.generated
                for index, (before, after) in enumerate(zip(*images, strict=True))
            )
        )

    def _replaced(self, befores: Sequence[Row], afters: Sequence[Row], origin: Origin) -> Iterator[BadRow]:
        changed = frozenset(self._key_changes(befores, afters))
        for index, after in enumerate(afters):
            reason = MINIMAL_KEY_CHANGE if index in changed else MINIMAL_REPLACE
            bad = Undecodable(after.index(ABSENT), b"", reason)
            yield self._bad(ChangeKind.UPDATE, bad, _later(origin, index))

    def _key_changes(self, befores: Sequence[Row], afters: Sequence[Row]) -> list[int]:
        """Return the rows whose key changed: all rows if there is no key, as the whole row is the key."""
        if len(self._key) == 1:
            key = self._key[0]
            return [
                index
                for index, (before, after) in enumerate(zip(befores, afters, strict=True))
                if before[key] != after[key]
            ]
        if not self._key:
            return list(range(len(afters)))
        return [
            index
            for index, (before, after) in enumerate(zip(befores, afters, strict=True))
            if any(before[key] != after[key] for key in self._key)
        ]

    def _key_change(self, before: Row, after: Row, origin: Origin) -> Iterator[RowBatch | BadRow]:
        lost = [index for index, value in enumerate(after) if value is ABSENT]
        if not self.plan.generated.issuperset(lost):
            yield self._bad(ChangeKind.UPDATE, Undecodable(lost[0], b"", MINIMAL_KEY_CHANGE), origin)
            return
        deleted = self._batch(ChangeKind.DELETE, [before], _EMPTY, origin)
        yield replace(deleted, half=Half.KEY_CHANGE_DELETE)
        inserted = self._batch(ChangeKind.INSERT, [after], _EMPTY, origin)
        yield replace(inserted, half=Half.KEY_CHANGE_INSERT)

    def _batch(
        self, kind: ChangeKind, images: Sequence[Row], befores: Sequence[Row], origin: Origin
    ) -> RowBatch:
        return RowBatch(
            self.plan.schema,
            kind,
            images,
            befores,
            origin.position,
            origin.committed_at_ms,
            origin.transaction_id,
        )


def _filled(before: Row, after: Row, indexes: Sequence[int]) -> Row:
    """Return an after image with its missing, unchanged columns copied from the before image."""
    row = list(after)
    for index in indexes:
        row[index] = before[index]
    return tuple(row)


def _later(origin: Origin, rows: int) -> Origin:
    if not rows:
        return origin
    return replace(origin, position=replace(origin.position, row=origin.position.row + rows))
