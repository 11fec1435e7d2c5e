"""A replica takes over: capture goes on by GTIDs; another log under the same places is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from connectors.mysql.server.log_position import mysql_place
from connectors.mysql.server.session import Login, Session
from streamjobs.changes.position import Position
from streamjobs.changes.row_change import TableId
from streamjobs.local.environment import Environment
from streamjobs.local.mariadb import MariaDbOptions
from tests.integration.capture_file import CaptureFile
from tests.integration.capture_rig import Rig, replayed
from tests.integration.capture_writers import ITEMS, Writers
from tests.integration.waiting import wait_for
from tests.patience import limit_s

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def live(own_rig: Rig) -> Rig:
    """Servers of the module's own: they are replicated and reset."""
    return own_rig


TABLE = "CREATE TABLE {}.t (id INT PRIMARY KEY, v INT NOT NULL)"
LOGS = {"log-slave-updates": "ON"}


@dataclass(frozen=True)
class Replica:
    """A second server that replicates `live` by GTIDs, and a connection to it."""

    login: Login
    session: Session

    def has(self, gtids: str) -> None:
        """Wait until it has applied what stands before a position."""
        assert self.session.text(f"SELECT MASTER_GTID_WAIT('{gtids}', {limit_s(60)})") == "0"

    def stop(self) -> None:
        """Let it replicate no longer."""
        self.session.execute("STOP SLAVE")

    def promote(self) -> None:
        """Apply what it has got, and make it a primary."""
        wait_for(self._has_applied_all, lambda: f"it has applied all: {self._status()}")
        self.stop()
        self.session.execute("RESET SLAVE ALL")

    def _status(self) -> dict[str, str]:
        return self.session.named("SHOW ALL SLAVES STATUS")[0]

    def _has_applied_all(self) -> bool:
        return self._status()["Gtid_IO_Pos"] == self.session.text("SELECT @@gtid_slave_pos")


@contextmanager
def replica_of(
    live: Rig, home: Path, root: Path | None, settings: Mapping[str, str] = LOGS
) -> Iterator[Replica]:
    """Start a replica that has everything of the primary but its log of before."""
    options = MariaDbOptions(root=root, server_id=2, settings=settings)
    with Environment(home, kafka=False, flink=False, mariadb=options) as other:
        login = replace(live.login, port=other.mariadb.port)
        with Session(login) as session:
            session.execute(f"SET GLOBAL gtid_slave_pos = '{position(live)}'")
            session.execute(
                f"CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {live.login.port}, "
                "MASTER_USER = 'root', MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1"
            )
            session.execute("START SLAVE")
            yield Replica(login, session)


@pytest.fixture
def replica(live: Rig, tmp_path: Path, mariadb_root: Path | None) -> Iterator[Replica]:
    if not live.is_ours:
        pytest.skip("the server is not ours to replicate")
    with replica_of(live, tmp_path, mariadb_root) as made:
        yield made


def position(live: Rig) -> str:
    """Where the primary's log ends."""
    with live.session() as session:
        return session.text("SELECT @@gtid_binlog_pos") or ""


def captured(live: Rig, *statements: str) -> tuple[str, str]:
    """Capture a database with a table `t`, and stop; its name, and the position that was stored."""
    database = live.database()
    with live.session() as session:
        session.execute(TABLE.format(database))
        session.execute(f"CREATE TABLE {database}.caught_up (id INT PRIMARY KEY)")
        session.execute(f"INSERT INTO {database}.t VALUES (1, 1), (2, 2), (3, 3)")
        capture = live.configure(database).start().streaming()
        for statement in statements:
            session.execute(statement.format(t=f"{database}.t"))
        live.caught_up(capture)
        gtids = str((capture.status() or {})["gtids"])
        assert capture.stop() == 0, capture.log()
        assert gtids == position(live)
    return database, gtids


def refused(live: Rig, database: str, replica: Replica) -> str:
    """Start a capture at a replica that it cannot go on at; what it says."""
    with closing(live.configure(database, login=replica.login)) as capture:
        assert capture.start().wait() == 1, capture.log()
        assert f":{replica.login.port}" in said(capture)
        return said(capture)


def said(capture: CaptureFile) -> str:
    """What a capture has printed, without the breaks of its lines."""
    return " ".join(capture.log().split())


def test_a_failover_goes_on_by_gtids(live: Rig, replica: Replica) -> None:
    database, gtids = captured(live, "UPDATE {t} SET v = v + 10 WHERE id < 3")
    table = TableId(database, "t")
    with live.session() as old:
        old.execute(f"DELETE FROM {table} WHERE id = 1")
    replica.has(position(live))
    replica.promote()
    replica.session.execute(f"INSERT INTO {table} VALUES (4, 4)")
    second = live.configure(database, login=replica.login).start().streaming()
    try:
        live.caught_up(second, login=replica.login)
        sent = live.sent(str(table))
        assert replayed(sent) == live.rows(table, replica.login)
        epochs = [Position.of_seq(one.change.seq)[0].epoch for one in sent]
        by_key = {one.change.image[0]: epoch for one, epoch in zip(sent, epochs, strict=True)}
        assert by_key == {b"1": 1, b"2": 0, b"3": 0, b"4": 1}
        wait_for(lambda: (second.status() or {}).get("epoch") == 1, lambda: f"epoch 1: {second.status()}")
        assert "takes over from" in said(second)
        assert f"after {gtids}" in said(second)
    finally:
        second.close()


def test_the_primary_is_killed_under_load(live: Rig, replica: Replica) -> None:
    """Nothing is missing and nothing twice: each change stands on what the ones before have made."""
    database = live.database()
    table = TableId(database, "items")
    with live.session() as old:
        old.execute(ITEMS.format(database=database))
    first = live.configure(database).start().streaming()
    with Writers(live, database, seed=31) as writers:
        wait_for(lambda: writers.committed > 100, "writers write")
        assert first.stop() == 0, first.log()
        replica.has(position(live))
        before = writers.committed
        wait_for(lambda: writers.committed > before + 50, "writers write what is only in the log")
        live.environment.mariadb.kill()
    try:
        replica.promote()
        assert live.rows(table, replica.login)
        with Writers(replace_login(live, replica.login), database, seed=32, count=40) as more:
            more.join()
        second = live.configure(database, login=replica.login).start().streaming()
        try:
            live.caught_up(second, login=replica.login)
            sent = live.sent(str(table))
            assert replayed(sent) == live.rows(table, replica.login)
            epochs = {Position.of_seq(one.change.seq)[0].epoch for one in sent}
            assert epochs == {0, 1}
        finally:
            second.close()
    finally:
        live.environment.mariadb.restart()


def replace_login(live: Rig, login: Login) -> Rig:
    """The same broker with another server."""
    return Rig(live.bootstrap, login, live.home)


def test_a_replica_that_lags_is_named_and_waited_for(live: Rig, replica: Replica) -> None:
    replica.has(position(live))
    replica.stop()
    behind = replica.session.text("SELECT @@gtid_slave_pos")
    database, gtids = captured(live, "INSERT INTO {t} VALUES (4, 4)")
    table = TableId(database, "t")
    second = live.configure(database, login=replica.login).start()
    try:
        wait_for(
            lambda: "is behind" in str((second.status() or {}).get("trouble")),
            lambda: f"it says that the replica is behind: {second.status()} {second.log()}",
        )
        trouble = str((second.status() or {})["trouble"])
        assert f"is behind: it lacks {gtids}, the last transaction captured" in trouble
        assert f"gtid_slave_pos {behind or 'empty'}" in trouble
        assert f":{replica.login.port}" in trouble
        replica.session.execute("START SLAVE")
        replica.has(position(live))
        second.streaming()
        replica.promote()
        replica.session.execute(f"DELETE FROM {table} WHERE id = 2")
        rows = live.rows(table, replica.login)
        wait_for(
            lambda: replayed(live.sent(str(table))) == rows,
            lambda: f"what the new server has was sent: {rows}, {second.status()} {second.log()}",
        )
    finally:
        second.close()


def test_a_replica_that_was_promoted_without_the_last_transactions_is_refused(
    live: Rig, replica: Replica
) -> None:
    database, _ = captured(live)
    table = TableId(database, "t")
    replica.has(position(live))
    replica.stop()
    with live.session() as old:
        old.execute(f"INSERT INTO {table} VALUES (4, 4)")
    first = live.configure(database).start().streaming()
    live.caught_up(first)
    assert first.stop() == 0, first.log()
    lost = position(live)
    replica.promote()
    for number in range(5, 15):
        replica.session.execute(f"INSERT INTO {table} VALUES ({number}, {number})")
    has = replica.session.text("SELECT @@gtid_binlog_pos")
    why = refused(live, database, replica)
    assert f"lacks {lost}, the last transaction captured, and has others instead" in why
    assert f"gtid_binlog_pos {has}" in why
    assert "Nothing was skipped: the position stays" in why
    assert f"({lost})" in why
    second = live.configure(database, login=replica.login).start(resnapshot=True).streaming()
    try:
        live.caught_up(second, login=replica.login)
        rows = live.rows(table, replica.login)
        assert replayed(live.sent(str(table)), strict=False) == rows
    finally:
        second.close()


def test_a_replica_that_has_purged_its_log_is_named(live: Rig, replica: Replica) -> None:
    database, gtids = captured(live)
    with live.session() as old:
        old.execute(f"INSERT INTO {database}.t VALUES (4, 4)")
    replica.has(position(live))
    replica.session.execute("FLUSH BINARY LOGS")
    replica.session.execute("FLUSH BINARY LOGS")
    file = mysql_place(replica.session).place.file

    def purged() -> bool:
        replica.session.execute(f"PURGE BINARY LOGS TO '{file}'")
        return len(replica.session.named("SHOW BINARY LOGS")) == 1

    wait_for(purged, "the replica's old logs are gone")
    assert (
        f"has purged what follows {gtids}, the last ones captured: its log begins with {file}, after "
        f"{position(live)}"
    ) in refused(live, database, replica)


def test_a_replica_whose_log_begins_later_is_refused(
    live: Rig, tmp_path: Path, mariadb_root: Path | None
) -> None:
    """It was made of a copy: no file says that something is missing before its first transaction."""
    if not live.is_ours:
        pytest.skip("the server is not ours to replicate")
    database, gtids = captured(live)
    with live.session() as old:
        old.execute(f"INSERT INTO {database}.t VALUES (4, 4)")
        with replica_of(live, tmp_path, mariadb_root) as replica:
            replica.session.execute("SET sql_log_bin = 0")
            replica.session.execute(f"CREATE DATABASE {database}")
            replica.session.execute(TABLE.format(database))
            replica.session.execute(f"INSERT INTO {database}.t VALUES (1, 1), (2, 2), (3, 3), (4, 4)")
            old.execute(f"INSERT INTO {database}.t VALUES (5, 5)")
            replica.has(position(live))
            why = refused(live, database, replica)
            assert f"The log after {gtids} cannot be read there" in why
            assert replayed(live.sent(f"{database}.t")) == [(b"1", b"1"), (b"2", b"2"), (b"3", b"3")]


def test_a_replica_that_does_not_log_what_it_replicates_is_refused(
    live: Rig, tmp_path: Path, mariadb_root: Path | None
) -> None:
    if not live.is_ours:
        pytest.skip("the server is not ours to replicate")
    with replica_of(live, tmp_path, mariadb_root, {"log-slave-updates": "OFF"}) as replica:
        database, gtids = captured(live)
        with live.session() as old:
            old.execute(f"INSERT INTO {database}.t VALUES (4, 4)")
        replica.has(position(live))
        why = refused(live, database, replica)
        assert f"has applied {gtids}, the last transaction captured, but has not logged it" in why


def test_a_log_that_was_begun_anew_is_refused(live: Rig) -> None:
    """The same server, file, offset and number of transactions; and other transactions before it."""
    if not live.is_ours:
        pytest.skip("the log is not ours to reset")
    database = live.database()
    table = TableId(database, "t")
    capture = live.configure(database)
    with live.session() as session:
        session.execute(TABLE.format(database))
        session.execute("RESET MASTER")
        session.execute(f"INSERT INTO {table} VALUES (1, 1)")
        capture.start().streaming()
        live.caught_up(capture)
        assert capture.stop() == 0, capture.log()
        session.execute(f"DROP TABLE {database}.caught_up")
        session.execute("RESET MASTER")
        session.execute(f"INSERT INTO {table} VALUES (2, 2)")
        session.execute(f"CREATE TABLE IF NOT EXISTS {database}.caught_up (id INT PRIMARY KEY)")
        session.execute(f"REPLACE INTO {database}.caught_up VALUES (2)")
        session.execute(f"INSERT INTO {table} VALUES (3, 3)")
    assert capture.start().wait() == 1
    assert "the log was reset (RESET MASTER), or the server restored from a copy" in capture.log()
    assert "Nothing was skipped" in capture.log()
    try:
        capture.start(resnapshot=True).streaming()
        live.caught_up(capture)
        assert replayed(live.sent(str(table)), strict=False) == live.rows(table)
    finally:
        capture.close()
