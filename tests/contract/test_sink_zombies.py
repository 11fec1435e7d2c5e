"""A process stopped in the middle of its writes, that wakes when another has taken over, changes nothing."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamjobs.sinks.contract import SinkTable
from tests.contract.delivering import delivering
from tests.contract.store_writer import ROWS
from tests.contract.stores import ServerStore, attempt, delete, row, upsert
from tests.patience import limit_s

pytestmark = pytest.mark.services


@contextmanager
def writer(server: ServerStore, table: SinkTable, file: Path) -> Iterator[subprocess.Popen[str]]:
    """The process, once it has written twice; killed in the end."""
    sink = type(server.sink(table))
    file.write_bytes(pickle.dumps((f"{sink.__module__}:{sink.__name__}", table)))
    command = [sys.executable, "-m", "tests.contract.store_writer", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert [process.stdout.readline() for _ in range(3)] == ["open\n", "0\n", "1\n"]
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("after_s", [0.0, 0.013, 0.031])
def test_a_stopped_process_that_wakes_changes_nothing(
    server: ServerStore, tmp_path: Path, after_s: float
) -> None:
    table = server.table()
    with writer(server, table, tmp_path / "writer") as process:
        time.sleep(after_s)  # wherever it is then
        process.send_signal(signal.SIGSTOP)
        with delivering(server, table, attempt(1)) as (delivery, letters):
            delivery.write([upsert(n, delivery.next_version(), name="new") for n in range(ROWS)])
            delivery.write([delete(n, delivery.next_version()) for n in range(0, ROWS, 3)])
            expected = {(n,): row(n, name="new") for n in range(ROWS) if n % 3}
            assert server.rows(table) == expected
            process.send_signal(signal.SIGCONT)
            out, _ = process.communicate(timeout=limit_s(60))
            assert out.splitlines()[-1].startswith("SystemicError: ")
            assert "newer attempt" in out
        assert letters.kept == []
    assert server.rows(table) == expected
