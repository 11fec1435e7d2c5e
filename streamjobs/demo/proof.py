"""One demo run: feed the traffic, let the job run dry, read all back, and judge it."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from connectors.kafka import (
    DEAD_LETTER_CONFIGS,
    KafkaConsumer,
    KafkaProducer,
    create_topic,
    delete_topic,
    ensure_topic,
    read_topic,
)
from connectors.rocksdb import RocksDbTable, list_tables
from streamjobs.broker import Envelope
from streamjobs.dead_letter import DeadLetter
from streamjobs.demo.balance import Balance, balance, pending_impressions
from streamjobs.demo.comparison import Comparison, compare, compare_dead_letters
from streamjobs.demo.feed import FeedOptions, FeedResult, feed
from streamjobs.demo.outcome import (
    ReadSamples,
    dead_letters_of_messages,
    samples_of_messages,
    samples_of_records,
)
from streamjobs.demo.runner import JobRunner, RunningJob
from streamjobs.demo.scenario import Scenario
from streamjobs.demo.tables import DEAD_LETTER_TOPIC
from streamjobs.demo.truth import Samples, Truth
from streamjobs.errors import JobError
from streamjobs.job.plan import JobPlan
from streamjobs.job.planning import plan_file
from streamjobs.job.run_settings import RunSettings

POLL_S: Final = 0.25


@dataclass(frozen=True)
class RunOptions:
    """Where and how to run a scenario.

    `idle_s` is how long nothing must move before the job is drained; when it is never idle within
    `deadline_s` after the last message, the run fails. `settings` are Flink's and win over the job file's.
    """

    bootstrap: str
    store: Path
    parallelism: int = 2
    feed: FeedOptions = field(default_factory=FeedOptions)
    idle_s: float = 2.0
    deadline_s: float = 600.0
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Watch:
    """Whom to tell of the progress: stages by name, rows as they are sent, the job when it runs."""

    on_stage: Callable[[str], None] = lambda _: None
    on_rows: Callable[[int], None] = lambda _: None
    on_job: Callable[[RunningJob], None] = lambda _: None


@dataclass(frozen=True)
class Proof:
    """All that is known after a run.

    `open_windows` is the conservation line as it was when the input was read and the last windows were still
    open; its sink may be a moment behind its watermark, so only `line`, after the drain, is judged.
    `run_s` is from the first message sent to the last one processed.
    """

    fed: FeedResult
    run_s: float
    line: Balance
    open_windows: Balance
    samples: Samples
    positives: int
    duplicates: int
    dead_letters: dict[str, DeadLetter]
    table: Comparison
    topic: Comparison
    letters: Comparison

    @property
    def ok(self) -> bool:
        """It balances, and store, topic and dead letters are exactly the truth."""
        exact = self.table.equal and self.topic.equal and self.letters.equal and self.duplicates == 0
        return exact and self.line.difference == 0

    @property
    def reasons(self) -> Counter[tuple[str, str, str]]:
        """Dead letters by topic, stage and reason."""
        return Counter(
            (letter.topic, letter.stage.value, letter.reason) for letter in self.dead_letters.values()
        )


def prove(
    scenario: Scenario,
    runner: JobRunner,
    options: RunOptions,
    watch: Watch | None = None,
    plan: JobPlan | None = None,
) -> Proof:
    """Run the scenario on empty topics and an empty table, and compare everything with the truth.

    `plan` is what `plan_of` has made of the same scenario and options; None: it is made here.
    Raises: ConfigError when one of the scenario's topics exists; JobError when the job fails or does not
    come to rest; what the services raise.
    """
    watch = watch or Watch()
    truth = scenario.truth()
    watch.on_stage("creating topics")
    letters_before = prepare_topics(scenario, options.bootstrap)
    watch.on_stage("starting the job")
    job = runner.run(plan or plan_of(scenario, options))
    try:
        watch.on_job(job)
        watch.on_stage("feeding")
        started = time.monotonic()
        with closing(KafkaProducer(options.bootstrap, client_id="streamjobs-demo")) as producer:
            fed = feed(scenario.messages(), truth.ledger, producer, options.feed, watch.on_rows)
        check_sent(truth.ledger.ends(), options.bootstrap)
        watch.on_stage("reading to the end")
        await_idle(job, options.idle_s, options.deadline_s)
        run_s = time.monotonic() - started - options.idle_s
        open_windows = _Outcome.read(scenario, truth, options, letters_before).balance(
            truth, job.watermark_ms()
        )
        watch.on_stage("draining")
        job.drain()
        watermark_ms = job.watermark_ms()
    finally:
        job.cancel()
    watch.on_stage("judging")
    outcome = _Outcome.read(scenario, truth, options, letters_before)
    wanted = truth.samples()
    return Proof(
        fed=fed,
        run_s=run_s,
        line=outcome.balance(truth, watermark_ms),
        open_windows=open_windows,
        samples=outcome.table.samples,
        positives=sum(row[truth.columns.index("label")] == 1 for row in outcome.table.samples.values()),
        duplicates=outcome.topic.duplicates + outcome.table.duplicates,
        dead_letters=outcome.letters,
        table=compare(outcome.table.samples, wanted, truth.columns),
        topic=compare(outcome.topic.samples, wanted, truth.columns),
        letters=compare_dead_letters(outcome.letters, truth.ledger.dead_letters),
    )


def plan_of(scenario: Scenario, options: RunOptions) -> JobPlan:
    """Return the plan of the scenario's job. Raises SqlError, ConfigError."""
    settings = RunSettings(
        options.bootstrap,
        options.store,
        options.parallelism,
        scenario.packing.disorder_ms,
        settings=options.settings,
    )
    return plan_file(scenario.sql_path, settings)


def prepare_topics(scenario: Scenario, bootstrap: str) -> Mapping[int, int]:
    """Create the scenario's topics, all empty; give for each partition where the next dead letter will be.

    Raises: ConfigError when one exists already.
    """
    for topic in (*scenario.topics, scenario.output):
        create_topic(bootstrap, topic, scenario.packing.partitions)
    ensure_topic(bootstrap, DEAD_LETTER_TOPIC, 1, DEAD_LETTER_CONFIGS)
    with closing(KafkaConsumer(bootstrap)) as consumer:
        return consumer.end_offsets(DEAD_LETTER_TOPIC)


def check_sent(ends: Mapping[tuple[str, int], int], bootstrap: str) -> None:
    """See that the broker holds each message once: offsets are part of the truth, the job is not to blame.

    Raises: JobError naming each partition that ends elsewhere.
    """
    with closing(KafkaConsumer(bootstrap)) as consumer:
        found = {topic: consumer.end_offsets(topic) for topic in {topic for topic, _ in ends}}
    wrong = [
        f"{topic}/{partition} has {found[topic][partition]} messages, {end} were sent"
        for (topic, partition), end in sorted(ends.items())
        if found[topic][partition] != end
    ]
    if wrong:
        message = "the broker does not hold what the demo sent; nothing can be proved from it"
        raise JobError(message, "\n".join(wrong))


def await_idle(job: RunningJob, idle_s: float, deadline_s: float) -> None:
    """Return when the job has read everything and nothing moves. Raises JobError at the deadline."""
    deadline = time.monotonic() + deadline_s
    while not job.is_idle(idle_s):
        if time.monotonic() > deadline:
            message = f"the job was not idle within {deadline_s:.0f} s after the last message was sent"
            raise JobError(message, f"{job.records_in()} messages read, watermark {job.watermark_ms()}")
        time.sleep(POLL_S)


def forget(scenario: Scenario, bootstrap: str, store: Path) -> None:
    """Delete what an earlier run of the scenario left: its topics and its table."""
    for topic in (*scenario.topics, scenario.output):
        delete_topic(bootstrap, topic)
    if scenario.output in list_tables(store):
        shutil.rmtree(store / scenario.output)


@dataclass(frozen=True)
class _Outcome:
    """What store and topics hold at one time."""

    table: ReadSamples
    topic: ReadSamples
    letters: dict[str, DeadLetter]
    impressions: list[Envelope]
    impression_topic: str

    @classmethod
    def read(
        cls, scenario: Scenario, truth: Truth, options: RunOptions, letters_before: Mapping[int, int]
    ) -> _Outcome:
        letters = dead_letters_of_messages(
            envelope
            for envelope in read_committed(options.bootstrap, DEAD_LETTER_TOPIC)
            if (envelope.offset or 0) >= letters_before[envelope.partition]
        )
        return cls(
            table=_table_samples(options.store, scenario.output, truth.columns),
            topic=samples_of_messages(read_committed(options.bootstrap, scenario.output), truth.columns),
            letters={key: letter for key, letter in letters.items() if letter.topic in scenario.topics},
            impressions=read_committed(options.bootstrap, truth.impression_topic),
            impression_topic=truth.impression_topic,
        )

    def balance(self, truth: Truth, watermark_ms: int | None) -> Balance:
        return balance(
            truth.ledger.rows_sent[self.impression_topic],
            self.table.samples,
            self.letters,
            pending_impressions(self.impressions, watermark_ms),
            self.impression_topic,
        )


def read_committed(bootstrap: str, topic: str) -> list[Envelope]:
    """Give all that a read_committed consumer sees of a topic now, each partition in its order."""
    with closing(KafkaConsumer(bootstrap, "read_committed", client_id="streamjobs-demo")) as consumer:
        return list(read_topic(consumer, topic))


def _table_samples(store: Path, table: str, columns: tuple[str, ...]) -> ReadSamples:
    """Read the table; one that no sink has opened yet has no rows."""
    if table not in list_tables(store):
        return ReadSamples({}, 0)
    with RocksDbTable(store, table) as reader:
        return samples_of_records(reader.scan(), columns)
