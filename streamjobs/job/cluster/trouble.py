"""Decides whether a job's failure is its own fault, or that of the cluster, a store or a broker."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from streamjobs.job.root_cause import causes, exception_name, root_cause


class Outside(Enum):
    """What is unavailable when a job fails for a reason outside of its file."""

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
"""Flink 2.3's errors for a TaskManager or JobManager that is unavailable or has no free slot."""
_PYTHON_TROUBLE = frozenset(
    {
        *("RetriableError", "LockedError", "ConnectionLostError"),
        *("ConnectionError", "ConnectionRefusedError", "ConnectionResetError"),
    }
)
"""Errors of streamjobs that may pass, and what Python raises when a server is unavailable."""
_KAFKA = "org.apache.kafka.common.errors."
_JAVA_TROUBLE = (
    *("java.net.ConnectException", "java.net.SocketTimeoutException", "java.net.NoRouteToHostException"),
    *(f"{_KAFKA}{word}Exception" for word in ("Timeout", "Disconnect", "Network", "BrokerNotAvailable")),
    *(f"{_KAFKA}{word}Exception" for word in ("CoordinatorNotAvailable", "CoordinatorLoadInProgress")),
    *(f"{_KAFKA}{word}Exception" for word in ("NotCoordinator", "LeaderNotAvailable")),
    *(f"{_KAFKA}{word}Exception" for word in ("NotLeaderOrFollower", "NotEnoughReplicas")),
    f"{_KAFKA}NotEnoughReplicasAfterAppendException",
)
"""What Java and Kafka's client 4.1 raise when a server is unavailable.

They are compared by the end of the name: Flink's SQL connector has its own copy of the client."""


def outside(text: str) -> Outside | None:
    """Return what is unavailable according to a failure's text; None if it seems the job's own fault.

    Any exception of a chain of Java exceptions may show it: Flink wraps a reset connection or a timeout in
    exceptions of its own.
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
    """How long an outage outside of a job has lasted. Not safe for several threads."""

    def __init__(self, limit_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self.limit_s = limit_s
        self._now_s = now_s
        self._outage: _Outage | None = None

    def __bool__(self) -> bool:
        return self._outage is not None

    def seen(self, what: Outside, cause: str, checkpoints: int) -> None:
        """Record that the outage exists now; `checkpoints` is how many the job had completed by then."""
        since_s = self._now_s() if self._outage is None else self._outage.since_s
        self._outage = _Outage(what, cause, since_s, checkpoints)

    def over(self) -> None:
        """Record that the job has recovered from the outage."""
        self._outage = None

    @property
    def what(self) -> Outside:
        """Return what is unavailable."""
        return self._known().what

    @property
    def cause(self) -> str:
        """Return the newest root cause."""
        return self._known().cause

    @property
    def checkpoints(self) -> int:
        """Return how many checkpoints the job had completed when the outage was last seen."""
        return self._known().checkpoints

    @property
    def lasted_s(self) -> float:
        """Return for how long the job has not recovered."""
        return self._now_s() - self._known().since_s

    @property
    def too_long(self) -> bool:
        """Return whether the outage has lasted longer than the limit."""
        return self._outage is not None and self.lasted_s > self.limit_s

    def _known(self) -> _Outage:
        if self._outage is None:
            raise AssertionError  # the caller must check for an outage first
        return self._outage
