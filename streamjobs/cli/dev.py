"""`streamjobs dev`: local services that keep running between commands."""

from __future__ import annotations

import difflib
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import psutil
import typer
from rich.console import Console

from streamjobs.cli.tables import Rows
from streamjobs.errors import ConfigError
from streamjobs.job.planner import lease
from streamjobs.job.planner.lease import default_planner_dir
from streamjobs.local import places, revival, state, warden
from streamjobs.local.environment import Environment

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Keep a local Kafka and Flink running.")
EXIT_NOT_RUNNING = 3
STORES: Mapping[str, str] = MappingProxyType(
    {"mysql": "mariadb", "redis": "redis", "elasticsearch": "elasticsearch", "hbase": "hbase"}
)
"""The names that `--with` accepts, and the service that each starts."""


@app.command()
def up(
    *,
    kafka: Annotated[bool, typer.Option(help="Start Kafka.")] = True,
    flink: Annotated[bool, typer.Option(help="Start Flink.")] = True,
    with_: Annotated[
        list[str] | None,
        typer.Option("--with", help=f"More services, separated by commas: {', '.join(STORES)}."),
    ] = None,
    taskmanagers: Annotated[int, typer.Option(min=0, help="Number of TaskManagers.")] = 1,
    slots: Annotated[int, typer.Option(min=1, help="Slots of each TaskManager.")] = 2,
    kafka_port: Annotated[int | None, typer.Option(help="Port of Kafka; a free one by default.")] = None,
    rest_port: Annotated[int | None, typer.Option(help="Port of Flink's REST; free by default.")] = None,
) -> None:
    """Start the services, wait until they answer, and leave them running.

    If the services run already, those of them that have ended are started again.
    """
    root = places.dev_root()
    console = Console()
    stores = _stores(with_ or ())
    if known := state.running(root):
        _refuse_other(known, kafka=kafka, flink=flink, stores=stores)
        _revive(known, console)
        return
    began = time.monotonic()
    environment = Environment(
        root,
        kafka=kafka,
        flink=flink,
        mariadb="mariadb" in stores,
        redis="redis" in stores,
        elasticsearch="elasticsearch" in stores,
        hbase="hbase" in stores,
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
        _table(running).print_to(console)


@app.command()
def restart(
    service: Annotated[str, typer.Argument(help="Name of the service in `dev status`, such as kafka.")],
) -> None:
    """Restart one service with its data and its address; wait until it answers."""
    known, console = state.running(places.dev_root()), Console()
    if known is None:
        msg = "nothing runs: `streamjobs dev up` starts Kafka and Flink"
        raise ConfigError(msg)
    with console.status(f"Starting {service} again ..."):
        revival.restart(known, service)
    console.print(_started_again([service]), highlight=False)


@app.command()
def down() -> None:
    """Stop the services and the planner process; the next start has the same data."""
    lease.stop(default_planner_dir(places.state_dir()))
    stopped = state.stop(places.dev_root())
    Console().print("Stopped." if stopped else "Nothing was running.")


@app.command()
def status(
    *, as_json: Annotated[bool, typer.Option("--json", help="JSON lines instead of a table.")] = False
) -> None:
    """Show each service: address, memory and log; exit status 3 if one is down."""
    known = state.running(places.dev_root())
    if known is None:
        if not as_json:
            Console().print("Not running; `streamjobs dev up` starts Kafka and Flink.")
        raise typer.Exit(EXIT_NOT_RUNNING)
    dead = {service.name for service in revival.gone(known)}
    if as_json:
        for service in known.services:
            sys.stdout.write(json.dumps(_facts(known, service, runs=service.name not in dead)) + "\n")
    else:
        _table(known).print_to(Console())
    if dead:
        raise typer.Exit(EXIT_NOT_RUNNING)


def _revive(known: state.RunningEnvironment, console: Console) -> None:
    with console.status("Looking for services that have ended ..."):
        started = revival.revive(known)
    console.print(_started_again(started) if started else "Already up.", highlight=False)
    _table(state.running(known.root) or known).print_to(console)


def _started_again(names: Sequence[str]) -> str:
    text = f"Started again: {', '.join(names)}."
    if "jobmanager" in names:
        text += " The jobs that ran on that Flink are gone: start them again."
    return text


def _facts(known: state.RunningEnvironment, service: state.ServiceRecord, *, runs: bool) -> dict[str, object]:
    return {
        "service": service.name,
        "address": service.address,
        "pid": service.pid if runs else None,
        "memory_bytes": _memory_bytes([service.pid]) if runs else None,
        "log": str(known.root / service.log),
    }


def _stores(texts: Iterable[str]) -> set[str]:
    """Return the services that `--with` asks for. Raises ConfigError for a name that is not in STORES."""
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    for name in names:
        if name not in STORES:
            near = difflib.get_close_matches(name, STORES, n=1)
            hint = f", did you mean {near[0]}?" if near else ""
            msg = f"--with {name} is unknown{hint}; it accepts {', '.join(STORES)}"
            raise ConfigError(msg)
    return {STORES[name] for name in names}


def _refuse_other(known: state.RunningEnvironment, *, kafka: bool, flink: bool, stores: set[str]) -> None:
    running = {name for name, has in (("Kafka", known.bootstrap), ("Flink", known.rest_url)) if has}
    running |= {service.name for service in known.services} & set(STORES.values())
    wanted = {name for name, wants in (("Kafka", kafka), ("Flink", flink)) if wants} | stores
    if running != wanted:
        here = " and ".join(sorted(running)) or "a starting environment"
        asked = " and ".join(sorted(wanted)) or "nothing"
        msg = f"{here} runs already, but you asked for {asked}: `streamjobs dev down` first"
        raise ConfigError(msg)


def _table(known: state.RunningEnvironment) -> Rows:
    table = Rows(("Service", "Address", "PID", "Memory", "Log"), caption=f"logs and data in {known.root}")
    dead = {service.name for service in revival.gone(known)}
    for service in known.services:
        table.add(
            service.name,
            service.address or "-",
            str(service.pid),
            "gone" if service.name in dead else _memory_text([service.pid]),
            _log_text(known, service.log),
            style="red" if service.name in dead else "",
        )
    named = {service.pid for service in known.services}
    workers = [pid for pid in warden.carriers(known.environment_id) if pid not in named]
    if workers:
        table.add("Python workers", "-", f"{len(workers)} pids", _memory_text(workers), "-")
    own = [known.warden_pid]
    table.add("warden", "-", str(own[0]), _memory_text(own), _log_text(known, "logs/warden.log"))
    return table


def _log_text(known: state.RunningEnvironment, log: str) -> str:
    return str(Path(log).relative_to(known.root)) if Path(log).is_absolute() else log


def _memory_text(pids: list[int]) -> str:
    """Return the resident memory, e.g. "312 MiB"; "gone" if none of the processes is alive."""
    total = _memory_bytes(pids)
    return f"{total >> 20} MiB" if total else "gone"


def _memory_bytes(pids: list[int]) -> int:
    total = 0
    for pid in pids:
        try:
            total += psutil.Process(pid).memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total
