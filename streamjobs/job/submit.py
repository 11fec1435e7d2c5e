"""Plans a job and hands it to a cluster, in a process of its own: `python -m streamjobs.job.submit`.

PyFlink starts a JVM and keeps it; a child process keeps both out of the command line. The request comes as
a line of JSON on standard input, then the line `go` when the planned job may start: planning takes long, and
can go on while the cluster comes up. The answer is one line of JSON, the last on standard output:
`{"job_id": "…"}`, `{"explained": "…"}` or `{"error": "…", "kind": "SqlError"}`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import psutil

from streamjobs.errors import ConfigError, JobError, StreamjobsError
from streamjobs.job.package import worker_package
from streamjobs.job.plan import Brokers, JobPlan, plan_job
from streamjobs.job.report import root_cause
from streamjobs.kafka_connection import KafkaConnection

_DYING_S = 10.0
_TIMEOUT_S = 180
CLIENT_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData"
"""The client's JVM plans one job and ends: without the second compiler that takes 13 CPU seconds, not 32."""


@dataclass(frozen=True)
class Target:
    """A Flink cluster.

    `client_jars` are needed to plan (connectors) and are on the cluster's class path already; `ship_jars`
    sends them along instead. `work_dir` is where the client may put files.
    """

    rest_url: str
    work_dir: str
    client_jars: tuple[str, ...] = ()
    ship_jars: bool = False


@dataclass(frozen=True)
class Request:
    """A job to submit or, with `explain`, only to explain.

    `brokers` has the brokers by name, with secrets. `run_id` is new for each submission. `disorder_ms`
    overrides the disorder bound of every source, None keeps what the file says.
    """

    sql_path: str
    name: str
    run_id: str
    target: Target
    brokers: Mapping[str, KafkaConnection]
    store_path: str
    overrides: Mapping[str, str] = field(default_factory=dict)
    disorder_ms: int | None = None
    explain: bool = False

    def plan(self) -> JobPlan:
        """Read the file and plan it. Raises SqlError, ConfigError."""
        try:
            text = Path(self.sql_path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            message = f"cannot read {self.sql_path}: {exc}"
            raise ConfigError(message) from exc
        return plan_job(
            text, self.sql_path, self.name, Brokers(self.brokers, partitions_of),
            store_path=self.store_path, overrides=self.overrides, disorder_ms=self.disorder_ms,
        )  # fmt: skip


def partitions_of(broker: KafkaConnection, topic: str) -> int:
    """Ask the broker how many partitions a topic has. Raises ConfigError where there is no such topic."""
    from connectors.kafka import describe_topic  # noqa: PLC0415 - few jobs ask

    info = describe_topic(broker, topic)
    if info is None:
        message = f"topic {topic} does not exist at {broker}"
        raise ConfigError(message)
    return info.partitions


class Submission:
    """A job that a child process plans from now on; nothing starts before `finish`.

    `plan` is what the job reads and writes. Raises SqlError and ConfigError for what our own rules refuse.
    Its temporary files are in the target's `work_dir` and go with it.
    """

    def __init__(self, request: Request) -> None:
        self.plan = request.plan()  # what our own rules refuse needs no JVM
        self.request = request
        Path(request.target.work_dir).mkdir(parents=True, exist_ok=True)
        self._files = tempfile.TemporaryDirectory(
            prefix="client-", dir=request.target.work_dir, ignore_cleanup_errors=True
        )
        self._child = subprocess.Popen(
            [sys.executable, "-m", "streamjobs.job.submit"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=_environment(request.target, self._files.name), start_new_session=True,
        )  # fmt: skip
        stdin = self._child.stdin
        if stdin is None:
            raise AssertionError  # the pipe was asked for
        stdin.write(json.dumps(asdict(request)) + "\n")
        stdin.flush()

    def finish(self) -> str:
        """Start the job; gives its id (or the explanation).

        Raises SqlError and ConfigError for what the job says wrong, JobError with Flink's root cause else.
        """
        name, rest_url = self.request.name, self.request.target.rest_url
        try:
            out, err = self._child.communicate("go\n", _TIMEOUT_S)
        except subprocess.TimeoutExpired as exc:
            message = f"the job {name} was not submitted to {rest_url} in {_TIMEOUT_S} s"
            raise JobError(message, str(exc.stderr or "")) from exc
        finally:
            self.abandon()
        try:
            answer = json.loads(out.strip().splitlines()[-1])
        except (IndexError, ValueError):
            message = f"the job {name} could not be submitted to {rest_url}"
            raise JobError(message, root_cause(err or out)) from None
        if "error" in answer:
            if answer["kind"] in ("SqlError", "ConfigError"):
                raise ConfigError(answer["error"])
            message = f"Flink refused the job {name}"
            raise JobError(message, root_cause(answer["error"]))
        return str(answer.get("job_id") or answer["explained"])

    def abandon(self) -> None:
        """End the child, its JVM too, whatever it does; may be called again, and after `finish`."""
        if self._child.poll() is None:
            try:
                others = psutil.Process(self._child.pid).children(recursive=True)
            except psutil.NoSuchProcess:
                others = []
            os.killpg(self._child.pid, signal.SIGKILL)
            psutil.wait_procs(others, timeout=_DYING_S)  # a JVM takes a moment, and has files open
        with self._child:  # closes its pipes and waits
            self._files.cleanup()


def _environment(target: Target, temporary: str) -> dict[str, str]:
    own = {key: value for key, value in os.environ.items() if key != "FLINK_CONF_DIR"}
    own |= {"HADOOP_CLASSPATH": ":".join(target.client_jars), "PYTHONUNBUFFERED": "1", "TMPDIR": temporary}
    own["JVM_ARGS"] = f"{own.get('JVM_ARGS', CLIENT_JVM)} -Djava.io.tmpdir={temporary}"
    return own


def send(request: Request) -> str:
    """Submit in a child process; gives the job id (or the explanation). Raises as `Submission`."""
    return Submission(request).finish()


def explain_request(request: Request) -> str:
    """Give Flink's plans of a job, each operator with its changelog mode. Raises as `send`."""
    return send(replace(request, explain=True))


def configuration(target: Target) -> dict[str, str]:
    """Give Flink's client configuration for a target."""
    host, _, port = target.rest_url.rpartition("//")[2].partition(":")
    config = {
        "execution.target": "remote",
        "execution.attached": "false",
        "rest.address": host,
        "rest.port": port or "8081",
        "jobmanager.rpc.address": host,
        "python.files": str(worker_package(Path(target.work_dir))),
    }
    if target.ship_jars:
        config["pipeline.jars"] = ";".join(Path(jar).resolve().as_uri() for jar in target.client_jars)
    return config


def main() -> int:
    """Answer one request; see the module."""
    from streamjobs.job.flink import FlinkJob  # noqa: PLC0415 - starts a JVM; only this process may

    request = json.loads(sys.stdin.readline())
    given = request.pop("target")
    brokers = {name: KafkaConnection(**broker) for name, broker in request.pop("brokers").items()}
    target = Target(**(given | {"client_jars": tuple(given["client_jars"])}))
    read = Request(**request, brokers=brokers, target=target)
    try:
        job = FlinkJob(read.plan(), configuration(target), read.run_id)
        job.build()
        if sys.stdin.readline() != "go\n":
            return 0  # nobody waits any more
        answer = {"explained": job.explain()} if read.explain else {"job_id": job.submit()}
    except StreamjobsError as exc:
        answer = {"error": str(exc), "kind": type(exc).__name__}
    except Exception as exc:
        answer = {"error": str(exc), "kind": "Flink"}
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
