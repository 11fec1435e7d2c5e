"""The commands of `streamjobs capture`: check, run, status, snapshot and replay."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from connectors.mysql.server.session import Session
from connectors.mysql.server.table_names import ServerNames
from streamjobs.capture.config.file import read_config
from streamjobs.capture.config.routes import Route, Routes
from streamjobs.capture.config.settings import BrokerSettings
from streamjobs.capture.publish.kafka import KafkaBroker
from streamjobs.capture.replay import Replay
from streamjobs.capture.source.mysql import login_of
from streamjobs.capture.source.preflight import Severity, check_server, destinations
from streamjobs.capture.status.http import ask_snapshot, read_status
from streamjobs.cli.capture_line import destination_lines, log_line, replay_lines, status_lines, stored_lines
from streamjobs.cli.capture_run import address_file, run_capture
from streamjobs.cli.main import EXIT_FAILED
from streamjobs.errors import ConfigError
from streamjobs.local import places, state

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Capture row changes of MySQL and MariaDB."
)
_GC_CONTAINERS = 50_000
"""Collect garbage rarely: a run allocates objects for some thousand rows at a time, none in a cycle."""
ConfigArgument = Annotated[Path, typer.Argument(help="The capture's TOML file.")]


@app.command()
def check(config: ConfigArgument) -> None:
    """Show which tables are captured, and what prevents the capture, with the SQL that fixes it.

    Exit status 1 on errors.
    """
    wanted = read_config(config)
    console = Console()
    stored = KafkaBroker(wanted.broker, wanted.name).stored(wanted.offsets)
    with Session(login_of(wanted.server)) as session:
        findings = check_server(session, wanted, stored)
        ways = destinations(session, wanted)
    for line in destination_lines(ways):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for finding in findings:
        color = "red" if finding.severity is Severity.ERROR else "yellow"
        console.print(f"[{color}]{finding.severity.value}[/{color}] ", end="")
        console.print(finding.what, markup=False, highlight=False, soft_wrap=True)
        if finding.fix:
            console.print(f"    {finding.fix}", markup=False, highlight=False, soft_wrap=True)
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise typer.Exit(EXIT_FAILED)
    console.print(f"{wanted.server}: ready to be captured.", highlight=False)


@app.command()
def run(
    config: ConfigArgument,
    *,
    resnapshot: Annotated[
        bool, typer.Option(help="Forget the position and snapshot all tables again.")
    ] = False,
) -> None:
    """Capture until SIGTERM or Ctrl-C, then drain and end; a second Ctrl-C ends at once."""
    wanted, stop = read_config(config), threading.Event()
    with set_by_signals(stop):
        gc.freeze()
        gc.set_threshold(_GC_CONTAINERS)
        run_capture(wanted, Console(stderr=True), places.state_dir(), stop, resnapshot=resnapshot)


@app.command()
def status(config: ConfigArgument) -> None:
    """Show the position and the lag of the capture; exit status 3 if it does not run.

    A running capture answers itself. The server is asked last, for the bytes of its log; it may be down.
    """
    wanted = read_config(config)
    console = Console()
    known = read_status(address_file(places.state_dir(), wanted))
    stored = None if known else KafkaBroker(wanted.broker, wanted.name).stored(wanted.offsets)
    for line in status_lines(known) if known else stored_lines(stored):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if (place := str(known["place"]) if known else stored.place if stored else "") != "":
        line = log_line(login_of(wanted.server), place)
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if known is None:
        raise typer.Exit(3)


@app.command()
def snapshot(
    table: Annotated[str, typer.Argument(help="database.table, spelled as on the server.")],
    config: ConfigArgument,
) -> None:
    """Ask the running capture for a snapshot of one table; it continues to stream meanwhile."""
    Console().print(
        ask_snapshot(address_file(places.state_dir(), read_config(config)), table), highlight=False
    )


@app.command()
def replay(
    files: Annotated[list[Path], typer.Argument(help="Binlog files in order, plain or gzipped.")],
    *,
    match: Annotated[list[str] | None, typer.Option(help="Tables to send: shop.*; all by default.")] = None,
    topic: Annotated[str, typer.Option(help="Topic of the changes.")] = "{database}.{table}",
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of each new topic.")] = 2,
    bootstrap: Annotated[
        str | None, typer.Option(help="The broker; default is the one of `streamjobs dev up`.")
    ] = None,
    schema: Annotated[
        Path | None, typer.Option(help="SQL file of CREATE TABLEs, for logs without column names.")
    ] = None,
    source: Annotated[str, typer.Option(help="Name of the source in messages.")] = "replay",
    lower_case_table_names: Annotated[
        int | None,
        typer.Option(min=0, max=2, help="The server's variable of this name; it is not in the files."),
    ] = None,
) -> None:
    """Send the row changes of binlog files to the broker.

    Exit status 1 if statements changed rows that are not in the log: DML in statement format, TRUNCATE, and
    unknown statements. Also if statements name a table that has rows, but in another case, and
    --lower-case-table-names is not given.
    """
    known = state.running(places.dev_root())
    address = bootstrap or (known.bootstrap if known else None)
    if address is None:
        message = "no broker: give --bootstrap, or start one with `streamjobs dev up`"
        raise ConfigError(message)
    routes = Routes([Route.made(pattern, topic=topic, partitions=partitions) for pattern in match or ["*.*"]])
    console = Console(stderr=True)
    names = None if lower_case_table_names is None else ServerNames(lower_case_table_names)
    replayed = Replay(source, routes, KafkaBroker(BrokerSettings(address), source), schema, names=names)
    with console.status("replaying"):
        summary = replayed.run(files)
    for line in replay_lines(summary):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if summary.unseen or summary.alike:
        raise typer.Exit(EXIT_FAILED)


@contextmanager
def set_by_signals(stop: threading.Event) -> Iterator[None]:
    """Set `stop` at SIGTERM or Ctrl-C; a second one raises KeyboardInterrupt. For the main thread."""

    def on_signal(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
