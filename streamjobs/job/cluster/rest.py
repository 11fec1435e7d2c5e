"""A client of Flink's REST interface, as far as it is needed to watch a running job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from streamjobs.errors import RetriableError, SystemicError

TERMINAL_STATES = frozenset({"FINISHED", "FAILED", "CANCELED"})


@dataclass(frozen=True)
class JobState:
    """A job's state as Flink names it (`RUNNING`, `RESTARTING` …), and names and parallelism by vertex id."""

    state: str
    vertices: Mapping[str, str]
    parallelism: Mapping[str, int]

    @property
    def ended(self) -> bool:
        """Return whether the job has ended."""
        return self.state in TERMINAL_STATES


@dataclass(frozen=True)
class ListedJob:
    """A job as the cluster lists it, e.g. `ListedJob("6e2f…", "ctr_samples", "RUNNING")`."""

    job_id: str
    name: str
    state: str


@dataclass(frozen=True)
class RegisteredTaskManager:
    """A TaskManager: its slots, the free ones, and for each other slot the id of the job that holds it."""

    slots: int
    free: int
    holders: tuple[str, ...]


@dataclass(frozen=True)
class Failure:
    """One failure of a job: its time (epoch ms) and Flink's full text."""

    at_ms: int
    text: str


class FlinkRest:
    """A cluster's REST interface.

    Every method raises RetriableError if the cluster does not answer, and SystemicError if it answers with an
    error.
    """

    def __init__(self, url: str, timeout_s: float = 10.0) -> None:
        self._client = httpx.Client(base_url=url, timeout=timeout_s, trust_env=False)
        self.url = url

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def jobs(self) -> Sequence[ListedJob]:
        """Return all jobs that the cluster remembers, ended ones too."""
        listed = self._get("/jobs/overview")["jobs"]
        return [ListedJob(str(each["jid"]), str(each["name"]), str(each["state"])) for each in listed]

    def run_id(self, job_id: str) -> str | None:
        """Return the run id that a job was submitted with; None if it has none, or does not show it yet."""
        config = self._get(f"/jobs/{job_id}/config").get("execution-config") or {}
        found = config.get("user-config", {}).get("streamjobs.run_id")
        return None if found is None else str(found)

    def job(self, job_id: str) -> JobState:
        """Return the job's state."""
        answer = self._get(f"/jobs/{job_id}")
        return JobState(
            str(answer["state"]),
            {vertex["id"]: vertex["name"] for vertex in answer["vertices"]},
            {vertex["id"]: int(vertex["parallelism"]) for vertex in answer["vertices"]},
        )

    def tasks(self, job_id: str) -> Mapping[str, int]:
        """Return how many of the job's tasks are in each state, e.g. `{"RUNNING": 2, "DEPLOYING": 2}`.

        A task without a state counts as `CREATED`.
        """
        counts: Counter[str] = Counter()
        for vertex in self._get(f"/jobs/{job_id}")["vertices"]:
            known = {str(state): int(count) for state, count in vertex["tasks"].items() if count}
            counts.update(known)
            counts["CREATED"] += max(int(vertex["parallelism"]) - sum(known.values()), 0)
        return +counts

    def taskmanagers(self) -> Sequence[RegisteredTaskManager]:
        """Return the TaskManagers that are registered now."""
        found = []
        for each in self._get("/taskmanagers")["taskmanagers"]:
            try:
                known = self._get(f"/taskmanagers/{each['id']}")
            except SystemicError:
                continue  # it has ended since it was listed
            holders = tuple(str(slot["jobId"]) for slot in known.get("allocatedSlots", ()))
            found.append(RegisteredTaskManager(int(known["slotsNumber"]), int(known["freeSlots"]), holders))
        return found

    def last_checkpoint(self, job_id: str) -> str | None:
        """Return the path of the newest completed checkpoint; None if there is none, or it has no path."""
        newest = (self._get(f"/jobs/{job_id}/checkpoints").get("latest") or {}).get("completed") or {}
        path = newest.get("external_path")
        return None if path is None or path.startswith("<") else str(path)

    def failures(self, job_id: str) -> Sequence[Failure]:
        """Return the job's failures, the newest first."""
        answer = self._get(f"/jobs/{job_id}/exceptions")
        entries = answer.get("exceptionHistory", {}).get("entries", [])
        return [Failure(int(entry["timestamp"]), str(entry["stacktrace"])) for entry in entries]

    def checkpoints(self, job_id: str) -> int:
        """Return the number of completed checkpoints."""
        answer = self._get(f"/jobs/{job_id}/checkpoints")
        return int(answer.get("counts", {}).get("completed", 0))

    def metric_names(self, job_id: str, vertex: str) -> Sequence[str]:
        """Return the names of a vertex's metrics; each starts with the index of its subtask."""
        return [str(each["id"]) for each in self._list(f"/jobs/{job_id}/vertices/{vertex}/metrics")]

    def metrics(self, job_id: str, vertex: str, names: Sequence[str]) -> Mapping[str, str]:
        """Return the values of those metrics that exist."""
        if not names:
            return {}
        path = f"/jobs/{job_id}/vertices/{vertex}/metrics"
        return {
            str(each["id"]): str(each.get("value", "")) for each in self._list(path, {"get": ",".join(names)})
        }

    def stop_with_drain(self, job_id: str) -> str:
        """Ask the job to stop with a savepoint and the last watermark; return the trigger's id."""
        answer = self._post(f"/jobs/{job_id}/stop", {"drain": True})
        return str(answer["request-id"])

    def savepoint(self, job_id: str, trigger: str) -> tuple[bool, str]:
        """Return whether the savepoint of that trigger is done, and its path or why it failed."""
        answer = self._get(f"/jobs/{job_id}/savepoints/{trigger}")
        operation = answer.get("operation") or {}
        failure = operation.get("failure-cause")
        if failure:
            return True, "failed: " + str(failure.get("stack-trace", failure))
        return answer["status"]["id"] == "COMPLETED", str(operation.get("location", ""))

    def cancel(self, job_id: str) -> None:
        """Cancel the job; does nothing if it has ended meanwhile."""
        response = self._send("PATCH", f"/jobs/{job_id}?mode=cancel")
        if response.status_code != httpx.codes.CONFLICT:  # "already reached another terminal state"
            self._checked(response)

    def _get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        answer = self._checked(self._send("GET", path, params=dict(params or {}))).json()
        if not isinstance(answer, dict):
            message = f"GET {path}: not an object: {answer!r}"
            raise SystemicError(message)
        return answer

    def _list(self, path: str, params: Mapping[str, str] | None = None) -> list[Any]:
        answer = self._checked(self._send("GET", path, params=dict(params or {}))).json()
        return answer if isinstance(answer, list) else []

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._checked(self._send("POST", path, json=dict(body))).json()
        return dict(answer)

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **options)
        except httpx.TransportError as exc:
            message = f"Flink at {self.url} does not answer {method} {path}: {exc}"
            raise RetriableError(message) from exc

    def _checked(self, response: httpx.Response) -> httpx.Response:
        if response.status_code >= 500:
            message = f"Flink at {self.url}: HTTP {response.status_code}: {response.text[:500]}"
            raise RetriableError(message)
        if response.status_code >= 400:
            message = f"Flink at {self.url}: HTTP {response.status_code}: {response.text[:500]}"
            raise SystemicError(message)
        return response
