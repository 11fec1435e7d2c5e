"""The binlog as transactions: turns framed events into the events that a capture works with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from connectors.mysql.binlog.event_groups import EventGroups
from connectors.mysql.binlog.event_kinds import IGNORABLE, LOAD_DATA, OF_NO_EFFECT, REFUSED
from connectors.mysql.binlog.transactions import read_gtid, read_query
from connectors.mysql.codec.compression import payload_events
from connectors.mysql.codec.framing import (
    HEADER_BYTES,
    EventSource,
    EventType,
    Format,
    FramedEvent,
    read_header,
    utc_text,
)
from connectors.mysql.codec.packet import PackedReader
from connectors.mysql.errors import BinlogError, PositionLostError, RefusedError
from connectors.mysql.events import (
    BadRow,
    Begin,
    BinlogEvent,
    Commit,
    Ddl,
    Heartbeat,
    Receiving,
    Rotate,
    Wanted,
)
from connectors.mysql.gtid import GtidSet, MariaGtids
from connectors.mysql.position import LogPosition
from connectors.mysql.rows.row_events import ROW_EVENTS, STATEMENT_END, Origin, TableRows, read_rows_head
from connectors.mysql.rows.table_map import read_table_map, read_table_name, table_id_of
from connectors.mysql.rows.table_plan import plan_of
from connectors.mysql.schema.definitions import TableChange, TableDefinition, Unknown
from connectors.mysql.schema.history import Catalog
from connectors.mysql.schema.statement import Query
from streamjobs.changes.position import Position
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import TableId

_LOAD: Final = "LOAD DATA"
_LOADED: Final[tuple[TableChange, ...]] = (Unknown(None, "LOAD DATA in statement format"),)
_FIRST_OFFSET = 4
_ENDS, _ANOTHER = "the log ends", "another transaction starts"
_NEW_LOG, _ROTATED = "the server started a new log", "the log continues in another file"
_DUMMY_TABLE: Final = 0xFFFFFF
_PLANS: Final = 1024


@dataclass
class _Group:
    """The transaction that is being read."""

    begin: Begin
    explicit: bool
    prepared_xa: bool = False
    void: bool = False
    rows: bool = False
    events: int = 0


class LogReader:
    """Reads transactions from a source of events; implements `BinlogReader`."""

    def __init__(
        self, source: EventSource, place: LogPosition, *, wanted: Wanted, catalog: Catalog, epoch: int,
        gtids: GtidSet | MariaGtids | None, clock_ms: Callable[[], int], file_made_at_s: int = 0,
    ) -> None:  # fmt: skip
        self._source = source
        self._file = place.file
        self._place = self._began = place
        self._wanted = wanted
        self._catalog = catalog
        self._epoch = epoch
        self._gtids = gtids
        self._clock_ms = clock_ms
        self._expected_s = file_made_at_s
        self._made_at_s = 0
        self._groups = EventGroups()
        self._group: _Group | None = None
        self._maps: dict[int, TableRows | None] = {}
        self._plans: dict[bytes, tuple[TableDefinition | None, TableRows]] = {}
        self._is_wanted: dict[TableId, bool] = {}
        self._payload_rows: int | None = None

    @property
    def place(self) -> LogPosition:
        """The end of the last transaction."""
        return self._place

    @property
    def gtids(self) -> str:
        """The set of all transactions so far; "" while it is not known."""
        return "" if self._gtids is None else str(self._gtids)

    @property
    def undecided(self) -> tuple[str, ...]:
        """The XA transactions whose rows are held until their commit; see `BinlogReader`."""
        return self._groups.undecided

    @property
    def catalog(self) -> Catalog:
        """The tables at the current position."""
        return self._catalog

    @property
    def file_made_at_s(self) -> int:
        """The creation time of the log file, by the server's clock in epoch seconds; 0: not known."""
        return self._made_at_s

    def __iter__(self) -> Iterator[BinlogEvent]:
        """Yield all events to the end of the source."""
        for event, log_format in self._source:
            try:
                ready = self._groups.offer(event, log_format)
            except BinlogError as exc:
                raise exc.at(self._where(event)) from exc
            for each, used in ready:
                yield from self._checked(each, used)
            if self._groups.sign_is_due():
                yield Receiving(self._place)
        for each, used in self._groups.rest():
            yield from self._checked(each, used)
        if self._group is not None:
            raise self._torn(_ENDS)

    def _checked(self, event: FramedEvent, log_format: Format) -> Iterator[BinlogEvent]:
        place = self._where(event)
        try:
            body = log_format.body(event.data, place)
            yield from self._read(event, body, log_format)
        except BinlogError as exc:
            raise exc.at(place) from exc

    def _where(self, event: FramedEvent) -> str:
        return f"{self._file}:{event.start if event.start is not None else '(sent by the server)'}"

    def close(self) -> None:
        """Free the source and the held part of a transaction."""
        self._groups.close()
        self._source.close()

    def __enter__(self) -> LogReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, event: FramedEvent, body: bytes, log_format: Format) -> Iterator[BinlogEvent]:
        kind = event.header.type
        if kind in ROW_EVENTS:
            yield from self._rows(event, body, log_format)
        elif kind == EventType.TABLE_MAP:
            self._table_map(body, log_format)
        elif kind in (EventType.XID, EventType.XA_PREPARE):
            yield self._commit(event)
        elif kind in (EventType.QUERY, EventType.QUERY_COMPRESSED):
            yield from self._query(event, read_query(kind, body))
        elif kind in (EventType.GTID, EventType.ANONYMOUS_GTID, EventType.MARIA_GTID, EventType.TAGGED_GTID):
            yield self._begin_group(event, body)
        elif kind == EventType.TRANSACTION_PAYLOAD:
            yield from self._payload(event, body, log_format)
        elif kind in (EventType.ROTATE, EventType.HEARTBEAT, EventType.HEARTBEAT_V2):
            yield from self._outside(event, body)
        else:
            yield from self._other(event, body)

    def _other(self, event: FramedEvent, body: bytes) -> Iterator[BinlogEvent]:
        kind = event.header.type
        if kind == EventType.FORMAT_DESCRIPTION:
            if self._group is not None and event.end is not None:
                raise self._torn(_NEW_LOG)
            self._maps.clear()
            self._begin_file(event.header.timestamp_s)
        elif kind == EventType.PREVIOUS_GTIDS:
            self._gtids = GtidSet.decode(body) if self._gtids is None else self._gtids
        elif kind == EventType.MARIA_GTID_LIST:
            self._gtids = MariaGtids.decode(body) if self._gtids is None else self._gtids
        elif kind in LOAD_DATA:
            yield from self._statement(event, Query("", _LOAD))
        elif kind in REFUSED:
            raise RefusedError(REFUSED[kind])
        elif kind not in OF_NO_EFFECT and not event.header.flags & IGNORABLE:
            message = f"an event of type {kind}, which is not known and must not be skipped"
            raise RefusedError(message)
        if event.end is not None and self._group is None:
            place = LogPosition(self._file, event.end)
            self._place = max(place, self._place) if place.file == self._place.file else place

    def _begin_file(self, made_at_s: int) -> None:
        if self._expected_s and made_at_s != self._expected_s:
            message = (
                f"{self._file} was created at {utc_text(made_at_s)}, but the file that was read before at "
                f"{utc_text(self._expected_s)}: the log was reset (RESET MASTER), or the server restored "
                "from a copy. Take a new snapshot"
            )
            raise PositionLostError(message, str(self._place))
        self._expected_s, self._made_at_s = 0, made_at_s

    # transactions

    def _start(self, event: FramedEvent) -> LogPosition:
        if event.start is None:
            message = f"an event of type {event.header.type} that is not in a file"
            raise BinlogError(message)
        return LogPosition(self._file, event.start)

    def _begin_group(self, event: FramedEvent, body: bytes) -> Begin:
        if self._group is not None:
            raise self._torn(_ANOTHER)
        found = read_gtid(event.header.type, body, event.header.server_id)
        committed_at_us = found.committed_at_us
        if committed_at_us is None:
            committed_at_us = event.header.timestamp_s * 1_000_000
        begin = Begin(self._start(event), found.gtid, committed_at_us // 1000)
        decided = self._groups.decided_xa
        self._group = _Group(begin, found.explicit, found.prepared_xa and not decided, found.void)
        self._payload_rows = 0 if decided else None  # rows of an XA transaction are numbered from its commit
        return begin

    def _begin_plain(self, event: FramedEvent, *, explicit: bool) -> Iterator[Begin]:
        """Start a group at a statement, unless a GTID event has started it."""
        if self._group is None:
            begin = Begin(self._start(event), "", event.header.timestamp_s * 1000)
            self._group = _Group(begin, explicit)
            yield begin
        else:
            self._group.explicit = self._group.explicit or explicit

    def _commit(self, event: FramedEvent) -> Commit:
        group = self._in_group(event)
        if event.end is not None:
            self._place = LogPosition(self._file, event.end)
        gtid = group.begin.gtid
        if gtid and self._gtids is not None:
            self._gtids = self._gtids.with_gtid(gtid)
        self._group = self._payload_rows = None
        self._maps.clear()
        return Commit(self._place, gtid, group.begin.committed_at_ms)

    def _in_group(self, event: FramedEvent) -> _Group:
        if self._group is None:
            message = f"an event of type {event.header.type}, but no transaction began since {self._began}: "
            if self._began.offset > _FIRST_OFFSET:
                message += "reading started inside a transaction. Start at the end of a Commit"
            else:
                message += (
                    "the file begins inside a transaction, or its server logs rows without BEGIN, as MySQL "
                    "5.1 can: then it is not known to which transaction a row belongs"
                )
            raise BinlogError(message)
        return self._group

    def _torn(self, what: str) -> BinlogError:
        begin = self._group.begin if self._group else None
        named = f" {begin.gtid}" if begin is not None and begin.gtid else ""
        began = f" that began at {begin.place}" if begin is not None else ""
        return BinlogError(
            f"{what} in the middle of the transaction{named}{began}; its rows must not be used",
            str(self._place),
        )

    # statements

    def _query(self, event: FramedEvent, query: Query) -> Iterator[BinlogEvent]:
        match query.verb:
            case ("BEGIN", "") | ("START", "TRANSACTION"):
                yield from self._begin_plain(event, explicit=True)
            case ("COMMIT", ""):
                yield self._commit(event)
            case ("ROLLBACK", "TO"):
                self._refuse_rows(event, "part of a transaction was rolled back (ROLLBACK TO a savepoint)")
            case ("ROLLBACK", _):
                self._refuse_rows(event, "a transaction with rows was rolled back")
                yield self._commit(event)
            case ("XA", "START" | "BEGIN"):
                yield from self._begin_plain(event, explicit=True)
                self._in_group(event).prepared_xa = not self._groups.decided_xa
            case ("XA", "END") | ("SAVEPOINT", _) | ("RELEASE", _):
                self._in_group(event)
            case ("XA", _):  # COMMIT: its rows came before it
                yield from self._begin_plain(event, explicit=False)
                yield self._commit(event)
            case _:
                yield from self._statement(event, query)

    def _refuse_rows(self, event: FramedEvent, what: str) -> None:
        if self._in_group(event).rows:
            message = f"{what}, but its rows have been read already"
            raise RefusedError(message)

    def _statement(self, event: FramedEvent, query: Query) -> Iterator[BinlogEvent]:
        yield from self._begin_plain(event, explicit=False)
        group = self._in_group(event)
        changes: tuple[TableChange, ...] = ()
        if not group.void:
            changes = _LOADED if query.sql == _LOAD else self._catalog.apply(query)
        place = self._place if event.end is None else LogPosition(self._file, event.end)
        begin = group.begin
        yield Ddl(place, begin.gtid, begin.committed_at_ms, query.database, query.sql, changes)
        if not group.explicit:
            yield self._commit(event)

    # rows

    def _table_map(self, body: bytes, log_format: Format) -> None:
        width = 4 if log_format.post_header_bytes(EventType.TABLE_MAP) == 6 else 6
        number = table_id_of(body, width)
        table = read_table_name(body, width)
        wanted = self._is_wanted.get(table)
        if wanted is None:
            wanted = self._is_wanted[table] = self._wanted(table)
        if not wanted or self._catalog.pending_tables.passes_over(table):
            self._maps[number] = None
            return
        if self._catalog.is_sequence(table):
            if read_table_map(body, width, mariadb=log_format.is_mariadb).may_be_sequence:
                self._maps[number] = None
                return
            self._catalog.is_table(table)  # the sequence was dropped, and the log did not show it
        definition = self._catalog.table(table)
        shape = body[width:]
        known = self._plans.get(shape)
        if known is None or known[0] is not definition:
            stored = read_table_map(body, width, mariadb=log_format.is_mariadb)
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            plan = plan_of(stored, definition, mariadb=log_format.is_mariadb)
            if plan.needs_definition or not stored.complete:
                (self._catalog.needed if stored.complete else self._catalog.unnamed).add(table)
            known = self._plans[shape] = (definition, TableRows(plan, mariadb=log_format.is_mariadb))
        self._maps[number] = known[1]

    def _rows(self, event: FramedEvent, body: bytes, log_format: Format) -> Iterator[RowBatch | BadRow]:
        group = self._in_group(event)
        kind = event.header.type
        width = 4 if log_format.post_header_bytes(kind) == 6 else 6
        number = table_id_of(body, width)
        flags = int.from_bytes(body[width : width + 2], "little")
        if number not in self._maps:
            if not (number == _DUMMY_TABLE and flags & STATEMENT_END):
                message = f"a row event of table id {number:#x}, for which there was no table map"
                raise BinlogError(message)
        elif (table := self._maps[number]) is not None:
            if group.prepared_xa:
                message = f"an XA transaction changes {table.plan.schema.table}; XA transactions are refused"
                raise RefusedError(message)
            group.rows = True
            head = read_rows_head(kind, body, log_format.post_header_bytes(kind))
            start = self._start(event)
            first = self._payload_rows or 0
            origin = Origin(
                Position(self._epoch, start.number, start.offset, first),
                group.begin.committed_at_ms,
                group.begin.gtid,
            )
            found, count = table.read(kind, head, body, origin)
            if self._payload_rows is not None:
                self._payload_rows += count
            yield from found
        if flags & STATEMENT_END:
            self._maps.clear()

    def _payload(self, event: FramedEvent, body: bytes, log_format: Format) -> Iterator[BinlogEvent]:
        """Read a compressed transaction: its events share the payload's position, and number their rows."""
        self._payload_rows = 0
        inner_format = replace(log_format, checksum=False)
        for data in payload_events(body):
            header = read_header(data, "")
            inner = FramedEvent(header, data, event.start, event.end)
            yield from self._read(inner, data[HEADER_BYTES:], inner_format)
        self._payload_rows = None

    # the log itself

    def _outside(self, event: FramedEvent, body: bytes) -> Iterator[BinlogEvent]:
        reader = PackedReader(body)
        if event.header.type == EventType.ROTATE:
            offset = reader.integer(8)
            file = reader.rest().decode("utf-8", "replace")
            moved = file != self._file
            if self._group is not None and moved:
                raise self._torn(_ROTATED)
            self._file = file
            if moved:
                self._made_at_s = 0
            if self._group is None and (moved or event.header.artificial):
                self._place = LogPosition(file, offset)
            if moved:
                yield Rotate(LogPosition(file, offset))
            return
        if self._group is None:
            yield Heartbeat(self._place, self._clock_ms())
