"""`INSERT INTO` a Python sink: checks the key, and makes the query that passes rows to the sink operator."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pyflink.table import DataTypes, StatementSet, StreamTableEnvironment
from pyflink.table.udf import udf

from streamjobs.errors import SqlError
from streamjobs.job.checks.judgement import (
    refuse_lookups,
    refuse_lost_updates,
    refuse_rekeyed,
    refuse_unsteady,
)
from streamjobs.job.checks.lossless_cast import fits
from streamjobs.job.checks.stale_rows import (
    NEVER,
    STATE_TTL,
    has_ttl,
    refusal,
    stale_rows,
    suppresses_updates,
)
from streamjobs.job.flink_plan.physical import Operator
from streamjobs.job.flink_plan.rel_nodes import PlanReader
from streamjobs.job.plan.flink_ddl import WORKED_ON, function_of, quoted
from streamjobs.job.plan.job_plan import DEAD_LETTER_TOPIC, JobPlan, PythonInsert
from streamjobs.job.plan.row_transfer import NO_CONSTANT, RowTransfer, handover
from streamjobs.job.planner.refused import located
from streamjobs.job.workers.sink_operator import SinkOperator, SinkSpec
from streamjobs.sinks.contract import SinkTable

_TIME_ZONES = ("UTC", "Etc/UTC", "GMT")
_MINI_BATCH = "table.exec.mini-batch.enabled"
_ACCEPT = "; or accept such rows: 'acceptLeftovers'='true'"
_KIND = "__kind"
"""The column of a row's kind of change; tables cannot have it: their columns must not start with `__`."""
_KEY_DIFFERS = re.compile(r"upsert key", re.IGNORECASE)


@dataclass(frozen=True)
class Changes:
    """What Flink's plan shows of a query: whether it only inserts or also deletes, and whether its key fits.

    `scattered`: its last step is a union or VALUES. The planner pushes functions into each part of those, but
    a sink's function must be called at one point only: a store has one writer per subtask. `last` is the
    operator that feeds the sink.
    """

    insert_only: bool
    deletes: bool
    key_fits: bool
    scattered: bool
    last: Operator


@dataclass(frozen=True)
class Query:
    """The query whose rows are written; `deduplicates` if a deduplication was added to the job's query."""

    sql: str
    deduplicates: bool = False


def add_python_insert(
    tables: StreamTableEnvironment, statements: StatementSet, plan: JobPlan, insert: PythonInsert
) -> None:
    """Check the query against the sink's key and add its INSERT to the statement set.

    Raises SqlError if the changes of one key could reach the sink in any order.
    """
    name = insert.table.name
    given = f"__given_{name}"
    # Not CREATE VIEW: Flink renames columns that share a name there, and INSERT matches columns by order.
    with located(plan, insert.query):
        tables.create_temporary_view(quoted(given), tables.sql_query(insert.query.sql))
    typed = _typed(plan, insert, given, tables)
    changes = _changes(tables, insert, typed)
    refuse_lookups(plan, [changes.last])
    refuse_lost_updates(plan, name, changes.last)
    refuse_unsteady(plan, name, changes.last, _key_indexes(insert.table))
    if not _accepts(insert.table, "acceptLeftovers"):
        refuse_rekeyed(plan, name, changes.last, _key_indexes(insert.table), _ACCEPT)
    query = _checked(tables, plan, insert, typed, changes)
    written = _changes(tables, insert, query.sql) if query.deduplicates else changes
    if written.insert_only != changes.insert_only:
        message = f"the deduplication of {name} loses updates or deletes:\n{query.sql}"
        raise AssertionError(message)
    _refuse_local_times(plan, insert)
    _refuse_swallowed_deletes(plan, insert, written)
    _refuse_stale_rows(plan, insert, written)
    if suppresses_updates(written.last, mini_batch=_mini_batch(plan)) and not has_ttl(plan.settings):
        tables.get_config().set(STATE_TTL, NEVER)
    hand = handover(insert.table)
    spec = SinkSpec(insert.kind, insert.table, hand, plan.name, plan.dead_letter_broker, DEAD_LETTER_TOPIC)
    operator = udf(SinkOperator(spec), result_type=DataTypes.INT(), func_type="pandas", deterministic=False)
    function, rows, done = function_of("write", name), f"__rows_{name}", f"{WORKED_ON}{name}"
    tables.create_temporary_function(quoted(function), operator)
    tables.execute_sql(f"CREATE TEMPORARY TABLE {quoted(done)} (`n` INT) WITH ('connector'='blackhole')")
    tables.execute_sql(f"CREATE TEMPORARY VIEW {quoted(rows)} AS\n{query.sql}")
    plain = written.insert_only and not written.scattered
    statements.add_insert_sql(_write(hand, function, rows, done, plain=plain))


def _write(hand: RowTransfer, function: str, rows: str, done: str, *, plain: bool) -> str:
    arguments = ", ".join(hand.expressions)
    if plain:
        call = f"{quoted(function)}({NO_CONSTANT}, {arguments})"
        return f"INSERT INTO {quoted(done)}\nSELECT {call} FROM {quoted(rows)}"
    call = f"{quoted(function)}({quoted(_KIND)}, {arguments})"
    changes = f"TO_CHANGELOG(input => TABLE {quoted(rows)}, op => DESCRIPTOR({quoted(_KIND)}))"
    return f"INSERT INTO {quoted(done)}\nSELECT {call} FROM {changes}"


def _typed(plan: JobPlan, insert: PythonInsert, given: str, tables: StreamTableEnvironment) -> str:
    """Name and cast the query's columns as the table declares them.

    Raises SqlError if a cast may lose a value.
    """
    schema = tables.from_path(quoted(given))._j_table.getResolvedSchema()  # noqa: SLF001 - no types otherwise
    have = [
        (str(column.getName()), str(column.getDataType().getLogicalType())) for column in schema.getColumns()
    ]
    want = insert.table.columns
    if len(have) != len(want):
        message = f"the query returns {len(have)} columns, {insert.table.name} has {len(want)}"
        raise SqlError(message, plan.text, insert.offset, plan.path)
    for (name, type_), column in zip(have, want, strict=True):
        if not fits(type_, column.type):
            message = (
                f"column {column.name} of {insert.table.name} is {column.type}, and the query returns "
                f"{type_} ({name}), whose values it cannot all hold: declare the column wider, or use CAST"
            )
            raise SqlError(message, plan.text, insert.offset, plan.path)
    selected = ", ".join(
        f"CAST({quoted(name)} AS {column.type}) AS {quoted(column.name)}"
        for (name, _), column in zip(have, want, strict=True)
    )
    return f"SELECT {selected} FROM {quoted(given)}"


def _changes(tables: StreamTableEnvironment, insert: PythonInsert, query: str) -> Changes:
    """Plan the query into a twin of the sink that drops its rows, and read the plan (DESIGN §6)."""
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
    reader, into = PlanReader(tables), f"INSERT INTO {quoted(twin)} {query}"
    try:
        sink, fits = reader.of_sql(into), True
    except Exception as exc:
        if not _KEY_DIFFERS.search(str(exc)):
            raise
        sink, fits = reader.of_sql(f"{into} ON CONFLICT DO DEDUPLICATE"), False
    finally:
        tables.execute_sql(f"DROP TEMPORARY TABLE {quoted(twin)}")
    tree = last = sink.inputs[0]
    while last.kind in ("Calc", "PythonCalc"):
        (last,) = last.inputs
    return Changes(
        tree.inserts_only, "D" in tree.mode.split(","), fits, last.kind in ("Union", "Values"), tree
    )


def _accepts(table: SinkTable, option: str) -> bool:
    return str(table.options.get(option, "false")).lower() == "true"


def _key_indexes(table: SinkTable) -> list[int]:
    return [index for index, column in enumerate(table.columns) if column.name in table.key]


def _checked(
    tables: StreamTableEnvironment, plan: JobPlan, insert: PythonInsert, query: str, changes: Changes
) -> Query:
    key = ", ".join(insert.table.key)
    if changes.insert_only and insert.on_conflict is None:
        message = (
            f"nothing says that {key} is unique in this query: end it with ON CONFLICT DO NOTHING if each "
            "key occurs once, or ON CONFLICT DO DEDUPLICATE to keep the last row of each key"
        )
        raise SqlError(message, plan.text, insert.offset, plan.path)
    if insert.on_conflict == "DEDUPLICATE" and changes.insert_only:
        return Query(_in_order_of_arrival(insert.table, query), deduplicates=True)
    if changes.key_fits:
        return Query(query)
    if insert.on_conflict == "DEDUPLICATE":
        return Query(_greatest(tables, insert.table, query), deduplicates=True)
    message = (
        f"the query's own key is not {key}: changes of one key would reach the sink in any order; group by "
        f"{key}, or end it with ON CONFLICT DO DEDUPLICATE to keep the greatest of the rows that share a key"
    )
    raise SqlError(message, plan.text, insert.offset, plan.path)


def _in_order_of_arrival(table: SinkTable, query: str) -> str:
    """Send all rows of a key to one writer, in their order; each is written, so the last one stays.

    The OVER window is used for its exchange; `__place > 0` is always true, but the planner does not know it.
    Not `ROW_NUMBER() … ORDER BY PROCTIME() DESC`: it keeps the first of the rows of one millisecond.
    """
    keys, names = _listed(table.key), _listed(column.name for column in table.columns)
    return (
        f"SELECT {names} FROM (SELECT *, COUNT(*) OVER (PARTITION BY {keys} ORDER BY PROCTIME() "
        f"ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS `__place` FROM ({query})) WHERE `__place` > 0"
    )


def _greatest(tables: StreamTableEnvironment, table: SinkTable, query: str) -> str:
    """Keep the greatest row of each key, compared column by column in the table's order.

    Rows are ordered by their own values: a retraction must find its row again, which an order by time of
    arrival would not allow, and a batch computation returns the same.
    """
    keys, names = _listed(table.key), _listed(column.name for column in table.columns)
    values = [column.name for column in table.columns if column.name not in table.key] or table.key
    order = ", ".join(f"{quoted(name)} DESC" for name in values)
    ranked = (
        f"SELECT {names} FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY {keys} ORDER BY {order}) "
        f"AS `__rank` FROM ({query})) WHERE `__rank` = 1"
    )
    try:
        tables.explain_sql(ranked)
    except Exception as exc:
        if "non-constant" not in str(exc):
            raise
        return f"SELECT DISTINCT {names} FROM ({query})"  # no column to compare: the rows of a key are equal
    return ranked


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(quoted, names))


def _refuse_local_times(plan: JobPlan, insert: PythonInsert) -> None:
    zone = plan.settings.get("table.local-time-zone", "UTC")
    local = [column.name for column in insert.table.columns if column.type.startswith("TIMESTAMP_LTZ")]
    if local and zone not in _TIME_ZONES:
        message = (
            f"column {local[0]} is TIMESTAMP_LTZ and 'table.local-time-zone' is {zone}: local times are not "
            f"unique where clocks are set back; write the sink with UTC"
        )
        raise SqlError(message, plan.text, insert.offset, plan.path)


def _mini_batch(plan: JobPlan) -> bool:
    return plan.settings.get(_MINI_BATCH, "false").lower() == "true"


def _refuse_swallowed_deletes(plan: JobPlan, insert: PythonInsert, changes: Changes) -> None:
    """Refuse deletes with mini-batches: a batch with insert and delete of a row emits neither.

    See docs/decisions/0029.
    """
    if changes.deletes and _mini_batch(plan):
        message = (
            f"this query deletes rows of {insert.table.name}, and mini-batches can swallow a delete: a row "
            "that was written after the last checkpoint would stay in the store for ever if its insert and "
            f"delete are in one batch after a restart from there. SET '{_MINI_BATCH}' = 'false', and leave "
            "out blink.miniBatch.*"
        )
        raise SqlError(message, plan.text, insert.offset, plan.path)


def _refuse_stale_rows(plan: JobPlan, insert: PythonInsert, changes: Changes) -> None:
    """Refuse queries that can leave a row that a replay in another order never makes (decision 0050)."""
    table = insert.table
    found = stale_rows(changes.last, _key_indexes(table))
    if found is None or _accepts(table, "acceptLeftovers") or _accepts(table, "ignoreDelete"):
        return
    raise SqlError(refusal(found, table.name), plan.text, insert.offset, plan.path)
