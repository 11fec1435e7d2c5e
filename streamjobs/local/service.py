"""One running service of an environment: a process, its log, and its readiness check."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence

from streamjobs.local.processes import ProcessGroup


class Service:
    """A process that can be killed and restarted on its own.

    `command(n)` returns the argument vector of the n-th launch, counted from 1; `missing(n)` returns why
    that launch is not ready, None when it is. `address` shows people how to connect, e.g. a URL; None if
    nothing connects to it. `end_signal` ends it with its environment: SIGKILL if there is nothing to save.
    A service that is `kept` is started again when it ends by itself after it was ready.
    """

    def __init__(
        self,
        group: ProcessGroup,
        name: str,
        *,
        command: Callable[[int], Sequence[str]],
        env: Mapping[str, str],
        missing: Callable[[int], str | None],
        deadline_s: float,
        address: str | None = None,
        end_signal: int = signal.SIGTERM,
        kept: bool = False,
    ) -> None:
        self.name = name
        self.address = address
        self.log = group.log(name)
        self.pid = 0
        self._group = group
        self._command = command
        self._env = env
        self._missing = missing
        self._deadline_s = deadline_s
        self._end_signal = end_signal
        self._kept = kept
        self._launches = 0

    def launch(self) -> None:
        """Start the process without waiting until it is ready."""
        self._launches += 1
        self.pid = self._group.start(self.name, self._command(self._launches), self._env, self._end_signal)

    def await_ready(self) -> None:
        """Wait until it is ready; longer than its deadline while it works, see `ProcessGroup.wait_until`.

        Raises ServiceError with the end of its log if it does not become ready.
        """
        launch = self._launches
        self._group.wait_until(self.name, lambda: self._missing(launch), self._deadline_s)
        if self._kept:
            self._group.keep(self.name)

    @property
    def alive(self) -> bool:
        """Return whether the process runs; a stopped (SIGSTOP) process does."""
        return self._group.exit_status(self.name) is None

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End this one process with a signal, by default SIGKILL; its children continue to run."""
        self._group.kill(self.name, number)

    def freeze(self) -> None:
        """Stop it by SIGSTOP: its connections stay open and nothing answers, until `thaw`."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue a frozen process."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Start it again on the same ports and wait until it is ready; kill it first if it runs."""
        if self.alive:
            self.kill()
        self.launch()
        self.await_ready()
