"""Capture of a live server: what consumers hold at the end is what SELECT gives, whatever happened."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest

from connectors.mysql.schema.information_schema import read_definition
from connectors.mysql.server.log_position import mysql_place
from connectors.mysql.server.session import Session
from streamjobs.capture.config.file import read_config
from streamjobs.capture.source.preflight import check_server
from streamjobs.changes.position import Half
from streamjobs.changes.row_change import ChangeKind, TableId, Value
from streamjobs.options.options import Secret
from tests.integration.capture_file import LOGIN_VARIABLE, CaptureFile
from tests.integration.capture_items import assert_in_order, fill, items, items_capture, seeds, sent_items
from tests.integration.capture_rig import Rig, replayed
from tests.integration.capture_writers import COLUMNS, Writers
from tests.integration.waiting import pause, wait_for

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def live(own_rig: Rig) -> Rig:
    """Servers of the module's own: writers flood them, and settings are changed."""
    return own_rig


@pytest.fixture
def capture(live: Rig) -> Iterator[CaptureFile]:
    made = items_capture(live)
    yield made
    made.close()


def test_a_row_is_the_same_by_snapshot_and_by_log(live: Rig, capture: CaptureFile) -> None:
    with live.session() as session:
        fill(session, f"{capture.name}.items", range(100))
        capture.start().streaming()
        session.execute(
            f"INSERT INTO {capture.name}.items SELECT id + 1000, {COLUMNS[4:]} FROM {capture.name}.items"
        )
    live.caught_up(capture)
    sent = sent_items(live, capture)
    found: dict[ChangeKind, dict[int, list[Value]]] = {ChangeKind.SNAPSHOT: {}, ChangeKind.INSERT: {}}
    for one in sent:
        key, *rest = one.change.image
        assert isinstance(key, bytes)
        found[one.change.kind][int(key) % 1000] = rest
    assert len(found[ChangeKind.SNAPSHOT]) == 100
    assert found[ChangeKind.SNAPSHOT] == found[ChangeKind.INSERT]
    assert {one.change.schema for one in sent} == {sent[0].change.schema}


@pytest.mark.parametrize(("seed", "pause_s"), seeds(range(1, 3), range(3, 21)))
def test_snapshot_under_writers_has_no_gap_and_no_overlap(
    live: Rig, capture: CaptureFile, seed: int, pause_s: float
) -> None:
    with live.session() as session:
        fill(session, f"{capture.name}.items", range(200), seed)
    with Writers(live, capture.name, seed=seed, pause_s=pause_s) as writers:
        wait_for(lambda: writers.committed > 50, "writers write")
        capture.start_process().streaming()
        wait_for(lambda: writers.committed > 400, "writers write on")
    live.caught_up(capture)
    sent = sent_items(live, capture)
    assert replayed(sent) == live.rows(items(capture))
    assert any(one.change.kind is ChangeKind.SNAPSHOT for one in sent)
    assert capture.stop() == 0, capture.log()
    assert "drained; the next run continues from" in capture.log()


@pytest.mark.parametrize(("seed", "pause_s"), seeds(range(3, 4), range(4, 23)))
def test_killed_at_random_it_repeats_at_most(
    live: Rig, capture: CaptureFile, seed: int, pause_s: float
) -> None:
    chance = random.Random(seed)
    with live.session() as session:
        fill(session, f"{capture.name}.items", range(200), seed)
    with Writers(live, capture.name, seed=seed, pause_s=pause_s):
        for _ in range(4):
            capture.start_process()
            wait_for(lambda: capture.ended() or _place(capture) != "", "it has begun", 60.0)
            pause(chance.random() * 1.5)
            capture.kill()
    capture.start().streaming(240.0)  # it was down most of the time, and writers are fast
    live.caught_up(capture, 120.0)
    sent = sent_items(live, capture)
    assert replayed(sent, strict=False) == live.rows(items(capture))
    assert_in_order(sent)


def test_a_changed_key_is_a_delete_and_an_insert(live: Rig, capture: CaptureFile) -> None:
    capture.start().streaming()
    with live.session() as session:
        fill(session, f"{capture.name}.items", range(5))
        session.execute(f"UPDATE {capture.name}.items SET id = id + 100 ORDER BY id DESC")
    live.caught_up(capture)
    changes = [one.change for one in sent_items(live, capture) if one.change.half is not Half.ONLY]
    assert sorted((change.kind, change.half, change.image[0]) for change in changes) == sorted(
        [(ChangeKind.DELETE, Half.KEY_CHANGE_DELETE, b"%d" % key) for key in range(5)]
        + [(ChangeKind.INSERT, Half.KEY_CHANGE_INSERT, b"%d" % (key + 100)) for key in range(5)]
    )


def test_log_files_change_under_it(live: Rig, capture: CaptureFile) -> None:
    with live.session() as session:
        most = session.variable("max_binlog_size")
        session.execute("SET GLOBAL max_binlog_size = 4096")
        first = mysql_place(session).place
        with Writers(live, capture.name, seed=10) as writers:
            capture.start().streaming()
            for count in (200, 400):
                wait_for(lambda count=count: writers.committed > count, "writers write")  # type: ignore[misc]
                assert capture.stop() == 0, capture.log()
                capture.start().streaming()
            wait_for(lambda: writers.committed > 600, "writers write")
        session.execute(f"SET GLOBAL max_binlog_size = {most}")
        assert mysql_place(session).place.number > first.number + 20
    live.caught_up(capture)
    assert replayed(sent_items(live, capture)) == live.rows(items(capture))


def checked(capture: CaptureFile, password: Secret) -> list[str]:
    """Run `capture check` and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "streamjobs.cli.main", "capture", "check", str(capture.path)],
        env={**os.environ, LOGIN_VARIABLE: password.reveal()},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_what_check_asks_for_is_enough(live: Rig, capture: CaptureFile) -> None:
    user = f"reader_{capture.name}"
    login = replace(live.login, user=user, password=Secret("pw of a reader"))
    with live.session() as session:
        session.execute(f"CREATE USER {user}@'%' IDENTIFIED BY '{login.password.reveal()}'")
        session.execute(f"GRANT SELECT ON {capture.name}.* TO {user}@'%'")
        fill(session, f"{capture.name}.items", range(100))
        reader = live.configure(capture.name, login=login)
        with Session(login) as theirs:
            config = read_config(reader.path, {LOGIN_VARIABLE: login.password.reveal()})
            grants = [one.fix for one in check_server(theirs, config, None) if one.fix.startswith("GRANT")]
        assert len(grants) > 1
        for grant in grants:
            session.execute(grant)
        first, second, *_, last = checked(reader, login.password)
        assert first == "1 tables that this account sees are captured:"
        assert second == f"  {capture.name}.items to topic {capture.name}.items, partition by its primary key"
        assert last.endswith(f"@{login.host}:{login.port}: ready to be captured.")
        reader.start().streaming()
        try:
            session.execute(f"UPDATE {capture.name}.items SET version = version + 1")
            live.caught_up(reader)
            assert replayed(sent_items(live, capture)) == live.rows(items(capture))
        finally:
            reader.close()
            session.execute(f"DROP USER {user}@'%'")


def test_columns_come_and_go_with_the_log(live: Rig, capture: CaptureFile) -> None:
    table = f"{capture.name}.items"
    capture.start().streaming()
    with live.session() as session:
        fill(session, table, range(3))
        session.execute(f"ALTER TABLE {table} ADD COLUMN more INT NOT NULL DEFAULT 7 AFTER id")
        fill(session, table, range(10, 13))
        session.execute(f"ALTER TABLE {table} DROP COLUMN text_, CHANGE name title VARCHAR(60)")
        session.execute(f"INSERT INTO {table} (id, title, version) VALUES (20, 'x', 1)")
        session.execute("CREATE DATABASE IF NOT EXISTS elsewhere")
        session.execute("CREATE TABLE IF NOT EXISTS elsewhere.t (a INT) ENGINE=MyISAM")
        session.execute("DROP DATABASE elsewhere")
    live.caught_up(capture)
    names = {one.change.image[0]: one.change.schema.names for one in sent_items(live, capture)}
    first = tuple(name.strip() for name in COLUMNS.split(","))
    second = ("id", "more", *first[1:])
    last = tuple("title" if name == "name" else name for name in second if name != "text_")
    assert names == {
        **{b"%d" % key: first for key in range(3)},
        **{b"%d" % key: second for key in range(10, 13)},
        b"20": last,
    }
    with live.session() as session:
        assert tuple(column.name for column in read_definition(session, items(capture)).columns) == last
        session.execute(f"TRUNCATE TABLE {table}")
    assert capture.wait() == 1
    assert f"truncate table of {table} before" in capture.log()
    assert 'allow it with truncate_table = "evolve" in [ddl]' in capture.log()
    live.configure(capture.name, ddl='truncate_table = "evolve"')
    capture.start().streaming()
    live.caught_up(capture)
    wait_for(lambda: replayed(sent_items(live, capture), strict=False) == [], "all rows are deleted", 30.0)


def test_a_table_is_sent_whole_on_demand(live: Rig, capture: CaptureFile) -> None:
    with live.session() as session:
        fill(session, f"{capture.name}.items", range(100))
    capture.start().streaming()
    with Writers(live, capture.name, threads=1, seed=9) as writers:
        wait_for(lambda: writers.committed > 20, "writers write")
        code, text = capture.command("snapshot", str(items(capture)), str(capture.path))
        assert (code, text) == (0, f"a snapshot of {items(capture)} will be sent\n")
        wait_for(lambda: _snapshot_rows(capture) > 110, "the rows are sent again")
        capture.streaming()
    live.caught_up(capture)
    sent = sent_items(live, capture)
    assert replayed(sent) == live.rows(items(capture))
    assert capture.command("snapshot", f"{capture.name}.typo", str(capture.path))[0] == 0
    wait_for(lambda: f"no snapshot of {capture.name}.typo" in capture.log(), "the capture lives, and says no")
    code, text = capture.command("snapshot", "other.table", str(capture.path))
    assert (code, text) == (2, "streamjobs: other.table is not captured: no route matches it\n")


def test_a_table_that_gets_a_captured_name_brings_its_rows(live: Rig, capture: CaptureFile) -> None:
    with live.session() as session:
        session.execute(f"CREATE DATABASE staging_{capture.name}")
        staged = f"staging_{capture.name}.items"
        session.execute(f"CREATE TABLE {staged} LIKE {capture.name}.items")
        fill(session, staged, range(100))
        capture.start().streaming()
        session.execute(
            f"RENAME TABLE {capture.name}.items TO {staged}_old, {staged} TO {capture.name}.items"
        )
        fill(session, f"{capture.name}.items", range(100, 110))
        wait_for(lambda: _snapshot_rows(capture) >= 110, "the rows are sent")
    live.caught_up(capture)
    assert replayed(sent_items(live, capture)) == live.rows(items(capture))


def test_quiet_partitions_hear_the_time(live: Rig, capture: CaptureFile) -> None:
    capture.start().streaming()
    with live.session() as session:
        fill(session, f"{capture.name}.items", range(1))
    live.caught_up(capture)
    from connectors.kafka import newest_times  # noqa: PLC0415

    def times() -> list[int]:
        return [time_ms or 0 for time_ms in newest_times(live.bootstrap, str(items(capture))).values()]

    before = max(times())
    wait_for(lambda: min(times()) > before + 1000, "both partitions are told a later time")
    assert len(sent_items(live, capture)) == 1


def test_one_source_has_one_capture(live: Rig, capture: CaptureFile) -> None:
    capture.start().streaming()
    second = CaptureFile(capture.path, capture.name, live.home, live.login.password)
    second.start_process().streaming()
    with live.session() as session:
        fill(session, f"{capture.name}.items", range(5))
    try:
        assert capture.wait() == 1
    finally:
        second.close()
    log = capture.log()  # by the broker, or by the server, which knows one reader of this server_id
    own = "Another reader uses this server_id: each reader needs its own"
    assert "was taken over by another process" in log or own in log


def test_a_huge_transaction_takes_bounded_memory(live: Rig, capture: CaptureFile) -> None:
    with live.session() as session:
        session.execute(f"CREATE TABLE {capture.name}.huge (id INT PRIMARY KEY, v INT, t VARCHAR(200))")
        for start in range(0, 60_000, 5_000):
            rows = ", ".join(f"({key}, 0, REPEAT('x', 150))" for key in range(start, start + 5_000))
            session.execute(f"INSERT INTO {capture.name}.huge VALUES {rows}")
        process = psutil.Process(capture.start_process().streaming().pid)
        before = process.memory_info().rss
        session.execute(f"UPDATE {capture.name}.huge SET v = v + 1")
    most = before

    def done() -> bool:
        nonlocal most
        most = max(most, process.memory_info().rss)
        return int((capture.status() or {}).get("rows", 0)) >= 120_000

    wait_for(done, f"all rows are sent: {capture.status()}", 90.0)
    live.caught_up(capture)
    assert most < 300 << 20, f"{most >> 20} MiB, {before >> 20} before"
    assert replayed(live.sent(f"{capture.name}.huge")) == live.rows(TableId(capture.name, "huge"))


def _snapshot_rows(capture: CaptureFile) -> int:
    return int((capture.status() or {}).get("snapshot_rows", 0))


def _place(capture: CaptureFile) -> str:
    return str((capture.status() or {}).get("place", ""))
