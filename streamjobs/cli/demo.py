"""`streamjobs demo`: traffic through a real broker and a real job, and the proof that nothing was lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from connectors.rocksdb import DEFAULT_PATH
from streamjobs.cli.demo_summary import show, what_next
from streamjobs.demo.events import EventFeed
from streamjobs.demo.feed import FeedOptions
from streamjobs.demo.options import TrafficOptions
from streamjobs.demo.proof import RunOptions, Watch, forget, prove
from streamjobs.demo.scenario import HARD_LIMITS, ad_traffic, shop_events
from streamjobs.errors import ConfigError
from streamjobs.job.session import FlinkSession
from streamjobs.local import places, state
from streamjobs.local.environment import Environment

EXIT_WRONG = 1


def demo(
    seed: Annotated[int, typer.Option(help="Another seed makes other traffic.")] = 1,
    impressions: Annotated[int, typer.Option(min=1, help="Impressions to generate.")] = 30_000,
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of each topic.")] = 2,
    parallelism: Annotated[int, typer.Option(min=1, help="Parallelism of the job.")] = 2,
    hard: Annotated[
        bool, typer.Option(help="Weeks with quiet nights, more repeats, lateness, clicks.")
    ] = False,
    events: Annotated[
        Path | None,
        typer.Option(help="Feed shop events: user,item,category,pv|cart|fav|buy,epoch_s (.csv, .csv.gz)."),
    ] = None,
    repeat: Annotated[
        float, typer.Option(min=0, max=0.9, help="Fraction of the events to send again.")
    ] = 0.0,
    shuffle_s: Annotated[
        float, typer.Option(min=0, help="Shuffle the events by up to this event time.")
    ] = 0.0,
    rate: Annotated[
        float | None, typer.Option(min=1, help="Rows a second to send; unlimited by default.")
    ] = None,
    keep: Annotated[bool, typer.Option(help="Leave Kafka and Flink running afterwards.")] = False,
) -> None:
    """Run a sample job on generated traffic, or on a file of events, and compare all of it with the truth."""
    console = Console()
    if events is None:
        if repeat or shuffle_s:
            message = (
                "--repeat and --shuffle-s belong to --events; the generator repeats and shuffles by itself"
            )
            raise ConfigError(message)
        options = TrafficOptions.hard(seed, impressions) if hard else TrafficOptions(seed, impressions)
        scenario = ad_traffic(options, partitions, HARD_LIMITS if hard else None)
    else:
        scenario = shop_events(EventFeed(events, repeat, shuffle_s, seed), partitions)
    store = Path(DEFAULT_PATH).absolute()
    with console.status("starting Kafka and Flink") as status, _services(parallelism, keep=keep) as services:
        forget(scenario, services.bootstrap, store)
        proof = prove(
            scenario,
            FlinkSession(services.rest_url),
            RunOptions(services.bootstrap, store, parallelism, FeedOptions(rate)),
            Watch(on_stage=status.update),
        )
    show(console, scenario, proof)
    what_next(console, scenario, proof, running=services.stay)
    if not proof.ok:
        raise typer.Exit(EXIT_WRONG)


@dataclass(frozen=True)
class _Services:
    """Where the broker and the cluster are, and whether they stay when the demo ends."""

    bootstrap: str
    rest_url: str
    stay: bool


@contextmanager
def _services(parallelism: int, *, keep: bool) -> Iterator[_Services]:
    """Use the environment of `streamjobs dev up` when it runs, otherwise start one."""
    known = state.running(places.dev_root())
    if known is not None:
        if known.bootstrap is None or known.rest_url is None:
            message = (
                f"the environment in {known.root} runs without Kafka or Flink: `streamjobs dev down` first"
            )
            raise ConfigError(message)
        yield _Services(known.bootstrap, known.rest_url, stay=True)
        return
    root = places.dev_root() if keep else places.state_dir() / "demo"
    if not keep:
        shutil.rmtree(root, ignore_errors=True)
    environment = Environment(root, slots=max(2, parallelism)).start()
    try:
        yield _Services(environment.kafka.bootstrap, environment.flink.rest_url, stay=keep)
    except BaseException:
        environment.stop()
        raise
    if keep:
        environment.detach()
    else:
        environment.stop()
