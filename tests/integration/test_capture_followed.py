"""A log that names no columns: what a capture sends is what SELECT shows, or it stops and says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.mysql.server.session import Session
from streamjobs.changes.row_change import TableId
from tests.integration.capture_file import CaptureFile
from tests.integration.capture_rig import Rig, replayed
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def live(own_rig: Rig) -> Rig:
    """Servers of the module's own: what the log says of columns is changed."""
    with own_rig.session() as session:
        if not session.is_mariadb:
            pytest.skip("statements of MariaDB")
        session.execute("SET GLOBAL binlog_row_metadata = 'NO_LOG'")
    return own_rig


@pytest.fixture
def database(live: Rig) -> str:
    return live.database()


@pytest.fixture
def capture(live: Rig, database: str) -> Iterator[CaptureFile]:
    made = live.configure(database)
    yield made
    made.close()


MADE = (
    "CREATE TABLE {d}.q (id INT PRIMARY KEY, q INT, a INT, b INT)",
    "CREATE TABLE {d}.sp (id INT PRIMARY KEY, v VARCHAR(9)) CHARSET latin1",
    "CREATE TABLE {d}.wide (id INT PRIMARY KEY, a TEXT, b VARCHAR(20000), j JSON) CHARSET latin1",
    "CREATE TABLE {d}.kept (id INT PRIMARY KEY, a INT NOT NULL)",
    "CREATE TABLE {d}.part (id INT PRIMARY KEY)",
    "CREATE SEQUENCE {d}.orders",
)
CHANGED = (
    "ALTER TABLE {d}.q DROP COLUMN q.a",
    "INSERT INTO {d}.q VALUES (1, 2, 3)",
    "ALTER TABLE {d}.sp ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
    "ALTER TABLE {d}.sp ADD COLUMN c VARCHAR(9)",
    "INSERT INTO {d}.sp VALUES (1, 'é', 'é')",
    "CREATE TABLE {d}.ut (id INT PRIMARY KEY, a VARCHAR(9) COLLATE uca1400_as_ci) CHARACTER SET utf16",
    "INSERT INTO {d}.ut VALUES (1, 'ab')",
    "CREATE TABLE {d}.pr (id INT, d1 DATE, d2 DATE, PERIOD FOR p(d1, d2), PRIMARY KEY (id, p WITHOUT "
    "OVERLAPS))",
    "INSERT INTO {d}.pr VALUES (1, '2020-01-01', '2020-02-01'), (1, '2021-01-01', '2021-02-01')",
    "ALTER TABLE {d}.wide CONVERT TO CHARACTER SET utf8mb4",
    "INSERT INTO {d}.wide VALUES (1, 'é', 'ü', '[1]')",
    "ALTER TABLE {d}.kept ADD PRIMARY KEY IF NOT EXISTS (a)",
    "ALTER TABLE {d}.kept RENAME INDEX IF EXISTS i TO j",
    "INSERT INTO {d}.kept VALUES (1, 7), (2, 7)",
    "ALTER TABLE {d}.part ADD COLUMN c INT PARTITION BY KEY (id) PARTITIONS 2",
    "INSERT INTO {d}.part VALUES (1, 7), (2, 7)",
    "CREATE TABLE {d}.vec (id INT PRIMARY KEY, {vector} VARCHAR(20))",
    "ALTER TABLE {d}.vec ADD c INT AFTER {vector}",
    "INSERT INTO {d}.vec VALUES (1, 'v', 2)",
    "DROP TABLE {d}.orders",
    "CREATE TABLE {d}.orders (id INT PRIMARY KEY, v INT)",
    "INSERT INTO {d}.orders VALUES (1, 1), (2, 2)",
)
TABLES = ("q", "sp", "ut", "pr", "wide", "kept", "part", "vec", "orders")


def test_what_is_sent_is_what_the_server_shows(live: Rig, capture: CaptureFile) -> None:
    """Also after a start from the definitions that were stored; the capture says that FULL is better."""
    with live.session() as session:
        for statement in MADE:
            session.execute(statement.format(d=capture.name))
        capture.start().streaming()
        reserved = session.is_mariadb and session.version_numbers >= (11, 7)
        vector = "`vector`" if reserved else "vector"
        for statement in CHANGED:
            session.execute(statement.format(d=capture.name, vector=vector))
        live.caught_up(capture)
        assert capture.stop() == 0, capture.log()
        session.execute(f"INSERT INTO {capture.name}.orders VALUES (3, 3)")
        session.execute(f"INSERT INTO {capture.name}.sp VALUES (2, 'ü', 'ü')")
    capture.start().streaming()
    live.caught_up(capture)
    assert capture.stop() == 0, capture.log()
    for table in TABLES:
        sent = replayed(live.sent(f"{capture.name}.{table}"))
        assert sent == live.rows(TableId(capture.name, table)), table
    assert "binlog_row_metadata is NO_LOG, FULL is recommended" in capture.log()


DIFFERENCE = (
    "column 2 is `v` varchar(9) CHARACTER SET latin1 in the log and `v` varchar(9) CHARACTER SET utf8mb4 on "
    "the server"
)


def stopped_tables(capture: CaptureFile) -> dict[str, str]:
    found: dict[str, str] = (capture.status() or {}).get("stopped", {})
    return found


def change_unlogged(session: Session, table: str) -> None:
    session.execute("SET sql_log_bin = 0")
    session.execute(f"ALTER TABLE {table} MODIFY v VARCHAR(9) CHARACTER SET utf8mb4")
    session.execute("SET sql_log_bin = 1")
    session.execute(f"ALTER TABLE {table} COMMENT 'of the log'")


def test_a_change_that_the_log_does_not_show_stops_its_table_alone(live: Rig, capture: CaptureFile) -> None:
    """Also over a restart; once it is read whole it is followed again, and what was sent wrongly is right."""
    table, other = f"{capture.name}.t", f"{capture.name}.other"
    with live.session() as session:
        session.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, v VARCHAR(9)) CHARSET latin1")
        session.execute(f"CREATE TABLE {other} (id INT PRIMARY KEY)")
        session.execute(f"INSERT INTO {table} VALUES (1, 'é'), (2, 'ü')")
        capture.start().streaming()
        live.caught_up(capture)
        change_unlogged(session, table)
        wait_for(lambda: table in stopped_tables(capture), lambda: f"the table is stopped: {capture.log()}")
        assert DIFFERENCE in stopped_tables(capture)[table]
        session.execute(f"INSERT INTO {table} VALUES (3, 'ß')")
        session.execute(f"DELETE FROM {table} WHERE id = 1")
        session.execute(f"INSERT INTO {other} VALUES (7)")
        live.caught_up(capture)
        assert replayed(live.sent(other)) == [(b"7",)]
        assert capture.stop() == 0, capture.log()
        log = " ".join(capture.log().split())
        assert f"{table} is stopped and not sent until its next snapshot" in log
        assert DIFFERENCE in log
        session.execute(f"UPDATE {table} SET v = 'ö' WHERE id = 2")
        session.execute(f"INSERT INTO {other} VALUES (8)")
        capture.start().streaming()
        live.caught_up(capture)
        assert stopped_tables(capture).keys() == {table}
        assert replayed(live.sent(other)) == [(b"7",), (b"8",)]
        assert [one.change.image[0] for one in live.sent(table)] == [b"1", b"2"]
        assert f"stopped     {table}: Its definition" in capture.command("status", str(capture.path))[1]
        capture.send_whole(table)
        wait_for(lambda: not stopped_tables(capture), lambda: f"it is followed again: {capture.log()}")
        session.execute(f"INSERT INTO {table} VALUES (4, 'é')")
        live.caught_up(capture)
        rows = live.rows(TableId(capture.name, "t"))
        wait_for(
            lambda: replayed(live.sent(table), strict=False) == rows,
            lambda: f"all of it is right: {replayed(live.sent(table), strict=False)} {capture.log()}",
        )
        assert capture.stop() == 0, capture.log()
    capture.start().streaming()
    assert stopped_tables(capture) == {}


def test_labels_that_the_catalogue_cannot_spell_make_dead_letters(live: Rig, capture: CaptureFile) -> None:
    with live.session() as session:
        session.execute(
            f"CREATE TABLE {capture.name}.t (id INT PRIMARY KEY, g ENUM('a','😀') CHARACTER SET utf8mb4)"
        )
        capture.start().streaming()
        session.execute(f"INSERT INTO {capture.name}.t VALUES (1, '😀'), (2, 'a')")
    live.caught_up(capture)
    assert [one.change.image for one in live.sent(f"{capture.name}.t")] == [(b"2", b"a")]
    assert (capture.status() or {})["dead_letters"] == 1


def test_the_hash_of_a_long_unique_key_is_in_no_row(live: Rig, capture: CaptureFile) -> None:
    with live.session() as session:
        session.execute("SET GLOBAL binlog_row_metadata = 'FULL'")
        session.execute(f"CREATE TABLE {capture.name}.n (id INT, url TEXT, UNIQUE(url))")
        session.execute(f"INSERT INTO {capture.name}.n VALUES (1, 'a'), (2, 'b'), (3, 'c')")
        try:
            capture.start().streaming()
            live.caught_up(capture)
            session.execute(f"UPDATE {capture.name}.n SET url = 'd' WHERE id = 1")
            session.execute(f"DELETE FROM {capture.name}.n WHERE id = 2")
            session.execute(f"INSERT INTO {capture.name}.n VALUES (4, 'e')")
            live.caught_up(capture)
        finally:
            session.execute("SET GLOBAL binlog_row_metadata = 'NO_LOG'")
    sent = live.sent(f"{capture.name}.n")
    assert {one.change.schema.names for one in sent} == {("id", "url")}
    assert replayed(sent) == live.rows(TableId(capture.name, "n"))


OLD_TIMES = "(id INT PRIMARY KEY, t TIME(6), d DATETIME(3), s TIMESTAMP(2) NULL, plain DATETIME)"
OLD_ROW = "'-00:00:01.000001', '2026-12-01 10:11:12.125', '2026-12-01 10:11:12.25', '2026-12-01 10:11:12'"


def test_times_in_the_storage_of_mariadb_5_3(live: Rig, capture: CaptureFile) -> None:
    """FULL metadata: the log tells no digits. So does a table that comes to that storage while it runs."""
    old, later = f"{capture.name}.old", f"{capture.name}.later"
    with live.session() as setting:
        setting.execute("SET GLOBAL binlog_row_metadata = 'FULL'")
        try:
            with live.session() as session:
                session.execute(f"CREATE TABLE {later} {OLD_TIMES}")
            setting.execute("SET GLOBAL mysql56_temporal_format = OFF")
            with live.session() as session:
                session.execute(f"CREATE TABLE {old} {OLD_TIMES}")
                session.execute(f"INSERT INTO {old} VALUES (1, {OLD_ROW})")
                capture.start().streaming()
                for number, table in enumerate((old, later), start=2):
                    session.execute(f"INSERT INTO {table} VALUES ({number}, {OLD_ROW})")
                session.execute(f"ALTER TABLE {later} FORCE")
                session.execute(f"UPDATE {later} SET t = '838:59:59.999999', d = NULL")
                session.execute(f"INSERT INTO {later} VALUES (9, {OLD_ROW})")
                live.caught_up(capture)
                for name in ("old", "later"):
                    rows = live.rows(TableId(capture.name, name))
                    assert replayed(live.sent(f"{capture.name}.{name}")) == rows, name
                session.execute("SET sql_log_bin = 0")
                session.execute(f"ALTER TABLE {old} MODIFY d DATETIME(4)")  # as long as DATETIME(3)
                session.execute("SET sql_log_bin = 1")
                session.execute(f"ALTER TABLE {old} COMMENT 'of the log'")
            wait_for(lambda: old in stopped_tables(capture), lambda: f"it is stopped: {capture.log()}")
            assert (
                "column 3 is `d` datetime(3) in the log and `d` datetime(4) on the server"
                in stopped_tables(capture)[old]
            )
        finally:
            setting.execute("SET GLOBAL mysql56_temporal_format = ON")
            setting.execute("SET GLOBAL binlog_row_metadata = 'NO_LOG'")
