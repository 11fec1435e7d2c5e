"""Whole logs from an independent writer: rows come back, and damage is an error and never another value."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.mysql.binlog.file import open_file
from connectors.mysql.errors import BinlogError, RefusedError
from connectors.mysql.events import BadRow, Begin, BinlogEvent, Commit, Ddl
from connectors.mysql.schema.history import Catalog
from streamjobs.changes.position import Half
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ChangeKind, Row, TableId
from tests.unit.binlog_writer import ColumnForm, Writer, row_image, stored_text

INT, BIGINT = ColumnForm(3, numeric=True), ColumnForm(8, unsigned=True, numeric=True)
TEXT = ColumnForm(15, struct.pack("<H", 400), collation=45)
LATIN = ColumnForm(15, struct.pack("<H", 100), collation=8)
COLUMNS, NAMES = (INT, BIGINT, TEXT, LATIN), ("id", "n", "t", "l")
GTID = "00010203-0405-0607-0809-0a0b0c0d0e0f"

XA_PREPARED = struct.pack("<BIII", 0, 1, 1, 0) + b"a"

ROWS = st.lists(
    st.tuples(
        st.integers(-(2**31), 2**31 - 1),
        st.none() | st.integers(0, 2**64 - 1),
        st.none() | st.text(max_size=20),
        st.none() | st.text(alphabet="aé€ÿ", max_size=20),
    ),
    max_size=20,
)
Values = tuple[int, int | None, str | None, str | None]


def stored(row: Values) -> bytes:
    number, big, text, latin = row
    return row_image(
        (
            struct.pack("<i", number),
            None if big is None else struct.pack("<Q", big),
            None if text is None else stored_text(text.encode(), 2),
            None if latin is None else stored_text(latin.encode("cp1252"), 1),
        )
    )


def canonical(row: Values) -> Row:
    return tuple(None if value is None else str(value).encode() for value in row)


def written(transactions: Sequence[Sequence[Values]]) -> Writer:
    writer = Writer()
    for number, rows in enumerate(transactions, start=1):
        writer.gtid(number)
        writer.query("BEGIN")
        writer.table_map(COLUMNS, NAMES)
        writer.rows(30, [stored(row) for row in rows], len(COLUMNS))
        writer.xid()
    return writer


def read(data: bytes, folder: Path) -> list[BinlogEvent]:
    path = folder / "bin.000007"
    path.write_bytes(data)
    with open_file(path, wanted=lambda _: True) as reader:
        return list(reader)


def images(events: Sequence[BinlogEvent]) -> list[Row]:
    """All rows that were read, in order."""
    return [change.image for event in events if isinstance(event, RowBatch) for change in event]


def test_rows_that_are_no_numbers_of_a_sequence_are_a_tables(tmp_path: Path) -> None:
    """A stored set of sequences may name a table by now: its rows are not passed over in silence."""
    table = TableId("d", "t")
    path = tmp_path / "bin.000007"
    path.write_bytes(bytes(written([[(1, 2, "a", "b")]]).data))
    catalog = Catalog(mariadb=True, sequences=[table])
    with open_file(path, wanted=lambda _: True, catalog=catalog) as reader:
        rows = [list(event.images) for event in reader if isinstance(event, RowBatch)]
    assert rows == [[(b"1", b"2", b"a", b"b")]]
    assert not catalog.sequences
    writer = Writer()
    writer.gtid(1)
    writer.query("BEGIN")
    tiny = ColumnForm(1, numeric=True)
    numbers = (*[BIGINT] * 6, tiny, BIGINT)
    writer.table_map(numbers, [f"n{number}" for number in range(8)])
    stored_numbers = (*[b"\1" + bytes(7)] * 6, b"\0", bytes(8))
    writer.rows(30, [row_image(stored_numbers)], len(numbers))
    writer.xid()
    path.write_bytes(bytes(writer.data))
    catalog = Catalog(mariadb=True, sequences=[table])
    with open_file(path, wanted=lambda _: True, catalog=catalog) as reader:
        assert not [event for event in reader if isinstance(event, RowBatch)]
    assert catalog.sequences == {table}


def read_until_error(data: bytes, folder: Path) -> tuple[list[BinlogEvent], BinlogError | None]:
    path = folder / "bin.000007"
    path.write_bytes(data)
    found: list[BinlogEvent] = []
    try:
        with open_file(path, wanted=lambda _: True) as reader:
            found.extend(reader)
    except BinlogError as exc:
        return found, exc
    return found, None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(ROWS, max_size=4))
def test_rows_come_back_with_their_places(tmp_path: Path, transactions: list[list[Values]]) -> None:
    writer = written(transactions)
    events = read(bytes(writer.data), tmp_path)
    rows = [list(event.images) for event in events if isinstance(event, RowBatch)]
    assert rows == [[canonical(row) for row in batch] for batch in transactions if batch]
    commits = [event for event in events if isinstance(event, Commit)]
    assert [commit.gtid for commit in commits] == [f"{GTID}:{n}" for n in range(1, len(transactions) + 1)]
    for event in events:
        if isinstance(event, RowBatch):
            assert event.position.offset in writer.starts
            assert (event.position.file, event.position.row) == (7, 0)
            assert event.committed_at_ms == 10**12


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_flipped_bit_is_an_error_and_never_another_row(tmp_path: Path, data: st.DataObject) -> None:
    whole = bytes(written([[(1, 2, "a", "é")], [(2, None, "b", None), (3, 4, None, "")]]).data)
    good = read(whole, tmp_path)
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    found, error = read_until_error(bytes(damaged), tmp_path)
    assert found == good[: len(found)]
    # the flag that the file is in use is no part of its checksum
    assert error is not None or (place == 21 and damaged[place] ^ whole[place] == 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_log_cut_off_anywhere_gives_whole_transactions_or_an_error(
    tmp_path: Path, data: st.DataObject
) -> None:
    whole = bytes(written([[(1, 2, "a", "é")], [(2, None, "b", None), (3, 4, None, "")]]).data)
    good = read(whole, tmp_path)
    found, error = read_until_error(whole[: data.draw(st.integers(0, len(whole) - 1))], tmp_path)
    assert found == good[: len(found)]
    assert error is not None or not found or isinstance(found[-1], Commit)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300))
def test_random_row_data_is_rows_bad_rows_or_an_error(tmp_path: Path, data: bytes) -> None:
    """With a checksum that fits, only the shape of the rows is left to judge by."""
    writer = Writer()
    writer.gtid(1)
    writer.query("BEGIN")
    writer.table_map(COLUMNS, NAMES)
    writer.rows(30, [data], len(COLUMNS))
    writer.xid()
    found, error = read_until_error(bytes(writer.data), tmp_path)
    rows = [event for event in found if isinstance(event, RowBatch | BadRow)]
    if error is None:
        size = sum(len(event) if isinstance(event, RowBatch) else 1 for event in rows)
        assert bool(size) == bool(data)
    else:
        assert rows == []
        assert error.place.endswith(f":{writer.starts[-2]}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 255), st.binary(max_size=80))
def test_random_events_never_raise_anything_else(tmp_path: Path, kind: int, body: bytes) -> None:
    writer = written([[(1, 2, "a", "é")]])
    before = len(writer.data)
    writer.event(kind, body)
    found, _ = read_until_error(bytes(writer.data), tmp_path)
    assert found[:3] == read(bytes(writer.data[:before]), tmp_path)[:3]


def test_a_value_that_is_no_text_is_a_bad_row_between_good_ones(tmp_path: Path) -> None:
    writer = Writer()
    writer.gtid(1)
    writer.query("BEGIN")
    writer.table_map(COLUMNS, NAMES)
    broken = row_image((struct.pack("<i", 2), None, stored_text(b"\xff\xfe", 2), None))
    writer.rows(30, [stored((1, 2, "a", None)), broken, stored((3, None, None, None))], len(COLUMNS))
    writer.xid()
    _, first, bad, last, _ = read(bytes(writer.data), tmp_path)
    assert isinstance(first, RowBatch)
    assert isinstance(bad, BadRow)
    assert isinstance(last, RowBatch)
    assert (bad.column, bad.data, bad.position.row) == ("t", b"\xff\xfe", 1)
    assert "d.t.t in a row of an INSERT" in str(bad)
    assert "ff fe" in str(bad)
    assert [change.position.row for batch in (first, last) for change in batch] == [0, 2]


def test_a_changed_key_is_a_delete_and_an_insert_in_its_place(tmp_path: Path) -> None:
    writer = Writer()
    writer.gtid(1)
    writer.query("BEGIN")
    writer.table_map(COLUMNS, NAMES)
    rows: list[tuple[Values, Values]] = [
        ((1, 0, None, None), (1, 1, None, None)),
        ((2, 0, None, None), (9, 0, None, None)),
        ((3, 0, None, None), (3, 3, None, None)),
    ]
    writer.rows(31, [stored(row) for pair in rows for row in pair], len(COLUMNS))
    writer.xid()
    batches = [event for event in read(bytes(writer.data), tmp_path) if isinstance(event, RowBatch)]
    changes = [change for batch in batches for change in batch]
    assert [(change.kind, change.position.row, change.half) for change in changes] == [
        (ChangeKind.UPDATE, 0, Half.ONLY),
        (ChangeKind.DELETE, 1, Half.KEY_CHANGE_DELETE),
        (ChangeKind.INSERT, 1, Half.KEY_CHANGE_INSERT),
        (ChangeKind.UPDATE, 2, Half.ONLY),
    ]
    assert [change.image[0] for change in changes] == [b"1", b"2", b"9", b"3"]
    assert len({change.seq for change in changes}) == 4


def test_a_log_without_its_end_tells_that_the_rows_must_not_be_used(tmp_path: Path) -> None:
    writer = written([[(1, 2, "a", None)]])
    found, error = read_until_error(bytes(writer.data[: writer.starts[-1]]), tmp_path)
    assert [type(event) for event in found] == [Begin]
    assert error is not None
    assert "its rows must not be used" in str(error)


def test_rows_of_an_xa_transaction_come_where_it_is_committed(tmp_path: Path) -> None:
    writer = Writer()
    writer.gtid(1)
    writer.query("XA START X'61',X'',1")
    writer.table_map(COLUMNS, NAMES)
    writer.rows(30, [stored((1, 2, "a", None))], len(COLUMNS))
    writer.query("XA END X'61',X'',1")
    writer.event(38, XA_PREPARED)
    writer.gtid(2)
    writer.query("BEGIN")
    writer.table_map(COLUMNS, NAMES)
    writer.rows(30, [stored((5, 5, "b", None))], len(COLUMNS))
    writer.xid()
    writer.gtid(3)
    writer.query("XA COMMIT X'61',X'',1")
    events = read(bytes(writer.data), tmp_path)
    assert [type(event).__name__ for event in events] == [
        *("Begin", "Commit", "Begin", "RowBatch", "Commit", "Begin", "RowBatch", "Commit")
    ]
    assert images(events) == [canonical((5, 5, "b", None)), canonical((1, 2, "a", None))]
    first, second = (event for event in events if isinstance(event, RowBatch))
    assert first.position < second.position
    assert second.transaction_id.endswith(":3")


def test_an_xa_transaction_that_is_committed_at_once_is_a_plain_one(tmp_path: Path) -> None:
    writer = Writer()
    writer.gtid(1)
    writer.query("XA START X'61',X'',1")
    writer.table_map(COLUMNS, NAMES)
    writer.rows(30, [stored((1, 2, "a", None))], len(COLUMNS))
    writer.query("XA END X'61',X'',1")
    writer.event(38, b"\1" + XA_PREPARED[1:])
    assert images(read(bytes(writer.data), tmp_path)) == [canonical((1, 2, "a", None))]


def test_an_unknown_event_may_be_left_out_only_if_it_says_so(tmp_path: Path) -> None:
    writer = Writer()
    writer.event(99, b"what is this")
    with pytest.raises(RefusedError, match="type 99, which is not known and must not be skipped"):
        read(bytes(writer.data), tmp_path)


def test_statements_are_told_with_what_they_do(tmp_path: Path) -> None:
    writer = Writer()
    writer.gtid(1)
    writer.query("CREATE TABLE t (id INT PRIMARY KEY)")
    begin, ddl, commit = read(bytes(writer.data), tmp_path)
    assert isinstance(begin, Begin)
    assert isinstance(ddl, Ddl)
    assert isinstance(commit, Commit)
    assert [type(change).__name__ for change in ddl.changes] == ["Created"]
    assert commit.place.offset == len(writer.data)


def told(data: bytes | bytearray, folder: Path, name: str = "bin.000007", offset: int = 4) -> str:
    """What reading this log to its end says."""
    path = folder / name
    path.write_bytes(data)
    with (
        pytest.raises(BinlogError) as failure,
        open_file(path, wanted=lambda _: True, offset=offset) as reader,
    ):
        list(reader)
    return str(failure.value)


def torn(*, gtid: bool) -> Writer:
    """A log that ends before its transaction does."""
    writer = Writer()
    if gtid:
        writer.gtid(7)
    writer.query("BEGIN")
    writer.table_map((INT,), ("id",))
    return writer


def test_a_torn_transaction_is_named_by_what_is_known_of_it(tmp_path: Path) -> None:
    named, nameless = torn(gtid=True), torn(gtid=False)
    ends = "the log ends in the middle of the transaction"
    lost = "its rows must not be used"
    assert told(named.data, tmp_path) == (
        f"bin.000007:{named.starts[1]}: {ends} {GTID}:7 that began at bin.000007:{named.starts[1]}; {lost}"
    )
    assert told(nameless.data, tmp_path) == (
        f"bin.000007:{nameless.starts[1]}: {ends} that began at bin.000007:{nameless.starts[1]}; {lost}"
    )


def test_rows_without_a_begin_are_told_by_where_reading_began(tmp_path: Path) -> None:
    writer = Writer()
    writer.table_map((INT,), ("id",))
    writer.rows(30, [row_image((b"\1\0\0\0",))], 1)
    _, at, rows_at = writer.starts
    found = f"bin.000007:{rows_at}: an event of type 30, but no transaction began since bin.000007"
    assert told(writer.data, tmp_path) == (
        f"{found}:4: the file begins inside a transaction, or its server logs rows without BEGIN, as MySQL "
        "5.1 can: then it is not known to which transaction a row belongs"
    )
    assert told(writer.data, tmp_path, offset=at) == (
        f"{found}:{at}: reading started inside a transaction. Start at the end of a Commit"
    )


@pytest.mark.parametrize("name", ["mysql-bin.checksum-crc32", "copy", "bin.000007.bak"])
def test_a_file_without_a_number_is_named_as_it_is_called(tmp_path: Path, name: str) -> None:
    writer = torn(gtid=False)
    assert told(writer.data, tmp_path, name).startswith(f"{name}:{writer.starts[1]}: the log ends")
