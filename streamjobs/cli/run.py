"""`streamjobs run FILE.sql`: a job on the local or a named cluster, with its progress in one line."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from streamjobs.amounts import duration_ms
from streamjobs.cli.live import ProgressLine
from streamjobs.cli.profile import Profile, read_profile
from streamjobs.cli.services import Services, services
from streamjobs.errors import ConfigError, RetriableError
from streamjobs.job.session import FlinkSession, RunningFlinkJob
from streamjobs.job.submit import explain_request
from streamjobs.kafka_connection import KafkaConnection
from streamjobs.local import places

_POLL_S = 0.5
_UNREACHABLE_S = 60.0
"""So long may the cluster not answer (a JobManager that restarts) before the command gives up watching."""


@dataclass(frozen=True)
class _Settings:
    bootstrap: str | KafkaConnection
    store: Path
    parallelism: int | None = None
    disorder_ms: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


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
    known = read_profile(profile)
    settings = _overrides(set_ or [])
    console = Console(stderr=True)
    refuse_early(file, known, settings, parallelism)
    with _services(file, known, parallelism, console) as found:
        session = FlinkSession(
            found.rest_url,
            client_jars=sorted(places.jar_dir("flink").glob("*.jar")),
            work_dir=places.state_dir() / "workers",
            brokers=known.brokers,
        )
        wanted = _Settings(
            known.brokers.get("default", found.bootstrap),
            store or Path(known.store or places.state_dir() / "rocksdb"),
            parallelism,
            settings=settings,
        )
        if explain:
            typer.echo(explain_request(session.request(file, wanted, explain=True)))
            return
        with console.status(f"submitting {file.stem} to {found.rest_url}"):
            job = session.start(file, wanted)
        for warning in job.plan.warnings:
            console.print(f"[yellow]warning[/yellow] {warning}", highlight=False)
        _watch(job, ProgressLine(console, file.stem), idle_s, own=not found.stay)


def refuse_early(file: Path, profile: Profile, settings: Mapping[str, str], parallelism: int | None) -> None:
    """Plan the job before any service is started: a mistake in the file must not cost half a minute."""
    brokers = {"default": KafkaConnection("127.0.0.1:9092"), **profile.brokers}
    wanted = _Settings(brokers["default"], places.state_dir() / "rocksdb", parallelism, settings=settings)
    FlinkSession("http://127.0.0.1:8081", client_jars=(), brokers=brokers).request(file, wanted).plan()


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
def _services(file: Path, profile: Profile, parallelism: int | None, console: Console) -> Iterator[Services]:
    if not file.is_file():
        message = f"there is no job file {file}"
        raise ConfigError(message)
    if profile.rest_url is not None:
        if "default" not in profile.brokers:
            message = "the profile names a Flink but no broker: add [brokers.default] with bootstrap"
            raise ConfigError(message)
        yield Services(profile.brokers["default"].bootstrap, profile.rest_url, stay=True)
        return
    with console.status("looking for local services, else starting Kafka and Flink") as status:
        with services("run", parallelism or 2) as found:
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
