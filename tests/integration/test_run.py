"""`streamjobs run`, as a person types it: on `dev up` services, on its own, and with mistakes."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from connectors.kafka import KafkaProducer, create_topic
from streamjobs.brokers.contract import Envelope
from streamjobs.changes import wire_values
from streamjobs.changes.position import Position
from streamjobs.changes.row_change import Column, RowChange, SqlType, TableId, TableSchema
from streamjobs.local import places, state
from tests.integration.waiting import wait_for
from tests.patience import limit_s
from thrift_idl.codec import Header, PartitionMessageBuilder

pytestmark = pytest.mark.services

ITEM = TableSchema(
    TableId("shop", "item"),
    (
        Column("item_id", SqlType.BIGINT, "bigint", key=True, nullable=False),
        Column("title", SqlType.TEXT, "varchar(64)"),
        Column("price", SqlType.DECIMAL, "decimal(10,2)"),
    ),
)
JOB = """-- The latest row of each item.
CREATE TABLE item (item_id BIGINT, title VARCHAR, price DECIMAL(10, 2), PRIMARY KEY (item_id) NOT ENFORCED)
WITH (type='metaq', topic='shop.item', 'table'='shop.item', 'ingest'='upsert');
CREATE TABLE latest (item_id BIGINT, title VARCHAR, price DECIMAL(10, 2), PRIMARY KEY (item_id) NOT ENFORCED)
WITH (type='rocksdb');
INSERT INTO latest SELECT item_id, MAX(title), MAX(price) FROM item GROUP BY item_id;
"""

COUNTS = """-- Rows by title. Mini-batches without event time: their watermarks never stand still.
SET 'table.exec.mini-batch.enabled' = 'true';
SET 'table.exec.mini-batch.allow-latency' = '500 ms';
SET 'table.exec.mini-batch.size' = '1000';
CREATE TABLE seen (item_id BIGINT, title VARCHAR)
WITH (type='metaq', topic='shop.seen', 'table'='shop.item', 'ingest'='append');
CREATE TABLE counts (title VARCHAR, n BIGINT, PRIMARY KEY (title) NOT ENFORCED) WITH (type='rocksdb');
INSERT INTO counts SELECT title, COUNT(*) FROM seen GROUP BY title;
"""


class Shell:
    """The command, with a state directory of its own that borrows this checkout's jars."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "jars").symlink_to(places.state_dir() / "jars")
        self.environment = {**os.environ, "COLUMNS": "120", places.STATE_VARIABLE: str(home)}

    def start(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "streamjobs.cli.main", *args],
            env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(self, *args: str) -> tuple[int, str, str]:
        """Exit status, output and errors of `streamjobs ARGS`."""
        process = self.start(*args)
        out, err = process.communicate(timeout=limit_s(300))
        return process.returncode, out, err


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    state.stop(tmp_path / "dev")
    state.stop(tmp_path / "run")


def job_file(home: Path, text: str = JOB, name: str = "latest") -> str:
    file = home / f"{name}.sql"
    file.write_text(text, encoding="utf-8")
    return str(file)


def row(item: int, title: str | None, price: str) -> tuple[bytes | None, ...]:
    return (b"%d" % item, None if title is None else wire_values.encode(SqlType.TEXT, title), price.encode())


def changes() -> list[RowChange]:
    """400 items inserted, every fourth updated, every eighth deleted, and all of it once more: a replay."""
    made = []
    for item in range(400):
        made.append(RowChange.insert(ITEM, row(item, f"n{item}", "1.00"), Position(0, 1, item), 1000))
        if item % 4 == 0:
            before, after = row(item, f"n{item}", "1.00"), row(item, None, "2.50")
            made.append(RowChange.update(ITEM, before, after, Position(0, 2, item), 2000))
        if item % 8 == 0:
            made.append(RowChange.delete(ITEM, row(item, None, "2.50"), Position(0, 3, item), 3000))
    return made + made


def produce(bootstrap: str, topic: str, changed: list[RowChange]) -> None:
    create_topic(bootstrap, topic, 2)
    builder = PartitionMessageBuilder(2, disorder_ms=10_000)
    for change in changed:
        builder.add(change)
    producer = KafkaProducer(bootstrap)
    for partition, message in builder.flush(Header("test")):
        producer.send(Envelope(topic, partition, message.payload, message.time_ms))
    producer.flush()
    producer.close()


@contextmanager
def heartbeats(bootstrap: str, topic: str) -> Iterator[None]:
    """Send messages without rows all the time, as a live capture does, for the length of the block."""
    ended = threading.Event()

    def beat() -> None:
        builder = PartitionMessageBuilder(2, disorder_ms=10_000)
        with closing(KafkaProducer(bootstrap)) as producer:
            for time_ms in itertools.count(3000, 200):
                for partition, message in builder.heartbeat(Header("test"), time_ms):
                    producer.send(Envelope(topic, partition, message.payload, message.time_ms))
                producer.flush()
                if ended.wait(0.2):
                    return

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_job_runs_until_idle_and_its_table_is_the_latest_state(shell: Shell) -> None:
    code, _, err = shell("dev", "up")
    assert code == 0, err
    known = state.running(shell.home / "dev")
    assert known is not None
    assert known.bootstrap is not None
    produce(known.bootstrap, "shop.item", changes())
    with heartbeats(known.bootstrap, "shop.item"):
        code, out, err = shell("run", job_file(shell.home), "--until-idle", "3s", "--parallelism", "2")
    assert (code, out) == (0, ""), err
    assert err.splitlines()[-1] == "latest  done: drained, all windows closed"
    assert "messages to read" not in err.splitlines()[-2]
    code, out, _ = shell("query", "latest", "--format", "json")
    assert [json.loads(line) for line in out.splitlines()] == [
        {"item_id": item, "title": None if item % 4 == 0 else f"n{item}",
         "price": "2.50" if item % 4 == 0 else "1.00"}
        for item in range(400) if item % 8
    ]  # fmt: skip
    seen = [RowChange.insert(ITEM, row(n, f"t{n % 3}", "1.00"), Position(0, 1, n), 1000) for n in range(300)]
    produce(known.bootstrap, "shop.seen", seen)
    code, out, err = shell("run", job_file(shell.home, COUNTS, "counts"), "--until-idle", "3s")
    assert (code, out) == (0, ""), err
    code, out, _ = shell("query", "counts", "--format", "json")
    assert [json.loads(line) for line in out.splitlines()] == [{"title": f"t{n}", "n": 100} for n in range(3)]
    assert state.running(shell.home / "dev") == known


def test_mistake_in_the_file_has_its_place_and_starts_nothing(shell: Shell) -> None:
    file = job_file(shell.home, JOB.replace("'ingest'='upsert'", "'ingst'='upsert'"))
    code, out, err = shell("run", file)
    assert (code, out) == (2, "")
    number, line = next(at for at in enumerate(Path(file).read_text().splitlines(), 1) if "'ingst'" in at[1])
    place = f"{file}:{number}:{line.index(chr(39) + 'ingst') + 1}"
    assert err.splitlines()[0].startswith(f"streamjobs: {place}: ")
    assert "ingest" in err.splitlines()[0]
    assert err.splitlines()[1:] == [f"  {line}", " " * (2 + line.index("'ingst'")) + "^"]
    assert not (shell.home / "run").exists()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("nowhere.sql",), "cannot read nowhere.sql: [Errno 2] No such file or directory: 'nowhere.sql'"),
        (("nowhere.sql", "--until-idle", "soon"), "--until-idle: "),
        (("nowhere.sql", "--set", "parallelism"), "--set needs key=value, not 'parallelism'"),
    ],
)
def test_mistake_on_the_command_line_is_told(shell: Shell, args: tuple[str, ...], told: str) -> None:
    code, out, err = shell("run", *args)
    assert (code, out) == (2, "")
    assert err.startswith(f"streamjobs: {told}")


SECRETIVE = JOB.replace(
    "WITH (type='rocksdb')", "WITH (type='redis', host='redis.example.com', password='${NOT_SET_AT_ALL}')"
)
PROFILE = """[brokers.default]
bootstrap = "kafka.example.com:9093"
protocol = "SASL_SSL"
mechanism = "PLAIN"
username = "etl"
password = "${NOT_SET_EITHER}"
ca_file = "/nowhere/ca.pem"
[flink]
rest_url = "http://flink.example.com:8081"
"""


def test_explaining_starts_nothing_asks_nobody_and_needs_no_secrets(shell: Shell) -> None:
    profile = shell.home / "there.toml"
    profile.write_text(PROFILE, encoding="utf-8")
    args = ("run", job_file(shell.home, SECRETIVE), "--explain", "--profile", str(profile))
    for process in [shell.start(*args) for _ in range(2)]:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert "GroupAggregate(groupBy=[item_id]" in out
        assert err.splitlines() == [
            "the environment variable NOT_SET_EITHER is not set: `run` will need it",
            "the environment variable NOT_SET_AT_ALL is not set: `run` will need it",
        ]
    assert sorted(path.name for path in shell.home.iterdir() if path.is_dir()) == ["jars", "workers"]
    code, out, err = shell("run", job_file(shell.home, SECRETIVE), "--profile", str(profile))
    assert (code, out) == (2, "")
    assert "environment variable NOT_SET_EITHER is not set" in err


def test_sigterm_leaves_the_job_on_services_that_stay_and_says_how_to_cancel_it(shell: Shell) -> None:
    code, _, err = shell("dev", "up")
    assert code == 0, err
    known = state.running(shell.home / "dev")
    assert known is not None
    assert known.bootstrap is not None
    produce(known.bootstrap, "shop.item", changes())
    with shell.start("run", job_file(shell.home)) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert next((line for line in lines if re.match("latest  rows in [1-9]", line)), None)
        process.send_signal(signal.SIGTERM)
        *_, see, cancel, last = lines
    assert (process.returncode, last) == (143, "streamjobs: ended by SIGTERM\n")
    job_id = see.split("/")[-2]
    assert see == f"latest  the job continues. See {known.rest_url}/#/job/running/{job_id}/overview\n"
    assert cancel == f"Cancel it: curl -X PATCH '{known.rest_url}/jobs/{job_id}?mode=cancel'\n"
    assert httpx.get(f"{known.rest_url}/jobs/{job_id}").json()["state"] == "RUNNING"
    assert httpx.patch(f"{known.rest_url}/jobs/{job_id}?mode=cancel").status_code == 202


def test_an_unreachable_cluster_is_told_at_once_and_given_up(shell: Shell) -> None:
    profile = shell.home / "there.toml"
    profile.write_text(
        '[brokers.default]\nbootstrap = "127.0.0.1:1"\n[flink]\nrest_url = "http://127.0.0.1:1"\n'
    )
    code, out, err = shell("run", job_file(shell.home), "--profile", str(profile), "--connect-limit", "1s")
    assert (code, out) == (1, "")
    assert err.splitlines()[0][10:] == "asking Flink at http://127.0.0.1:1"
    assert err.splitlines()[-1].startswith(
        "streamjobs: Flink at http://127.0.0.1:1 does not answer GET /jobs/overview: [Errno 111] Connection "
        "refused; gave up after "
    )


def test_ctrl_c_ends_the_job_and_its_own_services(shell: Shell) -> None:
    process = shell.start("run", job_file(shell.home))
    wait_for(lambda: state.running(shell.home / "run") is not None, "services are up", 120)
    known = state.running(shell.home / "run")
    assert known is not None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=limit_s(120))
    assert (process.returncode, err.splitlines()[-1:]) == (130, ["streamjobs: interrupted"])
    assert state.running(shell.home / "run") is None
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and _belongs(pid, known.environment_id)]


def _belongs(pid: str, environment_id: str) -> bool:
    try:
        return environment_id.encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
