"""`streamjobs demo`: runs a job on a real broker and a real Flink, and checks that no row was lost."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from connectors.rocksdb import DEFAULT_PATH
from streamjobs.cli.demo_summary import show, what_next
from streamjobs.cli.services import Services, flink_session, services
from streamjobs.cli.signals import ended_by_signals
from streamjobs.cli.stages import Stages
from streamjobs.demo.events import EventFeed
from streamjobs.demo.feed import FeedOptions
from streamjobs.demo.options import TrafficOptions
from streamjobs.demo.proof import RunOptions, Watch, forget, plan_of, prove
from streamjobs.demo.scenario import HARD_LIMITS, ad_traffic, shop_events
from streamjobs.errors import ConfigError
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.job_plan import JobPlan

EXIT_WRONG = 1


def demo(
    seed: Annotated[int, typer.Option(help="Seed of the generated traffic.")] = 1,
    impressions: Annotated[int, typer.Option(min=1, help="Impressions to generate.")] = 20_000,
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of each topic.")] = 2,
    parallelism: Annotated[int, typer.Option(min=1, help="Parallelism of the job.")] = 2,
    hard: Annotated[
        bool, typer.Option(help="Weeks with quiet nights; more repeats, late rows, clicks.")
    ] = False,
    events: Annotated[
        Path | None,
        typer.Option(help="Feed shop events: user,item,category,pv|cart|fav|buy,epoch_s (.csv, .csv.gz)."),
    ] = None,
    repeat: Annotated[
        float, typer.Option(min=0, max=0.9, help="Fraction of the events to send again.")
    ] = 0.0,
    shuffle_s: Annotated[
        float, typer.Option(min=0, help="Shuffle the events by up to this many seconds of event time.")
    ] = 0.0,
    rate: Annotated[
        float | None, typer.Option(min=1, help="Rows per second to send; unlimited by default.")
    ] = None,
    keep: Annotated[bool, typer.Option(help="Leave Kafka and Flink running afterwards.")] = False,
) -> None:
    """Run a sample job on generated traffic, or a file of events, and compare all results with the truth."""
    console = Console()
    if events is None:
        if repeat or shuffle_s:
            message = "--repeat and --shuffle-s need --events; the generator repeats and shuffles by itself"
            raise ConfigError(message)
        options = TrafficOptions.hard(seed, impressions) if hard else TrafficOptions(seed, impressions)
        scenario = ad_traffic(options, partitions, HARD_LIMITS if hard else None)
    else:
        scenario = shop_events(EventFeed(events, repeat, shuffle_s, seed), partitions)
    store = Path(DEFAULT_PATH).absolute()
    with ExitStack() as stack:
        stack.enter_context(ended_by_signals())
        stages = stack.enter_context(Stages(console))
        stages.stage("looking for local services, else starting Kafka and Flink")

        def prepare(found: Services) -> None:
            run = RunOptions(found.bootstrap, store, parallelism, FeedOptions(rate, early=rate is None))
            plan = plan_of(scenario, run)
            session = stack.enter_context(closing(flink_session(found.rest_url)))
            session.prepare(plan)
            prepared.append((session, run, plan))

        prepared: list[tuple[FlinkSession, RunOptions, JobPlan]] = []
        found = stack.enter_context(
            services("demo", parallelism, keep=keep, short_lived=not keep, on_addresses=prepare)
        )
        ((session, run, plan),) = prepared
        forget(scenario, found.bootstrap, store)
        proof = prove(scenario, session, run, Watch(stages.stage, stages.rows), plan)
    show(console, scenario, proof)
    what_next(console, scenario, proof, running=found.stay)
    if not proof.ok:
        raise typer.Exit(EXIT_WRONG)
