"""Checks of what queries read, how they join, and what INSERTs write."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from streamjobs.dialect.connectors import Connector, Ingest, MetaqTable, Role, StoreTable
from streamjobs.dialect.findings import Finding, error, warning
from streamjobs.dialect.lexer import Span, significant
from streamjobs.dialect.lookup_joins import LOOKUP_KINDS, lookup_join, lookup_table_findings
from streamjobs.dialect.nodes import CreateTable, CreateView, InsertInto, Script
from streamjobs.dialect.proctime import is_processing_time
from streamjobs.dialect.references import JoinKind, References, TableReference, hints, references
from streamjobs.dialect.statements import OPTIONS_HINT, OPTIONS_REFUSAL
from streamjobs.errors import SqlError

_FILTERS = ("WHERE", "HAVING", "GROUP", "JOIN", "DISTINCT", "UNION", "INTERSECT", "EXCEPT", "LIMIT",
            "QUALIFY", "ROW_NUMBER")  # fmt: skip


def query_findings(script: Script, connectors: Mapping[str, Connector]) -> Iterator[Finding]:
    """Yield what is wrong with views and INSERTs. Raises SqlError at brackets that do not match."""
    rules = _QueryRules(script, connectors)
    for statement in script.statements:
        match statement:
            case CreateTable():
                rules.declared.setdefault(statement.name, statement)
            case CreateView():
                yield from rules.query(statement.query_span)
                rules.declared.setdefault(statement.name, statement)
            case InsertInto():
                yield from rules.query(statement.query_span)
                yield from rules.insert(statement)
    yield from rules.unused()


class _QueryRules:
    """The rules for queries, which depend on the statements seen so far."""

    def __init__(self, script: Script, connectors: Mapping[str, Connector]) -> None:
        self._script = script
        self._connectors = connectors
        self._used: set[str] = set()
        self._written: set[str] = set()
        self._references: dict[Span, References] = {}
        self.declared: dict[str, CreateTable | CreateView] = {}

    def query(self, span: Span) -> Iterator[Finding]:
        """Check one query against the tables and views that are declared before it."""
        found = self._references[span] = references(self._script, span)
        for hint in hints(self._script, span):
            if OPTIONS_HINT.search(hint.text):
                yield error("options-hint", OPTIONS_REFUSAL, hint.span)
        for reference in found.tables:
            if reference.cte:
                yield from _as_of_own(reference)
                continue
            self._used.add(reference.name)
            yield from self._read(reference)
            store = self._connectors.get(reference.name)
            if reference.as_of is not None and isinstance(store, StoreTable):
                yield from self._lookup(span, reference, store)
            elif reference.as_of is not None:
                yield from self._as_of(reference, reference.as_of.expr)
                yield from self._as_of_key(span, reference)

    def insert(self, insert: InsertInto) -> Iterator[Finding]:
        """Check the target of an INSERT."""
        target = self.declared.get(insert.target)
        if not isinstance(target, CreateTable):
            what = "is a view" if isinstance(target, CreateView) else "is not declared before this INSERT"
            message = f"cannot write to {insert.target}: it {what}{self._nearest(insert.target)}"
            yield error("undeclared", message, insert.target_span)
            return
        connector = self._connectors.get(target.name)
        if connector is not None and connector.role is Role.SOURCE:
            message = f"cannot write to {target.name}: a table of this type can only be read"
            yield error("source-only", message, insert.target_span)
        if isinstance(connector, StoreTable):
            if target.name in self._written:
                kind = connector.kind
                message = f"{target.name} has one writer, as every {kind} table: UNION ALL the queries"
                yield error("two-writers", message, insert.target_span)
            self._written.add(target.name)
        if insert.on_conflict is not None and not target.primary_key:
            message = f"ON CONFLICT needs a primary key, and {target.name} has none"
            yield error("conflict-key", message, insert.target_span)
        yield from self._given_columns(insert, target)
        self._used.add(target.name)

    def _given_columns(self, insert: InsertInto, target: CreateTable) -> Iterator[Finding]:
        """Check the column list of an INSERT; columns that are not in it become NULL."""
        seen: set[str] = set()
        for name in insert.columns:
            if target.column(name.text) is None:
                message = f"{target.name} has no column {name.text}; it has "
                message += ", ".join(column.name for column in target.columns)
                yield error("insert-column", message, name.span)
            elif name.text in seen:
                yield error("insert-column", f"column {name.text} is given twice", name.span)
            seen.add(name.text)
        for column in target.physical_columns if insert.columns else ():
            if column.name in seen or column.nullable:
                continue
            what = "the key column" if column.name in target.primary_key else "the NOT NULL column"
            message = (
                f"{what} {column.name} of {target.name} is not given: it would be NULL; add it to the list"
            )
            yield error("insert-column", message, insert.columns[0].span)

    def unused(self) -> Iterator[Finding]:
        """Warn of tables and views that nothing reads or writes."""
        for name, statement in self.declared.items():
            if name not in self._used:
                yield warning("unused", f"{name} is never used", statement.name_span)

    def _read(self, reference: TableReference) -> Iterator[Finding]:
        name = reference.name
        if name not in self.declared:
            if "." not in reference.span.of(self._script.text):
                message = f"{name} is not declared before this query{self._nearest(name)}"
                yield error("undeclared", message, reference.span)
            return
        connector = self._connectors.get(name)
        if connector is None:
            return
        if connector.role is Role.SINK and not (isinstance(connector, StoreTable) and reference.as_of):
            message = f"cannot read {name}: a table of this type can only be written"
            if isinstance(connector, StoreTable) and connector.kind in LOOKUP_KINDS:
                message += ", or looked up with JOIN … FOR SYSTEM_TIME AS OF PROCTIME()"
            yield error("sink-only", message, reference.span)
        if (
            isinstance(connector, MetaqTable)
            and connector.ingest is Ingest.VERSIONED
            and reference.as_of is None
            and reference.join not in (JoinKind.FROM, JoinKind.ARGUMENT)
        ):
            message = (
                f"{name} is versioned: a plain join matches every version of a row, also the deleted ones. "
                "Join it FOR SYSTEM_TIME AS OF the other side's event time, or declare it with "
                "'ingest'='upsert'"
            )
            yield warning("versioned-join", message, reference.span)

    def _lookup(self, query: Span, reference: TableReference, connector: StoreTable) -> Iterator[Finding]:
        table = self.declared.get(reference.name)
        if not isinstance(table, CreateTable) or not table.primary_key:
            return  # another check reports it
        findings = list(lookup_table_findings(table, connector, reference))
        if findings:
            yield from findings
            return
        if not is_processing_time(self._script, query, reference, self.declared):
            message = (
                f"{table.name} is looked up as it is when a row comes: join it FOR SYSTEM_TIME AS OF "
                "PROCTIME(), or of a column of the left side that is declared AS PROCTIME()"
            )
            yield error("lookup-time", message, reference.span)
            return
        try:
            lookup_join(self._script, query, reference, table)
        except SqlError as exc:
            yield error("lookup-form", exc.message, reference.span)

    def _as_of(self, reference: TableReference, expr: str) -> Iterator[Finding]:
        base = self._base(reference.name)
        if base is None:
            return
        table, path = base
        connector = self._connectors.get(table.name)
        if not isinstance(connector, MetaqTable):
            return
        if connector.ingest is not Ingest.VERSIONED:
            message = (
                f"{reference.name} cannot be joined as of a time: it does not keep its versions. Declare "
                f"table {table.name} with 'ingest'='versioned' and join that table"
            )
            yield error("as-of-versions", message, reference.span)
            return
        if path is not None:
            message = (
                f"{reference.name} cannot be joined as of a time: its query has {path}, and then "
                f"historical versions are silently lost. Join table {table.name} itself and filter after "
                "the join"
            )
            yield error("as-of-view", message, reference.span)
        if expr.upper().startswith("PROCTIME"):
            message = (
                f"joined as of PROCTIME(), the result depends on when the job runs: join {reference.name} "
                "as of the other side's event time"
            )
            yield error("as-of-proctime", message, reference.span)
        if reference.join is not JoinKind.LEFT:
            message = (
                f"join {reference.name} with LEFT JOIN: a deleted version is a row of NULLs here, so any "
                "other join as of a time would treat deleted rows and missing rows differently"
            )
            yield error("as-of-inner", message, reference.span)

    def _as_of_key(self, query: Span, reference: TableReference) -> Iterator[Finding]:
        """Find uses of the versioned side's key outside of a comparison: it is not NULL for a deleted row."""
        base = self._base(reference.name)
        if base is None or not self._is_versioned(base[0]):
            return
        tokens = significant(self._script.tokens_of(query))
        for index, (alias, dot, column) in enumerate(zip(tokens, tokens[1:], tokens[2:], strict=False)):
            if not (alias.is_name and alias.name == reference.alias and dot.is_operator(".")):
                continue
            beside = [*tokens[max(index - 1, 0) : index], *tokens[index + 3 : index + 4]]
            compared = any(token.is_operator("=") for token in beside)
            if column.is_operator("*") or (
                column.is_name and column.name in base[0].primary_key and not compared
            ):
                message = (
                    f"{alias.text}.{column.text}: the key of a versioned table is not NULL when its row was "
                    "deleted: select the other columns, and the key from the side that it is "
                    "joined to"
                )
                yield error("as-of-key", message, Span(alias.start, column.end))

    def _base(self, name: str) -> tuple[CreateTable, str | None] | None:
        """Return the table below a table or view, and the first keyword on the way that loses versions."""
        statement = self.declared.get(name)
        if isinstance(statement, CreateTable):
            return statement, None
        if statement is None:
            return None
        words = self._script.tokens_of(statement.query_span)
        lossy = next((token.text.upper() for token in words if token.is_word(*_FILTERS)), None)
        bases = [
            base
            for reference in self._references[statement.query_span].tables
            if not reference.cte and reference.name != name and (base := self._base(reference.name))
        ]
        versioned = [base for base in bases if self._is_versioned(base[0])]
        for table, path in versioned or bases:
            return table, lossy or path
        return None

    def _is_versioned(self, table: CreateTable) -> bool:
        connector = self._connectors.get(table.name)
        return isinstance(connector, MetaqTable) and connector.ingest is Ingest.VERSIONED

    def _nearest(self, name: str) -> str:
        by_lower = {known.lower(): known for known in self.declared}
        near = difflib.get_close_matches(name.lower(), by_lower, n=1)
        return f", did you mean {by_lower[near[0]]}?" if near else ""


def _as_of_own(reference: TableReference) -> Iterator[Finding]:
    if reference.as_of is not None:
        message = (
            f"{reference.name} is a part of this query: only a declared table keeps its versions and can be "
            "joined as of a time"
        )
        yield error("as-of-view", message, reference.span)
