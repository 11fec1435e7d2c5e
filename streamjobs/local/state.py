"""Finds and stops the environment of a root directory, for a process that did not start it."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from streamjobs.errors import ServiceError
from streamjobs.local import warden

_FILE = "environment.json"
_STOP_DEADLINE_S = 60.0


@dataclass(frozen=True)
class ServiceRecord:
    """One service; `pid` is that of its last start, `address` is None if nothing connects to it."""

    name: str
    pid: int
    address: str | None
    log: str


@dataclass(frozen=True)
class RunningEnvironment:
    """A running environment, as its state file describes it.

    `bootstrap` and `rest_url` are None if it runs without Kafka or Flink; `services` is empty while it
    starts. `owner_pid` is None once it was detached from the process that started it.
    """

    root: Path
    environment_id: str
    warden_pid: int
    owner_pid: int | None
    bootstrap: str | None = None
    rest_url: str | None = None
    services: tuple[ServiceRecord, ...] = ()

    def logs(self) -> Path:
        """Return the directory with one log per service."""
        return self.root / "logs"


def remember(known: RunningEnvironment) -> None:
    """Write the state file of `known.root`; it is replaced in one step."""
    draft = known.root / f"{_FILE}.new"
    draft.write_text(json.dumps({**asdict(known), "root": str(known.root)}, indent=1), encoding="utf-8")
    draft.replace(known.root / _FILE)


def forget(root: Path) -> None:
    """Remove the state file, if there is one."""
    (root / _FILE).unlink(missing_ok=True)


def running(root: Path) -> RunningEnvironment | None:
    """Return the environment that runs in this root now, or None.

    A state file alone is not enough, and an environment that is ending because its owner died is not running.
    """
    known = _recorded(root.resolve())
    if known is None or not _is_warden(known):
        return None
    owned = known.owner_pid is None or Path("/proc", str(known.owner_pid)).exists()
    return known if owned else None


def stop(root: Path) -> bool:
    """Stop what runs in this root; return False if nothing did. Raises ServiceError if a process stays."""
    known = _recorded(root.resolve())
    if known is None:
        return False
    was_running = _is_warden(known)
    if was_running:
        os.kill(known.warden_pid, signal.SIGTERM)
        end = time.monotonic() + _STOP_DEADLINE_S
        while _is_warden(known) and time.monotonic() < end:
            time.sleep(0.05)
    if left := warden.sweep(known.environment_id):
        msg = f"processes {left} of the environment in {root} cannot be killed"
        raise ServiceError(msg)
    forget(known.root)
    return was_running


def clear_leftovers(root: Path) -> None:
    """End processes left in this root; raise ServiceError when an environment runs there."""
    if known := running(root):
        msg = f"an environment already runs in {root} (warden pid {known.warden_pid}): stop it first"
        raise ServiceError(msg)
    stop(root)


def _recorded(root: Path) -> RunningEnvironment | None:
    try:
        fields = json.loads((root / _FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as exc:
        msg = f"{root / _FILE} is not readable as JSON ({exc}): remove it"
        raise ServiceError(msg) from exc
    pids = _pids(root)
    services = tuple(
        ServiceRecord(**{**one, "pid": pids.get(one["name"], one["pid"])}) for one in fields["services"]
    )
    return RunningEnvironment(**{**fields, "root": root, "services": services})


def _pids(root: Path) -> dict[str, int]:
    """Return the pid of each service that the warden has started; none if it has only begun to start them."""
    try:
        pids: dict[str, int] = json.loads((root / warden.PIDS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return pids


def _is_warden(known: RunningEnvironment) -> bool:
    try:
        command = Path("/proc", str(known.warden_pid), "cmdline").read_bytes()
    except OSError:
        return False
    return known.environment_id.encode() in command
