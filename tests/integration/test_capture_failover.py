"""A replica takes over: capture goes on by GTIDs; another log under the same places is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from connectors.mysql.session import Session
from streamjobs.local.environment import Environment
from streamjobs.local.mariadb import MariaDbOptions
from streamjobs.position import Position
from streamjobs.rowchange import TableId
from tests.integration.capture_rig import Rig, replayed
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def live(own_rig: Rig) -> Rig:
    """Servers of the module's own: they are replicated and reset."""
    return own_rig


REPLICA = MariaDbOptions(server_id=2, settings={"log-slave-updates": "ON"})
TABLE = "CREATE TABLE {}.t (id INT PRIMARY KEY, v INT NOT NULL)"


def test_a_failover_goes_on_by_gtids(live: Rig, tmp_path: Path) -> None:
    if not live.is_ours:
        pytest.skip("the server is not ours to replicate")
    database = live.database()
    table = TableId(database, "t")
    with Environment(tmp_path, kafka=False, flink=False, mariadb=REPLICA) as other, live.session() as old:
        login = replace(live.login, port=other.mariadb.port)
        with Session(login) as new:
            old.execute(TABLE.format(database))
            begin = old.text("SELECT @@gtid_binlog_pos")
            new.execute("SET sql_log_bin = 0")
            new.execute(f"CREATE DATABASE {database}")
            new.execute(TABLE.format(database))
            new.execute("SET sql_log_bin = 1")
            new.execute(f"SET GLOBAL gtid_slave_pos = '{begin}'")
            new.execute(
                f"CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {live.login.port}, "
                "MASTER_USER = 'root', MASTER_USE_GTID = slave_pos"
            )
            new.execute("START SLAVE")
            old.execute(f"INSERT INTO {table} VALUES (1, 1), (2, 2), (3, 3)")
            first = live.configure(database).start().streaming()
            old.execute(f"UPDATE {table} SET v = v + 10 WHERE id < 3")
            live.caught_up(first)
            assert first.stop() == 0, first.log()
            old.execute(f"DELETE FROM {table} WHERE id = 1")
            end = old.text("SELECT @@gtid_binlog_pos")
            wait_for(lambda: new.text("SELECT @@gtid_slave_pos") == end, "the replica has everything")
            new.execute("STOP SLAVE")
            new.execute(f"INSERT INTO {table} VALUES (4, 4)")
        second = live.configure(database, login=login).start().streaming()
        try:
            live.caught_up(second, login=login)
            sent = live.sent(str(table))
            assert replayed(sent) == live.rows(table, login)
            epochs = [Position.of_seq(one.change.seq)[0].epoch for one in sent]
            by_key = {one.change.image[0]: epoch for one, epoch in zip(sent, epochs, strict=True)}
            assert by_key == {b"1": 1, b"2": 0, b"3": 0, b"4": 1}
            wait_for(lambda: (second.status() or {}).get("epoch") == 1, lambda: f"epoch 1: {second.status()}")
        finally:
            second.close()


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
