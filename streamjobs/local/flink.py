"""A real standalone Flink cluster on loopback ports: one JobManager, any number of TaskManagers."""

from __future__ import annotations

import http.client
import json
import signal
from collections.abc import Mapping
from pathlib import Path

from streamjobs.class_data import archive_flags
from streamjobs.local import places
from streamjobs.local.flink_config import (
    JAVA_OPTIONS,
    LOG4J,
    JobManagerSize,
    TaskManagerSize,
    cluster_settings,
    to_yaml,
)
from streamjobs.local.ports import LOOPBACK, PortLease
from streamjobs.local.processes import ProcessGroup, child_environment
from streamjobs.local.python_workers import write_launcher
from streamjobs.local.service import Service

_JOBMANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASKMANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_ANSWER_TIMEOUT_S = 5.0
_END_SIGNAL = signal.SIGKILL
"""Flink keeps all that matters in its checkpoints; a TaskManager takes 5 s to end on SIGTERM.

A TaskManager that ends by itself is started again, as any orchestrator does. Flink ends one because of its
own bugs: "Reference count must not be negative" was seen while a job with Python functions was cancelled.
"""


def _get(port: int, path: str) -> object:
    """Return the JSON answer of the REST interface; raise OSError when it does not answer yet."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    except http.client.HTTPException as exc:
        msg = f"GET {path}: {exc!r}"
        raise OSError(msg) from exc
    finally:
        connection.close()
    if response.status != http.client.OK:
        msg = f"GET {path}: HTTP {response.status}"
        raise OSError(msg)
    return json.loads(body)


class FlinkCluster:
    """The Flink cluster of an environment.

    `rest_url` is what clients connect to, e.g. "http://127.0.0.1:24243"; `conf_dir` holds its config.yaml;
    `connector_jars` are already on the class path of every process, so jobs need not ship them.
    """

    def __init__(
        self,
        group: ProcessGroup,
        lease: PortLease,
        *,
        rest_port: int | None = None,
        taskmanagers: int = 1,
        slots: int = 2,
        jobmanager_size: JobManagerSize | None = None,
        taskmanager_size: TaskManagerSize | None = None,
        settings: Mapping[str, str] | None = None,
        deadline_s: float = 90.0,
    ) -> None:
        self.slots = slots
        self.rest_port = lease.take(rest_port)
        self.rpc_port = lease.take()
        self.rest_url = f"http://{LOOPBACK}:{self.rest_port}"
        self.conf_dir = group.root / "flink" / "conf"
        self.connector_jars = tuple(sorted(places.jar_dir("flink").glob("*.jar")))
        self.jobmanager_size = jobmanager_size or JobManagerSize()
        self.taskmanager_size = taskmanager_size or TaskManagerSize()
        self._group = group
        self._deadline_s = deadline_s
        self._settings = {
            **cluster_settings(group.root, self.rest_port, self.rpc_port, slots),
            **self.jobmanager_size.settings(),
            **self.taskmanager_size.settings(slots),
            **(settings or {}),
        }
        home = places.flink_home()
        self._class_path = self._jars(home)
        self._bin_dir = group.root / "flink" / "bin"
        self._env = child_environment(
            group.root,
            self._bin_dir,
            # Otherwise each operator starts a Python to find pyflink.
            PYFLINK_UDF_RUNNER_DIR=str(home / "bin"),
            FLINK_HOME=str(home),
            FLINK_CONF_DIR=str(self.conf_dir),
            FLINK_LIB_DIR=str(home / "lib"),
            FLINK_OPT_DIR=str(home / "opt"),
            FLINK_PLUGINS_DIR=str(home / "plugins"),
            FLINK_BIN_DIR=str(home / "bin"),
        )
        self.jobmanager = Service(
            group,
            "jobmanager",
            command=lambda _launch: self._command(
                "jobmanager", _JOBMANAGER, self.jobmanager_size.java_flags()
            ),
            env=self._env,
            missing=lambda _launch: self._missing_jobmanager(),
            deadline_s=deadline_s,
            end_signal=_END_SIGNAL,
        )
        self.taskmanagers = [self._taskmanager(index) for index in range(taskmanagers)]

    def launch(self) -> None:
        """Start all processes without waiting."""
        self.conf_dir.mkdir(parents=True, exist_ok=True)
        for name in ("checkpoints", "savepoints"):
            (self._group.root / "flink" / name).mkdir(exist_ok=True)
        (self.conf_dir / "config.yaml").write_text(to_yaml(self._settings), encoding="utf-8")
        (self.conf_dir / "log4j.properties").write_text(LOG4J, encoding="utf-8")
        self._bin_dir.mkdir(exist_ok=True)
        write_launcher(self._bin_dir, self._group.log("python-workers"))
        for service in (self.jobmanager, *self.taskmanagers):
            service.launch()

    def await_ready(self) -> None:
        """Wait until REST shows every TaskManager with its slots."""
        for service in (self.jobmanager, *self.taskmanagers):
            service.await_ready()

    def start_taskmanager(self) -> Service:
        """Start one more TaskManager, wait until its slots are ready, and return it."""
        service = self._taskmanager(len(self.taskmanagers))
        self.taskmanagers.append(service)
        service.launch()
        service.await_ready()
        return service

    def _jars(self, home: Path) -> str:
        jars = sorted((home / "lib").glob("*.jar"), key=lambda jar: (jar.name.startswith("flink-dist"), jar))
        python = sorted((home / "opt").glob("flink-python-*.jar"))
        return ":".join(str(jar) for jar in (*self.connector_jars, *python, *jars))

    def _taskmanager(self, index: int) -> Service:
        name = f"taskmanager-{index}"
        flags = self.taskmanager_size.java_flags()
        return Service(
            self._group,
            name,
            command=lambda launch: [
                *self._command(name, _TASKMANAGER, flags),
                f"-Dtaskmanager.resource-id={name}-{launch}",
            ],
            env=self._env,
            missing=lambda launch: self._missing_taskmanager(f"{name}-{launch}"),
            deadline_s=self._deadline_s,
            end_signal=_END_SIGNAL,
            kept=True,
        )

    def _command(self, name: str, main: str, flags: list[str]) -> list[str]:
        role = name.partition("-")[0]
        return [
            places.java(),
            *archive_flags(places.archive_dir() / f"{role}.jsa"),
            *flags,
            *JAVA_OPTIONS,
            f"-Djava.io.tmpdir={self._group.root / 'tmp'}",
            f"-Dlog.file={self._group.log(name)}",
            f"-Dlog4j.configurationFile=file:{self.conf_dir / 'log4j.properties'}",
            "-cp",
            self._class_path,
            main,
            "--configDir",
            str(self.conf_dir),
        ]

    def _missing_jobmanager(self) -> str | None:
        return missing_jobmanager(self.rest_port)

    def _missing_taskmanager(self, resource_id: str) -> str | None:
        return missing_taskmanager(self.rest_port, resource_id, self.slots)


def missing_jobmanager(rest_port: int) -> str | None:
    """Return why the JobManager on this port is not ready; None when it answers."""
    try:
        _get(rest_port, "/overview")
    except OSError as exc:
        return f"no overview from http://{LOOPBACK}:{rest_port} ({exc})"
    return None


def missing_taskmanager(
    rest_port: int, resource_id: str, slots: int | None = None, since_ms: int = 0
) -> str | None:
    """Return why a TaskManager is not ready; None when it has its slots and a recent heartbeat.

    An id that ends in `-` means every launch of it.
    """
    try:
        answer = _get(rest_port, "/taskmanagers")
    except OSError as exc:
        return f"no list of TaskManagers from http://{LOOPBACK}:{rest_port} ({exc})"
    known = answer.get("taskmanagers", []) if isinstance(answer, dict) else []
    for one in known:
        named = one["id"].startswith(resource_id) if resource_id.endswith("-") else one["id"] == resource_id
        if named and one["slotsNumber"] == (slots or one["slotsNumber"]):
            if int(one["timeSinceLastHeartbeat"]) >= since_ms:
                return None
    wanted = "slots" if slots is None else f"{slots} slots"
    return f"{resource_id.rstrip('-')} has not registered its {wanted} with the JobManager"
