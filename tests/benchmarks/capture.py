"""(f) Capture as users run it: rows per second from a live log to the broker's acknowledgement; memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pymysql

from streamjobs.capture.status.http import read_status
from streamjobs.local import places
from streamjobs.local.environment import Environment
from streamjobs.local.mariadb import USER
from tests.benchmarks import meter
from tests.benchmarks.binlog import TABLE, BinlogBench
from tests.patience import limit_s

HUGE = f"{TABLE.database}.huge"
_POLL_S = 0.05
_DEADLINE_S = 600.0
_TEXT_BYTES = 950
"""Makes the two images of an updated row about 2 KB in the log."""


@dataclass(frozen=True)
class CaptureRun:
    """Acknowledged rows per second of wall time and of the capture's CPU time."""

    rows: int
    rows_per_s: int
    rows_per_cpu_s: int


@dataclass(frozen=True)
class HugeRun:
    """One transaction: its rows, its size in the log, and the capture's peak memory (RSS), in MiB."""

    rows: int
    log_mb: int
    seconds: float
    before_mb: int
    peak_mb: int


class CaptureBench:
    """A capture of one database, with its own server and broker; its files are in `home`."""

    def __init__(self, environment: Environment, home: Path) -> None:
        self._server = environment.mariadb
        self._home = home
        self._file = home / "bench.toml"
        self._file.write_text(
            f"""
            [source]
            name = "bench"
            url = "{environment.mariadb.url}"
            tls = "off"
            snapshot = "never"
            [broker]
            bootstrap = "{environment.kafka.bootstrap}"
            [[tables]]
            match = "{TABLE.database}.*"
            """,
            encoding="utf-8",
        )

    def alternate(self, rows: int, rounds: int) -> list[CaptureRun]:
        """Capture a log of `rows` inserts and a quarter as many updates, again in each of `rounds`."""
        return [self._rate(rows) for _ in range(rounds)]

    def huge(self, rows: int) -> HugeRun:
        """Capture one UPDATE of `rows` rows, about 2 KB each in the log."""
        self._sql(
            f"CREATE DATABASE IF NOT EXISTS {TABLE.database} CHARACTER SET utf8mb4",
            f"CREATE OR REPLACE TABLE {HUGE} (id INT PRIMARY KEY, v INT, t TEXT)",
            "SET sql_log_bin = 0",
            f"INSERT INTO {HUGE} SELECT seq, 0, REPEAT(CHAR(97 + seq % 26), {_TEXT_BYTES}) "
            f"FROM {TABLE.database}.seq_1_to_{rows}",
        )
        with self._running() as process:
            self._wait(lambda status: status["phase"] == "streaming")
            before, logged = process.memory_info().rss, self._log_bytes()
            self._sql(f"UPDATE {HUGE} SET v = v + 1")
            log_mb = self._log_bytes() - logged >> 20
            end, started, peak = self._end(), time.monotonic(), before
            for status in self._statuses():
                peak = max(peak, process.memory_info().rss)
                if _place(status) >= end:
                    break
            seconds = time.monotonic() - started
        return HugeRun(rows, log_mb, round(seconds, 1), before >> 20, peak >> 20)

    def _rate(self, rows: int) -> CaptureRun:
        with self._running():  # it stores the present end of the log
            self._wait(lambda status: status["phase"] == "streaming")
        changes = BinlogBench(self._server, rows).changes
        end = self._end()
        samples: list[meter.Sample] = []
        with self._running() as process:
            for status in self._statuses():
                sample = meter.Sample(time.monotonic(), int(status["rows"]), meter.cpu_s(process.pid))
                if sample.rows and (not samples or _place(status) >= end):
                    samples.append(sample)
                if _place(status) >= end:
                    break
        first, last = samples[0], samples[-1]
        count = changes - first.rows
        spent = sum(last.cpu.values()) - sum(first.cpu.values())
        return CaptureRun(changes, round(count / (last.at_s - first.at_s)), round(count / spent))

    @contextmanager
    def _running(self) -> Iterator[psutil.Process]:
        command = [sys.executable, "-m", "streamjobs.cli.main", "capture", "run", str(self._file)]
        log = self._home / "capture.log"
        with log.open("ab") as output:
            child = subprocess.Popen(
                command,
                env={**os.environ, places.STATE_VARIABLE: str(self._home)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            yield psutil.Process(child.pid)
            child.send_signal(signal.SIGTERM)
            assert child.wait(limit_s(60)) == 0, log.read_text(encoding="utf-8")[-2000:]
        finally:
            child.kill()
            child.wait()

    def _statuses(self) -> Iterator[dict[str, Any]]:
        deadline = time.monotonic() + limit_s(_DEADLINE_S)
        while time.monotonic() < deadline:
            status = read_status(self._home / "capture" / "bench.address")
            if status is not None and status.get("place"):
                yield status
            time.sleep(_POLL_S)
        raise AssertionError((self._home / "capture.log").read_text(encoding="utf-8")[-2000:])

    def _wait(self, reached: Callable[[dict[str, Any]], bool]) -> None:
        next(status for status in self._statuses() if reached(status))

    def _end(self) -> tuple[int, int]:
        """Commit a transaction, and return the log position after it."""
        self._sql(f"CREATE OR REPLACE TABLE {TABLE.database}.mark (id INT PRIMARY KEY)")
        file, offset, *_ = self._sql("SHOW MASTER STATUS")[0]
        return int(file.rpartition(".")[2]), int(offset)

    def _log_bytes(self) -> int:
        return sum(size for _, size, *_ in self._sql("SHOW BINARY LOGS"))

    def _sql(self, *statements: str) -> Any:
        connection = pymysql.connect(host=self._server.host, port=self._server.port, user=USER)
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            connection.commit()
            return cursor.fetchall()


def _place(status: dict[str, Any]) -> tuple[int, int]:
    file, _, offset = str(status["place"]).rpartition(":")
    return int(file.rpartition(".")[2]), int(offset)
