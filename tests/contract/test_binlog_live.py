"""A live server: its log gives what its SELECT gives, for random tables and rows, and in every charset."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from connectors.mysql.binlog.stream import open_stream
from connectors.mysql.codec import charsets
from connectors.mysql.errors import PositionLostError
from connectors.mysql.events import BadRow, Heartbeat
from connectors.mysql.position import LogPosition
from connectors.mysql.rows.table_plan import schema_of
from connectors.mysql.schema.definitions import TableDefinition
from connectors.mysql.schema.history import Catalog
from connectors.mysql.schema.information_schema import read_definition
from connectors.mysql.server.log_position import place_now
from connectors.mysql.server.session import Login, Session, quoted
from connectors.mysql.snapshot.columns import selected
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ABSENT, Row, RowChange, TableId, Value
from streamjobs.local.mariadb import USER, MariaDbServer
from streamjobs.options.options import Secret
from tests.contract.random_tables import RandomTable
from tests.integration.given_server import MYSQL_URL, login_of_url

pytestmark = pytest.mark.services
SINGLE_BYTES = [
    name for name in charsets._COLLATIONS if charsets.charset(name).max_bytes == 1 and name != "binary"
]
DOUBLE_BYTES = ["big5", "gbk", "gb2312", "sjis", "cp932", "euckr", "ujis", "eucjpms"]
IS_OURS = MYSQL_URL not in os.environ
MODES = [("FULL", "OFF"), ("NO_LOG" if IS_OURS else "MINIMAL", "OFF"), ("FULL", "ON"), ("MINIMAL", "ON")]
"""binlog_row_metadata, and whether the log is compressed."""
TABLE = TableId("streamjobs_test", "t")


@pytest.fixture(scope="module")
def login(request: pytest.FixtureRequest, mariadb_root: Path | None) -> Login:
    if not IS_OURS:
        return login_of_url(os.environ[MYSQL_URL])
    server: MariaDbServer = request.getfixturevalue("own_mariadb")
    return Login(server.host, server.port, USER, Secret(""), tls=False)


@pytest.fixture
def session(login: Login) -> Iterator[Session]:
    with Session(login) as opened:
        metadata = opened.variable("binlog_row_metadata")
        opened.execute(f"DROP DATABASE IF EXISTS {TABLE.database}")
        opened.execute(f"CREATE DATABASE {TABLE.database} CHARACTER SET utf8mb4")
        yield opened
        opened.execute(f"DROP DATABASE {TABLE.database}")
        opened.execute(f"SET GLOBAL binlog_row_metadata = '{metadata}'")


def changes_since(
    login: Login, place: LogPosition | None, catalog: Catalog, gtids: str = ""
) -> list[RowChange | BadRow]:
    found: list[RowChange | BadRow] = []
    with open_stream(
        login, place=place, gtids=gtids, server_id=4711, wanted=lambda table: table == TABLE, catalog=catalog,
        heartbeat_s=0.1, silence_s=20,
    ) as reader:  # fmt: skip
        for event in reader:
            if isinstance(event, RowBatch):
                found += event
            elif isinstance(event, BadRow):
                found.append(event)
            elif isinstance(event, Heartbeat):
                return found
    message = "the stream ended without a sign of life"
    raise AssertionError(message)


def shown(session: Session, definition: TableDefinition) -> dict[Value, Row]:
    """All rows by SELECT, in canonical form."""
    columns = [selected(column) for column in definition.columns]
    rows = session.rows(f"SELECT {', '.join(column.expression for column in columns)} FROM {TABLE}")
    found: dict[Value, Row] = {}
    for row in rows:
        values = tuple(
            value if value is None or column.convert is None else column.convert(value)
            for column, value in zip(columns, row, strict=True)
        )
        assert values[0] is not None
        found[values[0]] = values
    return found


def differential(login: Login, session: Session, rng: random.Random) -> None:
    table = RandomTable(rng, str(TABLE), mariadb=session.is_mariadb)
    session.execute(f"DROP TABLE IF EXISTS {TABLE}")
    session.execute(table.create)
    definition = read_definition(session, TABLE)
    place = place_now(session).place
    session.execute(f"INSERT INTO {TABLE} VALUES {', '.join(table.row(key) for key in range(12))}")
    inserted = shown(session, definition)
    for key in range(6):
        session.execute(f"REPLACE INTO {TABLE} VALUES {table.row(key)}")
    session.execute(f"DELETE FROM {TABLE} WHERE id > 9")
    last = shown(session, definition)
    charsets_ = {TABLE.database: "utf8mb4"}
    catalog = Catalog([definition], mariadb=session.is_mariadb, database_charsets=charsets_)
    changes = changes_since(login, place, catalog)
    assert [change for change in changes if isinstance(change, BadRow)] == []
    good = [change for change in changes if isinstance(change, RowChange)]
    assert {change.schema for change in good} == {schema_of(definition)}
    assert {change.image[0]: change.after for change in good[:12]} == inserted, table.create
    state: dict[Value, Row] = {}
    for change in good:
        if change.before is not None:
            assert agree(change.before, state.pop(change.before[0]), definition)
        if change.after is not None:
            state[change.after[0]] = change.after
    assert state.keys() == last.keys()
    assert [key for key, row in state.items() if not agree(row, last[key], definition)] == [], table.create


def agree(told: Row, known: Row, definition: TableDefinition) -> bool:
    """Whether a row of the log is that of the server; of a generated column either may have no value."""
    return all(
        one == other or (column.generated and ABSENT in (one, other))
        for one, other, column in zip(told, known, definition.columns, strict=True)
    )


@pytest.mark.parametrize(("metadata", "compress"), MODES)
def test_the_log_gives_what_select_gives(
    login: Login, session: Session, metadata: str, compress: str
) -> None:
    run(login, session, metadata, compress, range(12))


def run(login: Login, session: Session, metadata: str, compress: str, seeds: Sequence[int]) -> None:
    session.execute(f"SET GLOBAL binlog_row_metadata = '{metadata}'")
    with Session(login) as writer:
        if session.is_mariadb:
            session.execute(f"SET GLOBAL log_bin_compress = {compress}, log_bin_compress_min_len = 32")
            writer.execute("SET check_constraint_checks = 1")
        else:
            writer.execute(f"SET binlog_transaction_compression = {compress}")
        for seed in seeds:
            differential(login, writer, random.Random(f"{metadata}{compress}{seed}"))


@pytest.mark.parametrize("name", SINGLE_BYTES)
def test_every_byte_of_a_charset_reads_as_the_server_reads_it(session: Session, name: str) -> None:
    if not session.rows(f"SHOW CHARACTER SET LIKE '{name}'"):
        pytest.skip(f"the server has no {name}")
    compare(session, name, [bytes((byte,)) for byte in range(256)])


@pytest.mark.parametrize("name", DOUBLE_BYTES)
def test_codes_of_a_charset_read_as_the_server_reads_them(session: Session, name: str) -> None:
    rng = random.Random(name)
    pairs = [bytes((rng.randrange(0x81, 0xFF), rng.randrange(0x40, 0xFF))) for _ in range(1_200)]
    compare(session, name, pairs + [b"\x8f" + pair for pair in pairs[:400] if name in ("ujis", "eucjpms")])


def compare(session: Session, name: str, codes: Sequence[bytes]) -> None:
    known = charsets.charset(name)
    for start in range(0, len(codes), 400):
        part = codes[start : start + 400]
        texts, kept = (
            session.rows("SELECT " + ", ".join(f"HEX({what.format(code.hex())})" for code in part))[0]
            for what in (
                f"CONVERT(CONVERT(x'{{}}' USING {name}) USING utf32)",
                f"CONVERT(x'{{}}' USING {name})",
            )
        )
        for code, text, stored in zip(part, texts, kept, strict=True):
            if (
                text is None
                or stored is None
                or len(text) != 8
                or bytes.fromhex(stored.decode()) != code  # it would not keep these bytes
                or int(text, 16) == 0xFFFD
                or (text == b"0000003F" and code != b"?")
            ):
                continue  # the server has no one character for it
            assert known.decode(code) == chr(int(text, 16)), (name, code.hex())


def test_every_commit_is_a_place_to_go_on_from(login: Login, session: Session) -> None:
    """A log of many small files: from each place, and from each set of GTIDs, the rest and nothing else."""
    session.execute(f"CREATE TABLE {TABLE} (id INT PRIMARY KEY, v INT)")
    definition = read_definition(session, TABLE)
    starts = [(place_now(session), 0)]
    for key in range(8):
        session.execute(f"INSERT INTO {TABLE} VALUES ({key}, 0), ({key + 100}, 0)")
        starts.append((place_now(session), 2 * key + 2))
        if key % 2:
            session.execute("FLUSH BINARY LOGS")
            starts.append((place_now(session), 2 * key + 2))
    catalog = Catalog([definition], mariadb=session.is_mariadb)
    whole = changes_since(login, starts[0][0].place, catalog)
    assert len(whole) == 16
    for start, done in starts:
        assert changes_since(login, start.place, catalog) == whole[done:]
        assert changes_since(login, None, catalog, start.gtids) == whole[done:]


@pytest.mark.skipif(not IS_OURS, reason="the log is not ours to purge")
def test_a_place_that_was_purged_is_refused_with_the_servers_words(login: Login, session: Session) -> None:
    place = place_now(session).place
    session.execute("FLUSH BINARY LOGS")
    session.execute(f"CREATE TABLE {TABLE.database}.{quoted('after')} (id INT)")
    now = place_now(session).place
    session.execute(f"PURGE BINARY LOGS TO '{now.file}'")
    with pytest.raises(PositionLostError, match=r"Could not find first log file name.*take a new snapshot"):
        changes_since(login, place, Catalog(mariadb=True))
