"""`INSERT INTO` a Python sink: the key check, and the query that hands its rows to the sink operator."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyflink.table import DataTypes, ExplainDetail, StatementSet, StreamTableEnvironment
from pyflink.table.udf import udf

from streamjobs.errors import SqlError
from streamjobs.job.handover import Handover, handover
from streamjobs.job.native import quoted
from streamjobs.job.plan import DEAD_LETTER_TOPIC, JobPlan, PythonInsert
from streamjobs.job.sink_operator import SinkOperator, SinkSpec

_TIME_ZONES = ("UTC", "Etc/UTC", "GMT")
_KEY_DIFFERS = re.compile(r"upsert key", re.IGNORECASE)


@dataclass(frozen=True)
class Changes:
    """What the planner says of a query: whether it only inserts, and whether the sink's key is its own."""

    insert_only: bool
    key_fits: bool


def add_python_insert(
    tables: StreamTableEnvironment, statements: StatementSet, plan: JobPlan, insert: PythonInsert
) -> None:
    """Check the query against the sink's key and add its INSERT to the statement set.

    Raises SqlError where the changes of one key could reach the sink in any order.
    """
    name = insert.table.name
    given = f"__given_{name}"
    tables.execute_sql(f"CREATE TEMPORARY VIEW {quoted(given)} AS\n{insert.query}")
    query = _typed(insert, given, tables)
    changes = _changes(tables, insert, query)
    query = _checked(plan, insert, query, changes)
    _refuse_local_times(plan, insert)
    hand = handover(insert.table)
    spec = SinkSpec(insert.kind, insert.table, hand, plan.name, plan.dead_letter_bootstrap, DEAD_LETTER_TOPIC)
    operator = udf(SinkOperator(spec), result_type=DataTypes.INT(), func_type="pandas", deterministic=False)
    function, rows, done = f"__write_{name}", f"__rows_{name}", f"__done_{name}"
    tables.create_temporary_function(function, operator)
    tables.execute_sql(f"CREATE TEMPORARY TABLE {quoted(done)} (`n` INT) WITH ('connector'='blackhole')")
    tables.execute_sql(f"CREATE TEMPORARY VIEW {quoted(rows)} AS\n{query}")
    statements.add_insert_sql(_write(hand, function, rows, done, insert_only=changes.insert_only))


def _write(hand: Handover, function: str, rows: str, done: str, *, insert_only: bool) -> str:
    arguments = ", ".join(hand.expressions)
    if insert_only:
        call = f"{quoted(function)}('INSERT', {arguments})"
        return f"INSERT INTO {quoted(done)}\nSELECT {call} FROM {quoted(rows)}"
    call = f"{quoted(function)}(`op`, {arguments})"
    return f"INSERT INTO {quoted(done)}\nSELECT {call} FROM TO_CHANGELOG(input => TABLE {quoted(rows)})"


def _typed(insert: PythonInsert, given: str, tables: StreamTableEnvironment) -> str:
    """Name and cast the query's columns as the table declares them."""
    have = tables.from_path(quoted(given)).get_schema().get_field_names()
    want = insert.table.columns
    if len(have) != len(want):
        message = f"the query gives {len(have)} columns, {insert.table.name} has {len(want)}"
        raise ValueError(message)
    selected = ", ".join(
        f"CAST({quoted(name)} AS {column.type}) AS {quoted(column.name)}"
        for name, column in zip(have, want, strict=True)
    )
    return f"SELECT {selected} FROM {quoted(given)}"


def _changes(tables: StreamTableEnvironment, insert: PythonInsert, query: str) -> Changes:
    """Ask the planner, with a twin of the sink that forgets (DESIGN §6)."""
    twin = f"__twin_{insert.table.name}"
    columns = ", ".join(
        f"{quoted(column.name)} {column.type}{' NOT NULL' if column.name in insert.table.key else ''}"
        for column in insert.table.columns
    )
    key = ", ".join(map(quoted, insert.table.key))
    tables.execute_sql(
        f"CREATE TEMPORARY TABLE {quoted(twin)} ({columns}, PRIMARY KEY ({key}) NOT ENFORCED) "
        "WITH ('connector'='blackhole')"
    )
    try:
        plan = tables.explain_sql(f"INSERT INTO {quoted(twin)} {query}", ExplainDetail.CHANGELOG_MODE)
        fits = True
    except Exception as exc:
        if not _KEY_DIFFERS.search(str(exc)):
            raise
        plan, fits = tables.explain_sql(query, ExplainDetail.CHANGELOG_MODE), False
    finally:
        tables.execute_sql(f"DROP TEMPORARY TABLE {quoted(twin)}")
    return Changes(_root_mode(plan) == "I", fits)


def _root_mode(plan: str) -> str:
    """Give the changelog mode of what enters the sink: the first operator below the root's Sink."""
    physical = plan.partition("== Optimized Physical Plan ==")[2].partition("== Optimized Execution")[0]
    for line in physical.splitlines():
        match = re.search(r"changelogMode=\[([A-Z,]+)\]", line)
        if match and "Sink(" not in line:
            return match.group(1)
    message = f"EXPLAIN shows no changelog mode:\n{plan}"
    raise AssertionError(message)


def _checked(plan: JobPlan, insert: PythonInsert, query: str, changes: Changes) -> str:
    key = ", ".join(insert.table.key)
    if insert.on_conflict == "DEDUPLICATE":
        keys = ", ".join(map(quoted, insert.table.key))
        names = ", ".join(quoted(column.name) for column in insert.table.columns)
        return (
            f"SELECT {names} FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY {keys} ORDER BY `__arrival` DESC) "
            f"AS `__rank` FROM (SELECT *, PROCTIME() AS `__arrival` FROM ({query}))) WHERE `__rank` = 1"
        )
    if changes.insert_only and insert.on_conflict is None:
        message = (
            f"nothing says that {key} is unique in this query: end it with ON CONFLICT DO NOTHING if each key "
            f"comes once, or ON CONFLICT DO DEDUPLICATE to keep the last row of each key"
        )
        raise SqlError(message, plan.text, insert.offset, plan.path)
    if not changes.key_fits:
        message = (
            f"the query's own key is not {key}: changes of one key would reach the sink in any order; end it "
            f"with ON CONFLICT DO DEDUPLICATE, or group by {key}"
        )
        raise SqlError(message, plan.text, insert.offset, plan.path)
    return query


def _refuse_local_times(plan: JobPlan, insert: PythonInsert) -> None:
    zone = plan.settings.get("table.local-time-zone", "UTC")
    local = [column.name for column in insert.table.columns if column.type.startswith("TIMESTAMP_LTZ")]
    if local and zone not in _TIME_ZONES:
        message = (
            f"column {local[0]} is TIMESTAMP_LTZ and 'table.local-time-zone' is {zone}: local times are not "
            f"unique where clocks are set back; write the sink with UTC"
        )
        raise SqlError(message, plan.text, insert.offset, plan.path)
