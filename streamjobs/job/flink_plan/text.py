"""Makes EXPLAIN's text with changelog modes from an existing plan; Flink's own EXPLAIN would plan again."""

from __future__ import annotations

from typing import Any, Final

from streamjobs.job.flink_plan.rel_values import static

_LEVEL = "org.apache.calcite.sql.SqlExplainLevel"
_TREES = "org.apache.flink.table.planner.plan.utils.FlinkRelOptUtil"
_GRAPHS = "org.apache.flink.table.planner.plan.nodes.exec.utils.ExecNodePlanDumper"
_GRAPH = "org.apache.flink.table.planner.plan.nodes.exec.ExecNodeGraph"
_FLAGS: Final = 6
"""Flags for id prefix, changelog modes, row types, upsert keys, aliases of query blocks, and one more."""


class PlanText:
    """Writes plans as text, as `StreamPlanner.explain` of Flink 2.3.0 does."""

    def __init__(self, loader: Any) -> None:
        self._tree = static(
            loader, _TREES, "toString", "org.apache.calcite.rel.RelNode", _LEVEL, *["boolean"] * _FLAGS
        )
        self._graph = static(loader, _GRAPHS, "dagToString", _GRAPH)
        levels = loader.loadClass(_LEVEL)
        self._written = levels.getField("EXPPLAN_ATTRIBUTES").get(None)
        self._optimized = levels.getField("DIGEST_ATTRIBUTES").get(None)

    def of(self, written: Any, optimized: Any, execution: Any) -> str:
        """Return the text; the arguments are the first three of the planner's `getExplainGraphs`."""
        return "\n".join(
            [
                "== Abstract Syntax Tree ==",
                *self._trees(written, self._written, modes=False),
                "== Optimized Physical Plan ==",
                *self._trees(optimized, self._optimized, modes=True),
                "== Optimized Execution Plan ==",
                str(self._graph(execution)),
            ]
        )

    def _trees(self, rels: Any, level: Any, *, modes: bool) -> list[str]:
        flags = [False, modes, *[False] * (_FLAGS - 2)]
        return [str(self._tree(rels.apply(at), level, *flags)) for at in range(rels.size())]
