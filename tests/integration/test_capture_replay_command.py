"""`capture replay` as a command: what it prints, and the status that it ends with."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from connectors.kafka import KafkaConsumer, read_topic
from tests.services.kinds import KafkaAddress
from tests.services.shared import unique_name
from tests.unit.binlog_writer import Writer, row_image
from tests.unit.test_capture_replay import INT

pytestmark = pytest.mark.services


def log_of(path: Path, *statements: str) -> Path:
    """Write a log of these statements, and of one row of d.t."""
    log = Writer()
    for statement in statements:
        log.query("BEGIN")
        log.query(statement)
        log.query("COMMIT")
    log.query("BEGIN")
    log.table_map((INT, INT), ("id", "v"))
    log.rows(30, [row_image((b"\1\0\0\0", b"\2\0\0\0"))], 2)
    log.xid()
    file = path / "bin.000001"
    file.write_bytes(log.data)
    return file


@pytest.mark.parametrize(
    ("statements", "status", "last"),
    [
        ((), 0, "1 row changes of 1 transactions acknowledged in "),
        (
            ("UPDATE t SET v = 3", "CREATE TABLE u SELECT * FROM t"),
            1,
            "Not complete: of these statements (2 statement format) the log has no rows, and what they "
            "changed was not sent. Load those tables otherwise, such as by a snapshot of the server",
        ),
    ],
)
def test_the_status_says_whether_a_replay_is_complete(
    kafka: KafkaAddress, tmp_path: Path, statements: tuple[str, ...], status: int, last: str
) -> None:
    topic = unique_name("replayed")
    done = subprocess.run(
        [sys.executable, "-m", "streamjobs.cli.main", "capture", "replay", str(log_of(tmp_path, *statements)),
         "--bootstrap", kafka.bootstrap, "--topic", topic, "--partitions", "1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert done.stderr.splitlines()[-1].startswith(last)
    with closing(KafkaConsumer(kafka.bootstrap)) as consumer:
        assert len(list(read_topic(consumer, topic))) == 1
