"""Plans job files on Flink and prints what Flink makes of each: `python -m tests.house.explained FILE…`.

A process of its own, because PyFlink keeps its connection to a JVM. One JSON object: path -> {"sinks",
"plan", "operators", "padded", "stale_rows"}, the last two with what `run` would refuse.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from streamjobs.job.checks.stale_rows import stale_rows
from streamjobs.job.cluster.session import STATE_DIR
from streamjobs.job.flink_plan.rel_nodes import PlanReader
from streamjobs.job.plan.outer_interval_joins import padded_too_late
from streamjobs.job.plan.planning import plan_file
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.job.planner.child import leased_gateway
from streamjobs.job.planner.flink_job import FlinkJob
from streamjobs.job.planner.lease import default_planner_dir
from streamjobs.job.planner.request import Target, configuration


def explained(path: str, target: Target) -> dict[str, Any]:
    """Give the mode of what enters each sink, the physical plan, and the operators that would run.

    `padded`: sink -> what stands behind an outer interval join and works on event time. Such a job is
    planned all the same, and has no operators. `stale_rows`: sink, keyed by its first column -> the operator
    that may leave rows behind.
    """
    plan = plan_file(Path(path), RunSettings("127.0.0.1:1", Path(target.work_dir) / "store"))
    unjudged = replace(plan, outer_joins=())
    job = FlinkJob(unjudged, configuration(target), "run")
    text = job.explain()
    physical = text.partition("== Optimized Physical Plan ==")[2].partition("== Optimized Execution")[0]
    operations = job.build()._j_statement_set.getOperations()
    roots = PlanReader(job.tables).of_operations(list(operations))
    padded = {each.sink: each.behind.kind for each in padded_too_late(roots)}
    lasts = {root.table: root.inputs[0] for root in roots}
    found = {sink: stale_rows(last, [0]) for sink, last in lasts.items()}
    silent = {sink: each.kind for sink, each in found.items() if each is not None}
    operators = [] if padded else _operators(job)
    return {"sinks": {sink: last.mode for sink, last in lasts.items()}, "plan": physical,
            "operators": operators, "padded": padded, "stale_rows": silent}  # fmt: skip


def _operators(job: FlinkJob) -> list[str]:
    job.build().attach_as_datastream()
    graph = json.loads(job._env.get_execution_plan())
    return [node["type"] for node in graph["nodes"]]


if __name__ == "__main__":
    jars = tuple(map(str, sorted((STATE_DIR / "jars" / "flink").glob("*.jar"))))
    files = str(STATE_DIR / "jars" / "planner")
    nowhere = Target("http://127.0.0.1:1", sys.argv[1], str(default_planner_dir(STATE_DIR)), files, jars)
    with leased_gateway(nowhere):
        print(json.dumps({path: explained(path, nowhere) for path in sys.argv[2:]}), flush=True)
    os._exit(0)  # py4j's finalizers would ask a gateway that is closed
