"""`streamjobs run FILE.sql`: runs a job on the local or a named cluster, and shows its progress."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from streamjobs.brokers.kafka import KafkaConnection
from streamjobs.cli.live import ProgressLine
from streamjobs.cli.profile import Profile, read_profile
from streamjobs.cli.secrets import MissingSecrets
from streamjobs.cli.services import Services, flink_session, services
from streamjobs.cli.signals import ended_by_signals
from streamjobs.cli.stages import Stages
from streamjobs.cli.watching import watch
from streamjobs.errors import ConfigError, JobError
from streamjobs.job.cluster.limits import Limits
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.job_plan import JobPlan
from streamjobs.job.plan.planning import plan_file
from streamjobs.job.plan.run_settings import DEFAULT_BROKER, RunSettings
from streamjobs.job.root_cause import brief
from streamjobs.local import places
from streamjobs.options.units import duration_ms

NO_BROKER = "127.0.0.1:9092"
NO_CLUSTER = "http://127.0.0.1:8081"
"""Addresses in plans that are only explained: nothing connects to them."""


def run(
    file: Annotated[Path, typer.Argument(help="The job's SQL file.")],
    until_idle: Annotated[
        str | None,
        typer.Option(help="Drain and end when all input is read and nothing has changed for this long (5s)."),
    ] = None,
    parallelism: Annotated[int | None, typer.Option(min=1, help="Instead of the file's parallelism.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A Flink setting: key=value; replaces the file's. Repeatable."),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(help="Addresses of brokers and Flink; default ./streamjobs.toml, if it exists."),
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Directory of embedded tables.")] = None,
    explain: Annotated[
        bool, typer.Option(help="Print Flink's plans with changelog modes; run nothing.")
    ] = False,
    submit_limit: Annotated[str, typer.Option(help="Time for Flink to plan and accept the job.")] = "10min",
    connect_limit: Annotated[
        str, typer.Option(help="Time for Flink's REST address to answer at the start.")
    ] = "30s",
    outage_limit: Annotated[
        str,
        typer.Option(
            help="Time to wait for slots, a TaskManager, a store or a broker to come back. Then the job is "
            "cancelled."
        ),
    ] = "30min",
    verbose: Annotated[bool, typer.Option(help="Print the full stack trace of each restart.")] = False,
) -> None:
    """Run a job on the services of the profile, else on local ones: those of `dev up`, or temporary ones.

    Ctrl-C, SIGTERM and SIGHUP end the command. Until all tasks run, they also cancel the job. After that, the
    job continues if its services do (those of a profile or of `dev up`), and the command that cancels it is
    printed; with temporary services, the job ends. Exit status: 0 drained or finished, 1 failed, 2 a mistake
    in file or command, 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP.
    """
    idle_s = None if until_idle is None else _seconds("--until-idle", until_idle)
    limits = Limits(
        submit_s=_seconds("--submit-limit", submit_limit),
        connect_s=_seconds("--connect-limit", connect_limit),
        outage_s=_seconds("--outage-limit", outage_limit),
    )
    console = Console(stderr=True)
    wanted = _Wanted(file, store, parallelism, _overrides(set_ or []))
    if explain:
        typer.echo(_explained(wanted, profile, console))
        return
    try:
        with ended_by_signals():
            _run(
                wanted,
                read_profile(profile),
                limits,
                idle_s,
                ProgressLine(console, file.stem, verbose=verbose),
            )
    except JobError as exc:
        if verbose:
            raise
        raise JobError(exc.message, brief(exc.cause)) from exc


def _run(wanted: _Wanted, known: Profile, limits: Limits, idle_s: float | None, line: ProgressLine) -> None:
    console = line.console
    with ExitStack() as stack:

        def prepare(found: Services) -> None:
            plan = wanted.plan(known, found.bootstrap)
            session = stack.enter_context(closing(flink_session(found.rest_url, limits)))
            session.prepare(plan)
            planned.append((session, plan))

        planned: list[tuple[FlinkSession, JobPlan]] = []
        found = stack.enter_context(_services(known, wanted.parallelism, console, prepare))
        ((session, plan),) = planned
        _show_warnings(plan, console)
        with Stages(console) as stages:
            job = session.run(plan, stages.stage, line.restarted)
        watch(job, line, idle_s, own=not found.stay, outage_s=limits.outage_s)


@dataclass(frozen=True)
class _Wanted:
    """The options of the job on the command line."""

    file: Path
    store: Path | None
    parallelism: int | None
    settings: Mapping[str, str]

    def plan(self, profile: Profile, bootstrap: str, env: Mapping[str, str] | None = None) -> JobPlan:
        """Plan the job, with the local broker if the profile names none. Raises SqlError, ConfigError."""
        settings = RunSettings(
            profile.brokers.get(DEFAULT_BROKER, bootstrap),
            self.store or Path(profile.store or places.state_dir() / "rocksdb"),
            self.parallelism,
            settings=self.settings,
            brokers=profile.brokers,
            creates_topics=profile.creates_topics | ({DEFAULT_BROKER} - set(profile.brokers)),
        )
        return plan_file(self.file, settings, env)


def _explained(wanted: _Wanted, profile: Path | None, console: Console) -> str:
    """Return Flink's plans. Starts no service, connects to none, and does not need the secrets."""
    secrets = MissingSecrets(os.environ)
    known = read_profile(profile, secrets)
    reached = {name: KafkaConnection(broker.bootstrap) for name, broker in known.brokers.items()}
    plan = wanted.plan(replace(known, brokers=reached), NO_BROKER, secrets)
    for name in secrets.missing:
        console.print(f"the environment variable {name} is not set: `run` will need it", highlight=False)
    _show_warnings(plan, console)
    with console.status(f"planning {plan.name}"), closing(flink_session(NO_CLUSTER)) as session:
        return session.explain(plan)


def _show_warnings(plan: JobPlan, console: Console) -> None:
    for warning in plan.warnings:
        console.print(f"[yellow]warning[/yellow] {warning}", highlight=False)


@contextmanager
def _services(
    profile: Profile, parallelism: int | None, console: Console, on_addresses: Callable[[Services], None]
) -> Iterator[Services]:
    if profile.rest_url is not None:
        if DEFAULT_BROKER not in profile.brokers:
            message = "the profile names a Flink but no broker: add [brokers.default] with bootstrap"
            raise ConfigError(message)
        found = Services(profile.brokers[DEFAULT_BROKER].bootstrap, profile.rest_url, stay=True)
        on_addresses(found)
        yield found
        return
    with console.status("looking for local services, else starting Kafka and Flink") as status:
        with services("run", parallelism or 2, on_addresses=on_addresses) as found:
            status.stop()
            yield found


def _seconds(option: str, text: str) -> float:
    try:
        return duration_ms(text) / 1000
    except ValueError as exc:
        message = f"{option}: {exc}"
        raise ConfigError(message) from exc


def _overrides(given: list[str]) -> dict[str, str]:
    settings = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals or not key.strip():
            message = f"--set needs key=value, not {each!r}"
            raise ConfigError(message)
        settings[key.strip()] = value.strip()
    return settings
