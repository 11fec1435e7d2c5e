"""One run of `streamjobs capture run`: the capture, its HTTP port, its log and its output."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.logging import RichHandler

from streamjobs.capture.config.routes import Routes
from streamjobs.capture.config.settings import CaptureConfig
from streamjobs.capture.service import Capture
from streamjobs.capture.source.mysql import MySqlSource
from streamjobs.capture.status.http import Endpoint
from streamjobs.cli.capture_line import CaptureLine

_SHOW_S = 0.5


def address_file(state_dir: Path, config: CaptureConfig) -> Path:
    """Return the file with the port of a running capture, for other commands on this machine."""
    return state_dir / "capture" / f"{config.name}.address"


def run_capture(
    config: CaptureConfig,
    console: Console,
    state_dir: Path,
    stop: threading.Event,
    *,
    resnapshot: bool = False,
) -> None:
    """Capture until `stop` is set, from any thread or signal handler, then drain; print the status.

    The log of the whole process is printed too, so a process can run one capture at a time.
    Raises what `Capture.run` raises.
    """
    capture = Capture(config, lambda routes: MySqlSource(config, routes), stop, resnapshot=resnapshot)
    with _logged(console):
        endpoint = Endpoint(
            config.metrics_port,
            capture.telemetry,
            capture.requests,
            Routes(config.routes),
            address_file(state_dir, config),
        )
        with endpoint, _shown(console, capture):
            console.print(f"metrics on http://127.0.0.1:{endpoint.port}/metrics", highlight=False)
            capture.run()


@contextmanager
def _logged(console: Console) -> Iterator[None]:
    handler = RichHandler(console=console, show_path=False, markup=False)
    handler.setFormatter(logging.Formatter("%(message)s"))
    loggers = [logging.getLogger(name) for name in ("streamjobs", "connectors")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)


@contextmanager
def _shown(console: Console, capture: Capture) -> Iterator[None]:
    """Show the status twice a second, from a thread that ends with the block."""
    ended = threading.Event()

    def show() -> None:
        while not ended.wait(_SHOW_S):
            line.show(capture.telemetry.now())

    with CaptureLine(console) as line:
        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        failed = True
        try:
            yield
            failed = False
        finally:
            ended.set()
            thread.join()
            line.end(capture.telemetry.now(), failed=failed)
