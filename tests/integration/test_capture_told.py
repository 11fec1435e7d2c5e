"""What a capture tells, or stops at, because rows would be wrong or missing without a word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from connectors.kafka import list_topics
from connectors.mysql.server.session import Login
from streamjobs.changes.row_change import TableId
from streamjobs.options.options import Secret
from tests.integration.capture_file import CaptureFile
from tests.integration.capture_rig import Rig, replayed
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.services


@pytest.fixture
def capture(live: Rig) -> Iterator[CaptureFile]:
    """A capture of a database with two tables `a` and `b` of three rows each."""
    name = live.database()
    with live.session() as session:
        for table in "ab":
            session.execute(f"CREATE TABLE {name}.{table} (id INT PRIMARY KEY, v INT)")
            session.execute(f"INSERT INTO {name}.{table} VALUES (1, 1), (2, 2), (3, 3)")
        session.execute(f"CREATE TABLE {name}.caught_up (id INT PRIMARY KEY)")
    made = live.configure(name)
    yield made
    made.close()


@pytest.fixture
def reader(live: Rig, capture: CaptureFile) -> Iterator[Login]:
    """A user who may read the log and table `a`, and write, but not read, table `b`."""
    login = replace(live.login, user=f"r_{capture.name}", password=Secret("pw of a reader"))
    account = f"{login.user}@'%'"
    with live.session() as session:
        more = "BINLOG MONITOR" if session.is_mariadb else "LOCK TABLES"
        grants = f"REPLICATION SLAVE, REPLICATION CLIENT, {more}"
        session.execute(f"CREATE USER {account} IDENTIFIED BY '{login.password.reveal()}'")
        session.execute(f"GRANT {grants} ON *.* TO {account}")
        session.execute(f"GRANT SELECT ON {capture.name}.a TO {account}")
        session.execute(f"GRANT SELECT ON {capture.name}.caught_up TO {account}")
        yield login
        session.execute(f"DROP USER {account}")


def test_a_table_without_key_stops_at_a_change_of_its_columns(live: Rig, capture: CaptureFile) -> None:
    table, topic = f"{capture.name}.log", f"{capture.name}.log2"
    with live.session() as session:
        session.execute(f"CREATE TABLE {table} (a INT, b INT)")
        session.execute(f"INSERT INTO {table} VALUES (1, 1), (2, 2)")
        capture.start().streaming()
        live.caught_up(capture)
        session.execute(f"INSERT INTO {table} VALUES (3, 3)")
        session.execute(f"ALTER TABLE {table} ADD COLUMN c INT DEFAULT 5")
        session.execute(f"DELETE FROM {table} WHERE a = 1")
        assert capture.wait() == 1
        assert f"columns without key of {table} before" in capture.log()
        assert 'allow it with columns_without_key = "evolve" in [ddl]' in capture.log()
        moved = live.configure(
            capture.name,
            f'[[tables]]\nmatch = "{table}"\ntopic = "{topic}"\n[[tables]]\nmatch = "{capture.name}.*"\n',
            ddl='columns_without_key = "evolve"',
        )
        moved.start().streaming()
        try:
            moved.send_whole(table)
            session.execute(f"DELETE FROM {table} WHERE a = 2")
            session.execute(f"INSERT INTO {table} VALUES (4, 4, 4)")
            live.caught_up(moved)
            rows = live.rows(TableId(capture.name, "log"))
            wait_for(lambda: replayed(live.sent(topic)) == rows, "the new topic has the table", 30.0)
        finally:
            moved.close()


def test_statements_that_are_ignored_are_counted_and_told(live: Rig, capture: CaptureFile) -> None:
    ignoring = live.configure(capture.name, ddl='statement_format = "ignore"')
    table = f"{capture.name}.a"
    with live.session() as session:
        ignoring.start().streaming()
        try:
            session.execute("SET SESSION binlog_format = 'STATEMENT'")
            for number in range(3):
                session.execute(f"INSERT INTO {table} VALUES ({number + 70}, 0)")
            session.execute(f"DELETE FROM {table} WHERE id = 70")
            session.execute("SET SESSION binlog_format = 'ROW'")
            session.execute(f"INSERT INTO {table} VALUES (80, 0)")
            live.caught_up(ignoring)
            wait_for(
                lambda: (ignoring.status() or {}).get("unseen") == {"statement_format": 4},
                lambda: f"four statements are counted: {ignoring.status()}",
            )
            said = ignoring.command("status", str(ignoring.path))[1]
            assert "ignored     4 statements (statement_format): rows that they changed were not sent" in said
            assert ignoring.stop() == 0
            log = " ".join(ignoring.log().split())
            assert log.count("changed rows without row events, and the configuration ignores it") == 1
            assert (
                "Not complete: the log has no rows of these statements (4 statement format), so their "
                "changes were not sent. Snapshot those tables: `streamjobs capture snapshot TABLE`"
            ) in log
        finally:
            ignoring.close()


def test_a_foreign_key_that_changes_rows_is_told_when_it_comes_or_its_changes_are_sent(
    live: Rig, capture: CaptureFile
) -> None:
    name = capture.name

    def told(key: str, rule: str) -> int:
        return capture.log().count(f"foreign key {key} of {name}.{key} to {name}.a says {rule}")

    with live.session() as session:
        logged = session.variable("innodb_native_foreign_keys") == "OFF"  # MySQL from 9.6 on
        times = 0 if logged else 1
        session.execute(
            f"CREATE TABLE {name}.first (id INT PRIMARY KEY, a INT, "
            f"CONSTRAINT first FOREIGN KEY (a) REFERENCES {name}.a (id) ON DELETE CASCADE)"
        )
        capture.start().streaming()
        assert told("first", "ON DELETE CASCADE") == times
        session.execute(
            f"CREATE TABLE {name}.born (id INT PRIMARY KEY, a INT, "
            f"CONSTRAINT born FOREIGN KEY (a) REFERENCES {name}.a (id) ON UPDATE SET NULL)"
        )
        wait_for(lambda: told("born", "ON UPDATE SET NULL") == times, "the table's key is told", 30.0)
        session.execute(f"CREATE TABLE {name}.altered (id INT PRIMARY KEY, a INT)")
        session.execute(
            f"ALTER TABLE {name}.altered ADD CONSTRAINT altered FOREIGN KEY (a) "
            f"REFERENCES {name}.a (id) ON DELETE SET NULL"
        )
        wait_for(lambda: told("altered", "ON DELETE SET NULL") == times, "the new key is told", 30.0)
        session.execute(f"INSERT INTO {name}.first VALUES (7, 1)")
        session.execute(f"DELETE FROM {name}.a WHERE id = 1")
    live.caught_up(capture)
    assert [told("first", "ON DELETE"), told("born", "ON UPDATE"), told("altered", "ON DELETE")] == [
        times
    ] * 3
    assert live.rows(TableId(name, "first")) == []
    assert len(replayed(live.sent(f"{name}.first"))) == times


def test_a_named_table_that_may_not_be_read_is_refused(
    live: Rig, capture: CaptureFile, reader: Login
) -> None:
    text = "".join(f'[[tables]]\nmatch = "{capture.name}.{table}"\n' for table in "ab")
    theirs = live.configure(capture.name, text, login=reader)
    code, said = theirs.command("check", str(theirs.path))
    grant = f"GRANT SELECT ON `{capture.name}`.`b` TO '{reader.user}'@'%'"
    assert (code, f"'{reader.user}'@'%' may not SELECT {capture.name}.b" in said, grant in said) == (
        1,
        True,
        True,
    )
    assert theirs.start().wait() == 2
    assert f"'{reader.user}'@'%' may not SELECT {capture.name}.b, so no snapshot can be read" in theirs.log()
    assert grant in theirs.log()
    assert f"{capture.name}.a" not in list_topics(live.bootstrap)
    with live.session() as session:
        session.execute(grant)
    assert theirs.command("check", str(theirs.path))[0] == 0
    theirs.start().streaming()
    try:
        live.caught_up(theirs)
        assert replayed(live.sent(f"{capture.name}.b")) == live.rows(TableId(capture.name, "b"))
    finally:
        theirs.close()


def test_a_table_that_the_user_does_not_see_stops_at_its_first_row(
    live: Rig, capture: CaptureFile, reader: Login
) -> None:
    theirs = live.configure(capture.name, login=reader)
    theirs.start().streaming()
    with live.session() as session:
        session.execute(f"INSERT INTO {capture.name}.a VALUES (9, 9)")
        session.execute(f"UPDATE {capture.name}.b SET v = 7 WHERE id = 2")
        assert theirs.wait() == 2
        assert (
            f"'{reader.user}'@'%' may not SELECT {capture.name}.b, so no snapshot can be read" in theirs.log()
        )
        session.execute(f"GRANT SELECT ON {capture.name}.b TO {reader.user}@'%'")
        theirs.start().streaming()
        try:
            session.execute(f"UPDATE {capture.name}.b SET v = v + 1")
            live.caught_up(theirs)
            assert replayed(live.sent(f"{capture.name}.b")) == live.rows(TableId(capture.name, "b"))
            assert replayed(live.sent(f"{capture.name}.a")) == live.rows(TableId(capture.name, "a"))
        finally:
            theirs.close()


def test_a_table_that_may_be_written_but_not_read_is_refused(
    live: Rig, capture: CaptureFile, reader: Login
) -> None:
    with live.session() as session:
        session.execute(f"GRANT INSERT ON {capture.name}.b TO {reader.user}@'%'")
        theirs = live.configure(capture.name, login=reader)
        code, said = theirs.command("check", str(theirs.path))
        assert (code, f"may not SELECT {capture.name}.b" in said) == (1, True)
        assert theirs.start().wait() == 2
        assert f"may not SELECT {capture.name}.b, so no snapshot can be read" in theirs.log()


def test_without_snapshot_no_table_need_be_seen(live: Rig, capture: CaptureFile, reader: Login) -> None:
    theirs = live.configure(capture.name, login=reader, source='snapshot = "never"')
    topic = f"{capture.name}.b"
    with live.session() as session:
        for turn in range(3):
            theirs.start().streaming()
            live.caught_up(theirs)
            session.execute(f"INSERT INTO {capture.name}.b VALUES ({turn + 10}, 0)")
            live.caught_up(theirs)
            assert theirs.stop() == 0, theirs.log()
            session.execute(f"INSERT INTO {capture.name}.b VALUES ({turn + 20}, 0)")
        session.execute(f"CREATE TABLE {capture.name}.unseen (id INT PRIMARY KEY)")
        session.execute(f"INSERT INTO {capture.name}.unseen VALUES (1)")
    theirs.start().streaming()
    try:
        live.caught_up(theirs)
        keys = {one.change.image[0] for one in live.sent(topic)}
        assert keys == {b"10", b"11", b"12", b"20", b"21", b"22"}
        assert [one.change.image for one in live.sent(f"{capture.name}.unseen")] == [(b"1",)]
    finally:
        theirs.close()
