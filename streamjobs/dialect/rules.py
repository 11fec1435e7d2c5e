"""All checks of a parsed job, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from streamjobs.dialect.connectors import Connector
from streamjobs.dialect.findings import Finding, Severity, error
from streamjobs.dialect.lexer import Span
from streamjobs.dialect.nodes import CreateTable, CreateView, Script
from streamjobs.dialect.query_rules import query_findings
from streamjobs.dialect.raw_rules import raw_findings
from streamjobs.dialect.setting_rules import setting_findings
from streamjobs.dialect.table_rules import RESERVED_PREFIX, reserved, table_findings
from streamjobs.dialect.with_clause import read_connector
from streamjobs.errors import raise_together


@dataclass(frozen=True)
class Checked:
    """A job's file and the findings of its checks, in the order of the file.

    `connectors` maps a table's name to its typed WITH clause. A table with a wrong WITH clause is left out,
    and then the findings contain an error.
    """

    script: Script
    connectors: Mapping[str, Connector]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Return what must be changed before the job can run."""
        return tuple(each for each in self.findings if each.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Return what may run but should be known."""
        return tuple(each for each in self.findings if each.severity is Severity.WARNING)

    def raise_errors(self) -> None:
        """Raise SqlError with all errors of the file, at the position of the first, if there are any."""
        raise_together([self.script.error(finding.message, finding.span) for finding in self.errors])


def check(script: Script, env: Mapping[str, str] | None = None) -> Checked:
    """Run every check. Secrets read `${NAME}` from `env`, by default from the environment.

    Raises SqlError only for a query whose brackets do not match.
    """
    time_zone = script.setting("table.local-time-zone", "UTC")
    findings = [*setting_findings(script), *_name_findings(script)]
    connectors: dict[str, Connector] = {}
    for table in script.tables:
        connector, problems = read_connector(table, env, time_zone)
        findings += problems
        findings += table_findings(table, connector)
        if connector is not None:
            connectors[table.name] = connector
    findings += query_findings(script, connectors)
    findings += raw_findings(script, connectors)
    findings.sort(key=lambda finding: (finding.span.start, finding.code))
    return Checked(script, connectors, tuple(findings))


def _name_findings(script: Script) -> Iterator[Finding]:
    seen: set[str] = set()
    relations: list[CreateTable | CreateView] = [*script.tables, *script.views]
    for relation in relations:
        if relation.name.startswith(RESERVED_PREFIX):
            yield reserved(relation.name, relation.name_span)
        if relation.name in seen:
            message = f"{relation.name} is declared twice: tables and views share their names"
            yield error("duplicate-name", message, relation.name_span)
        seen.add(relation.name)
    for view in script.views:
        for column in view.columns:
            if column.text.startswith(RESERVED_PREFIX):
                yield reserved(f"column {column.text}", column.span)
    functions: set[str] = set()
    for function in script.functions:
        if function.name.startswith(RESERVED_PREFIX):
            yield reserved(f"function {function.name}", function.name_span)
        if function.name.lower() in functions:
            message = f"function {function.name} is declared twice"
            yield error("duplicate-name", message, function.name_span)
        functions.add(function.name.lower())
    if not script.inserts:
        message = "the job writes nothing: it needs at least one INSERT INTO"
        yield error("no-insert", message, Span(len(script.text.rstrip()), len(script.text.rstrip())))
