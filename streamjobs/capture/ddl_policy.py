"""The policies for statements that change a captured table: evolve, ignore or fail."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from connectors.mysql.events import Ddl
from connectors.mysql.rows.table_plan import schema_of
from connectors.mysql.schema.definitions import (
    Altered,
    Created,
    DatabaseDropped,
    Dropped,
    Modified,
    Renamed,
    RowsReplaced,
    TableChange,
    TableDefinition,
    Truncated,
    Unknown,
)
from streamjobs.capture.config.routes import Routes
from streamjobs.capture.status.status import UNSEEN
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ABSENT, Row, TableId, TableSchema
from streamjobs.errors import SystemicError

logger = logging.getLogger(__name__)

EVOLVE, IGNORE, FAIL = "evolve", "ignore", "fail"
COLUMNS_WITHOUT_KEY = "columns_without_key"
_IDENTIFYING = frozenset({"add column", "drop column", "rename column", "modify column"})
"""Changes of the columns that identify a row in a table without a primary key."""


class DdlRefusedError(SystemicError):
    """A statement in the log that the configuration does not allow; the capture stops before it."""


@dataclass(frozen=True)
class Effect:
    """One effect of a statement on a captured table; `word` is its name in the configuration."""

    word: str
    table: TableId | None


@dataclass(frozen=True)
class KeptShape:
    """The columns that a table's messages keep, and the name of the first ignored statement."""

    schema: TableSchema
    word: str


class DdlPolicy:
    """Applies the policies to statements, and keeps the columns of tables whose changes are ignored.

    `ignore` for a change of columns means: the table's messages keep their columns; a dropped column is
    absent from then on. `evolve`: messages have the new columns after the statement.

    `definitions` are those of the tables at the start, `kept` the columns that an earlier run kept; columns
    are dropped from it if the configuration no longer ignores the statement.
    """

    def __init__(
        self,
        policies: Mapping[str, str],
        routes: Routes,
        definitions: Iterable[TableDefinition] = (),
        kept: Iterable[KeptShape] = (),
    ) -> None:
        self._policies = policies
        self._routes = routes
        self._definitions = {definition.table: definition for definition in definitions}
        self._shapes: dict[TableId, TableSchema] = {}
        self._frozen: dict[TableId, str] = {}
        for one in kept:
            if policies[one.word] == IGNORE:
                self._shapes[one.schema.table] = one.schema
                self._frozen[one.schema.table] = one.word
        self._projections: dict[int, _Projection] = {}

    @property
    def kept(self) -> list[KeptShape]:
        """The columns that messages keep; the next run needs them."""
        return [
            KeptShape(self._shapes[table], word)
            for table, word in self._frozen.items()
            if table in self._shapes
        ]

    def learn(self, definition: TableDefinition) -> None:
        """Add the definition of a table that the log has not defined."""
        self._definitions[definition.table] = definition

    def judge(self, event: Ddl) -> list[Effect]:
        """Return the effects of the statement on captured tables; raises DdlRefusedError."""
        effects = [effect for change in event.changes for effect in self._effects(change)]
        for effect in effects:
            policy = self._policies[effect.word]
            if policy == FAIL:
                raise DdlRefusedError(_refusal(event, effect))
            logger.info("%s of %s at %s: %s", effect.word, effect.table, event.place, policy)
            if policy == IGNORE and effect.table is not None and effect.word in _COLUMN_WORDS.values():
                self._freeze(effect.table, effect.word)
        for change in event.changes:
            self._follow(change)
        return effects

    def loses_rows(self, effect: Effect) -> bool:
        """Return whether it changed rows without row events, so that the table needs a snapshot."""
        return effect.word == "truncate_table" and self._policies[effect.word] == EVOLVE

    def leaves_unseen(self, effect: Effect) -> bool:
        """Return whether it is ignored, and changed rows (or may have) without row events."""
        return effect.word in UNSEEN and self._policies[effect.word] == IGNORE

    def shaped(self, batch: RowBatch) -> RowBatch:
        """Return the batch with the columns of its table's messages."""
        schema, table = batch.schema, batch.schema.table
        if table not in self._frozen:
            self._shapes[table] = schema
            return batch
        kept = self._shapes.setdefault(table, schema)
        if kept is schema or kept.columns == schema.columns:
            return replace(batch, schema=kept)
        projection = self._projections.get(id(schema))
        if projection is None or projection.schema is not schema:
            self._projections.clear()
            projection = self._projections[id(schema)] = _Projection(schema, kept)
        return replace(
            batch,
            schema=kept,
            images=projection.rows(batch.images),
            befores=projection.rows(batch.befores),
        )

    def _freeze(self, table: TableId, word: str) -> None:
        if table in self._frozen:
            return
        self._frozen[table] = word
        definition = self._definitions.get(table)
        if definition is not None:
            self._shapes[table] = schema_of(definition)

    def _follow(self, change: TableChange) -> None:
        match change:
            case Altered(table, definition) | Created(table, definition):
                self._definitions.pop(table, None)
                if definition is not None:
                    self._definitions[table] = definition
            case Renamed(table, to):
                definition = self._definitions.pop(table, None)
                if definition is not None:
                    self._definitions[to] = replace(definition, table=to)
                word, shape = self._frozen.pop(table, None), self._shapes.pop(table, None)
                if word is not None:
                    self._frozen[to] = word
                if shape is not None:
                    self._shapes[to] = replace(shape, table=to)
            case Dropped(table):
                self._forget(table)
            case DatabaseDropped(database):
                for table in [one for one in self._known() if one.database == database]:
                    self._forget(table)
            case _:
                pass

    def _known(self) -> set[TableId]:
        return {*self._definitions, *self._shapes, *self._frozen}

    def _lacks_key(self, table: TableId, after: TableDefinition | None) -> bool:
        """Return whether a table is known to have no primary key."""
        known, shape = self._definitions.get(table, after), self._shapes.get(table)
        return not known.primary_key if known is not None else shape is not None and not shape.key_indexes

    def _forget(self, table: TableId) -> None:
        self._definitions.pop(table, None)
        self._shapes.pop(table, None)
        self._frozen.pop(table, None)

    def _effects(self, change: TableChange) -> Iterator[Effect]:
        match change:
            case Altered(table, after, kinds) if self._routes(table):
                if _IDENTIFYING & {*kinds} and "primary key" not in kinds and self._lacks_key(table, after):
                    yield Effect(COLUMNS_WITHOUT_KEY, table)
                yield from (Effect(_COLUMN_WORDS[kind], table) for kind in kinds)
            case Created(table) if self._routes(table):
                yield Effect("create_table", table)
            case Renamed(table, to) if self._routes(table) or self._routes(to):
                yield Effect("rename_table", to if self._routes(to) else table)
            case Dropped(table) if self._routes(table):
                yield Effect("drop_table", table)
            case Truncated(table) | RowsReplaced(table) if self._routes(table):
                yield Effect("truncate_table", table)
            case DatabaseDropped(database):
                gone = [table for table in self._known() if table.database == database]
                yield from (Effect("drop_table", table) for table in sorted(gone, key=str))
            case Modified(table) if table is None or self._routes(table):
                yield Effect("statement_format", table)
            case Unknown(table, _) if table is None or self._routes(table):
                yield Effect("unknown", table)
            case _:
                return


class _Projection:
    """Maps rows from one shape to another: columns by name, absent if there is none."""

    def __init__(self, schema: TableSchema, kept: TableSchema) -> None:
        self.schema = schema
        names = {name: index for index, name in enumerate(schema.names)}
        self._indexes = [names.get(name) for name in kept.names]

    def rows(self, rows: Sequence[Row]) -> list[Row]:
        return [tuple(ABSENT if index is None else row[index] for index in self._indexes) for row in rows]


_COLUMN_WORDS = {
    kind: kind.replace(" ", "_")
    for kind in ("add column", "drop column", "rename column", "modify column", "primary key", "charset")
}


def _refusal(event: Ddl, effect: Effect) -> str:
    reasons = [change.reason for change in event.changes if isinstance(change, Unknown)]
    why = f" ({reasons[0]})" if reasons else ""
    after = (
        "rows that it removed are still downstream, and rows that it added are missing there: "
        if effect.word == "truncate_table"
        else "its rows changed without row events: "
        if effect.word == "statement_format"
        else "it has no primary key, so all columns together identify a row, and a DELETE with the new "
        "columns does not match a row downstream with the old ones: "
        if effect.word == COLUMNS_WITHOUT_KEY
        else ""
    )
    allowed = '"ignore" in [ddl]'
    if effect.word == "truncate_table":
        allowed = (
            '"evolve" in [ddl] (makes a snapshot, and deletes rows downstream that it does not contain) or '
            '"ignore" (correct the rows downstream yourself)'
        )
    if effect.word == COLUMNS_WITHOUT_KEY:
        allowed = (
            '"evolve" in [ddl]; if readers keep its rows, also set another topic in [[tables]], and then '
            f"snapshot it (`streamjobs capture snapshot {effect.table}`)"
        )
    return (
        f"{effect.word.replace('_', ' ')} of {effect.table or 'an unknown table'} before {event.place}{why}: "
        f"{event.statement[:500]!r}. The capture stops before this statement; {after}"
        f"allow it with {effect.word} = {allowed}, or snapshot all tables again with "
        "`streamjobs capture run --resnapshot`"
    )
