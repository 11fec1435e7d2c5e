"""Rows that went while nobody followed the log are deleted downstream, once their table was read whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.mysql.server.session import Session
from streamjobs.changes.row_change import ChangeKind, TableId
from tests.integration.capture_file import CaptureFile
from tests.integration.capture_rig import Rig, replayed
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.services


@pytest.fixture
def database(live: Rig) -> str:
    """A database with tables `a` (key `id`), `b` (key of two columns) and `c` (no key), of 100 rows each."""
    name = live.database()
    with live.session() as session:
        session.execute(f"CREATE TABLE {name}.a (id INT PRIMARY KEY, v INT)")
        session.execute(f"CREATE TABLE {name}.b (s VARCHAR(9), id INT, v INT, PRIMARY KEY (s, id))")
        session.execute(f"CREATE TABLE {name}.c (id INT, v INT)")
        fill(session, name, range(100))
    return name


@pytest.fixture
def capture(live: Rig, database: str) -> Iterator[CaptureFile]:
    made = live.configure(database)
    yield made
    made.close()


def fill(session: Session, database: str, keys: range) -> None:
    for table, text in (("a", "%d, %d"), ("b", "'é', %d, %d"), ("c", "%d, %d")):
        rows = ", ".join(f"({text % (key, key)})" for key in keys)
        session.execute(f"INSERT INTO {database}.{table} VALUES {rows}")


def unlogged(session: Session, *statements: str) -> None:
    """Change rows as a log that was purged would have it: no reader sees it."""
    session.execute("SET sql_log_bin = 0")
    for statement in statements:
        session.execute(statement)
    session.execute("SET sql_log_bin = 1")


def in_one_run(live: Rig, capture: CaptureFile, *, resnapshot: bool = False) -> None:
    """Let it run until it streams and has all of the log, and stop."""
    capture.start(resnapshot=resnapshot).streaming()
    live.caught_up(capture)
    assert capture.stop() == 0, capture.log()


def equals(live: Rig, database: str, table: str) -> bool:
    rows = replayed(live.sent(f"{database}.{table}"), strict=False)
    return rows == live.rows(TableId(database, table))


def deleted(live: Rig, topic: str) -> int:
    return sum(one.change.kind is ChangeKind.DELETE for one in live.sent(topic))


def test_reading_everything_again_deletes_what_is_gone(
    live: Rig, database: str, capture: CaptureFile
) -> None:
    in_one_run(live, capture)
    with live.session() as session:
        gone = [f"DELETE FROM {database}.{table} WHERE id % 3 = 0" for table in "abc"]
        unlogged(session, *gone, f"UPDATE {database}.c SET v = v + 1 WHERE id = 7")
        fill(session, database, range(200, 205))
    in_one_run(live, capture, resnapshot=True)
    assert all(equals(live, database, table) for table in "abc")
    assert deleted(live, f"{database}.a") == deleted(live, f"{database}.b") == 34
    assert deleted(live, f"{database}.c") == 35  # a row without a key is another one after an UPDATE
    assert f"snapshot of {database}.a: 34 orphan rows deleted downstream" in capture.log()
    in_one_run(live, capture, resnapshot=True)
    assert deleted(live, f"{database}.a") == 34
    assert all(equals(live, database, table) for table in "abc")


def test_tables_that_are_truncated_or_made_anew_lose_their_rows_downstream(live: Rig, database: str) -> None:
    capture = live.configure(database, ddl='truncate_table = "evolve"')
    try:
        capture.start().streaming()
        with live.session() as session:
            fill(session, database, range(100, 110))
            session.execute(f"TRUNCATE TABLE {database}.a")
            session.execute(f"INSERT INTO {database}.a VALUES (5, 55), (500, 500)")
            session.execute(f"DELETE FROM {database}.a WHERE id = 500")
            session.execute(f"CREATE TABLE {database}.p (id INT PRIMARY KEY, v INT) PARTITION BY HASH (id)"
                            " PARTITIONS 2")  # fmt: skip
            session.execute(f"INSERT INTO {database}.p VALUES (1, 1), (2, 2), (3, 3), (4, 4)")
            session.execute(f"ALTER TABLE {database}.p TRUNCATE PARTITION p0")
            session.execute(f"DROP TABLE {database}.b")
            session.execute(f"CREATE TABLE {database}.b (s VARCHAR(9), id INT, v INT, PRIMARY KEY (s, id))")
            session.execute(f"INSERT INTO {database}.b VALUES ('é', 3, 33), ('e', 4, 44)")
            if session.is_mariadb:
                session.execute(f"CREATE OR REPLACE TABLE {database}.c (id INT, v INT)")
            else:
                session.execute(f"DROP TABLE {database}.c")
                session.execute(f"CREATE TABLE {database}.c (id INT, v INT)")
            session.execute(f"INSERT INTO {database}.c VALUES (3, 3), (3, 33)")
        wait_for(lambda: equals(live, database, "a"), lambda: f"a is {capture.log()}", 60.0)
        for table in "pbc":
            wait_for(lambda table=table: equals(live, database, table), capture.log, 60.0)  # type: ignore[misc]
        gone = sum(deleted(live, f"{database}.{table}") for table in "apbc") - 1  # the log has one of `a`
        wait_for(lambda: (capture.status() or {}).get("gone_rows") == gone, lambda: f"{capture.status()}")
    finally:
        capture.close()


def test_a_table_that_is_sent_whole_on_demand_is_right_afterwards(
    live: Rig, database: str, capture: CaptureFile
) -> None:
    capture.start().streaming()
    with live.session() as session:
        unlogged(session, f"DELETE FROM {database}.b WHERE id > 90", f"UPDATE {database}.b SET v = 0")
        session.execute(f"INSERT INTO {database}.a VALUES (1000, 1)")  # a place of the log that is newer
        live.caught_up(capture)
        capture.send_whole(f"{database}.b")
        session.execute(f"INSERT INTO {database}.b VALUES ('é', 95, 95)")
    wait_for(lambda: equals(live, database, "b"), lambda: f"b is {capture.log()}", 60.0)
    assert deleted(live, f"{database}.b") >= 8


def test_killed_before_the_deletes_are_stored_it_sends_them(
    live: Rig, database: str, capture: CaptureFile
) -> None:
    in_one_run(live, capture)
    with live.session() as session:
        unlogged(session, f"DELETE FROM {database}.a WHERE id % 2 = 0")
        session.execute(
            f"INSERT INTO {database}.a VALUES {', '.join(f'({n}, 0)' for n in range(1000, 4000))}"
        )
    slow = live.configure(database, snapshot="chunk_rows = 100\nmax_rows_per_second = 500")
    slow.start_process(resnapshot=True)
    wait_for(lambda: (slow.status() or {}).get("snapshot_rows", 0) > 500, slow.log, 60.0)
    slow.kill()
    _, text = slow.command("status", str(slow.path))
    assert f"reconcile   {database}.a: deletes of orphan rows are still pending" in text
    in_one_run(live, live.configure(database))
    assert equals(live, database, "a")
    assert deleted(live, f"{database}.a") == 50


def test_a_row_that_cannot_be_decoded_is_not_taken_for_gone(live: Rig, database: str) -> None:
    with live.session() as session:
        session.execute(f"CREATE TABLE {database}.t (id INT PRIMARY KEY, v VARCHAR(9) CHARACTER SET ucs2)")
        session.execute(f"INSERT INTO {database}.t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    capture = live.configure(database, f'[[tables]]\nmatch = "{database}.t"\n')
    try:
        in_one_run(live, capture)
        with live.session() as session:
            unlogged(
                session,
                f"DELETE FROM {database}.t WHERE id = 1",
                f"UPDATE {database}.t SET v = x'd800' WHERE id = 2",
            )
        in_one_run(live, capture, resnapshot=True)
        assert deleted(live, f"{database}.t") == 0
        assert f"snapshot it again: `streamjobs capture snapshot {database}.t`" in capture.log()
        with live.session() as session:
            session.execute(f"UPDATE {database}.t SET v = 'b2' WHERE id = 2")
        capture.start().streaming()
        live.caught_up(capture)
        capture.send_whole(f"{database}.t")
        wait_for(lambda: equals(live, database, "t"), lambda: f"t is {capture.log()}", 60.0)
    finally:
        capture.close()
