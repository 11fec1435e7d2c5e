"""Reads the planner's RelNodes through the gateway into `physical.Operator`, without parsing its texts.

The classes are those of Flink 2.3.0 and its Calcite. Each call is a round trip to the JVM, so an operator
that feeds several others is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment

from streamjobs.job.flink_plan.physical import Condition, Field, Operator
from streamjobs.job.flink_plan.rel_values import Expressions, each, hidden, integers, static
from streamjobs.job.flink_plan.text import PlanText

_CHANGELOGS = "org.apache.flink.table.planner.plan.utils.ChangelogPlanUtils"
_STREAM_REL = "org.apache.flink.table.planner.plan.nodes.physical.stream.StreamPhysicalRel"
_SCALA = "scala.collection.JavaConverters"
_TIME = "TimeIndicatorRelDataType"
_CALCS = ("Calc", "PythonCalc", "AsyncCalc", "PythonAsyncCalc")
_CORRELATES = ("Correlate", "PythonCorrelate", "AsyncCorrelate")
_JOINS = ("Join", "IntervalJoin", "TemporalJoin", "WindowJoin")
_HALF_JOINS = ("SEMI", "ANTI")
_AGGREGATES = ("GroupAggregate", "PythonGroupAggregate", "LocalGroupAggregate", "GlobalGroupAggregate",
               "IncrementalGroupAggregate", "WindowAggregate", "LocalWindowAggregate",
               "GlobalWindowAggregate", "GroupWindowAggregate", "PythonGroupWindowAggregate")  # fmt: skip
"""Operators that emit the columns that they group by, followed by columns of their own."""
_SCANS = ("TableSourceScan", "DataStreamScan", "LegacyTableSourceScan", "Values")
_SAME = ("Exchange", "DropUpdateBefore", "WatermarkAssigner", "MiniBatchAssigner", "ChangelogNormalize",
         "Sort", "Limit", "SortLimit", "TemporalSort", "Sink")  # fmt: skip
"""Operators that emit the columns of their one input."""
_WIDER = ("Rank", "WindowRank", "WindowDeduplicate", "OverAggregate", "PythonOverAggregate",
          "WindowTableFunction")  # fmt: skip
"""Operators that emit the columns of their one input, followed by columns of their own."""

Facts = dict[str, Any]
"""Arguments of an `Operator`; `fields` are still without names."""


class PlanReader:
    """Plans INSERTs with Flink's planner, and reads the plans."""

    def __init__(self, tables: StreamTableEnvironment) -> None:
        self._tables = tables._j_tenv  # noqa: SLF001 - the Python API shows no plan
        self._planner = self._tables.getPlanner()
        self._loader = self._planner.getClass().getClassLoader()
        self._scala = static(self._loader, _SCALA, "asScalaBuffer", "java.util.List")

    def of_sql(self, insert: str) -> Operator:
        """Plan one INSERT by itself and return its sink. Raises what Flink raises."""
        (sink,) = self.of_operations([self._tables.getParser().parse(insert).get(0)])
        return sink

    def translate(self, operation: Any) -> None:
        """Translate one INSERT by itself into what would run. Raises what Flink raises."""
        nodes = get_gateway().jvm.java.util.ArrayList()
        nodes.add(operation)
        self._planner.translate(nodes)

    def of_operations(self, operations: Sequence[Any]) -> tuple[Operator, ...]:
        """Plan INSERTs together, as one job; return their sinks. INSERTs into one table may share a sink."""
        nodes = get_gateway().jvm.java.util.ArrayList()
        self._planner.beforeTranslation()
        try:
            for operation in operations:
                nodes.add(self._planner.translateToRel(operation))
            optimized = self._planner.optimize(self._scala(nodes))
        finally:
            self._planner.afterTranslation()
        return self._read(optimized)

    def explained(self, operations: Sequence[Any]) -> tuple[tuple[Operator, ...], str]:
        """Plan INSERTs as `of_operations` does and translate them; return also what EXPLAIN would print."""
        listed = get_gateway().jvm.java.util.ArrayList()
        for operation in operations:
            listed.add(operation)
        graphs = self._planner.getExplainGraphs(listed)
        written, optimized, execution = (graphs.productElement(at) for at in range(3))
        return self._read(optimized), PlanText(self._loader).of(written, optimized, execution)

    def _read(self, optimized: Any) -> tuple[Operator, ...]:
        reader = _RelReader(self._loader)
        return tuple(reader.operator(optimized.apply(number)) for number in range(optimized.size()))


class _RelReader:
    """Reads the operators of one plan; see `operator`."""

    def __init__(self, loader: Any) -> None:
        self._rex = Expressions(loader)
        self._changelog_mode = static(loader, _CHANGELOGS, "getChangelogMode", _STREAM_REL)
        self._mode_text = static(loader, _CHANGELOGS, "stringifyChangelogMode", "scala.Option")
        self._java_list = static(loader, _SCALA, "seqAsJavaList", "scala.collection.Seq")
        self._known: dict[int, Operator] = {}
        self._readers: dict[str, Callable[[Any, Sequence[Operator]], Facts]] = {
            **dict.fromkeys(_CALCS, self._calc),
            **dict.fromkeys(_CORRELATES, self._correlate),
            **dict.fromkeys(_JOINS, self._join),
            **dict.fromkeys(_AGGREGATES, self._aggregate),
            **dict.fromkeys(("Rank", "WindowRank"), self._rank),
            **dict.fromkeys(("OverAggregate", "PythonOverAggregate"), self._over),
            "WindowDeduplicate": self._window_deduplicate,
            "WindowTableFunction": self._window_function,
            "Match": self._match,
            "TemporalSort": self._temporal_sort,
            "Expand": self._expand,
            "Sink": self._sink,
        }

    def operator(self, rel: Any) -> Operator:
        """Read a node with all that feeds it."""
        number = rel.getId()
        if number not in self._known:
            self._known[number] = self._operator(rel)
        return self._known[number]

    def _operator(self, rel: Any) -> Operator:
        kind = str(rel.getRelTypeName()).removeprefix("StreamPhysical")
        inputs = tuple(map(self.operator, each(rel.getInputs())))
        names = self._rex.data(rel.getRowType().getFieldNames())
        facts = self._readers[kind](rel, inputs) if kind in self._readers else {}
        fields = facts.pop("fields", None) or _fields(kind, len(names), inputs, facts)
        if len(fields) != len(names):
            message = f"the planner's {kind} has {len(names)} columns, and {len(fields)} were read"
            raise AssertionError(message)
        named = tuple(replace(field, name=name) for name, field in zip(names, fields, strict=True))
        mode = "" if kind == "Sink" else str(self._mode_text(self._changelog_mode(rel)))
        return Operator(kind, named, mode, inputs, **facts)

    def _calc(self, rel: Any, _: Sequence[Operator]) -> Facts:
        program = rel.getProgram()
        expanded = self._rex.expanded(program)
        fields = [
            self._rex.field(expression, program.getSourceField(index))
            for index, expression in enumerate(each(expanded._1()))  # noqa: SLF001 - Scala's names of a pair
        ]
        called = self._rex.called(program.getExprList()) if "Python" in rel.getRelTypeName() else frozenset()
        return {
            "fields": fields,
            "condition": self._rex.condition(expanded._2()),  # noqa: SLF001
            "functions": called,
        }

    def _correlate(self, rel: Any, inputs: Sequence[Operator]) -> Facts:
        call, left = rel.scan().getCall(), len(inputs[0].fields)
        uses = frozenset(self._rex.correlated(call))
        made = Field("", uses, None, self._rex.unsteady(call))
        count = rel.getRowType().getFieldCount() - left
        fields = [*(Field("", frozenset({column}), column) for column in range(left)), *([made] * count)]
        return {"fields": fields, "condition": Condition(uses) if rel.condition().isDefined() else None}

    def _join(self, rel: Any, inputs: Sequence[Operator]) -> Facts:
        spec, right = rel.joinSpec(), len(inputs[0].fields)
        sides = (self._rex.data(spec.getLeftKeys()), self._rex.data(spec.getRightKeys()))
        condition = rel.getCondition()
        facts: Facts = {
            "join": str(rel.getJoinType().name()),
            "groups": (*sides[0], *(right + key for key in sides[1])),
            "condition": Condition(self._rex.uses(condition), self._rex.unsteady(condition)),
        }
        match str(rel.getRelTypeName()).removeprefix("StreamPhysical"):
            case "Join":
                unique = [self._unique_keys(rel, side, keys) for side, keys in enumerate(sides)]
                facts["keyed"] = tuple(map(bool, unique))
                facts["one_partner"] = tuple(
                    any(set(key) <= set(keys) for key in found)
                    for found, keys in zip(unique, sides, strict=True)
                )
            case "IntervalJoin":
                bounds = hidden(rel, "windowBounds")
                facts["times"] = (bounds.getLeftTimeIdx(), right + bounds.getRightTimeIdx())
                facts["on_event_time"] = bool(bounds.isEventTime())
            case "WindowJoin":
                left_times, right_times = _times(rel.leftWindowing()), _times(rel.rightWindowing())
                facts["times"] = (*left_times, *(right + time for time in right_times))
        return facts

    def _unique_keys(self, join: Any, side: int, keys: Sequence[int]) -> list[list[int]]:
        """Return the keys of a side that are unique in it; [] for a join without equality."""
        if not keys:
            return []
        found: list[list[int]] = self._rex.data(
            self._java_list(join.getUpsertKeys(join.getInput(side), integers(keys)))
        )
        return found

    def _aggregate(self, rel: Any, inputs: Sequence[Operator]) -> Facts:
        reads: set[int] = set()
        for call in each(self._java_list(rel.aggCalls())):
            reads |= set(self._rex.data(call.getArgList()))
            if call.hasFilter():
                reads.add(int(hidden(call, "filterArg")))
        facts: Facts = {"groups": tuple(self._rex.data(rel.grouping())), "reads": frozenset(reads)}
        kind = str(rel.getRelTypeName())
        if "GroupWindow" in kind:
            # The index of that column is from an earlier plan; Flink finds event time by the column's name,
            # which is unique. The plan may no longer have the name of a processing time.
            name = str(rel.window().timeAttribute().getName())
            facts["times"] = tuple(n for n, field in enumerate(inputs[0].fields) if field.name == name)
        elif "Window" in kind:
            facts["times"] = _times(rel.windowing())
        return facts

    def _rank(self, rel: Any, _: Sequence[Operator]) -> Facts:
        bounds = rel.rankRange()
        order = _keys(rel.orderKey())
        types = [rel.getInput().getRowType().getFieldList().get(column).getType() for column in order]
        constant = str(bounds.getClass().getSimpleName()) == "ConstantRankRange"
        return {
            "groups": tuple(self._rex.data(rel.partitionKey().asList())),
            "reads": frozenset(order),
            "by_time": [str(type_.getClass().getSimpleName()) for type_ in types] == [_TIME],
            "first_only": constant and bounds.getRankStart() == 1 and bounds.getRankEnd() == 1,
            "times": _times(rel.windowing()) if "Window" in str(rel.getRelTypeName()) else (),
        }

    def _window_deduplicate(self, rel: Any, _: Sequence[Operator]) -> Facts:
        groups, times = tuple(self._rex.data(rel.partitionKeys())), _times(rel.getWindowingStrategy())
        return {"groups": groups, "reads": frozenset({int(rel.orderKey())}), "times": times}

    def _window_function(self, rel: Any, _: Sequence[Operator]) -> Facts:
        windowing = hidden(rel, "windowing")
        by_session = str(windowing.getWindow().getClass().getSimpleName()) == "SessionWindowSpec"
        return {"times": _times(windowing), "by_session": by_session}

    def _over(self, rel: Any, inputs: Sequence[Operator]) -> Facts:
        (group,) = each(hidden(rel.logicWindow(), "groups"))
        order = _keys(group.collation())
        reads = set(order)
        for call in each(hidden(group, "aggCalls")):  # columns after those of the input are constants
            reads |= {column for column in self._rex.uses(call) if column < len(inputs[0].fields)}
        groups = tuple(self._rex.data(hidden(group, "keys").asList()))
        return {"groups": groups, "reads": frozenset(reads), "times": tuple(order[:1])}

    def _match(self, rel: Any, _: Sequence[Operator]) -> Facts:
        logical = hidden(rel, "logicalMatch")
        groups = tuple(self._rex.data(logical.partitionKeys().asList()))
        return {"groups": groups, "times": tuple(_keys(logical.orderKeys())[:1])}

    def _temporal_sort(self, rel: Any, _: Sequence[Operator]) -> Facts:
        return {"times": tuple(_keys(rel.getCollation())[:1])}

    def _expand(self, rel: Any, _: Sequence[Operator]) -> Facts:
        rows = [[self._rex.field(expression) for expression in each(row)] for row in each(rel.projects())]
        columns = zip(*rows, strict=True)
        return {"fields": [Field("", frozenset().union(*(field.uses for field in c))) for c in columns]}

    def _sink(self, rel: Any, _: Sequence[Operator]) -> Facts:
        table = rel.contextResolvedTable()
        key = self._rex.data(table.getResolvedSchema().getPrimaryKeyIndexes())
        return {"table": str(table.getIdentifier().getObjectName()), "groups": tuple(key)}


def _fields(kind: str, width: int, inputs: Sequence[Operator], facts: Facts) -> list[Field]:
    """Return the columns of an operator that has no expressions of its own."""
    below = sum(len(operator.fields) for operator in inputs)
    if kind == "Union":
        return [Field("", frozenset(range(column, below, width))) for column in range(width)]
    kept: Sequence[int] = ()
    made = frozenset(range(below))
    if kind in (*_SAME, *_WIDER):
        kept = range(below)
    elif kind in _JOINS:
        kept = range(len(inputs[0].fields) if facts["join"] in _HALF_JOINS else below)
    elif kind in _AGGREGATES:
        kept, made = facts["groups"], facts["reads"]
    copies = [Field("", frozenset({column}), column) for column in kept]
    return [*copies, *[Field("", made)] * (width - len(copies))]


def _times(windowing: Any) -> tuple[int, ...]:
    """Return the columns of a window's times: the row's, or those of the window that a row is already in."""
    match str(windowing.getClass().getSimpleName()):
        case "TimeAttributeWindowingStrategy":
            times = [windowing.getTimeAttributeIndex()]
        case "WindowAttachedWindowingStrategy":
            times = [windowing.getWindowStart(), windowing.getWindowEnd()]
        case "SliceAttachedWindowingStrategy":
            times = [windowing.getSliceEnd()]
        case other:
            message = f"the planner has windows of an unknown kind: {other}"
            raise AssertionError(message)
    return tuple(time for time in times if time >= 0)


def _keys(collation: Any) -> list[int]:
    return [int(key.getFieldIndex()) for key in each(collation.getFieldCollations())]
