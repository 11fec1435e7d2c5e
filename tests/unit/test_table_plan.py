"""What a table's rows mean: labels that were lost on their way, and columns that only the server knows."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from connectors.mysql.codec.framing import EventType
from connectors.mysql.errors import SchemaMissingError
from connectors.mysql.events import BadRow
from connectors.mysql.rows.row_events import Origin, RowsHead, TableRows
from connectors.mysql.rows.table_map import Stored, StoredColumn, TableMap
from connectors.mysql.rows.table_plan import plan_of
from connectors.mysql.schema.definitions import ColumnDefinition, TableDefinition
from connectors.mysql.schema.enum_labels import doubtful_labels
from connectors.mysql.schema.history import Catalog
from connectors.mysql.schema.statement import Query
from connectors.mysql.snapshot.columns import selected
from streamjobs.capture.config.routes import Route, Routes
from streamjobs.capture.source.schema_history import Definitions, definitions_from_json, definitions_to_json
from streamjobs.changes.position import Position
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import TableId, Value
from tests.unit.binlog_writer import row_image, stored_text

T = TableId("d", "t")
ID = ColumnDefinition("id", "int", "int(11)", nullable=False)
STORED_ID = StoredColumn(Stored.LONG, name="id", unsigned=False)
UTF8MB4, CP1251, BINARY_SET = 45, 51, 63


def definition(*columns: ColumnDefinition, key: tuple[str, ...] = ("id",)) -> TableDefinition:
    return TableDefinition(T, (ID, *columns), key)


def read(stored: TableMap, known: TableDefinition | None, *rows: bytes) -> list[tuple[Value, ...] | str]:
    """Each row, or why it is a bad one."""
    count = len(stored.columns)
    head = RowsHead(5, 0, count, ((True,) * count,), 0)
    origin = Origin(Position(0, 1, 4), 1000, "")
    table = TableRows(plan_of(stored, known, mariadb=True), mariadb=True)
    found: list[tuple[Value, ...] | str] = []
    for event in table.read(EventType.WRITE_ROWS, head, b"".join(rows), origin)[0]:
        found += [event.reason] if isinstance(event, BadRow) else list(event.images)
    return found


def row(number: int, *values: bytes) -> bytes:
    return row_image((struct.pack("<i", number), *values))


def labelled(kind: str, charset: str, *labels: str) -> ColumnDefinition:
    """As the server's catalogue tells it."""
    native = f"{kind}({','.join(map(repr, labels))})"
    lost = doubtful_labels(labels, charset)
    return ColumnDefinition("g", kind, native, charset=charset, labels=labels, lost_labels=lost)


LOST = (
    "label 2 of column g is '?' in the server's catalogue, which shows '?' for what it cannot encode; "
    "SET GLOBAL binlog_row_metadata = 'FULL'"
)


@pytest.mark.parametrize(
    "charset", ["utf8mb4", "utf8mb3", "utf16", "utf32", "gb18030", "gbk", "ascii", "greek"]
)
def test_a_label_that_the_catalogue_cannot_spell_spoils_its_rows(charset: str) -> None:
    stored = TableMap(5, T, (replace(STORED_ID, name=None), StoredColumn(Stored.ENUM, 1)))
    known = definition(labelled("enum", charset, "a", "?"))
    assert read(stored, known, row(1, b"\1"), row(2, b"\2"), row(3, b"\0")) == [
        (b"1", b"a"),
        LOST,
        (b"3", b""),
    ]
    of_set = TableMap(5, T, (replace(STORED_ID, name=None), StoredColumn(Stored.SET, 1)))
    known = definition(labelled("set", charset, "a", "?"))
    assert read(of_set, known, row(1, b"\1"), row(2, b"\3")) == [(b"1", b"a"), LOST]


def test_a_question_mark_is_one_where_no_other_can_have_been() -> None:
    stored = TableMap(5, T, (replace(STORED_ID, name=None), StoredColumn(Stored.ENUM, 1)))
    known = definition(labelled("enum", "latin1", "a", "?"))
    assert read(stored, known, row(2, b"\2")) == [(b"2", b"?")]


def test_the_log_tells_the_label_that_the_catalogue_cannot_spell() -> None:
    labels = (b"a", "😀".encode())
    enum = StoredColumn(Stored.ENUM, 1, name="g", collation=UTF8MB4, labels=labels)
    stored = TableMap(5, T, (STORED_ID, enum), (0,))
    assert read(stored, definition(labelled("enum", "utf8mb4", "a", "?")), row(2, b"\2")) == [
        (b"2", "😀".encode())
    ]


AGAIN = " declare the column again with its labels (MODIFY)"


@pytest.mark.parametrize(
    ("kind", "value", "collation", "labels", "reason"),
    [
        (
            Stored.ENUM,
            b"\1",
            BINARY_SET,
            (b"\xc3\xa9", b"b"),
            "label 1 is b'\\xc3\\xa9', and its column has no character set (binary); "
            "declare it with one (MODIFY)",
        ),
        (
            Stored.ENUM,
            b"\1",
            UTF8MB4,
            (b"\xe9", b"b"),
            "label 1 is b'\\xe9' in the log, which is not utf8mb4;" + AGAIN,
        ),
        (
            Stored.SET,
            b"\3",
            CP1251,
            (b"\x98", b"b"),
            "label 1 is b'\\x98' in the log, which is not cp1251;" + AGAIN,
        ),
    ],
)
def test_a_label_that_cannot_be_decoded_spoils_its_rows_alone(
    kind: Stored, value: bytes, collation: int, labels: tuple[bytes, ...], reason: str
) -> None:
    column = StoredColumn(kind, 1, name="g", collation=collation, labels=labels)
    stored = TableMap(5, T, (STORED_ID, column), (0,))
    assert read(stored, None, row(1, value), row(2, b"\2")) == [reason, (b"2", b"b")]


def test_a_schema_file_spells_labels_as_the_catalogue_does() -> None:
    catalog = Catalog.of_sql(
        "CREATE TABLE t (id INT PRIMARY KEY, g ENUM('a','?') CHARSET utf8mb4, h ENUM('?') CHARSET latin1)",
        "d",
    )
    known = catalog.table(T)
    assert known is not None
    assert [column.lost_labels for column in known.columns] == [(), (2,), ()]


def test_labels_are_known_that_a_statement_spells() -> None:
    catalog = Catalog([definition(labelled("enum", "utf8mb4", "a", "?"))])
    catalog.apply(Query("d", "ALTER TABLE t MODIFY g ENUM('a','😀','?') CHARSET utf8mb4"))
    known = catalog.table(T)
    assert known is not None
    assert (known.columns[1].labels, known.columns[1].lost_labels) == (("a", "😀", "?"), ())


def test_lost_labels_are_stored_and_those_of_an_earlier_version_doubted() -> None:
    routes = Routes([Route.made("d.*")])
    told = labelled("enum", "utf8mb4", "a", "?")
    catalog = Catalog([definition(told, replace(told, name="h", lost_labels=()))])
    data = definitions_to_json(Definitions(catalog), routes)
    assert definitions_from_json(data).catalog.tables == catalog.tables
    old = data.replace(b',"lost_labels":[]', b"").replace(b',"lost_labels":[2]', b"")
    (known,) = definitions_from_json(old).catalog.tables
    assert [column.lost_labels for column in known.columns] == [(), (2,), (2,)]


def test_a_snapshot_selects_the_text_of_a_lost_label() -> None:
    twice = labelled("enum", "utf8mb4", "?", "?")
    assert selected(twice, in_key=True).expression == "`g`"
    told = replace(labelled("enum", "utf8mb3", "?", "?"), lost_labels=())
    assert selected(told, in_key=True).expression == "`g` + 0"


URL = ColumnDefinition("url", "text", "text", charset="utf8mb4")
STORED_URL = StoredColumn(Stored.BLOB, 2, name="url", collation=UTF8MB4)
HASH = StoredColumn(Stored.LONGLONG, name="DB_ROW_HASH_1", unsigned=True)
HASHED = TableMap(5, T, (STORED_ID, STORED_URL, HASH, replace(HASH, name="DB_ROW_HASH_2")))


def test_the_servers_own_hash_is_in_no_row() -> None:
    known = definition(URL, key=())
    plan = plan_of(HASHED, known, mariadb=True)
    assert plan.schema.names == ("id", "url")
    values = (stored_text(b"u", 2), b"\7" * 8, b"\x09" * 8)
    assert read(HASHED, known, row(1, *values)) == [(b"1", b"u")]
    spoiled = (stored_text(b"\xff", 2), b"\7" * 8, b"\x09" * 8)
    assert read(HASHED, known, row(1, *spoiled), row(2, *values)) == [
        "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        (b"2", b"u"),
    ]
    nulls = row_image((None, stored_text(b"u", 2), None, b"\x09" * 8))
    assert read(HASHED, known, nulls) == [(None, b"u")]


def test_an_update_of_a_row_with_a_hash_keeps_its_columns() -> None:
    known = definition(URL)
    table = TableRows(plan_of(replace(HASHED, primary_key=(0,)), known, mariadb=True), mariadb=True)
    present = (True, True, False, False)
    head = RowsHead(5, 0, 4, (present, (True, True, False, False)), 0)
    image = row_image((struct.pack("<i", 1), stored_text(b"u", 2)))
    ((batch,), count) = table.read(EventType.UPDATE_ROWS, head, image * 2, Origin(Position(0, 1, 4), 1, ""))
    assert isinstance(batch, RowBatch)
    assert (list(batch.images), list(batch.befores), count) == ([(b"1", b"u")], [(b"1", b"u")], 1)


def test_a_column_that_is_named_like_a_hash_stays_one() -> None:
    own = ColumnDefinition("DB_ROW_HASH_1", "bigint", "bigint(20) unsigned", unsigned=True)
    stored = replace(HASHED, columns=(STORED_ID, HASH))
    assert plan_of(stored, definition(own), mariadb=True).schema.names == ("id", "DB_ROW_HASH_1")
    both = replace(HASHED, columns=(STORED_ID, HASH, STORED_URL, replace(HASH, name="DB_ROW_HASH_2")))
    assert plan_of(both, definition(own, URL), mariadb=True).schema.names == ("id", "DB_ROW_HASH_1", "url")


def test_what_may_be_a_hash_is_refused_without_a_definition() -> None:
    with pytest.raises(SchemaMissingError) as raised:
        plan_of(HASHED, None, mariadb=True)
    assert str(raised.value) == (
        "DB_ROW_HASH_1 of d.t may be a column, or the server's hidden hash of a UNIQUE key, and the table's "
        "definition is not known. Give the schema"
    )


def test_a_hash_that_the_log_does_not_name_is_told() -> None:
    unnamed = replace(HASHED, columns=tuple(replace(column, name=None) for column in HASHED.columns))
    with pytest.raises(SchemaMissingError) as raised:
        plan_of(unnamed, definition(URL), mariadb=True)
    assert str(raised.value) == (
        "the log does not name the columns of d.t, and its definition has 2 columns (id, url), the log 4; "
        "MariaDB adds a hidden column for each UNIQUE key of long columns (TEXT, BLOB); only FULL metadata "
        "shows which columns are hidden. Give the schema, or SET GLOBAL binlog_row_metadata = 'FULL'"
    )


MOMENT = ColumnDefinition("at", "datetime", "datetime(3)", 3)
STORED_MOMENT = StoredColumn(Stored.DATETIME, name="at")
OLD = TableMap(5, T, (STORED_ID, STORED_MOMENT), (0,))
OLD_VALUE = ((((2026 * 13 + 12) * 32 + 1) * 86_400 + 3_661) * 1000 + 25).to_bytes(7, "big")


@pytest.mark.parametrize("named", [True, False])
def test_the_definition_tells_the_digits_of_an_old_time(named: bool) -> None:
    stored = OLD if named else replace(OLD, columns=tuple(replace(one, name=None) for one in OLD.columns))
    known = definition(MOMENT)
    assert read(stored, known, row(1, OLD_VALUE)) == [(b"1", b"2026-12-01 01:01:01.025000")]
    plan = plan_of(stored, known, mariadb=True)
    assert plan.schema.columns[1].native_type == "datetime(3)"
    assert plan.needs_definition == named
    plain = definition(replace(MOMENT, native_type="datetime", length=None))
    old = struct.pack("<Q", 20261201010101)
    assert read(stored, plain, row(1, old)) == [(b"1", b"2026-12-01 01:01:01")]
    assert not plan_of(stored, plain, mariadb=True).needs_definition


@pytest.mark.parametrize(
    ("known", "why"),
    [
        (None, "its definition is not known"),
        (definition(), "its definition has 1 columns (id), the log 2"),
        (
            definition(replace(MOMENT, name="on")),
            "column 2 is at in the log and on in its definition",
        ),
    ],
)
def test_an_old_time_without_its_definition_is_refused_by_name(
    known: TableDefinition | None, why: str
) -> None:
    with pytest.raises(SchemaMissingError) as raised:
        plan_of(OLD, known, mariadb=True)
    assert str(raised.value) == (
        "d.t stores at in the format of MariaDB 5.3 (mysql56_temporal_format = OFF), for which the log does "
        f"not have the number of fraction digits, and {why}. Give the schema; or SET GLOBAL "
        "mysql56_temporal_format = ON, and in a new session ALTER TABLE `d`.`t` FORCE, then take a new "
        "snapshot"
    )


def test_a_mysql_has_no_fractions_in_old_times() -> None:
    assert plan_of(OLD, None, mariadb=False).schema.columns[1].native_type == "datetime"
    unnamed = replace(OLD, columns=tuple(replace(one, name=None) for one in OLD.columns))
    with pytest.raises(
        SchemaMissingError, match=r"column at is datetime\(3\) in its definition, but the log"
    ):
        plan_of(unnamed, definition(MOMENT), mariadb=False)


def test_a_schema_with_the_servers_remark_on_storage_is_read() -> None:
    catalog = Catalog.of_sql("CREATE TABLE t (id INT PRIMARY KEY, at time(6) /* mariadb-5.3 */)", "d")
    (known,) = catalog.tables
    assert (known.columns[1].native_type, known.columns[1].length) == ("time(6)", 6)
