"""Plans many small jobs on one JVM: `python -m tests.house.planned WORK_DIR`.

On stdin comes a JSON object: name -> SQL. It prints one: name -> what `run` says of the job, "" for one that
it takes. A process of its own, because PyFlink keeps its connection to a JVM.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

from streamjobs.errors import StreamjobsError
from streamjobs.job.cluster.session import STATE_DIR
from streamjobs.job.plan.planning import plan_file
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.job.planner.child import leased_gateway
from streamjobs.job.planner.flink_job import built
from streamjobs.job.planner.lease import default_planner_dir
from streamjobs.job.planner.request import Target, configuration


def said(name: str, sql: str, target: Target) -> str:
    """Plan a job as `run` does, and give what is refused, with a place in `name`.sql."""
    file = Path(target.work_dir) / f"{name}.sql"
    file.write_bytes(sql.encode())
    try:
        plan = plan_file(file, RunSettings("127.0.0.1:1", Path(target.work_dir) / "store"))
        built(plan, configuration(target), "run")
    except StreamjobsError as exc:
        return str(exc).replace(f"{target.work_dir}/", "")
    except Exception:
        return traceback.format_exc()
    return ""


if __name__ == "__main__":
    jars = tuple(map(str, sorted((STATE_DIR / "jars" / "flink").glob("*.jar"))))
    files = str(STATE_DIR / "jars" / "planner")
    nowhere = Target("http://127.0.0.1:1", sys.argv[1], str(default_planner_dir(STATE_DIR)), files, jars)
    jobs = json.load(sys.stdin)
    with leased_gateway(nowhere):
        print(json.dumps({name: said(name, sql, nowhere) for name, sql in jobs.items()}), flush=True)
    os._exit(0)  # py4j's finalizers would ask a gateway that is closed
