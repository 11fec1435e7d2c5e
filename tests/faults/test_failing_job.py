"""A job whose Python fails: the error has the Python traceback; it stops only if no retry helps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from connectors.kafka import (
    KafkaProducer,
    committed_offsets,
    create_topic,
    delete_topic,
    read_dead_letters,
)
from connectors.rocksdb import RocksDbSink, RocksDbTable, list_tables
from streamjobs.brokers.contract import Envelope
from streamjobs.changes.dead_letter import DeadLetter, Stage
from streamjobs.errors import JobError, RetriableError
from streamjobs.job.cluster.running_job import SAME_CAUSE_LIMIT, RunningFlinkJob
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.job_plan import DEAD_LETTER_TOPIC
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.job.workers.worker_zip import worker_package
from streamjobs.sinks.contract import Attempt, SinkColumn, SinkTable
from tests.faults.arena import Arena
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.services

TOPIC = "numbers"
JOB_NAME = "fragile"
FUNCTIONS = '''
from pathlib import Path

from pyflink.table import DataTypes
from pyflink.table.udf import udf

SCARS = Path({scars!r})


@udf(result_type=DataTypes.BIGINT())
def never_three(payload):
    """Fails for each number that ends in 3, whenever it comes."""
    return checked(int(payload))


def checked(number):
    if number % 10 == 3:
        raise ValueError(f"the number {{number}} ends in 3")
    return number


@udf(result_type=DataTypes.BIGINT())
def null_for_zero(payload):
    """Gives a NULL key, which no sink takes, for zero."""
    return int(payload) or None


@udf(result_type=DataTypes.BIGINT())
def three_hurts_once(payload):
    """Fails for each number that ends in 3, the first time that it comes."""
    number = int(payload)
    scar = SCARS / str(number)
    if scar.exists():
        return number
    scar.touch()
    return checked(number)
'''
JOB = """
SET 'execution.checkpointing.interval' = '1 s';
SET 'restart-strategy.exponential-delay.max-backoff' = '1 s';
CREATE FUNCTION number_of AS 'fragile.{function}';
CREATE TABLE spoken (payload VARBINARY) WITH (type='metaq', topic='numbers', consumerGroup='CID_{function}');
CREATE TABLE kept (n BIGINT, PRIMARY KEY (n) NOT ENFORCED) WITH (type='rocksdb');
INSERT INTO kept SELECT number_of(payload) FROM spoken ON CONFLICT DO NOTHING;
"""


@dataclass
class Fragile:
    """A job over the topic of numbers, and the reports of its `watch` so far."""

    arena: Arena
    job: RunningFlinkJob
    causes: list[str] = field(default_factory=list)

    def send(self, *numbers: int) -> None:
        with closing(KafkaProducer(self.arena.kafka.bootstrap)) as producer:
            for number in numbers:
                producer.send(Envelope(TOPIC, 0, str(number).encode(), 1_000))
            producer.flush()

    def watch(self) -> None:
        self.job.watch(self.causes.append)
        self.job.progress()

    def watch_until(self, condition: Callable[[], bool], what: str, deadline_s: float = 120.0) -> None:
        def watched() -> bool:
            self.watch()
            return condition()

        wait_for(watched, what, deadline_s)

    def wait_past_checkpoints(self, wait: Callable[[Callable[[], bool], str, float], None]) -> None:
        """Wait for a completed checkpoint that began after this call."""
        wanted = self.checkpoints() + 2
        wait(lambda: self.checkpoints() >= wanted, "two more checkpoints", 120.0)

    def covered(self, function: str) -> int:
        """Return how many numbers the job's checkpoints cover; none until the broker has a coordinator."""
        try:
            offsets = committed_offsets(self.arena.kafka.bootstrap, f"CID_{function}")
        except RetriableError:
            return 0
        return offsets.get((TOPIC, 0), 0)

    def letters(self) -> list[DeadLetter]:
        """Return the job's dead letters."""
        found = read_dead_letters(self.arena.kafka.bootstrap, DEAD_LETTER_TOPIC)
        return [each for each in found if isinstance(each, DeadLetter) and each.job == JOB_NAME]

    def checkpoints(self) -> int:
        return self.arena.rest.checkpoints(self.job.job_id)

    def stored(self) -> set[int]:
        if "kept" not in list_tables(self.arena.store):
            return set()
        with RocksDbTable(self.arena.store, "kept") as reader:
            return {row["n"] for row in reader.scan()}


Start = Callable[[str], Fragile]


@pytest.fixture
def start(shared_arena: Arena, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Return a function that starts the job with one of the fragile functions, on an empty topic."""
    scars = tmp_path / "scars"
    scars.mkdir()
    module = tmp_path / "fragile.py"
    module.write_text(FUNCTIONS.format(scars=str(scars)), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    arena, bootstrap = shared_arena, shared_arena.kafka.bootstrap
    create_topic(bootstrap, TOPIC, 1)
    started: list[RunningFlinkJob] = []

    def start(function: str) -> Fragile:
        sql = tmp_path / f"{JOB_NAME}.sql"
        sql.write_text(JOB.format(function=function), encoding="utf-8")
        settings = {"python.files": f"{worker_package(tmp_path)},{module}"}
        session = FlinkSession(arena.flink.rest_url)
        job = session.start(sql, RunSettings(bootstrap, arena.store, 1, settings=settings))
        started.append(job)
        return Fragile(arena, job)

    yield start
    for job in started:
        job.cancel()
    delete_topic(bootstrap, TOPIC)


def test_a_job_that_always_fails_is_stopped_with_the_python_traceback(start: Start) -> None:
    fragile = start("never_three")
    fragile.send(1, 2)
    fragile.watch_until(lambda: fragile.stored() == {1, 2}, "two numbers are stored")
    fragile.watch_until(lambda: fragile.covered("never_three") == 2, "a checkpoint covers both")
    fragile.send(13)
    with pytest.raises(JobError) as failure:
        fragile.watch_until(lambda: False, "the job is stopped")
    cause = failure.value.cause
    assert cause.splitlines()[0] == "Traceback (most recent call last):"
    assert cause.splitlines()[-1] == "ValueError: the number 13 ends in 3"
    assert [line.split(", ")[-1] for line in cause.splitlines() if "fragile.py" in line] == [
        "in never_three",
        "in checked",
    ]
    assert len(cause.splitlines()) <= 8
    assert fragile.causes == [cause] * SAME_CAUSE_LIMIT
    assert fragile.arena.rest.job(fragile.job.job_id).state == "CANCELED"
    assert fragile.job.ended()


def test_one_row_that_the_store_refuses_is_a_dead_letter_and_the_job_lives(start: Start) -> None:
    fragile = start("null_for_zero")
    fragile.send(*range(1, 500), 0, *range(500, 1000))
    fragile.watch_until(lambda: fragile.stored() == set(range(1, 1000)), "all others are stored")
    fragile.watch_until(lambda: fragile.covered("null_for_zero") == 1000, "a checkpoint covers all")
    (letter,) = fragile.letters()
    assert (letter.stage, letter.table, letter.reason) == (Stage.SINK, "kept", "null")
    assert fragile.causes == []
    fragile.send(1000)
    fragile.watch_until(lambda: 1000 in fragile.stored(), "the job goes on")


def test_a_store_that_cannot_be_written_at_all_stops_the_job_and_drains_nothing(
    start: Start, shared_arena: Arena
) -> None:
    other = SinkTable(
        "kept", (SinkColumn("word", "STRING", nullable=False),), ("word",), {"path": str(shared_arena.store)}
    )
    with closing(RocksDbSink(other)) as sink:
        sink.open(Attempt("another-run", 0, 1, 0))
    with closing(KafkaProducer(shared_arena.kafka.bootstrap)) as producer:
        producer.send(Envelope(TOPIC, 0, b"1", 1_000))
    with pytest.raises(JobError, match="fragile was stopped: 3 restarts, no progress") as failure:
        start("null_for_zero").watch_until(lambda: False, "the job is stopped")
    assert "kept" in failure.value.cause
    assert committed_offsets(shared_arena.kafka.bootstrap, "CID_null_for_zero") == {}


def test_failures_with_progress_in_between_do_not_stop_a_job(start: Start) -> None:
    fragile = start("three_hurts_once")
    wanted: set[int] = set()
    for number in (13, 23, 33, 43, 53):
        fragile.send(number)
        wanted.add(number)
        fragile.watch_until(lambda: fragile.stored() == wanted, f"{number} is stored")
        fragile.wait_past_checkpoints(fragile.watch_until)
    assert [cause.splitlines()[-1] for cause in fragile.causes] == [
        f"ValueError: the number {number} ends in 3" for number in (13, 23, 33, 43, 53)
    ]
    assert not fragile.job.ended()


def test_failures_that_nobody_watched_do_not_stop_a_job_that_has_got_over_them(start: Start) -> None:
    fragile = start("three_hurts_once")
    wanted: set[int] = set()
    for number in (13, 23, 33, 43, 53):
        fragile.send(number)
        wanted.add(number)
        wait_for(lambda: fragile.stored() == wanted, f"{number} is stored", 120.0)
        fragile.wait_past_checkpoints(wait_for)
    fragile.watch()
    assert len(fragile.causes) == 5
    assert not fragile.job.ended()
