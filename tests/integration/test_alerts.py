"""The alerts of captures that docs/alerts.md advises: each is quiet, is caused, fires, and ends."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from connectors.mysql.server.session import Session
from streamjobs.local.ports import PortLease
from tests.integration.alerts import Prometheus
from tests.integration.capture_file import CaptureFile
from tests.integration.capture_rig import Rig
from tests.integration.waiting import pause, wait_for
from tests.patience import limit_s

pytestmark = pytest.mark.services
LARGE = 1_200_000
"""More than a broker takes at once by default."""
QUIET_S = 15.0
"""Longer than a position that has not changed stays without being stored again."""


@pytest.fixture(scope="module")
def live(own_rig: Rig) -> Rig:
    """Servers of the module's own: they are frozen."""
    if not own_rig.is_ours:
        pytest.skip("the server is not ours to freeze")
    return own_rig


@pytest.fixture
def port() -> Iterator[int]:
    lease = PortLease()
    yield lease.take()
    lease.close()


@pytest.fixture
def capture(live: Rig, port: int) -> Iterator[CaptureFile]:
    """A capture that streams, of one table with a row."""
    name = live.database()
    with live.session() as session:
        session.execute(f"CREATE TABLE {name}.item (id INT PRIMARY KEY, body LONGBLOB)")
        session.execute(f"INSERT INTO {name}.item VALUES (1, 'a')")
    made = live.configure(name, metrics=f"port = {port}").start().streaming()
    yield made
    made.close()


@pytest.fixture
def prometheus(capture: CaptureFile, port: int) -> Prometheus:
    """It has scraped the capture a while, and nothing fires."""
    made = Prometheus({f"http://127.0.0.1:{port}/metrics": "streamjobs_capture"}, "Captures")
    made.await_quiet(10.0)
    made.fired.clear()
    assert not capture.ended()
    return made


def test_an_idle_server_fires_nothing(capture: CaptureFile, prometheus: Prometheus) -> None:
    prometheus.firing()
    stored_at_ms = prometheus.value("streamjobs_capture_stored_at_ms")
    until_s, lags_s = time.monotonic() + QUIET_S, list[float]()
    while time.monotonic() < until_s:
        prometheus.firing()
        lags_s.append(prometheus.value("streamjobs_capture_lag_s"))
        pause(0.2)
    assert prometheus.fired == set()
    assert max(lags_s) < limit_s(3.0)
    assert min(lags_s) >= 0.0
    assert prometheus.value("streamjobs_capture_stored_at_ms") > stored_at_ms
    assert (capture.status() or {})["trouble"] == ""


def test_a_frozen_server(live: Rig, capture: CaptureFile, prometheus: Prometheus) -> None:
    server = live.environment.mariadb
    server.freeze()
    try:
        wait_for(lambda: (capture.status() or {})["trouble"] != "", "the silence is told", 20.0)
        silence = str((capture.status() or {})["trouble"])
        prometheus.await_alert("CaptureLags", 60.0, capture.log)
        asked_s = time.monotonic()
        code, text = capture.command("status", str(capture.path))
        answered_s = time.monotonic() - asked_s
    finally:
        server.thaw()
    assert silence.startswith("nothing has come from the server's log for ")
    status = dict(line.split(maxsplit=1) for line in text.splitlines())
    assert (code, float(status["lag"].split()[0]) > 30) == (0, True), text
    assert not status["trouble"].startswith("none"), text
    assert status["log"].startswith("unknown number of bytes after the position: connecting to ")
    assert answered_s < limit_s(15.0)
    prometheus.await_quiet()
    assert prometheus.fired == {"CaptureLags"}
    wait_for(lambda: (capture.status() or {})["trouble"] == "", "it streams again", 60.0)


def test_a_frozen_broker_with_a_row_waiting(live: Rig, capture: CaptureFile, prometheus: Prometheus) -> None:
    broker = live.environment.kafka
    broker.freeze()
    try:
        with live.session() as session:
            session.execute(f"INSERT INTO {capture.name}.item VALUES (2, 'b')")
        prometheus.await_alert("CaptureLags", 60.0, capture.log)
        code, text = capture.command("status", str(capture.path))
    finally:
        broker.thaw()
    assert (code, "trouble     the broker has not acknowledged what was sent " in text) == (0, True), text
    prometheus.await_quiet()
    assert prometheus.fired == {"CaptureLags"}
    live.caught_up(capture)
    keys = {one.change.image[0] for one in live.sent(f"{capture.name}.item")}
    assert keys == {b"1", b"2"}


def test_a_row_that_its_topic_never_takes(live: Rig, capture: CaptureFile, prometheus: Prometheus) -> None:
    with live.session() as session:
        session.execute(f"INSERT INTO {capture.name}.item VALUES (2, REPEAT('b', {LARGE}))")
    prometheus.await_alert("CaptureDeadLetters", 30.0, capture.log)
    prometheus.leap(301)
    assert prometheus.firing() == set()
    assert prometheus.fired == {"CaptureDeadLetters"}


def test_a_statement_that_stops_it(live: Rig, capture: CaptureFile, prometheus: Prometheus) -> None:
    with live.session() as session:
        session.execute(f"TRUNCATE TABLE {capture.name}.item")
    prometheus.await_alert("CaptureDown", 30.0, capture.log)
    assert capture.wait() == 1
    assert "CaptureDown" in prometheus.firing()
    capture.start(resnapshot=True).streaming()
    prometheus.await_quiet()
    assert prometheus.fired == {"CaptureDown"}


def test_connections_that_break_again_and_again(
    live: Rig, capture: CaptureFile, prometheus: Prometheus
) -> None:
    with live.session() as session:
        for count in range(1, 7):
            assert "CaptureRetries" not in prometheus.firing()
            wait_for(lambda: _kill_dumps(session), "the log is read", 30.0)
            wait_for(lambda: _retries(prometheus) >= count, f"retry {count}", 30.0)  # noqa: B023 (waited for)
    prometheus.await_alert("CaptureRetries", 10.0, capture.log)
    capture.streaming()
    prometheus.leap(901)
    assert prometheus.firing() == set()
    assert prometheus.fired == {"CaptureRetries"}


def test_a_table_whose_definition_is_not_the_servers(
    live: Rig, capture: CaptureFile, prometheus: Prometheus
) -> None:
    """The log names columns when capture starts, and does not any longer when the difference matters."""
    table = f"{capture.name}.item"
    with live.session() as session:
        session.execute("SET GLOBAL binlog_row_metadata = 'NO_LOG'")
        try:
            session.execute("SET SESSION sql_log_bin = 0")
            session.execute(f"ALTER TABLE {table} MODIFY body LONGTEXT CHARACTER SET latin1")
            session.execute("SET SESSION sql_log_bin = 1")
            session.execute(f"INSERT INTO {table} VALUES (2, 'b')")
            prometheus.await_alert("CaptureStopsTable", 30.0, capture.log)
            assert table in (capture.status() or {})["stopped"]
            assert prometheus.fired == {"CaptureStopsTable"}
        finally:
            session.execute("SET GLOBAL binlog_row_metadata = 'FULL'")
        capture.send_whole(table)
        prometheus.await_quiet(30.0)


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_prepared_transaction_that_is_forgotten(
    live: Rig, capture: CaptureFile, prometheus: Prometheus
) -> None:
    with live.session() as session:
        for statement in ("XA START 'a'", f"INSERT INTO {capture.name}.item VALUES (2, 'b')",
                          "XA END 'a'", "XA PREPARE 'a'"):  # fmt: skip
            session.execute(statement)
        prometheus.await_alert("CapturePositionWaits", 200.0, capture.log)
        assert prometheus.fired == {"CapturePositionWaits"}
        session.execute("XA COMMIT 'a'")
    prometheus.await_quiet(30.0)


def _kill_dumps(session: Session) -> bool:
    """End what sends the log to a capture; whether there was one."""
    dumps = session.named("SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND = 'Binlog Dump'")
    for dump in dumps:
        session.execute(f"KILL {dump['ID']}")
    return bool(dumps)


def _retries(prometheus: Prometheus) -> float:
    prometheus.firing()
    return prometheus.value("streamjobs_capture_retries_total")


def test_every_alert_is_caused() -> None:
    caused = {
        "CaptureLags", "CaptureDeadLetters", "CaptureDown", "CaptureRetries", "CaptureStopsTable",
        "CapturePositionWaits",
    }  # fmt: skip
    assert set(Prometheus({}, "Captures").alerts) == caused
