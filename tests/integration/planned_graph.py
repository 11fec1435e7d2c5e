"""Plans job files one after the other on one JVM and prints what Flink would run: a process of its own.

`python -m tests.integration.planned_graph WORK_DIR PLANNER_DIR FILE…` prints one JSON list of
[explained, [[vertex id, vertex name]…], explained by Flink] for each file. The ids of vertices are those that
savepoints know.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from pyflink.table import ExplainDetail

from streamjobs.job.cluster.session import STATE_DIR
from streamjobs.job.plan.planning import plan_file
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.job.planner.child import leased_gateway
from streamjobs.job.planner.flink_job import FlinkJob
from streamjobs.job.planner.request import Target, configuration


def planned(path: str, target: Target) -> list[object]:
    """Return the explained plan of a job and the vertices of its graph."""
    plan = plan_file(Path(path), RunSettings("127.0.0.1:1", Path(target.work_dir) / "store"))
    job = FlinkJob(plan, configuration(target), "run", explains=True)
    text = job.explain()
    by_flink = str(job.build().explain(ExplainDetail.CHANGELOG_MODE))
    job.build().attach_as_datastream()
    graph = job._env._generate_stream_graph().getJobGraph()
    return [text, [[str(each.getID()), each.getName()] for each in graph.getVerticesAsArray()], by_flink]


if __name__ == "__main__":
    jars = tuple(map(str, sorted((STATE_DIR / "jars" / "flink").glob("*.jar"))))
    nowhere = Target(
        "http://127.0.0.1:1", sys.argv[1], sys.argv[2], str(STATE_DIR / "jars" / "planner"), jars
    )
    with leased_gateway(nowhere):
        print(json.dumps([planned(path, nowhere) for path in sys.argv[3:]]), flush=True)
    os._exit(0)  # py4j's finalizers would ask a gateway that is closed
