"""Table definitions as text, to be kept beside a position."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from connectors.mysql.catalog import Catalog
from connectors.mysql.table_changes import ColumnDefinition, TableDefinition
from streamjobs.capture.routes import Routes
from streamjobs.errors import ConfigError
from streamjobs.rowchange import TableId

FORMAT_VERSION = 1


def catalog_to_json(catalog: Catalog, routes: Routes) -> bytes:
    """Give what the catalog knows of captured tables."""
    tables = [asdict(definition) for definition in catalog.tables if routes(definition.table)]
    fields = {
        "v": FORMAT_VERSION,
        "mariadb": catalog.mariadb,
        "charsets": dict(catalog.database_charsets),
        "tables": tables,
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def catalog_from_json(data: bytes) -> Catalog:
    """Read it back. Raises ConfigError when it is not such a text."""
    try:
        fields: dict[str, Any] = json.loads(data)
        if fields["v"] != FORMAT_VERSION:
            message = f"table definitions of another version: {data[:80]!r}"
            raise ConfigError(message)
        definitions: Iterable[TableDefinition] = [_definition(one) for one in fields["tables"]]
        charsets: Mapping[str, str] = fields["charsets"]
        return Catalog(definitions, mariadb=fields["mariadb"], database_charsets=charsets)
    except (ValueError, KeyError, TypeError) as exc:
        message = f"not table definitions: {data[:80]!r}"
        raise ConfigError(message) from exc


def _definition(fields: dict[str, Any]) -> TableDefinition:
    columns = tuple(
        ColumnDefinition(**{**column, "labels": tuple(column["labels"])}) for column in fields["columns"]
    )
    return TableDefinition(
        TableId(**fields["table"]), columns, tuple(fields["primary_key"]), fields["charset"]
    )
