"""Restarts services that have ended in an environment that another process started."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from streamjobs.errors import ConfigError, ServiceError
from streamjobs.local import warden
from streamjobs.local.flink import missing_jobmanager, missing_taskmanager
from streamjobs.local.kafka import missing_broker
from streamjobs.local.mariadb import missing_database
from streamjobs.local.ports import LOOPBACK
from streamjobs.local.processes import log_tail
from streamjobs.local.progress import Progress
from streamjobs.local.state import RunningEnvironment, ServiceRecord

_DEADLINE_S = 90.0
_ANSWER_S = 60.0
"""How long to wait for an answer: a process may need time to end after SIGTERM."""
_CONNECT_S = 2.0
_POLL_S = 0.1


def gone(known: RunningEnvironment) -> list[ServiceRecord]:
    """Return the services whose process has ended; a pid that another process has now does not count."""
    living = set(warden.carriers(known.environment_id))
    return [service for service in known.services if service.pid not in living]


def revive(known: RunningEnvironment) -> list[str]:
    """Start every service that has ended and return their names when all of them answer.

    Raises ServiceError with the end of its log for a service that does not start.
    """
    return _again(known, "revive", gone(known))


def restart(known: RunningEnvironment, name: str) -> None:
    """End a service and start it again; return when it answers. Its data stays.

    Raises ConfigError for an unknown name, ServiceError as `revive` does.
    """
    chosen = [service for service in known.services if service.name == name]
    if not chosen:
        names = ", ".join(service.name for service in known.services)
        message = f"there is no service {name} in {known.root}; there are {names}"
        raise ConfigError(message)
    _again(known, "restart", chosen)


def _again(known: RunningEnvironment, op: str, services: Iterable[ServiceRecord]) -> list[str]:
    since_ms = int(time.time() * 1000)
    started = [(service, _ask(known, op, service.name)) for service in services]
    for service, pid in started:
        _await(known, service, pid, _probe(known, service, since_ms))
    return [service.name for service, _ in started]


def _ask(known: RunningEnvironment, op: str, name: str) -> int:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER_S)
            connection.connect(warden.control_address(known.environment_id))
            connection.sendall(json.dumps({"op": op, "name": name}).encode())
            answer = json.loads(connection.makefile().read())
    except (OSError, ValueError) as exc:
        message = (
            f"the warden of {known.root} (pid {known.warden_pid}) does not start {name} again ({exc}): stop "
            "all services by `streamjobs dev down`, and start them by `streamjobs dev up`"
        )
        raise ServiceError(message) from exc
    if "error" in answer:
        message = f"{name} cannot be started again: {answer['error']}"
        raise ServiceError(message)
    return int(answer["pid"])


def _probe(known: RunningEnvironment, service: ServiceRecord, since_ms: int) -> Callable[[], str | None]:
    """Return a readiness check of a service; a service without an address is ready when it runs."""
    if service.name.startswith("taskmanager-"):
        port = urlsplit(known.rest_url or "").port or 0
        return partial(missing_taskmanager, port, f"{service.name}-", since_ms=since_ms)
    if service.address is None:
        return lambda: None
    address = service.address if "//" in service.address else f"//{service.address}"
    port = urlsplit(address).port or 0
    known_probes = {"kafka": missing_broker, "jobmanager": missing_jobmanager, "mariadb": missing_database}
    return partial(known_probes.get(service.name, _missing_listener), port)


def _missing_listener(port: int) -> str | None:
    try:
        socket.create_connection((LOOPBACK, port), _CONNECT_S).close()
    except OSError as exc:
        return f"nothing listens on {LOOPBACK}:{port} ({exc})"
    return None


def _await(
    known: RunningEnvironment, service: ServiceRecord, pid: int, missing: Callable[[], str | None]
) -> None:
    log = known.root / service.log
    progress = Progress(log, pid, _DEADLINE_S)
    while (lack := missing()) is not None:
        verdict = progress.verdict()
        if not Path("/proc", str(pid)).exists():
            verdict = "because it has ended"
        if verdict is not None:
            message = (
                f"{service.name} of {known.root} was started again and is not ready {verdict}: {lack}. The "
                f"last lines of {log}:\n{log_tail(log)}"
            )
            raise ServiceError(message)
        time.sleep(_POLL_S)
