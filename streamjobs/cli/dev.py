"""`streamjobs dev`: a local Kafka and Flink that stay up between commands."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.table import Table

from streamjobs.errors import ConfigError
from streamjobs.local import places, state, warden
from streamjobs.local.environment import Environment

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Keep a local Kafka and Flink running.")
EXIT_NOT_RUNNING = 3


@app.command()
def up(
    *,
    kafka: Annotated[bool, typer.Option(help="Start Kafka.")] = True,
    flink: Annotated[bool, typer.Option(help="Start Flink.")] = True,
    taskmanagers: Annotated[int, typer.Option(min=0, help="Number of TaskManagers.")] = 1,
    slots: Annotated[int, typer.Option(min=1, help="Slots of each TaskManager.")] = 2,
    kafka_port: Annotated[int | None, typer.Option(help="Port of Kafka; a free one by default.")] = None,
    rest_port: Annotated[int | None, typer.Option(help="Port of Flink's REST; free by default.")] = None,
) -> None:
    """Start the services, wait until they answer, and leave them running."""
    root = places.dev_root()
    console = Console()
    if known := state.running(root):
        _refuse_other(known, kafka=kafka, flink=flink)
        console.print("Already up.")
        console.print(_table(known))
        return
    began = time.monotonic()
    environment = Environment(
        root,
        kafka=kafka,
        flink=flink,
        taskmanagers=taskmanagers,
        slots=slots,
        kafka_port=kafka_port,
        rest_port=rest_port,
    )
    with console.status("Starting services ..."):
        environment.start()
    environment.detach()
    console.print(f"Up in {time.monotonic() - began:.1f} s; `streamjobs dev down` stops everything.")
    if running := state.running(root):
        console.print(_table(running))


@app.command()
def down() -> None:
    """Stop the services; their data stays for the next start."""
    stopped = state.stop(places.dev_root())
    Console().print("Stopped." if stopped else "Nothing was running.")


@app.command()
def status() -> None:
    """Show what runs, how to reach it, its memory and its log; exit status 3 when something is down."""
    known = state.running(places.dev_root())
    if known is None:
        Console().print("Not running; `streamjobs dev up` starts Kafka and Flink.")
        raise typer.Exit(EXIT_NOT_RUNNING)
    Console().print(_table(known))
    if not all(psutil.pid_exists(service.pid) for service in known.services):
        raise typer.Exit(EXIT_NOT_RUNNING)


def _refuse_other(known: state.RunningEnvironment, *, kafka: bool, flink: bool) -> None:
    if (known.bootstrap is not None, known.rest_url is not None) != (kafka, flink):
        running = [name for name, has in (("Kafka", known.bootstrap), ("Flink", known.rest_url)) if has]
        msg = f"only {' and '.join(running) or 'a starting environment'} runs: `streamjobs dev down` first"
        raise ConfigError(msg)


def _table(known: state.RunningEnvironment) -> Table:
    table = Table(caption=f"logs and data in {known.root}")
    for heading in ("Service", "Address", "PID", "Memory", "Log"):
        table.add_column(heading, overflow="fold")
    for service in known.services:
        table.add_row(
            service.name,
            service.address or "-",
            str(service.pid),
            _memory_text([service.pid]),
            _log_text(known, service.log),
            style=None if psutil.pid_exists(service.pid) else "red",
        )
    named = {service.pid for service in known.services}
    workers = [pid for pid in warden.carriers(known.environment_id) if pid not in named]
    if workers:
        table.add_row("Python workers", "-", f"{len(workers)} pids", _memory_text(workers), "-")
    own = [known.warden_pid]
    table.add_row("warden", "-", str(own[0]), _memory_text(own), _log_text(known, "logs/warden.log"))
    return table


def _log_text(known: state.RunningEnvironment, log: str) -> str:
    return str(Path(log).relative_to(known.root)) if Path(log).is_absolute() else log


def _memory_text(pids: list[int]) -> str:
    """Resident memory, e.g. "312 MiB"; "gone" when none of the processes lives."""
    total = 0
    for pid in pids:
        try:
            total += psutil.Process(pid).memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return f"{total >> 20} MiB" if total else "gone"
