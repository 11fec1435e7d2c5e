"""What Flink's EXPLAIN prints, as a tree of operators: its physical plan, read line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_LINE = re.compile(r"^(?P<tree>(?:[: ]  )*)(?P<branch>[:+]- )?(?P<kind>\w+)\(")
_TEXT = "_UTF-16LE'"


@dataclass
class Operator:
    """One operator: `kind` as `IntervalJoin`, `text` its whole line, `inputs` those that feed it."""

    kind: str
    text: str
    inputs: list[Operator] = field(default_factory=list)

    def attribute(self, name: str) -> list[str]:
        """Give the parts of `name=[…, …]`, [] when the operator has none.

        Shape: `select=[id, f(a, b) AS c]` gives `["id", "f(a, b) AS c"]`.
        """
        found = re.search(rf"[(\s]{name}=\[", self.text)
        return list(_parts(self.text, found.end())) if found else []

    @property
    def columns(self) -> list[str]:
        """The names of the columns that it gives."""
        for name in ("select", "fields", "union"):
            items = self.attribute(name)
            if items:
                return [item.rpartition(" AS ")[2] for item in items]
        return self.inputs[0].columns if self.inputs else []


def physical_plan(text: str) -> str:
    """Take the optimized physical plan out of what EXPLAIN prints: each sink with its whole tree."""
    return text.partition("== Optimized Physical Plan ==")[2].partition("== Optimized Execution Plan ==")[0]


def sinks(text: str) -> list[Operator]:
    """Give the roots of the physical plan in what EXPLAIN prints, in the order of the INSERTs."""
    roots: list[Operator] = []
    path: list[Operator] = []
    for line in physical_plan(text).splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        depth = len(match["tree"]) // 3 + (match["branch"] is not None)
        operator = Operator(match["kind"], line.strip(" :+-"))
        del path[depth:]
        (path[-1].inputs if path else roots).append(operator)
        path.append(operator)
    return roots


def _parts(text: str, start: int) -> Iterator[str]:
    """Split at the commas from `start` to the closing bracket; a literal's own do not count."""
    depth, begin, place = 0, start, start
    while place < len(text):
        if text.startswith(_TEXT, place):
            place = _literal_end(text, place + len(_TEXT))
            continue
        character = text[place]
        if depth == 0 and character in ",]":
            if text[begin:place].strip():
                yield text[begin:place].strip()
            if character == "]":
                return
            begin = place + 1
        depth += (character in "([{") - (character in ")]}")
        place += 1


def _literal_end(text: str, place: int) -> int:
    while place < len(text):
        if text[place] == "'":
            if not text.startswith("''", place):
                return place + 1
            place += 1
        place += 1
    return place
