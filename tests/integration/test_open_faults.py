"""Faults that are known and not mended yet, and that need a service to be seen (others: tests/house)."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pymysql
import pytest

from streamjobs.errors import ConfigError
from streamjobs.job.cluster.preflight import preflight
from streamjobs.job.plan.planning import plan_job
from streamjobs.job.plan.run_settings import RunSettings
from tests.services.kinds import KafkaAddress, MariaDbAddress

JOB = """\
CREATE TABLE given (name VARCHAR, n BIGINT) WITH ('connector'='datagen', 'number-of-rows'='1');
CREATE TABLE counted (name VARCHAR, n BIGINT, PRIMARY KEY (name) NOT ENFORCED)
WITH (type='mysql', host='{host}', port='{port}', database='open_faults', userName='root');
INSERT INTO counted SELECT name, SUM(n) FROM given GROUP BY name;
"""


@pytest.mark.xfail(
    strict=True,
    raises=pytest.fail.Exception,
    reason="F80: `validate --online` and the preflight look at stores with issue 7 of 7",
)
def test_a_key_that_takes_different_texts_for_one_is_told_before_the_job_runs(
    kafka: KafkaAddress, mariadb: MariaDbAddress
) -> None:
    with (
        closing(pymysql.connect(host=mariadb.host, port=mariadb.port, user="root")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("CREATE OR REPLACE DATABASE open_faults")
        cursor.execute(
            "CREATE TABLE open_faults.counted (n BIGINT, "
            "name VARCHAR(50) COLLATE utf8mb4_general_ci NOT NULL PRIMARY KEY)"
        )
    text = JOB.format(host=mariadb.host, port=mariadb.port)
    plan = plan_job(text, "job.sql", "job", RunSettings(kafka.bootstrap, Path("store")))
    with pytest.raises(ConfigError, match=r"(?s)utf8mb4_general_ci.*ALTER TABLE `counted` MODIFY `name`"):
        preflight(plan)
