"""A warm JVM plans as a new one does, for many jobs one after the other; what breaks it is not seen."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.kafka import KafkaProducer, create_topic
from connectors.rocksdb import RocksDbTable
from streamjobs.brokers.contract import Envelope
from streamjobs.changes.position import Position
from streamjobs.changes.row_change import Column, RowChange, SqlType, TableId, TableSchema
from streamjobs.errors import ConfigError
from streamjobs.job.cluster.rest import FlinkRest
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.planning import plan_file
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.job.planner import early, lease
from tests.integration.test_submission import jvms
from tests.integration.waiting import wait_for
from tests.services.kinds import FlinkAddress, KafkaAddress
from tests.services.shared import unique_name
from thrift_idl.codec import Header, PartitionMessageBuilder

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
JOBS = ROOT / "sql" / "jobs"
INGESTS = ROOT / "tests" / "house" / "ingests.sql"
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def planner(tmp_path: Path) -> Iterator[Path]:
    """The directory of a planner process for this test alone."""
    yield tmp_path / "planner"
    lease.stop(tmp_path / "planner")


def graphs(work: Path, planner: Path, *files: Path) -> list[Any]:
    """Plan files in a process of its own; for each what is explained, and the vertices of its graph."""
    secrets = [name for file in files for name in re.findall(r"\$\{(\w+)\}", file.read_text())]
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.planned_graph", str(work), str(planner), *map(str, files)],
        cwd=ROOT, env={**os.environ, **dict.fromkeys(secrets, "any")}, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_plans_names_and_operator_ids_are_those_of_a_new_jvm(tmp_path: Path, planner: Path) -> None:
    job = JOBS / "item_wide.sql"
    (new,) = graphs(tmp_path, planner, job)
    graphs(tmp_path, planner, INGESTS)
    assert graphs(tmp_path, planner, job) == [new]
    text, vertices, _ = new
    assert text.startswith("== Abstract Syntax Tree ==")
    assert len(vertices) > 5
    assert len(jvms(planner)) == 1


def test_a_plan_that_was_judged_is_shown_as_flink_would_explain_it(tmp_path: Path, planner: Path) -> None:
    files = [JOBS / name for name in ("ctr_samples.sql", "item_latest_by_hand.sql", "rental_payments.sql")]
    for file, (shown, _, by_flink) in zip(files, graphs(tmp_path, planner, *files), strict=True):
        assert shown == by_flink, file
        assert "changelogMode=[" in shown


COUNTS = """
CREATE TABLE item (item_id BIGINT, kind BIGINT)
WITH (type='metaq', topic='{topic}', 'table'='shop.item', 'ingest'='append');
CREATE TABLE counts (kind BIGINT, n BIGINT, PRIMARY KEY (kind) NOT ENFORCED) WITH (type='rocksdb');
INSERT INTO counts SELECT kind, COUNT(*) FROM item GROUP BY kind;
"""
ITEM = TableSchema(
    TableId("shop", "item"),
    (Column("item_id", SqlType.BIGINT, "bigint", key=True), Column("kind", SqlType.BIGINT, "bigint")),
)


def feed(bootstrap: str, topic: str, items: range) -> None:
    """Send items of three kinds."""
    builder = PartitionMessageBuilder(1, disorder_ms=1000)
    for item in items:
        builder.add(RowChange.insert(ITEM, (b"%d" % item, b"%d" % (item % 3)), Position(0, 1, item), 1000))
    producer = KafkaProducer(bootstrap)
    for partition, message in builder.flush(Header("test")):
        producer.send(Envelope(topic, partition, message.payload, message.time_ms))
    producer.close()


def counted(store: Path) -> dict[int, int]:
    with RocksDbTable(store, "counts") as table:
        return {row["kind"]: row["n"] for row in table.scan()}


def test_a_second_submission_goes_on_from_the_savepoint_of_the_first(
    kafka: KafkaAddress, flink: FlinkAddress, tmp_path: Path
) -> None:
    topic, store, file = unique_name("planned"), tmp_path / "store", tmp_path / "counts.sql"
    file.write_text(COUNTS.format(topic=topic))
    create_topic(kafka.bootstrap, topic, 1)
    feed(kafka.bootstrap, topic, range(300))
    session = FlinkSession(flink.rest_url)
    job = session.start(file, RunSettings(kafka.bootstrap, store, 1))
    try:
        wait_for(lambda: job.is_idle(2.0), "all input is read", 120)
        savepoint = stopped(flink.rest_url, job.job_id, tmp_path / "savepoint")
    finally:
        job.cancel()
    assert counted(store) == {0: 100, 1: 100, 2: 100}
    feed(kafka.bootstrap, topic, range(300, 600))
    restored = {"execution.state-recovery.path": savepoint}
    again = session.start(file, RunSettings(kafka.bootstrap, store, 1, settings=restored))
    try:
        wait_for(lambda: again.is_idle(2.0), "the new input is read", 120)
        assert again.progress().rows_in == 300
        again.drain()
    finally:
        again.cancel()
    assert counted(store) == {0: 200, 1: 200, 2: 200}


SILENT = """
import os, signal
from streamjobs.job.planner import child

class Killed:
    dumps = staticmethod(lambda _: os.kill(os.getpid(), signal.SIGKILL))

child.json = Killed
child.main()
"""


def test_a_job_whose_client_is_killed_before_it_answers_is_found_and_started_once(
    kafka: KafkaAddress, flink: FlinkAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, name = unique_name("planned"), unique_name("silent")
    file = tmp_path / f"{name}.sql"
    file.write_text(COUNTS.format(topic=topic))
    create_topic(kafka.bootstrap, topic, 1)

    def take() -> early.Child:
        return subprocess.Popen(
            [sys.executable, "-c", SILENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    monkeypatch.setattr(early, "take", take)
    job = FlinkSession(flink.rest_url).start(file, RunSettings(kafka.bootstrap, tmp_path / "store", 1))
    try:
        with closing(FlinkRest(flink.rest_url)) as rest:
            assert [each.job_id for each in rest.jobs() if each.name == name] == [job.job_id]
            assert rest.job(job.job_id).state == "RUNNING"
    finally:
        job.cancel()


def stopped(rest_url: str, job_id: str, directory: Path) -> str:
    """Stop a job with a savepoint, and return where it is."""
    asked = httpx.post(f"{rest_url}/jobs/{job_id}/stop", json={"targetDirectory": str(directory)}, timeout=30)
    url = f"{rest_url}/jobs/{job_id}/savepoints/{asked.json()['request-id']}"
    wait_for(lambda: done(url) is not None, "the savepoint is complete", 120)
    return str(done(url))


def done(url: str) -> str | None:
    answer = httpx.get(url, timeout=30).json()
    return answer["operation"]["location"] if answer["status"]["id"] == "COMPLETED" else None


FUNCTION = "from pyflink.table.udf import udf\nshaped = udf(lambda x: x, result_type='{type}')\n"
CALL = """
CREATE FUNCTION shaped AS 'own_functions.shaped';
CREATE TABLE e (id BIGINT) WITH (type='metaq', topic='t', 'table'='a.b', ingest='append');
CREATE TABLE o (id {type}) WITH (type='blackhole');
INSERT INTO o SELECT shaped(id) FROM e;
"""


def test_functions_of_the_user_are_read_anew_for_each_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    file, session = tmp_path / "call.sql", FlinkSession(NOWHERE)
    for type_ in ("BIGINT", "STRING"):
        (tmp_path / "own_functions.py").write_text(FUNCTION.format(type=type_))
        file.write_text(CALL.format(type=type_))
        assert "shaped" in session.explain(plan_file(file, RunSettings("127.0.0.1:1", tmp_path)))
    file.write_text(CALL.format(type="BIGINT"))
    with pytest.raises(ConfigError) as refused:
        session.explain(plan_file(file, RunSettings("127.0.0.1:1", tmp_path)))
    told = str(refused.value)
    assert told.startswith(
        f"{file}:5:15: the query's column 1 does not fit column id of o: columns are matched by order, not "
        "by name; "
    )
    assert "Query schema: [EXPR$0: STRING]" in told
    assert told.endswith(f"\n  INSERT INTO o SELECT shaped(id) FROM e;\n  {' ' * 14}^")


def test_a_jvm_that_dies_while_it_plans_is_replaced_without_a_word(tmp_path: Path, planner: Path) -> None:
    file = tmp_path / "job.sql"
    file.write_text(COUNTS.format(topic="t"))
    session = FlinkSession(NOWHERE, planner_dir=planner)
    found: list[str] = []
    plan = plan_file(file, RunSettings("127.0.0.1:1", tmp_path))
    thread = threading.Thread(target=lambda: found.append(session.explain(plan)))
    thread.start()
    wait_for(lambda: bool(jvms(planner)), "the JVM plans")
    os.kill(jvms(planner)[0].pid, signal.SIGKILL)
    thread.join()
    assert len(found) == 1
    assert "GroupAggregate(groupBy=[kind]" in found[0]


def test_two_explain_at_once(tmp_path: Path) -> None:
    file, session = tmp_path / "job.sql", FlinkSession(NOWHERE)
    file.write_text(COUNTS.format(topic="t"))
    plan = plan_file(file, RunSettings("127.0.0.1:1", tmp_path))
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(session.explain(plan))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert len(set(found)) == 1
