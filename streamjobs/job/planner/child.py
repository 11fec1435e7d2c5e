"""Plans one job on a leased JVM, then submits or explains it: `python -m streamjobs.job.planner.child`.

It reads two lines: the request (see `planner.request`), and, when the job may start, `go` with the partitions
that the preflight counted. Planning takes seconds, and can happen while the cluster starts. The line
HANDING_OVER on standard output means that the cluster may have the job from now on, whatever follows. The
answer is the last line, in JSON: `{"job_id": "…"}`, `{"explained": "…"}`,
`{"error": "…", "kind": "SqlError"}`, or `{"lost": "…"}` if the JVM died.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from py4j.protocol import Py4JJavaError, Py4JNetworkError

from streamjobs.errors import JobError, StreamjobsError
from streamjobs.job.plan.flink_ddl import Partitions
from streamjobs.job.planner import lease
from streamjobs.job.planner.flink_job import built
from streamjobs.job.planner.gateway import Attached, jvm_command, silence
from streamjobs.job.planner.refused import JAVA_ERRORS
from streamjobs.job.planner.request import HANDING_OVER, Request, Target, configuration, unpacked

Answer = dict[str, str]


@contextmanager
def leased_gateway(target: Target) -> Iterator[None]:
    """Run the block with PyFlink on a warm JVM. Only once in a process.

    If the block ends without an exception, the JVM may serve others; if it raises, the JVM is ended.
    Raises ConfigError if no JVM is available, Py4JNetworkError if the JVM dies.
    """
    directory = Path(target.planner_dir)
    command = jvm_command(directory, target.client_jars, Path(target.planner_files))
    with closing(lease.take(directory, command)) as leased:
        attached = Attached(leased)
        try:
            yield
        except Py4JJavaError as exc:
            message = "Flink failed"
            raise JobError(message, str(exc)) from None  # reads the text now: the JVM ends next
        finally:
            silence()
        attached.detach()
        leased.release()


class Planned:
    """One request, planned on the JVM of this process."""

    def __init__(self, request: Request, go: Callable[[], Partitions | None]) -> None:
        self._request = request
        self._go = go

    def answer(self) -> Answer:
        """Plan the job, wait for `go`, then submit or explain it.

        Raises EOFError if no one waits for the job any longer, Py4JNetworkError if the JVM has died.
        """
        try:
            return self._answer()
        except (EOFError, Py4JNetworkError):
            raise
        except Exception as exc:
            return _refusal(exc)

    def _answer(self) -> Answer:
        request = self._request
        partitions = self._go() if request.waits else None
        job = built(
            request.plan, configuration(request.target), request.run_id, partitions, explains=request.explain
        )
        if not request.waits:
            self._go()
        if request.explain:
            return {"explained": job.explain()}
        print(HANDING_OVER, flush=True)
        return {"job_id": job.submit()}


def answer(request: Request, go: Callable[[], Partitions | None]) -> Answer:
    """Return the answer to a request. Raises EOFError if no one waits for it any longer."""
    planned = Planned(request, go)
    try:
        with leased_gateway(request.target):
            return planned.answer()
    except Py4JNetworkError as exc:
        return {"lost": str(exc)}
    except StreamjobsError as exc:
        return _refusal(exc)


def _refusal(exc: Exception) -> Answer:
    if isinstance(exc, StreamjobsError):
        return {"error": str(exc), "kind": type(exc).__name__}
    if isinstance(exc, JAVA_ERRORS):
        return {"error": str(exc), "kind": "Flink"}
    return {"error": "".join(traceback.format_exception(exc)), "kind": "streamjobs"}


def _go() -> Partitions | None:
    """Wait for the line `go`. Raises EOFError if no one waits for the job any longer."""
    word, _, counted = sys.stdin.readline().strip().partition(" ")
    if word != "go":
        raise EOFError
    partitions: Partitions | None = unpacked(counted)  # type: ignore[assignment]
    return partitions


def main() -> None:
    """Answer one request; see the module's docstring."""
    try:
        request = unpacked(sys.stdin.readline())
        if not isinstance(request, Request):
            raise TypeError(request)
        print(json.dumps(answer(request, _go)), flush=True)
    except EOFError:
        pass  # no one waits for it
    os._exit(0)  # skips py4j's finalizers, which would call a closed gateway


if __name__ == "__main__":
    main()
