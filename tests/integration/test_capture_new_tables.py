"""Tables that a capture comes to know late: by its configuration, by CREATE TABLE LIKE, by a GRANT."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.kafka import list_topics
from connectors.mysql.server.session import Session
from streamjobs.changes.row_change import ChangeKind, Row, TableId, Value
from tests.integration.capture_file import CaptureFile
from tests.integration.capture_rig import Rig, replayed
from tests.integration.waiting import pause, wait_for

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def live(own_rig: Rig) -> Rig:
    """Servers of the module's own: what the log says of columns is changed."""
    return own_rig


BOTH_LOGS = pytest.mark.parametrize("metadata", ["FULL", "NO_LOG"], indirect=True)


@pytest.fixture(params=[pytest.param("FULL", marks=pytest.mark.long), "NO_LOG"])
def metadata(live: Rig, request: pytest.FixtureRequest) -> Iterator[str]:
    """Whether the server's log names columns."""
    with live.session() as session:
        before = session.variable("binlog_row_metadata")
        least = "NO_LOG" if session.is_mariadb else "MINIMAL"
        session.execute(f"SET GLOBAL binlog_row_metadata = '{'FULL' if request.param == 'FULL' else least}'")
        yield str(request.param)
        session.execute(f"SET GLOBAL binlog_row_metadata = '{before}'")


@pytest.fixture
def database(live: Rig, metadata: str) -> str:
    """A database with two tables `a` and `b` of ten rows each; the log has `metadata`."""
    assert metadata
    name = live.database()
    with live.session() as session:
        for table in "ab":
            session.execute(f"CREATE TABLE {name}.{table} (id INT PRIMARY KEY, v INT)")
            fill(session, f"{name}.{table}", range(10))
    return name


@pytest.fixture
def capture(live: Rig, database: str) -> Iterator[CaptureFile]:
    """A capture of `a` alone."""
    made = live.configure(database, routes(database, "a"))
    yield made
    made.close()


def routes(database: str, *tables: str) -> str:
    return "".join(f'[[tables]]\nmatch = "{database}.{table}"\n' for table in tables)


def fill(session: Session, table: str, keys: range) -> None:
    session.execute(f"INSERT INTO {table} (id, v) VALUES {', '.join(f'({key}, {key})' for key in keys)}")


def in_one_run(live: Rig, capture: CaptureFile) -> None:
    """Let it run to the end of the log, and stop."""
    capture.start().streaming()
    live.caught_up(capture)
    assert capture.stop() == 0, capture.log()


def equals(live: Rig, capture: CaptureFile, table: str) -> bool:
    return replayed(live.sent(f"{capture.name}.{table}")) == live.rows(TableId(capture.name, table))


@BOTH_LOGS
def test_a_table_that_the_configuration_adds_is_read_whole(live: Rig, capture: CaptureFile) -> None:
    b, gone = f"{capture.name}.b", f"{capture.name}.gone"
    in_one_run(live, capture)
    with live.session() as session:
        session.execute(f"CREATE TABLE {gone} (id INT PRIMARY KEY, v INT)")
        in_one_run(live, capture)
        fill(session, gone, range(3))
        session.execute(f"DELETE FROM {b} WHERE id = 3")
        session.execute(f"TRUNCATE TABLE {b}")
        fill(session, b, range(20, 25))
        session.execute(f"ALTER TABLE {b} ADD COLUMN more INT NOT NULL DEFAULT 7 FIRST")
        session.execute(f"DROP TABLE {gone}")
        fill(session, b, range(30, 35))
        fill(session, f"{capture.name}.a", range(10, 12))
        live.configure(capture.name, routes(capture.name, "a", "b", "gone", "late"))
        capture.start().streaming()
        fill(session, b, range(40, 45))
        session.execute(f"UPDATE {b} SET v = v + 1")
        session.execute(f"CREATE TABLE {capture.name}.late (id INT PRIMARY KEY, v INT)")
        fill(session, f"{capture.name}.late", range(2))
    live.caught_up(capture)
    assert equals(live, capture, "a")
    assert equals(live, capture, "b")
    sent = live.sent(b)
    assert {one.change.schema.names for one in sent} == {("more", "id", "v")}
    assert {one.change.kind for one in sent} >= {ChangeKind.SNAPSHOT, ChangeKind.UPDATE}
    assert gone not in list_topics(live.bootstrap)
    assert capture.stop() == 0, capture.log()
    with live.session() as session:
        session.execute(f"ALTER TABLE {b} DROP COLUMN v")
        session.execute(f"DELETE FROM {b} WHERE id = 40")
    capture.start().streaming()
    live.caught_up(capture)
    late = live.sent(f"{capture.name}.late")
    assert [one.change.kind for one in late] == [ChangeKind.INSERT] * 2  # it came by the log
    last = [one.change for one in live.sent(b) if one.change.kind is ChangeKind.DELETE]
    assert [(change.image, change.schema.names) for change in last] == [((b"7", b"40"), ("more", "id"))]


def test_a_table_that_comes_back_to_the_configuration_is_read_whole(live: Rig, capture: CaptureFile) -> None:
    live.configure(capture.name, routes(capture.name, "a", "b"))
    in_one_run(live, capture)
    live.configure(capture.name, routes(capture.name, "a"))
    with live.session() as session:
        fill(session, f"{capture.name}.b", range(20, 23))
        in_one_run(live, capture)
        session.execute(f"UPDATE {capture.name}.b SET v = v + 1")
        session.execute(f"DELETE FROM {capture.name}.b WHERE id % 5 = 0")
        in_one_run(live, capture)
    live.configure(capture.name, routes(capture.name, "a", "b"))
    capture.start().streaming()
    live.caught_up(capture)
    rows = replayed(live.sent(f"{capture.name}.b"), strict=False)
    assert rows == live.rows(TableId(capture.name, "b"))


def test_without_snapshot_an_added_table_is_followed_from_then_on(live: Rig, database: str) -> None:
    capture = live.configure(database, routes(database, "a"), source='snapshot = "never"')
    try:
        in_one_run(live, capture)
        with live.session() as session:
            fill(session, f"{database}.b", range(20, 23))
            live.configure(database, routes(database, "a", "b"), source='snapshot = "never"')
            in_one_run(live, capture)
            fill(session, f"{database}.b", range(30, 33))
        in_one_run(live, capture)
        assert [one.change.image[0] for one in live.sent(f"{database}.b")] == [b"30", b"31", b"32"]
    finally:
        capture.close()


def test_a_table_made_like_an_unknown_one_is_read_whole(live: Rig, database: str) -> None:
    with live.session() as session:
        session.execute(f"CREATE DATABASE un{database}")
        session.execute(f"CREATE TABLE un{database}.t (id INT PRIMARY KEY, v INT, w INT DEFAULT 3)")
        capture = live.configure(database)
        capture.start().streaming()
        try:
            live.caught_up(capture)
            session.execute(f"CREATE TABLE {database}.liked LIKE un{database}.t")
            fill(session, f"{database}.liked", range(10))
            wait_for(
                lambda: capture.ended() or f"{database}.liked" in list_topics(live.bootstrap),
                "its rows come",
                30.0,
            )
            fill(session, f"{database}.liked", range(20, 30))
            session.execute(f"DELETE FROM {database}.liked WHERE id = 25")
            live.caught_up(capture)
            wait_for(lambda: equals(live, capture, "liked"), "all of it is there", 30.0)
        finally:
            capture.close()


@BOTH_LOGS
def test_a_renamed_table_needs_no_column_names(live: Rig, database: str) -> None:
    with live.session() as session:
        session.execute(f"CREATE DATABASE un{database}")
        session.execute(f"CREATE TABLE un{database}.t (w INT DEFAULT 3, id INT PRIMARY KEY, v INT)")
        fill(session, f"un{database}.t", range(50, 60))
        capture = live.configure(database)
        capture.start().streaming()
        try:
            live.caught_up(capture)
            session.execute(f"RENAME TABLE {database}.b TO un{database}.b, un{database}.t TO {database}.b")
            fill(session, f"{database}.b", range(70, 75))
            session.execute(f"DELETE FROM {database}.b WHERE id = 52")
            live.caught_up(capture)
            rows = live.rows(TableId(database, "b"))

            def kept() -> list[Row]:
                return replayed(live.sent(f"{database}.b"), strict=False)

            wait_for(lambda: kept() == rows, lambda: f"{kept()} is {rows}\n{capture.log()}", 30.0)
        finally:
            capture.close()


def test_killed_while_an_added_table_is_read_it_goes_on(live: Rig, capture: CaptureFile) -> None:
    b = f"{capture.name}.b"
    in_one_run(live, capture)
    with live.session() as session:
        fill(session, b, range(100, 2000))
        session.execute(f"ALTER TABLE {b} ADD COLUMN w INT FIRST")
        slow = "chunk_rows = 50\nmax_rows_per_second = 400\n"
        live.configure(capture.name, routes(capture.name, "a", "b"), snapshot=slow)
        for turn in range(4):
            capture.start_process()
            wait_for(
                lambda: capture.ended() or (capture.status() or {}).get("place", ""), "it has begun", 60.0
            )
            wait_for(lambda turn=turn: turn < 2 or b in list_topics(live.bootstrap), "it reads")  # type: ignore[misc]
            pause(0.4 * turn)
            capture.kill()
            session.execute(f"UPDATE {b} SET v = v + 1 WHERE id % 7 = {turn}")
            session.execute(f"ALTER TABLE {b} ADD COLUMN more{turn} INT DEFAULT 3 FIRST")
        live.configure(capture.name, routes(capture.name, "a", "b"))
        capture.start().streaming()
        session.execute(f"DELETE FROM {b} WHERE id % 3 = 0")
        live.caught_up(capture)
        whole = len(live.rows(TableId(capture.name, "b")))
    seen: dict[Value, bytes] = {}
    held: dict[Value, Value] = {}
    for one in live.sent(b):
        change, names = one.change, one.change.schema.names
        key = change.image[names.index("id")]
        if change.seq >= seen.get(key, b"") or change.kind is ChangeKind.SNAPSHOT:
            seen[key] = max(change.seq, seen.get(key, b""))
            held[key] = None if change.kind is ChangeKind.DELETE else change.image[names.index("v")]
    with live.session() as session:
        truth = {row[0]: row[1] for row in session.rows(f"SELECT id, v FROM {b}")}
    assert {key: value for key, value in held.items() if value is not None} == truth
    assert len(truth) == whole > 1000
