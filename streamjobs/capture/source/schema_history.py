"""The schema history: table definitions, and columns that messages keep, stored as text with a position."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from connectors.mysql.schema.definitions import ColumnDefinition, TableDefinition
from connectors.mysql.schema.enum_labels import doubtful_labels
from connectors.mysql.schema.history import Catalog
from connectors.mysql.server.table_names import ServerNames
from streamjobs.capture.config.routes import Patterns, Routes, Way
from streamjobs.capture.ddl_policy import KeptShape
from streamjobs.changes.row_change import Column, SqlType, TableId, TableSchema
from streamjobs.errors import ConfigError

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Definitions:
    """The tables at a log position, and the columns that their messages keep despite ignored statements.

    `patterns` are those of the routes that selected the tables up to there; None: not known. `ways` has the
    topic and the partition columns of each table, by its name; it is made from the routes when stored.
    """

    catalog: Catalog
    kept: Sequence[KeptShape] = ()
    patterns: Patterns | None = None
    ways: Mapping[str, Way] = field(default_factory=dict)


def definitions_to_json(definitions: Definitions, routes: Routes) -> bytes:
    """Return the definitions of captured tables as JSON."""
    catalog = definitions.catalog
    tables = [asdict(definition) for definition in catalog.tables if routes(definition.table)]
    fields = {
        "v": FORMAT_VERSION,
        "mariadb": catalog.mariadb,
        "charsets": dict(catalog.database_charsets),
        "tables": tables,
        "names": int(catalog.names),
        "sequences": [asdict(sequence) for sequence in sorted(catalog.sequences, key=str)],
        "kept": [asdict(one) for one in definitions.kept],
        "patterns": definitions.patterns,
        "ways": {
            str(one.table): asdict(way)
            for one in catalog.tables
            if (way := routes.way(one.table)) is not None
        },
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def definitions_from_json(data: bytes) -> Definitions:
    """Read the definitions back. Raises ConfigError for any other text."""
    try:
        fields: dict[str, Any] = json.loads(data)
        if fields["v"] != FORMAT_VERSION:
            message = f"table definitions of another version: {data[:80]!r}"
            raise ConfigError(message)
        definitions: Iterable[TableDefinition] = [_definition(one) for one in fields["tables"]]
        charsets: Mapping[str, str] = fields["charsets"]
        sequences = [TableId(**one) for one in fields.get("sequences", ())]
        catalog = Catalog(
            definitions,
            mariadb=fields["mariadb"],
            database_charsets=charsets,
            sequences=sequences,
            names=ServerNames(fields.get("names", 0)),
        )
        patterns = fields.get("patterns")
        return Definitions(
            catalog,
            [_kept(one) for one in fields.get("kept", ())],
            None if patterns is None else tuple(map(tuple, patterns)),
            {
                table: Way(way["topic"], tuple(way["partition_by"]))
                for table, way in fields.get("ways", {}).items()
            },
        )
    except (ValueError, KeyError, TypeError) as exc:
        message = f"not table definitions: {data[:80]!r}"
        raise ConfigError(message) from exc


def _kept(fields: dict[str, Any]) -> KeptShape:
    schema = fields["schema"]
    columns = tuple(Column(**{**column, "type": SqlType(column["type"])}) for column in schema["columns"])
    return KeptShape(TableSchema(TableId(**schema["table"]), columns), fields["word"])


def _definition(fields: dict[str, Any]) -> TableDefinition:
    columns = tuple(map(_column, fields["columns"]))
    return TableDefinition(
        TableId(**fields["table"]), columns, tuple(fields["primary_key"]), fields["charset"]
    )


def _column(fields: dict[str, Any]) -> ColumnDefinition:
    labels = tuple(fields["labels"])
    lost = fields.get("lost_labels")  # an earlier version stored them as information_schema shows them
    lost = doubtful_labels(labels, fields["charset"]) if lost is None else tuple(lost)
    return ColumnDefinition(**{**fields, "labels": labels, "lost_labels": lost})
