"""Carries out a JobPlan on Flink: registers its steps and makes one statement set, to explain or to run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway
from pyflink.table import ExplainDetail, Schema, StatementSet, StreamTableEnvironment, Table
from pyflink.table.udf import udf, udtf

from streamjobs.errors import ConfigError
from streamjobs.job.checks.judgement import (
    refuse_lookups,
    refuse_lost_updates,
    refuse_padding,
    refuse_rekeyed,
    refuse_unsteady,
)
from streamjobs.job.flink_plan.rel_nodes import PlanReader
from streamjobs.job.plan.flink_ddl import Partitions, TableDdl, quoted
from streamjobs.job.plan.job_plan import Execute, FlinkInsert, JobPlan, PythonInsert, RegisterFunction, Step
from streamjobs.job.plan.lookups import RegisterLookup
from streamjobs.job.plan.sources import SourcePlan
from streamjobs.job.plan.written import Written
from streamjobs.job.planner.python_insert import add_python_insert
from streamjobs.job.planner.refused import (
    NotDecorrelatedError,
    located,
    located_in_one,
    located_setting,
    planned,
)
from streamjobs.job.planner.user_function import register_function
from streamjobs.job.workers.lookup_operator import LookupOperator
from udfs.row_change import RowChangeParser

# The mini-cluster would run all functions in one process under one GIL (DESIGN §7).
os.environ.setdefault("_python_worker_execution_mode", "process")

_MINI_BATCH = "table.exec.mini-batch.enabled"


def built(
    plan: JobPlan,
    configuration: Mapping[str, str],
    run_id: str,
    partitions: Partitions | None = None,
    *,
    explains: bool = False,
) -> FlinkJob:
    """Build a job; with `explains`, one to `explain`. Raises SqlError, ConfigError.

    Flink cannot plan a correlated subquery over a source that calls its parser. Such a job is built again,
    with a DataStream round trip after each parser, which hides the parser from the planner.
    """
    job = FlinkJob(plan, configuration, run_id, partitions, explains=explains)
    try:
        job.build()
    except NotDecorrelatedError:
        job = FlinkJob(plan, configuration, run_id, partitions, isolated=True, explains=explains)
        job.build()
    return job


class FlinkJob:
    """A planned job inside a table environment.

    `configuration` has what the target needs (`execution.target`, `rest.port`, `pipeline.jars` …); the plan's
    settings override it. `partitions` are the counts of the preflight; None: the job is only explained.
    `isolated` and `explains`: see `built`. Raises ConfigError if Flink refuses the plan.
    """

    def __init__(
        self,
        plan: JobPlan,
        configuration: Mapping[str, str],
        run_id: str,
        partitions: Partitions | None = None,
        *,
        isolated: bool = False,
        explains: bool = False,
    ) -> None:
        self.plan = plan
        self._explains = explains
        self._isolated = isolated
        self._partitions = partitions
        self._run_id = run_id
        config = Configuration()
        for key, value in {**configuration, **plan.settings}.items():
            config.set_string(key, value)
        config.set_string("pipeline.global-job-parameters", f"streamjobs.run_id:{run_id}")
        with located_setting(plan):
            self._open(config)
        self._explained: str | None = None
        self._statements: StatementSet | None = None

    def _open(self, config: Configuration) -> None:
        # PyFlink's own factory always makes a local environment and ignores `execution.target`.
        environment = get_gateway().jvm.org.apache.flink.streaming.api.environment.StreamExecutionEnvironment
        self._env = StreamExecutionEnvironment(environment(config._j_configuration))  # noqa: SLF001
        self.tables = StreamTableEnvironment.create(self._env)
        for key, value in self.plan.settings.items():
            self.tables.get_config().set(key, value)

    def build(self) -> StatementSet:
        """Register everything, once, and return the statement set of all INSERTs. Raises SqlError."""
        if self._statements is None:
            config = self.tables.get_config()
            mini_batch = config.get(_MINI_BATCH, "false")
            # Each source is planned by itself; a mini-batch there would put its watermarks before the rows.
            config.set(_MINI_BATCH, "false")
            for step in self.plan.steps:
                self._take(step)
            config.set(_MINI_BATCH, mini_batch)
            self._statements = self.tables.create_statement_set()
            for insert in self.plan.inserts:
                match insert:
                    case FlinkInsert():
                        with located(self.plan, insert.statement):
                            self._statements.add_insert_sql(insert.statement.sql)
                    case PythonInsert():
                        with located(
                            self.plan, Written("", insert.offset)
                        ):  # its positions are not the query's
                            add_python_insert(self.tables, self._statements, self.plan, insert)
            self._refuse_by_plan(self._statements)
        return self._statements

    def _take(self, step: Step) -> None:
        match step:
            case Execute():
                with located(self.plan, step.statement):
                    self.tables.execute_sql(step.statement.sql)
            case TableDdl():
                with located(self.plan, Written(step.sql(self._partitions), step.place)):
                    self.tables.execute_sql(step.sql(self._partitions))
            case RegisterFunction():
                with located(self.plan, Written("", step.offset or 0)):
                    register_function(self.tables, self.plan, step)
            case RegisterLookup(table=table):
                with located(self.plan, Written("", self.plan.lookups[table.name])):
                    self._lookup(step)
            case SourcePlan():
                with located(self.plan, Written(step.view, step.raw_ddl.place)):
                    self._source(step)

    def explain(self) -> str:
        """Return Flink's plans of the job, each operator with its changelog mode."""
        statements = self.build()
        if self._explained is None:
            with self._at_its_insert(statements):
                self._explained = str(statements.explain(ExplainDetail.CHANGELOG_MODE))
        return self._explained

    def submit(self) -> str:
        """Submit the job and return its id; does not wait until it runs."""
        statements = self.build()
        with self._at_its_insert(statements):
            result = statements.execute()
        client = result.get_job_client()
        if client is None:
            message = f"Flink accepted {self.plan.name} and returned no job id"
            raise ConfigError(message)
        return str(client.get_job_id())

    def _at_its_insert(self, statements: StatementSet) -> AbstractContextManager[None]:
        """Report an error of Flink's translation of the job at its INSERT."""
        return located_in_one(
            self.plan, _operations(statements), lambda one: PlanReader(self.tables).translate(one)
        )

    def _refuse_by_plan(self, statements: StatementSet) -> None:
        plan = self.plan
        inserts = [each for each in plan.inserts if isinstance(each, FlinkInsert) and each.target]
        if not plan.outer_joins and not inserts:
            return  # Python sinks were checked one by one, and planning takes time
        sinks, self._explained = planned(
            PlanReader(self.tables), plan, _operations(statements), explains=self._explains
        )
        refuse_padding(plan, sinks)
        refuse_lookups(plan, sinks)
        targets = {insert.target for insert in inserts}
        for sink in sinks:
            if sink.table in targets:
                refuse_lost_updates(plan, sink.table, sink)
                key = sink.groups or range(len(sink.fields))  # without a key, a whole row is retracted
                refuse_unsteady(plan, sink.table, sink.inputs[0], key)
                refuse_rekeyed(plan, sink.table, sink.inputs[0], sink.groups)

    def _lookup(self, step: RegisterLookup) -> None:
        function = udf(
            LookupOperator(step), input_types=step.input_types, result_type=step.result_type,
            func_type="pandas", deterministic=False,
        )  # fmt: skip
        self.tables.create_temporary_function(quoted(step.function), function)

    def _source(self, source: SourcePlan) -> None:
        self.tables.execute_sql(source.raw_ddl.sql(self._partitions))
        parser = udtf(RowChangeParser(source.parser), result_types=source.parser.result_types)
        self.tables.create_temporary_function(quoted(source.function), parser)
        parsed = self.tables.sql_query(source.parsed)
        if source.rowtime is None and not self._isolated:
            self.tables.create_temporary_view(quoted(source.stream), parsed)
        else:
            self.tables.create_temporary_view(quoted(source.stream), self._round_trip(parsed, source))
        self.tables.execute_sql(source.view)

    def _round_trip(self, parsed: Table, source: SourcePlan) -> Table:
        """Make the rows' own time the rowtime, and pass the message-time watermarks through (DESIGN §5).

        The rows are passed as Flink's internal RowData: PyFlink's own conversion goes through `Row` objects
        and costs as much as the parsing.
        """
        schema = Schema.new_builder()
        for column in source.columns:
            schema.column(column.name, column.type)
        if source.rowtime is not None:
            schema.watermark(source.rowtime, "SOURCE_WATERMARK()")
        if source.key:
            schema.primary_key(*source.key)
        row_data = get_gateway().jvm.Class.forName("org.apache.flink.table.data.RowData")
        j_type = parsed._j_table.getResolvedSchema().toPhysicalRowDataType().bridgedTo(row_data)  # noqa: SLF001
        j_tables = self.tables._j_tenv  # noqa: SLF001
        j_stream = j_tables.toDataStream(parsed._j_table, j_type)  # noqa: SLF001
        return Table(j_tables.fromDataStream(j_stream, schema.build()._j_schema), self.tables)  # noqa: SLF001


def _operations(statements: StatementSet) -> list[Any]:
    """Return Flink's operations of the INSERTs; `execute` removes them from the set."""
    return list(statements._j_statement_set.getOperations())  # noqa: SLF001 - not in the Python API
