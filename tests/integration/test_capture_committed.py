"""Only what was committed is published, at the time at which it was: held against the server's own tables."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from connectors.mysql.server.session import Session
from streamjobs.changes.row_change import TableId
from tests.integration.capture_file import CaptureFile
from tests.integration.capture_rig import Rig, replayed
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.services
TRANSACTIONS = 60


@pytest.fixture
def capture(live: Rig) -> Iterator[CaptureFile]:
    """A capture of a transactional table `t` and of a table `m` that knows no transactions."""
    name = live.database()
    with live.session() as session:
        for table, engine in (("t", "InnoDB"), ("m", "MyISAM")):
            session.execute(f"CREATE TABLE {name}.{table} (id INT PRIMARY KEY, v INT) ENGINE = {engine}")
            session.execute(f"INSERT INTO {name}.{table} VALUES (1, 1), (2, 2), (50, 50)")
    made = live.configure(name)
    yield made
    made.close()


def agrees(live: Rig, capture: CaptureFile) -> None:
    """Compare what a consumer holds of both tables with what the server holds."""
    live.caught_up(capture)
    assert not capture.ended(), capture.log()
    for table in "tm":
        rows = live.rows(TableId(capture.name, table))
        assert replayed(live.sent(f"{capture.name}.{table}")) == rows, table


def test_a_rolled_back_transaction_with_a_temporary_table(live: Rig, capture: CaptureFile) -> None:
    capture.start().streaming()
    with live.session() as session:
        session.execute(f"USE {capture.name}")
        session.execute("CREATE TEMPORARY TABLE tmp (x INT)")
        session.execute("BEGIN")
        session.execute("INSERT INTO t VALUES (3, 1)")
        session.execute("UPDATE t SET v = 77 WHERE id = 50")
        session.execute("DROP TEMPORARY TABLE tmp")
        session.execute("ROLLBACK")
        session.execute("INSERT INTO t VALUES (4, 4)")
    agrees(live, capture)


def test_a_part_that_was_rolled_back_to_a_savepoint(live: Rig, capture: CaptureFile) -> None:
    capture.start().streaming()
    with live.session() as session:
        session.execute(f"USE {capture.name}")
        session.execute("CREATE TEMPORARY TABLE tmp (x INT)")
        session.execute("BEGIN")
        session.execute("INSERT INTO t VALUES (3, 1)")
        session.execute("SAVEPOINT `a b`")
        session.execute("INSERT INTO t VALUES (4, 1)")
        session.execute("INSERT INTO m VALUES (4, 1)")
        session.execute("DROP TEMPORARY TABLE tmp")
        session.execute("ROLLBACK TO `a b`")
        session.execute("INSERT INTO t VALUES (5, 1)")
        session.execute("COMMIT")
    agrees(live, capture)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 12))])
def test_random_transactions_with_savepoints_and_two_engines(
    live: Rig, capture: CaptureFile, seed: int
) -> None:
    capture.start().streaming()
    with live.session() as session:
        session.execute(f"USE {capture.name}")
        counts = play(session, random.Random(seed))
    print(f"seed {seed}: {counts}")
    assert all(count >= 5 for count in counts.values()), counts
    agrees(live, capture)


def play(session: Session, chance: random.Random) -> dict[str, int]:
    """Run random transactions; return how many ended how."""
    counts = {"committed": 0, "rolled back": 0, "to a savepoint": 0, "without transactions": 0}
    for number in range(TRANSACTIONS):
        session.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS tmp{number} (x INT)")
        session.execute("BEGIN")
        saved: list[str] = []
        for step in range(chance.randrange(1, 8)):
            match chance.choice(["t", "t", "m", "save", "to", "drop"]):
                case "save":
                    saved.append(f"s{step}")
                    session.execute(f"SAVEPOINT s{step}")
                case "to" if saved:
                    session.execute(f"ROLLBACK TO {chance.choice(saved[-1:])}")
                    counts["to a savepoint"] += 1
                case "drop":
                    session.execute(f"DROP TEMPORARY TABLE IF EXISTS tmp{number}")
                case table if table in "tm":
                    key, value = chance.randrange(1, 60), chance.randrange(1000)
                    session.execute(f"REPLACE INTO {table} VALUES ({key}, {value})")
                    counts["without transactions"] += table == "m"
        end = chance.choice(["COMMIT", "ROLLBACK"])
        counts["committed" if end == "COMMIT" else "rolled back"] += 1
        session.execute(end)
    return counts


def test_xa_transactions_count_where_they_are_committed(live: Rig, capture: CaptureFile) -> None:
    capture.start().streaming()
    xid = f"'{capture.name}'"
    with live.session() as session, live.session() as other:
        for one in (session, other):
            one.execute(f"USE {capture.name}")
        session.execute(f"XA START {xid}")
        session.execute("INSERT INTO t VALUES (3, 3)")
        session.execute("UPDATE t SET v = 9 WHERE id = 50")
        session.execute(f"XA END {xid}")
        session.execute(f"XA PREPARE {xid}")
        other.execute("INSERT INTO t VALUES (4, 4)")
        wait_for(lambda: len(replayed(live.sent(f"{capture.name}.t"))) == 4, "the other row has come")
        before = (capture.status() or {})["place"]
        assert replayed(live.sent(f"{capture.name}.t")) == live.rows(TableId(capture.name, "t"))
        assert capture.stop() == 0, capture.log()
        capture.start().streaming()
        session.execute(f"XA COMMIT {xid}")
        session.execute(f"XA START {xid}")
        session.execute("DELETE FROM t WHERE id = 1")
        session.execute(f"XA END {xid}")
        session.execute(f"XA COMMIT {xid} ONE PHASE")
        session.execute(f"XA START {xid}")
        session.execute("DELETE FROM t WHERE id = 2")
        session.execute(f"XA END {xid}")
        session.execute(f"XA PREPARE {xid}")
        session.execute(f"XA ROLLBACK {xid}")
    agrees(live, capture)
    assert f"continuing from {before}" in capture.log()


def test_a_session_that_sets_its_clock_ahead_moves_no_other_row(live: Rig, capture: CaptureFile) -> None:
    capture.start().streaming()
    with live.session() as session:
        session.execute(f"USE {capture.name}")
        session.execute("SET timestamp = UNIX_TIMESTAMP('2037-01-01')")
        session.execute("INSERT INTO t VALUES (3, 3)")
        session.execute("SET timestamp = DEFAULT")
        session.execute("INSERT INTO t VALUES (4, 4)")
    agrees(live, capture)
    latest_ms = time.time_ns() // 1_000_000 + 61_000
    times = {one.change.image[0]: one.change.committed_at_ms for one in live.sent(f"{capture.name}.t")}
    # MySQL logs the time of the commit itself, MariaDB that of the session.
    assert times[b"4"] <= latest_ms
    assert times[b"3"] <= latest_ms
    with live.session() as session:
        if session.is_mariadb:
            assert "a session has set its clock (SET timestamp)" in capture.log()
