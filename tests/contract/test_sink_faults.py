"""What a delivery does when the real service is away, killed, frozen, locked or not what was declared."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from streamjobs.errors import ConfigError, RetriableError, StreamjobsError, SystemicError
from streamjobs.metrics import MemoryMetrics
from streamjobs.retry import RetryPolicy
from streamjobs.sinks.contract import SinkTable
from tests.contract.delivering import Letters, delivering, delivery_to
from tests.contract.stores import Rows, ServerStore, attempt, delete, row, upsert
from tests.integration.waiting import pause, wait_for
from tests.patience import limit_s

pytestmark = pytest.mark.services

BATCHES, ROWS = 40, 100
DEADLINE_S = 90.0
WIDE = 1000
"""Rows of half a kilobyte in one call."""
BUFFERS = 32 * 1024 * 1024
"""What a delivery may hold at most while its store is away: batches of 8 MiB, spelled and on their way."""
PATIENT = RetryPolicy(first_delay_s=0.05, max_delay_s=0.5)


@contextmanager
def running(work: Callable[[], None]) -> Iterator[threading.Thread]:
    """Run it beside the test; what it raises fails the test once it has ended."""
    raised: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except StreamjobsError as exc:
            raised.append(exc)

    thread = threading.Thread(target=guarded)
    thread.start()
    yield thread
    thread.join(limit_s(DEADLINE_S))
    assert not thread.is_alive(), "the delivery hangs"
    assert raised == []


def retries(metrics: MemoryMetrics, least: int) -> Callable[[], bool]:
    return lambda: metrics.counts().get("retries", 0) >= least


def expected() -> Rows:
    """What `write_all` leaves: each row was changed twice, and every tenth is deleted."""
    return {(n,): row(n, name="second") for n in range(BATCHES * ROWS) if n % 10}


def write_all(server: ServerStore, metrics: MemoryMetrics, trouble: Callable[[MemoryMetrics], None]) -> None:
    """Write all batches in a thread, let the trouble come while they are on their way, and compare."""
    table = server.table()
    with delivering(server, table, metrics=metrics) as (delivery, letters):

        def work() -> None:
            for number in range(BATCHES):
                ids = range(number * ROWS, (number + 1) * ROWS)
                for text in ("first", "second"):
                    delivery.write([upsert(n, delivery.next_version(), name=text) for n in ids])
                delivery.write([delete(n, delivery.next_version()) for n in ids if n % 10 == 0])

        with running(work):
            wait_for(lambda: metrics.counts().get("batches_written", 0) >= 5, "the first batches", DEADLINE_S)
            trouble(metrics)
        assert letters.kept == []
    assert server.rows(table) == expected()


def test_a_service_that_is_down_at_the_start_is_waited_for(server: ServerStore) -> None:
    table = server.table()
    metrics = MemoryMetrics()
    letters = Letters()
    delivery = delivery_to(server, table, attempt(), letters, metrics)
    server.service.kill()
    with running(delivery.open):
        wait_for(retries(metrics, 2), "two tries", DEADLINE_S)
        server.service.restart()
    delivery.write([upsert(1, name="a")])
    delivery.close()
    assert server.rows(table) == {(1,): row(1, name="a")}


def test_a_service_killed_in_the_middle_loses_nothing(server: ServerStore) -> None:
    def kill_and_restart(metrics: MemoryMetrics) -> None:
        server.service.kill()
        wait_for(retries(metrics, 2), "two retries", DEADLINE_S)
        server.service.restart()

    write_all(server, MemoryMetrics(), kill_and_restart)


@pytest.mark.parametrize("frozen_s", [2.0, pytest.param(15.0, marks=pytest.mark.long)])
def test_a_frozen_service_is_given_up_and_asked_again(server: ServerStore, frozen_s: float) -> None:
    def freeze_and_thaw(metrics: MemoryMetrics) -> None:
        server.service.freeze()
        threading.Event().wait(frozen_s)  # how long it is away is the point
        wait_for(retries(metrics, 1), "a request that was given up", DEADLINE_S)
        server.service.thaw()

    write_all(server, MemoryMetrics(), freeze_and_thaw)


@pytest.mark.parametrize("away_s", [3.0, pytest.param(60.0, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "killed", [False, pytest.param(True, marks=pytest.mark.long)], ids=["frozen", "killed"]
)
def test_a_store_that_is_away_holds_the_writer_up_and_takes_no_memory(
    server: ServerStore, away_s: float, *, killed: bool
) -> None:
    table, metrics, process = server.table(), MemoryMetrics(), psutil.Process()
    handed, going = itertools.count(), threading.Event()
    going.set()
    with delivering(server, table, metrics=metrics, policy=PATIENT) as (delivery, letters):

        def work() -> None:
            while going.is_set():
                first = next(handed) % 5 * WIDE
                names = [f"{n:>500}" for n in range(first, first + WIDE)]
                versions = delivery.next_versions(WIDE)
                delivery.write([upsert(first + n, versions[n], name=names[n]) for n in range(WIDE)])

        with running(work):
            wait_for(lambda: metrics.counts().get("batches_written", 0) >= 6, "all keys written", DEADLINE_S)
            if killed:
                server.service.kill()
            else:
                server.service.freeze()
            wait_for(retries(metrics, 1), "a request that was given up", DEADLINE_S)
            written, before = metrics.counts()["records_written"], process.memory_info().rss
            most, until = before, time.monotonic() + away_s
            while time.monotonic() < until:
                pause(0.1)
                most = max(most, process.memory_info().rss)
            counts = metrics.counts()
            assert counts["records_written"] == written
            assert counts["records_in"] - written <= WIDE
            assert most - before < BUFFERS
            going.clear()
            if killed:
                server.service.restart()
            else:
                server.service.thaw()
    assert letters.kept == []
    assert len(server.rows(table)) == 5 * WIDE


def test_an_outage_beyond_the_budget_fails_the_attempt_and_the_next_one_goes_on(server: ServerStore) -> None:
    table = server.table()
    short = RetryPolicy(first_delay_s=0.05, max_delay_s=0.2, budget_s=0.5)
    with delivering(server, table, policy=short) as (delivery, letters):
        delivery.write([upsert(1, name="a")])
        server.service.kill()
        with pytest.raises(RetriableError, match="gave up after"):
            delivery.write([upsert(2, 2, name="b")])
        with pytest.raises(RetriableError, match="gave up after"):
            delivery_to(server, table, attempt(1), letters, policy=short).open()
    assert letters.kept == []
    server.service.restart()
    with delivering(server, table, attempt(2)) as (delivery, _):
        delivery.write([upsert(2, 1, name="b")])
    assert server.rows(table) == {(1,): row(1, name="a"), (2,): row(2, name="b")}


def test_a_wrong_password_stops_the_job_without_dead_letters(server: ServerStore) -> None:
    letters, metrics = Letters(), MemoryMetrics()
    table = server.wrong_password(server.table())
    if table is None:
        return
    delivery = delivery_to(server, table, attempt(), letters, metrics)
    with pytest.raises(SystemicError) as caught:
        delivery.open()
    delivery.close()
    assert (letters.kept, metrics.counts()) == ([], {})
    assert "wrong-password-7" not in str(caught.value)


def open_and_close(server: ServerStore, table: SinkTable) -> None:
    sink = server.sink(table)
    try:
        sink.open(attempt())
    finally:
        sink.close()


def test_a_target_that_does_not_fit_is_named_before_the_first_row(server: ServerStore) -> None:
    for message, table in server.broken_targets().items():
        with pytest.raises((SystemicError, ConfigError), match=message):
            open_and_close(server, table)
