"""Plans job files on Flink and prints what Flink makes of each: `python -m tests.house.explained FILE…`.

A process of its own, because PyFlink starts a JVM. One JSON object: path -> {"sinks", "plan", "operators"}.
"""

from __future__ import annotations

import json
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from streamjobs.job.flink import FlinkJob, explain_plan
from streamjobs.job.plan import Brokers, plan_job
from streamjobs.job.submit import Target, configuration

_MODE = re.compile(r"changelogMode=\[([A-Z,]*)\]")
_SINK = re.compile(r"Sink\(table=\[default_catalog\.default_database\.(\w+)\]")


def explained(path: str, work_dir: str) -> dict[str, Any]:
    """Give the mode of what enters each sink, the physical plan, and the operators that would run."""
    plan = plan_job(
        Path(path).read_text(encoding="utf-8"), path, Path(path).stem,
        Brokers({"default": "127.0.0.1:1"}), store_path=f"{work_dir}/store",
    )  # fmt: skip
    job = FlinkJob(plan, configuration(Target("http://127.0.0.1:1", work_dir)), "run")
    physical = explain_plan(job.explain())
    sinks, lines = {}, physical.splitlines()
    for line, below in pairwise(lines):
        sink, mode = _SINK.search(line), _MODE.search(below)
        if sink and mode:
            sinks[sink[1]] = mode[1]
    job.build().attach_as_datastream()
    graph = json.loads(job._env.get_execution_plan())
    return {"sinks": sinks, "plan": physical, "operators": [node["type"] for node in graph["nodes"]]}


if __name__ == "__main__":
    print(json.dumps({path: explained(path, sys.argv[1]) for path in sys.argv[2:]}))
