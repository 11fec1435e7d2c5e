"""Checks of a job's settings."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from streamjobs.dialect.findings import Finding, error, warning
from streamjobs.dialect.flink_settings import FLINK_NAMESPACES, FLINK_SETTINGS
from streamjobs.dialect.job_parameters import STATE_TTL_KEY
from streamjobs.dialect.nodes import Script, SetStatement

_IDLE_TIMEOUT_KEY = "table.exec.source.idle-timeout"
_OWNED = (
    "execution.attached",
    "execution.runtime-mode",
    "execution.target",
    "pipeline.classpaths",
    "pipeline.jars",
    "python.archives",
    "python.client.executable",
    "python.executable",
    "python.execution-mode",
    "python.files",
    "python.pythonpath",
    "python.requirements",
    "python.systemenv.enabled",
    "table.sql-dialect",
)
_OF_THE_CLUSTER = ("blob.", "high-availability.", "jobmanager.", "kubernetes.", "rest.", "security.",
                   "taskmanager.", "yarn.")  # fmt: skip


def setting_findings(script: Script) -> Iterator[Finding]:
    """Yield settings that would break a guarantee or that a job must not set."""
    for setting in script.settings:
        yield from _findings(setting)
    for ignored in script.ignored_settings:
        message = f"{ignored.written} has no effect: {ignored.reason}"
        yield warning("setting-ignored", message, ignored.key_span)


def _findings(setting: SetStatement) -> Iterator[Finding]:
    if setting.key == STATE_TTL_KEY:
        message = (
            f"{setting.written} sets one TTL for all state: it would empty joins as of event time (every "
            "profile NULL) and let late updates bring deleted rows back. Give a TTL to each join and "
            "aggregate that needs one, with a hint: SELECT /*+ STATE_TTL('alias' = '1d') */ …"
        )
        yield error("global-ttl", message, setting.key_span)
    elif setting.key == _IDLE_TIMEOUT_KEY and not setting.value.startswith("0"):
        message = (
            f"{setting.written} lets event time run ahead of a quiet partition: its rows are then late and "
            "are lost to joins. Producers send heartbeats, so a quiet partition needs no timeout"
        )
        yield warning("idle-timeout", message, setting.key_span)
    elif setting.key in _OWNED:
        message = f"{setting.written} is set by streamjobs itself, in the same way for every job: remove it"
        yield error("setting-owned", message, setting.key_span)
    elif setting.key.startswith(_OF_THE_CLUSTER):
        message = f"{setting.written} belongs to the cluster, a job cannot change it: remove it"
        yield error("setting-owned", message, setting.key_span)
    elif setting.key.startswith(FLINK_NAMESPACES) and setting.key not in FLINK_SETTINGS:
        near = difflib.get_close_matches(setting.key, FLINK_SETTINGS, n=1)
        hint = f", did you mean {near[0]}?" if near else ""
        message = f"Flink has no setting {setting.key}{hint}"
        yield error("setting-unknown", message, setting.key_span)
