"""Whose fault it is that a job was restarted: its own, or that of what it runs on, reads and writes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from streamjobs.job.root_cause import causes, exception_name, root_cause


class Outside(Enum):
    """What is away when a job fails of something that is not in its file."""

    CLUSTER = "the cluster"
    SERVICE = "a store or a broker"


_CLUSTER = re.compile(
    r"NoResourceAvailableException"
    r"|ResourceManagerException: TaskManager with id .* is no longer reachable"
    r"|TimeoutException: (?:The )?[Hh]eartbeat of (?:TaskManager|JobManager|ResourceManager)"
    r"|(?:Remote|Local)TransportException"
    r"|PartitionNotFoundException|PartitionConnectionException"
    r"|FlinkException: (?:The TaskExecutor is shutting down|Disconnect from|TaskExecutor .* has no more)"
    r"|(?:Flink|Job)Exception: .*(?:lost the leadership|leader changed)"
)
"""Flink 2.3's words for a TaskManager or JobManager that is away, or has no free slot."""
_PYTHON_TROUBLE = frozenset(
    {
        *("RetriableError", "LockedError", "ConnectionLostError"),
        *("ConnectionError", "ConnectionRefusedError", "ConnectionResetError"),
    }
)
"""Our errors that may pass, and what Python raises when a server is away."""
_KAFKA = "org.apache.kafka.common.errors."
_JAVA_TROUBLE = (
    *("java.net.ConnectException", "java.net.SocketTimeoutException", "java.net.NoRouteToHostException"),
    *(f"{_KAFKA}{word}Exception" for word in ("Timeout", "Disconnect", "Network", "BrokerNotAvailable")),
    *(f"{_KAFKA}{word}Exception" for word in ("CoordinatorNotAvailable", "CoordinatorLoadInProgress")),
    *(f"{_KAFKA}{word}Exception" for word in ("NotCoordinator", "LeaderNotAvailable")),
    *(f"{_KAFKA}{word}Exception" for word in ("NotLeaderOrFollower", "NotEnoughReplicas")),
    f"{_KAFKA}NotEnoughReplicasAfterAppendException",
)
"""What Java and Kafka's client 4.1 raise when a server is away; Flink's SQL connector has a copy of it."""


def outside(text: str) -> Outside | None:
    """Return what is away by the text of a failure; None: it is the job's own fault, as far as is known.

    Of a chain of Java exceptions any may tell it: Flink wraps a reset connection, and a timeout, in its own.
    """
    cause = root_cause(text)
    if cause.startswith("Traceback"):
        return Outside.SERVICE if exception_name(cause) in _PYTHON_TROUBLE else None
    chain = causes(text)
    if any(_CLUSTER.match(f"{name.rpartition('.')[2]}: {words}") for name, words in chain):
        return Outside.CLUSTER
    return Outside.SERVICE if any(name.endswith(_JAVA_TROUBLE) for name, _ in chain) else None


@dataclass
class _Outage:
    what: Outside
    cause: str
    since_s: float
    checkpoints: int


class Outages:
    """How long trouble outside of a job has lasted. Not safe for several threads."""

    def __init__(self, limit_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self.limit_s = limit_s
        self._now_s = now_s
        self._outage: _Outage | None = None

    def __bool__(self) -> bool:
        return self._outage is not None

    def seen(self, what: Outside, cause: str, checkpoints: int) -> None:
        """Note that it is there now; `checkpoints` is how many the job had completed by then."""
        since_s = self._now_s() if self._outage is None else self._outage.since_s
        self._outage = _Outage(what, cause, since_s, checkpoints)

    def over(self) -> None:
        """Note that the job has got past it."""
        self._outage = None

    @property
    def what(self) -> Outside:
        """What is away."""
        return self._known().what

    @property
    def cause(self) -> str:
        """The newest root cause."""
        return self._known().cause

    @property
    def checkpoints(self) -> int:
        """How many checkpoints the job had completed when it was seen last."""
        return self._known().checkpoints

    @property
    def lasted_s(self) -> float:
        """How long the job has not got past it."""
        return self._now_s() - self._known().since_s

    @property
    def too_long(self) -> bool:
        """Whether it has lasted longer than the limit."""
        return self._outage is not None and self.lasted_s > self.limit_s

    def _known(self) -> _Outage:
        if self._outage is None:
            raise AssertionError  # the caller has to ask first
        return self._outage
