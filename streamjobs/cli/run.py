"""`streamjobs run FILE.sql`: a job on the local or a named cluster, with its progress in one line."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from streamjobs.amounts import duration_ms
from streamjobs.cli.live import ProgressLine
from streamjobs.cli.profile import Profile, read_profile
from streamjobs.cli.secrets import MissingSecrets
from streamjobs.cli.services import Services, flink_session, services
from streamjobs.errors import ConfigError, RetriableError
from streamjobs.job.plan import JobPlan
from streamjobs.job.planning import plan_file
from streamjobs.job.run_settings import DEFAULT_BROKER, RunSettings
from streamjobs.job.session import FlinkSession, RunningFlinkJob
from streamjobs.kafka_connection import KafkaConnection
from streamjobs.local import places

NO_BROKER = "127.0.0.1:9092"
NO_CLUSTER = "http://127.0.0.1:8081"
"""Addresses in plans that are only explained: nobody connects to them."""
_POLL_S = 0.5
_UNREACHABLE_S = 60.0
"""So long may the cluster not answer (a JobManager that restarts) before the command gives up watching."""


def run(
    file: Annotated[Path, typer.Argument(help="The job's SQL file.")],
    until_idle: Annotated[
        str | None,
        typer.Option(help="Drain and end when all input was read and nothing moved for this long (5s)."),
    ] = None,
    parallelism: Annotated[int | None, typer.Option(min=1, help="Over the file's own parallelism.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A Flink setting over the file's: key=value. Repeatable."),
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(help="Where brokers and Flink are; default ./streamjobs.toml if it exists.")
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Directory of embedded tables.")] = None,
    explain: Annotated[
        bool, typer.Option(help="Print Flink's plans with changelog modes; run nothing.")
    ] = False,
) -> None:
    """Run a job: on the services that the profile names, else on local ones (`dev up`, or its own)."""
    idle_s = None if until_idle is None else _seconds(until_idle)
    console = Console(stderr=True)
    wanted = _Wanted(file, store, parallelism, _overrides(set_ or []))
    if explain:
        typer.echo(_explained(wanted, profile, console))
        return
    known = read_profile(profile)
    with ExitStack() as stack:

        def prepare(found: Services) -> None:
            plan = wanted.plan(known, found.bootstrap)
            session = stack.enter_context(closing(flink_session(found.rest_url)))
            session.prepare(plan)
            planned.append((session, plan))

        planned: list[tuple[FlinkSession, JobPlan]] = []
        found = stack.enter_context(_services(known, parallelism, console, prepare))
        ((session, plan),) = planned
        _show_warnings(plan, console)
        with console.status(f"submitting {plan.name}") as status:
            job = session.run(plan, status.update)
        _watch(job, ProgressLine(console, plan.name), idle_s, own=not found.stay)


@dataclass(frozen=True)
class _Wanted:
    """What the command line says of the job."""

    file: Path
    store: Path | None
    parallelism: int | None
    settings: Mapping[str, str]

    def plan(self, profile: Profile, bootstrap: str, env: Mapping[str, str] | None = None) -> JobPlan:
        """Plan the job, with the local broker where the profile names none. Raises SqlError, ConfigError."""
        settings = RunSettings(
            profile.brokers.get(DEFAULT_BROKER, bootstrap),
            self.store or Path(profile.store or places.state_dir() / "rocksdb"),
            self.parallelism,
            settings=self.settings,
            brokers=profile.brokers,
        )
        return plan_file(self.file, settings, env)


def _explained(wanted: _Wanted, profile: Path | None, console: Console) -> str:
    """Return Flink's plans. Starts nothing, asks nobody, and goes on without the secrets that it lacks."""
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


def _watch(job: RunningFlinkJob, line: ProgressLine, idle_s: float | None, *, own: bool) -> None:
    """Show the job until it ends, is idle, or the user has had enough."""
    silent_since_s: float | None = None
    try:
        with line:
            while True:
                try:
                    job.watch(line.restarted)
                    line.show(job.progress())
                    silent_since_s = None
                    if job.ended():
                        break
                    if idle_s is not None and job.is_idle(idle_s):
                        line.say("idle: draining")
                        job.drain()
                        break
                except RetriableError as exc:
                    silent_since_s = silent_since_s or time.monotonic()
                    if time.monotonic() - silent_since_s > _UNREACHABLE_S:
                        raise
                    line.say(str(exc))
                time.sleep(_POLL_S)
    except KeyboardInterrupt:
        if not own:
            line.end(f"the job goes on; cancel it in Flink's web interface (job {job.job_id})")
        raise
    finally:
        job.close()
    line.end("done: drained, all windows closed" if idle_s is not None else "the job has ended")


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


def _seconds(text: str) -> float:
    try:
        return duration_ms(text) / 1000
    except ValueError as exc:
        message = f"--until-idle: {exc}"
        raise ConfigError(message) from exc


def _overrides(given: list[str]) -> dict[str, str]:
    settings = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals or not key.strip():
            message = f"--set reads key=value, not {each!r}"
            raise ConfigError(message)
        settings[key.strip()] = value.strip()
    return settings
