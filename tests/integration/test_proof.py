"""The demo over real Kafka and a real store, with a batch job in Flink's place: wrong ones are found out."""

from __future__ import annotations

import io
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from connectors.kafka import KafkaProducer, create_topic
from streamjobs.brokers.contract import Envelope
from streamjobs.cli.demo_summary import show
from streamjobs.demo.feed import FeedOptions
from streamjobs.demo.options import TrafficOptions
from streamjobs.demo.proof import Proof, RunOptions, check_sent, forget, prove
from streamjobs.demo.runner import JobRunner, RunningJob
from streamjobs.demo.scenario import ad_traffic
from streamjobs.demo.tables import CLICK_TOPIC, IMPRESSION_TOPIC
from streamjobs.errors import ConfigError, JobError
from streamjobs.job.plan.job_plan import JobPlan
from streamjobs.local.kafka import KafkaServer
from tests.integration.batch_runner import BatchRunner, Mistake

SCENARIO = ad_traffic(TrafficOptions.hard(4, 500), partitions=3)

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def bootstrap(own_kafka: KafkaServer) -> str:
    return own_kafka.bootstrap


def proof_of(runner: JobRunner, bootstrap: str, store: Path, options: FeedOptions | None = None) -> Proof:
    forget(SCENARIO, bootstrap, store)
    return prove(SCENARIO, runner, RunOptions(bootstrap, store, feed=options or FeedOptions(), idle_s=0.0))


def test_a_right_job_is_proven_right(bootstrap: str, tmp_path: Path) -> None:
    skewed = FeedOptions(lags={(IMPRESSION_TOPIC, 0): 10**9, (CLICK_TOPIC, 1): 50})
    proof = proof_of(BatchRunner(), bootstrap, tmp_path, skewed)
    assert proof.ok, (str(proof.line), str(proof.table), str(proof.topic), str(proof.letters))
    assert proof.line.pending == 0
    assert proof.open_windows.pending == proof.line.samples + proof.line.repeated
    assert proof.positives >= 0.1 * len(proof.samples)


def test_a_job_that_meets_a_backlog_is_proven_right(bootstrap: str, tmp_path: Path) -> None:
    proof = proof_of(BatchRunner(), bootstrap, tmp_path, FeedOptions(early=True))
    assert proof.ok, (str(proof.line), str(proof.table), str(proof.topic), str(proof.letters))
    assert proof.fed.rows == sum(len(message.rows) for message in SCENARIO.messages())


def test_a_job_that_does_not_start_is_told_after_an_early_feed(bootstrap: str, tmp_path: Path) -> None:
    class NoRunner:
        def run(self, plan: JobPlan) -> RunningJob:
            raise JobError(f"{plan.name} does not start", "no slots")  # noqa: EM102

    with pytest.raises(JobError, match="ctr_samples does not start"):
        proof_of(NoRunner(), bootstrap, tmp_path, FeedOptions(early=True))


@pytest.mark.parametrize(
    ("mistake", "fails"),
    [
        (Mistake.LOST_SAMPLE, {"line", "table", "topic"}),
        (Mistake.WRONG_LABEL_IN_STORE, {"table"}),
        (Mistake.WRONG_PRICE_IN_TOPIC, {"topic"}),
        (Mistake.SAMPLE_TWICE, {"duplicates"}),
        (Mistake.LOST_DEAD_LETTER, {"letters"}),
        (Mistake.WRONG_COPIES, {"line", "table"}),
    ],
)
def test_a_wrong_job_is_found_out(bootstrap: str, tmp_path: Path, mistake: Mistake, fails: set[str]) -> None:
    proof = proof_of(BatchRunner(mistake), bootstrap, tmp_path)
    found = {
        "line": proof.line.difference != 0,
        "table": not proof.table.equal,
        "topic": not proof.topic.equal,
        "letters": not proof.letters.equal,
        "duplicates": proof.duplicates > 0,
    }
    assert {name for name, failed in found.items() if failed} == fails
    assert not proof.ok


def test_topics_with_something_in_them_are_refused(bootstrap: str, tmp_path: Path) -> None:
    proof_of(BatchRunner(), bootstrap, tmp_path)
    with pytest.raises(ConfigError, match=r"topic ad\.impression already exists"):
        prove(SCENARIO, BatchRunner(), RunOptions(bootstrap, tmp_path))


def test_the_summary_shows_every_term(bootstrap: str, tmp_path: Path) -> None:
    proof = proof_of(BatchRunner(), bootstrap, tmp_path)
    text = io.StringIO()
    show(Console(width=120, file=text), SCENARIO, proof)
    assert str(proof.line) in text.getvalue()
    assert "table ctr_samples against the truth: all" in text.getvalue()
    assert "dead letters ad.impression late: late" in text.getvalue()


def test_a_broker_that_holds_other_than_was_sent_is_told_before_the_job_is_judged(bootstrap: str) -> None:
    create_topic(bootstrap, "sent", 2)
    with closing(KafkaProducer(bootstrap)) as producer:
        producer.send(Envelope("sent", 1, b"twice", 0))
        producer.send(Envelope("sent", 1, b"twice", 0))
    check_sent({("sent", 1): 2}, bootstrap)
    with pytest.raises(JobError, match="sent/1 has 2 messages, 1 were sent"):
        check_sent({("sent", 0): 0, ("sent", 1): 1}, bootstrap)
