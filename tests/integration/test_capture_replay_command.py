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
from tests.unit.test_capture_replay import logged

pytestmark = pytest.mark.services


@pytest.mark.parametrize(
    ("statements", "status", "last"),
    [
        ((), 0, "1 row changes of 1 transactions acknowledged in "),
        (
            ("UPDATE t SET v = 3", "CREATE TABLE u SELECT * FROM t"),
            1,
            "Not complete: the log has no rows of these statements (2 statement format), so their changes "
            "were not sent. Load those tables in another way, such as by a snapshot of the server",
        ),
    ],
)
def test_the_status_says_whether_a_replay_is_complete(
    kafka: KafkaAddress, tmp_path: Path, statements: tuple[str, ...], status: int, last: str
) -> None:
    topic, file = unique_name("replayed"), logged(tmp_path / "bin.000001", *statements)
    done = subprocess.run(
        [sys.executable, "-m", "streamjobs.cli.main", "capture", "replay", str(file),
         "--bootstrap", kafka.bootstrap, "--topic", topic, "--partitions", "1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert done.stderr.splitlines()[-1].startswith(last)
    with closing(KafkaConsumer(kafka.bootstrap)) as consumer:
        assert len(list(read_topic(consumer, topic))) == 1
