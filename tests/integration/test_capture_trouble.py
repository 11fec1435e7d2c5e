"""Capture of a server that dies, freezes or loses its log: nothing is skipped, whatever happened."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from connectors.mysql.server.log_position import mysql_place
from tests.integration.capture_file import CaptureFile
from tests.integration.capture_items import (
    assert_in_order,
    fill,
    items,
    items_capture,
    retries,
    sent_items,
)
from tests.integration.capture_rig import Rig, replayed
from tests.integration.capture_writers import ITEMS, Writers
from tests.integration.waiting import pause, wait_for
from tests.patience import limit_s

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def live(own_rig: Rig) -> Rig:
    """Servers of the module's own: they are killed and frozen."""
    return own_rig


@pytest.fixture
def capture(live: Rig) -> Iterator[CaptureFile]:
    made = items_capture(live)
    yield made
    made.close()


def test_server_trouble_is_survived(live: Rig, capture: CaptureFile) -> None:
    if not live.is_ours:
        pytest.skip("the server is not ours to kill")
    server = live.environment.mariadb
    with Writers(live, capture.name, seed=7) as writers:
        capture.start().streaming()
        with live.session() as session:
            dumps = session.named(
                "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND = 'Binlog Dump'"
            )
            for dump in dumps:
                session.execute(f"KILL {dump['ID']}")
        wait_for(lambda: retries(capture) > 0, "the stream is opened again")
        known = retries(capture.streaming())
        server.kill()
        wait_for(lambda: retries(capture) > known, "the capture has noticed")
        server.restart()
        capture.streaming()
        before = writers.committed
        wait_for(lambda: writers.committed > before + 30, "writers write again")
    live.caught_up(capture)
    assert replayed(sent_items(live, capture), strict=False) == live.rows(items(capture))
    assert capture.stop() == 0, capture.log()


@pytest.mark.parametrize("stall_s", [5.0, pytest.param(30.0, marks=pytest.mark.long)])
def test_a_frozen_server_is_given_up_and_called_anew(live: Rig, stall_s: float) -> None:
    if not live.is_ours:
        pytest.skip("the server is not ours to freeze")
    server, database = live.environment.mariadb, live.database()
    with live.session() as session:
        session.execute(ITEMS.format(database=database))
    capture = live.configure(database, source='watchdog = "2 s"').start().streaming()
    try:
        with Writers(live, database, seed=8) as writers:
            wait_for(lambda: writers.committed > 50, "writers write")
            known = retries(capture)
            server.freeze()
            frozen_s = time.monotonic()
            try:
                wait_for(lambda: retries(capture) > known, "the watchdog has barked", 20.0)
                noticed_s = time.monotonic() - frozen_s
                pause(max(0.0, stall_s - noticed_s))
            finally:
                server.thaw()
            assert 1.5 < noticed_s < limit_s(5.0), noticed_s
            assert "nothing was received for 2 s" in capture.log()
            capture.streaming()
            before = writers.committed
            wait_for(lambda: writers.committed > before + 50, "writers write again")
        live.caught_up(capture)
        sent = sent_items(live, capture)
        assert replayed(sent, strict=False) == live.rows(items(capture))
        assert_in_order(sent)
        assert capture.stop() == 0, capture.log()
    finally:
        capture.close()


def test_a_purged_log_is_refused_and_never_skipped(live: Rig, capture: CaptureFile) -> None:
    if not live.is_ours:
        pytest.skip("the log is not ours to purge")
    capture.start().streaming()
    live.caught_up(capture)
    assert capture.stop() == 0
    with live.session() as session:
        fill(session, f"{capture.name}.items", range(5))
        session.execute("FLUSH BINARY LOGS")
        session.execute("FLUSH BINARY LOGS")
        newest = mysql_place(session).place.file

        def purged() -> bool:
            session.execute(f"PURGE BINARY LOGS TO '{newest}'")
            return len(session.named("SHOW BINARY LOGS")) == 1

        wait_for(purged, "the old logs are gone")
    assert capture.start().wait() == 1
    assert "`streamjobs capture run --resnapshot`" in capture.log()
    assert replayed(sent_items(live, capture)) == []
    code, text = capture.command("check", str(capture.path))
    assert (code, "was purged; the log begins at" in text) == (1, True), text
    capture.start(resnapshot=True).streaming()
    live.caught_up(capture)
    assert replayed(sent_items(live, capture), strict=False) == live.rows(items(capture))
    wait_for(lambda: (capture.status() or {}).get("epoch") == 1, lambda: f"epoch 1: {capture.status()}")
