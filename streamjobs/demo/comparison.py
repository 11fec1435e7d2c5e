"""Compares samples and dead letters with the truth, column by column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from streamjobs.changes.dead_letter import DeadLetter
from streamjobs.demo.ledger import ExpectedDeadLetter
from streamjobs.demo.truth import Samples

SHOWN: Final = 10


@dataclass
class Comparison:
    """The differences of two sets of keyed values.

    `by_column` counts differences by column name, or by `(missing)` and `(unexpected)` for whole rows.
    `first` describes the first ten differences.
    """

    expected: int
    actual: int
    by_column: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Return whether nothing differs."""
        return not self.by_column

    def add(self, column: str, description: str) -> None:
        """Count a difference, and keep its description if it is one of the first."""
        self.by_column[column] += 1
        if len(self.first) < SHOWN:
            self.first.append(description)

    def __str__(self) -> str:
        if self.equal:
            return f"all {self.expected} equal"
        counts = ", ".join(f"{column}: {count}" for column, count in self.by_column.most_common())
        return "\n  ".join([f"{self.actual} against {self.expected} expected; {counts}", *self.first])


def compare(actual: Samples, expected: Samples, columns: Sequence[str]) -> Comparison:
    """Compare samples by impression id and each of their `columns`."""
    result = Comparison(len(expected), len(actual))
    for key in sorted(expected.keys() - actual.keys()):
        result.add("(missing)", f"impression {key}: no sample")
    for key in sorted(actual.keys() - expected.keys()):
        result.add("(unexpected)", f"impression {key}: an unexpected sample: {actual[key]}")
    for key in sorted(expected.keys() & actual.keys()):
        if actual[key] == expected[key]:
            continue
        for column, found, wanted in zip(columns, actual[key], expected[key], strict=True):
            if found != wanted:
                result.add(column, f"impression {key}: {column} is {found!r}, expected {wanted!r}")
    return result


def compare_dead_letters(
    actual: Mapping[str, DeadLetter], expected: Mapping[str, ExpectedDeadLetter]
) -> Comparison:
    """Compare dead letters by id and stage."""
    result = Comparison(len(expected), len(actual))
    for key in sorted(expected.keys() - actual.keys()):
        result.add("(missing)", f"dead letter {key} ({expected[key].stage.value}): not written")
    for key in sorted(actual.keys() - expected.keys()):
        letter = actual[key]
        result.add(
            "(unexpected)", f"dead letter {key} ({letter.stage.value}, {letter.reason}: {letter.detail})"
        )
    for key in sorted(expected.keys() & actual.keys()):
        found, wanted = actual[key].stage, expected[key].stage
        if found is not wanted:
            result.add("stage", f"dead letter {key}: stage is {found.value}, expected {wanted.value}")
    return result
