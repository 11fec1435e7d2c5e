"""One demo run: feeds the traffic, drains the job, reads all results, and compares them with the truth."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
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
)
from connectors.rocksdb import list_tables
from streamjobs.changes.dead_letter import DeadLetter
from streamjobs.demo.balance import Balance
from streamjobs.demo.comparison import Comparison, compare, compare_dead_letters
from streamjobs.demo.feed import FeedOptions, FeedResult, feed
from streamjobs.demo.kept import Kept, read_closings, read_committed
from streamjobs.demo.outcome import samples_of_messages
from streamjobs.demo.runner import JobRunner, RunningJob
from streamjobs.demo.scenario import Scenario
from streamjobs.demo.tables import DEAD_LETTER_TOPIC
from streamjobs.demo.truth import Samples, Truth
from streamjobs.errors import JobError
from streamjobs.job.plan.job_plan import JobPlan
from streamjobs.job.plan.planning import plan_file
from streamjobs.job.plan.run_settings import RunSettings

POLL_S: Final = 0.25


@dataclass(frozen=True)
class RunOptions:
    """The options of a run of a scenario.

    The job is drained after it was idle for `idle_s`; the run fails if it is not idle within `deadline_s`
    after the last message. `settings` are Flink's and override those of the job file.
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
    """Callbacks for the progress: stages by name, rows as they are sent, the job when it runs."""

    on_stage: Callable[[str], None] = lambda _: None
    on_rows: Callable[[int], None] = lambda _: None
    on_job: Callable[[RunningJob], None] = lambda _: None


@dataclass(frozen=True)
class Proof:
    """The result of a run.

    `open_windows` is the conservation line when all input was read and the last windows were still open;
    its sink may lag a moment after its watermark, so only `line`, after the drain, is checked.
    `run_s` is from the first message sent to the last one processed; if the feed is early, from when the job
    ran.
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
        """Return whether it balances, and store, topic and dead letters are exactly the truth."""
        exact = self.table.equal and self.topic.equal and self.letters.equal and self.duplicates == 0
        return exact and self.line.difference == 0

    @property
    def reasons(self) -> Counter[tuple[str, str, str]]:
        """Return the number of dead letters by topic, stage and reason."""
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

    `plan` is the result of `plan_of` for the same scenario and options; None: it is made here.
    Raises: ConfigError when one of the scenario's topics exists; JobError when the job fails or does not
    become idle; the errors of the services.
    """
    watch = watch or Watch()
    truth = scenario.truth()
    watch.on_stage("creating topics")
    letters_before = prepare_topics(scenario, options.bootstrap)
    with ThreadPoolExecutor(1, "demo") as beside:
        job, fed, started = _start_and_feed(scenario, truth, runner, options, watch, plan, beside)
        try:
            check_sent(truth.ledger.ends(), options.bootstrap)
            watch.on_stage("reading to the end")
            await_idle(job, 0.0, options.deadline_s)
            books = beside.submit(lambda: (truth.samples(), read_closings(options.bootstrap, truth)))
            await_idle(job, options.idle_s, options.deadline_s)
            run_s = time.monotonic() - started - options.idle_s
            wanted, closings = books.result()
            open_windows = Kept.read(scenario, truth, options.bootstrap, options.store, letters_before)
            watermark_before_ms = job.watermark_ms()
            watch.on_stage("draining")
            job.drain()
            watermark_ms = job.watermark_ms()
        finally:
            job.cancel()
    watch.on_stage("judging")
    kept = Kept.read(scenario, truth, options.bootstrap, options.store, letters_before)
    sent = samples_of_messages(read_committed(options.bootstrap, scenario.output), truth.columns)
    return Proof(
        fed=fed,
        run_s=run_s,
        line=kept.balance(truth, closings, watermark_ms),
        open_windows=open_windows.balance(truth, closings, watermark_before_ms),
        samples=kept.table.samples,
        positives=sum(row[truth.columns.index("label")] == 1 for row in kept.table.samples.values()),
        duplicates=sent.duplicates + kept.table.duplicates,
        dead_letters=kept.letters,
        table=compare(kept.table.samples, wanted, truth.columns),
        topic=compare(sent.samples, wanted, truth.columns),
        letters=compare_dead_letters(kept.letters, truth.ledger.dead_letters),
    )


def _start_and_feed(
    scenario: Scenario,
    truth: Truth,
    runner: JobRunner,
    options: RunOptions,
    watch: Watch,
    plan: JobPlan | None,
    beside: Executor,
) -> tuple[RunningJob, FeedResult, float]:
    """Return the running job, what was fed, and when the later of the two began (monotonic seconds)."""

    def write() -> FeedResult:
        with closing(KafkaProducer(options.bootstrap, client_id="streamjobs-demo")) as producer:
            return feed(scenario.messages(), truth.ledger, producer, options.feed, watch.on_rows)

    watch.on_stage("starting the job and feeding" if options.feed.early else "starting the job")
    early = beside.submit(write) if options.feed.early else None
    job = runner.run(plan or plan_of(scenario, options))
    try:
        watch.on_job(job)
        started = time.monotonic()
        if early is not None:
            return job, early.result(), started
        watch.on_stage("feeding")
        return job, write(), started
    except BaseException:
        job.cancel()
        raise


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
    """Create the scenario's topics, all empty; return for each partition the offset of its next dead letter.

    Raises: ConfigError when one already exists.
    """
    for topic in (*scenario.topics, scenario.output):
        create_topic(bootstrap, topic, scenario.packing.partitions)
    ensure_topic(bootstrap, DEAD_LETTER_TOPIC, 1, DEAD_LETTER_CONFIGS)
    with closing(KafkaConsumer(bootstrap)) as consumer:
        return consumer.end_offsets(DEAD_LETTER_TOPIC)


def check_sent(ends: Mapping[tuple[str, int], int], bootstrap: str) -> None:
    """Check that the broker holds each message once: the truth depends on the offsets, not on the job.

    Raises: JobError that names each partition with another end offset.
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
    """Wait until the job has read everything and is idle. Raises JobError at the deadline."""
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
