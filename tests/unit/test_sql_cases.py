"""Every `tests/sql_cases/*.sql` parses, or fails, as the `.out` file beside it says.

`python -m tests.unit.test_sql_cases` writes the `.out` files anew; read the difference before you keep it.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from streamjobs.dialect.lexer import Span
from streamjobs.dialect.nodes import Column, CreateTable, CreateView, InsertInto, Statement
from streamjobs.dialect.references import references
from streamjobs.dialect.rules import check
from streamjobs.dialect.statements import parse_script
from streamjobs.errors import SqlError

CASES = Path(__file__).parent.parent / "sql_cases"
ENVIRONMENT = {name: "hidden" for name in ("KAFKA_PASSWORD", "MYSQL_PASSWORD", "REDIS_PASSWORD")}


def render(text: str, name: str) -> str:
    """The parse, what queries read, and the findings; or the error that stops the parser."""
    try:
        script = parse_script(text, name)
        lines = [f"description: {line}" for line in script.description.splitlines()]
        for statement in script.statements:
            lines += _statement(statement)
            if isinstance(statement, CreateView | InsertInto):
                found = references(script, statement.query_span)
                lines += [
                    f"  reads {each.name} as {each.alias} by {each.join.value}"
                    + (f" as of {each.as_of.expr} from {each.as_of.left}" if each.as_of else "")
                    + (" (its own)" if each.cte else "")
                    for each in found.tables
                ]
                lines += [
                    f"  calls {each.name}({each.arguments.of(text)}) as {each.alias}"
                    for each in found.functions
                ]
        checked = check(script, ENVIRONMENT)
        lines += [f"{name} is {connector}" for name, connector in checked.connectors.items()]
        lines += [
            f"{each.severity.value} {each.code}: {script.error(each.message, each.span)}"
            for each in checked.findings
        ]
    except SqlError as exc:
        return f"SqlError: {exc}\n"
    return "\n".join(lines) + "\n"


def _statement(statement: Statement) -> list[str]:
    if isinstance(statement, CreateTable):
        options = ", ".join(f"{entry.key}={entry.value}" for entry in statement.options.entries)
        mark = statement.watermark
        return [
            f"CreateTable {statement.name} {statement.comment}".rstrip(),
            *(f"  {_column(column)}" for column in statement.columns),
            *([f"  key {', '.join(statement.primary_key)}"] if statement.primary_key else []),
            *([f"  watermark {mark.column} AS {mark.expr}, delay {mark.delay_ms} ms"] if mark else []),
            f"  with {options}",
        ]
    parts = [
        f"{field.name}={getattr(statement, field.name)!r}"
        for field in fields(statement)
        if not isinstance(getattr(statement, field.name), Span) and field.name not in ("columns", "default")
    ]
    columns = [name.text for name in getattr(statement, "columns", ())]
    return [f"{type(statement).__name__} {' '.join(parts)}" + (f" columns={columns}" if columns else "")]


def _column(column: Column) -> str:
    parts = [column.name, column.type or f"AS {column.computed}", "" if column.nullable else "NOT NULL"]
    parts += [f"METADATA {column.metadata_from}" if column.metadata_from else "", f"'{column.comment}'"]
    return " ".join(part for part in parts if part not in ("", "''"))


@pytest.mark.parametrize("case", sorted(CASES.glob("*.sql")), ids=lambda case: case.stem)
def test_case(case: Path) -> None:
    expected = case.with_suffix(".out").read_text(encoding="utf-8")
    assert render(case.read_text(encoding="utf-8"), case.name) == expected


def test_every_expectation_has_its_case() -> None:
    assert {case.stem for case in CASES.glob("*.out")} == {case.stem for case in CASES.glob("*.sql")}


def _write_expectations() -> None:
    for case in CASES.glob("*.sql"):
        printed = render(case.read_text(encoding="utf-8"), case.name)
        case.with_suffix(".out").write_text(printed, encoding="utf-8")


if __name__ == "__main__":
    _write_expectations()
