"""Faults in the middle of a write: a server is frozen until it has unread requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import psutil

from streamjobs.local.environment import Environment
from tests.faults.frozen_workers import freeze_workers
from tests.integration.waiting import wait_for

ESTABLISHED = "01"


def unread_bytes(port: int) -> int:
    """Return the unread bytes in the connections of the server on this port of 127.0.0.1.

    Source: https://www.kernel.org/doc/Documentation/networking/proc_net_tcp.txt
    """
    files = [Path("/proc/net", name).read_text(encoding="ascii") for name in ("tcp", "tcp6")]
    sockets = [line.split() for text in files for line in text.splitlines()[1:]]
    return sum(
        int(queues.partition(":")[2], 16)
        for _, local, _, state, queues, *_ in sockets
        if state == ESTABLISHED and local.endswith(f"0100007F:{port:04X}")
    )


class Freezable(Protocol):
    """A process that can be frozen."""

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...


class Killable(Freezable, Protocol):
    """A store that listens on `port` and can be restarted after a kill."""

    @property
    def port(self) -> int: ...

    def kill(self) -> None: ...

    def restart(self) -> None: ...


def kill_in_a_write(store: Killable, feed: Callable[[], object]) -> None:
    """Kill the store while it has an unread request, and start it again."""
    store.freeze()
    try:
        feed()
        wait_for(lambda: unread_bytes(store.port) > 0, "a request that the store has not read", 120)
    finally:
        store.kill()
    store.restart()


def freeze_workers_in_their_writes(
    environment: Environment, stores: Mapping[int, Freezable], feed: Callable[[], object]
) -> list[psutil.Process]:
    """Freeze all workers when writers of all stores (by port) wait for an answer; the stores then answer."""
    for store in stores.values():
        store.freeze()
    try:
        feed()
        for port in stores:
            wait_for(lambda port=port: unread_bytes(port) > 0, f"a request not read at {port}", 120)  # type: ignore[misc]
        return freeze_workers(environment)
    finally:
        for store in stores.values():
            store.thaw()
