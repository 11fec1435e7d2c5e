"""Encoding of a row as a document: its id, its index, its fields, and the mapping that the index needs.

Fields hold the stored form of `streamjobs.sinks.stored_types`, so `_source` is exact: DECIMAL and times as
text with all digits, integers as JSON integers (beyond 2^53 too), BYTES as base64, TIMESTAMP_LTZ in UTC with
a `Z`. NULL is null. For searching the index keeps a less exact form if Elasticsearch has no such type:
DECIMAL as double, which is exact up to 15 digits (docs/decisions/0072), times in milliseconds; it does not
keep texts of more than 8191 characters. A column of `textFields` is searched by its words, however long it
is; its sub-field `keyword` holds the whole text.

The id is the text of the key; several columns are joined by `:`, with `\\` before each `:` and `\\` inside
them. An empty text is `\\0`, so no two keys share an id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any

import orjson

from streamjobs.errors import ConfigError
from streamjobs.sinks.contract import SinkColumn, SinkTable
from streamjobs.sinks.stored_types import ColumnType, Reason, UnfitValueError, column_type

MAX_ID_BYTES = 512
"""Source: https://www.elastic.co/docs/reference/elasticsearch/mapping-reference/mapping-id-field"""
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
_JSON = orjson.OPT_UTC_Z
_TEXT: dict[str, object] = {"type": "keyword", "ignore_above": 8191}
_WORDS: dict[str, object] = {"type": "text", "fields": {"keyword": _TEXT}}
"""Searched by word; `title.keyword` for whole texts, sorting and counting, as in Elasticsearch's default."""
_DATE: dict[str, object] = {"type": "date", "format": "strict_date_optional_time_nanos"}
_MAPPINGS: Mapping[str, tuple[dict[str, object], tuple[str, ...]]] = {
    "BOOLEAN": ({"type": "boolean"}, ()),
    "TINYINT": ({"type": "byte"}, ("short", "integer", "long")),
    "SMALLINT": ({"type": "short"}, ("integer", "long")),
    "INT": ({"type": "integer"}, ("long",)),
    "BIGINT": ({"type": "long"}, ()),
    "FLOAT": ({"type": "float"}, ("double",)),
    "DOUBLE": ({"type": "double"}, ()),
    "DECIMAL": ({"type": "double"}, ("scaled_float", "float")),
    "STRING": (_TEXT, ("text", "wildcard", "constant_keyword", "ip", "match_only_text")),
    "BYTES": ({"type": "binary"}, ()),
    "DATE": ({"type": "date", "format": "strict_date"}, ("date_nanos",)),
    "TIME": ({"type": "keyword"}, ()),
    "TIMESTAMP": (_DATE, ("date_nanos",)),
    "TIMESTAMP_LTZ": (_DATE, ("date_nanos",)),
}
"""Root of the type's name -> the mapping that we create, and further field types that hold it as well.

Every type may also be a `keyword`; we never create an `object` field with `enabled: false`."""
_SEARCHED_BY_WORD = ("text", "match_only_text")
_INDEX_NAME = re.compile(r"[a-z0-9][a-z0-9._+-]*")
_PLACE = re.compile(r"\{([^|}]+)\|([^}]+)\}")
_DATE_WORDS = {"yyyy": "{0.year:04}", "MM": "{0.month:02}", "dd": "{0.day:02}", "HH": "{0.hour:02}"}


@dataclass(frozen=True)
class Field:
    """A column: its type, the type's name without its parameters, and whether it may be NULL."""

    name: str
    kind: ColumnType
    root: str
    nullable: bool

    def store(self, value: Any) -> Any:
        """Return the value as JSON can hold it. Raises UnfitValueError."""
        if value is None:
            if not self.nullable:
                raise UnfitValueError(Reason.NULL, f"column {self.name} is NOT NULL")
            return None
        try:
            return self.finished(self.kind.store(value))
        except UnfitValueError as exc:
            raise UnfitValueError(exc.reason, f"column {self.name}: {exc}") from exc

    def finished(self, stored: Any) -> Any:
        """Return as text what orjson would encode otherwise; refuse numbers unknown to Elasticsearch."""
        if self.root == "TIMESTAMP_LTZ":
            return f"{stored}Z" if isinstance(stored, str) else stored.replace(tzinfo=timezone.utc)
        if isinstance(stored, str) and self.root in ("DOUBLE", "FLOAT"):
            raise UnfitValueError(Reason.RANGE, f"Elasticsearch has no {stored}")
        return stored

    def store_many(self, values: Sequence[Any]) -> Sequence[Any] | None:
        """Return what `store` returns for many values, mostly by one check of all; None when one is unfit."""
        stored = self.kind.store_column(values, nullable=self.nullable)
        zoned = self.root == "TIMESTAMP_LTZ"
        if stored is None or not (zoned or (self.kind.plain is float and stored is not values)):
            return stored
        try:
            return [None if value is None else self.finished(value) for value in stored]
        except UnfitValueError:
            return None


class IndexPattern:
    """The name of the index, or one name per day, month, year or hour of a key column: `items-{day|yyyy.MM}`.

    The column is part of the key, so that a row never moves between indexes: a changed day is a delete in one
    index and an insert in the other. Raises ConfigError for any other text.
    """

    def __init__(self, text: str, table: SinkTable) -> None:
        self.text = text
        where = f"table {table.name}: index {text!r}"
        places = list(_PLACE.finditer(text))
        if len(places) > 1 or not _INDEX_NAME.fullmatch(_PLACE.sub("0", text)):
            message = (
                f"{where}: lower-case letters, digits and . _ + - only, and at most one {{column|yyyy.MM.dd}}"
            )
            raise ConfigError(message)
        self.column: int | None = None
        if places:
            name, form = places[0].groups()
            types = {column.name: column_type(column.type).plain for column in table.columns}
            if types.get(name) not in (date, datetime):
                message = f"{where}: {name} is not a DATE or TIMESTAMP column of the table"
                raise ConfigError(message)
            if name not in table.key:
                message = (
                    f"{where}: {name} must be part of the PRIMARY KEY: a row whose {name} changed would stay "
                    "in its old index too"
                )
                raise ConfigError(message)
            if types[name] is date and "HH" in form:
                message = f"{where}: {name} is a DATE and has no hours"
                raise ConfigError(message)
            self.column = table.key.index(name)
            self._head, self._tail = text[: places[0].start()], text[places[0].end() :]
            self._form = _date_form(form, where)

    def of(self, key: Sequence[Any]) -> str:
        """Return the index of a key with valid values."""
        if self.column is None:
            return self.text
        return f"{self._head}{self._form.format(key[self.column])}{self._tail}"


def _date_form(text: str, where: str) -> str:
    form = text
    for word, python in _DATE_WORDS.items():
        form = form.replace(word, python)
    rest = re.sub(r"\{0\.[a-z]+:0[24]\}", "", form)
    if form == text or re.search(r"[^._-]", rest):
        message = f"{where}: a date is made of {', '.join(_DATE_WORDS)} and . _ -, not {text!r}"
        raise ConfigError(message)
    return form


class DocumentForm:
    """The columns of one table as fields; those of `words` are searched by word in an index that we create.

    Raises ConfigError for types or names that no index can have.
    """

    def __init__(self, table: SinkTable, words: frozenset[str] = frozenset()) -> None:
        self._words = words
        self.fields = tuple(_field(column) for column in table.columns)
        self.names = tuple(field.name for field in self.fields)
        by_name = {field.name: field for field in self.fields}
        missing = [name for name in table.key if name not in by_name]
        if missing or not table.key or len(by_name) != len(self.fields):
            message = f"table {table.name}: key {table.key} and columns {self.names} do not fit together"
            raise ConfigError(message)
        dotted = [name for name in self.names if "." in name or name.startswith("_") or not name.strip()]
        if dotted:
            message = f"table {table.name}: Elasticsearch cannot have a field {dotted[0]!r}"
            raise ConfigError(message)
        self._key = [by_name[name] for name in table.key]
        self._spell: list[Callable[[Any], str]] = [_key_text(field) for field in self._key]

    def id(self, key: Sequence[Any]) -> str:
        """Return the document's id. Raises UnfitValueError for NULL, a wrong type, or more than 512 bytes."""
        parts = []
        for value, field, spell in zip(key, self._key, self._spell, strict=True):
            if value is None:
                raise UnfitValueError(Reason.NULL, f"key column {field.name} is NULL")
            try:
                parts.append(spell(field.kind.store(value)))
            except UnfitValueError as exc:
                raise UnfitValueError(exc.reason, f"column {field.name}: {exc}") from exc
        if len(parts) > 1:
            parts = [part.replace(":", "\\:") for part in parts]
        text = ":".join(parts)
        try:
            size = len(text.encode())
        except UnicodeEncodeError as exc:
            raise UnfitValueError(Reason.ENCODING, f"the key is not valid Unicode text: {exc}") from exc
        if size > MAX_ID_BYTES:
            raise UnfitValueError(Reason.SIZE, f"the id has {size} bytes, the limit is {MAX_ID_BYTES}")
        return text

    def ids(self, keys: Sequence[Sequence[Any]]) -> list[str] | None:
        """Return what `id` returns for many keys of one integer column, None for any others."""
        if len(self._key) != 1 or self._key[0].kind.plain is not int:
            return None
        values = self._key[0].store_many([key[0] for key in keys])
        return None if values is None or None in values else list(map(str, values))

    def bodies(self, columns: Sequence[Sequence[Any]]) -> list[bytes] | None:
        """Return the documents of many complete rows, or None if one of them must be handled alone.

        `columns` are the rows' values, column by column in the order of `names`.
        """
        stored = []
        for values, field in zip(columns, self.fields, strict=True):
            known = field.store_many(values)
            if known is None:
                return None
            stored.append(known)
        names = self.names
        try:
            bodies = [
                orjson.dumps(dict(zip(names, row, strict=True)), option=_JSON)
                for row in zip(*stored, strict=True)
            ]
        except orjson.JSONEncodeError:
            return None
        return None if max(map(len, bodies), default=0) > MAX_DOCUMENT_BYTES else bodies

    def body(self, values: Mapping[str, Any], before: Mapping[str, Any] | None) -> bytes:
        """Return the document of one row; ABSENT columns come from `before` (stored fields), else are null.

        Raises UnfitValueError.
        """
        document = {}
        for field in self.fields:
            if field.name in values:
                document[field.name] = field.store(values[field.name])
            else:
                document[field.name] = (before or {}).get(field.name)
        try:
            body = orjson.dumps(document, option=_JSON)
        except orjson.JSONEncodeError as exc:
            raise UnfitValueError(
                Reason.ENCODING, f"the row holds text that is not valid Unicode: {exc}"
            ) from exc
        if len(body) > MAX_DOCUMENT_BYTES:
            detail = f"the document has {len(body)} bytes, the limit is {MAX_DOCUMENT_BYTES}"
            raise UnfitValueError(Reason.SIZE, detail)
        return body

    def mapping(self) -> dict[str, dict[str, object]]:
        """Return the properties of an index that we create."""
        return {
            field.name: dict(_WORDS if field.name in self._words else _MAPPINGS[field.root][0])
            for field in self.fields
        }

    def without_words(self, properties: Mapping[str, Any]) -> list[str]:
        """Return the fields of an existing index that are not searched by word, but should be."""
        found = {name: properties[name].get("type") for name in self.names if name in properties}
        return [name for name in found if name in self._words and found[name] not in _SEARCHED_BY_WORD]

    def misfits(self, properties: Mapping[str, Any]) -> list[str]:
        """Return which fields of an existing index cannot hold their column, one sentence each."""
        misfits = []
        for field in self.fields:
            found = properties.get(field.name)
            if found is None:
                continue
            legal = field_types(field.root)
            if found.get("type") not in legal:
                kind = found.get("type", "object")
                misfits.append(
                    f"field {field.name} is {kind}, and {field.kind.name} needs {' or '.join(legal)}"
                )
        return misfits


def field_types(root: str) -> tuple[str, ...]:
    """Return the field types that hold a type's values, first the one of an index that we create."""
    ours, others = _MAPPINGS[root]
    return tuple(dict.fromkeys((str(ours["type"]), *others, "keyword")))


def text_fields(listed: str, table: SinkTable) -> frozenset[str]:
    """Read the option `textFields`: columns separated by commas. Raises ConfigError if one holds no text."""
    names = [name.strip().strip("`") for name in listed.split(",") if name.strip()]
    texts = [column.name for column in table.columns if column_type(column.type).name == "STRING"]
    unfit = [name for name in names if name not in texts]
    if unfit:
        message = (
            f"table {table.name}: 'textFields' names {unfit[0]}; the columns that hold text are "
            f"{', '.join(texts) or 'none'}"
        )
        raise ConfigError(message)
    return frozenset(names)


def _field(column: SinkColumn) -> Field:
    kind = column_type(column.type)
    return Field(column.name, kind, kind.name.partition("(")[0], column.nullable)


def _key_text(field: Field) -> Callable[[Any], str]:
    match field.root:
        case "STRING":
            return lambda value: str(value).replace("\\", "\\\\") or "\\0"
        case "BYTES":
            return lambda value: str(value) or "\\0"  # base64, which has no backslash; no id may be empty
        case "BOOLEAN":
            return lambda value: "true" if value else "false"
        case "DATE" | "TIMESTAMP" | "TIMESTAMP_LTZ":
            return lambda value: value if isinstance(value, str) else value.isoformat()
        case "FLOAT" | "DOUBLE":
            return _float_text
        case _:
            return str


def _float_text(value: float | str) -> str:
    if isinstance(value, str):
        raise UnfitValueError(Reason.RANGE, f"{value} cannot be a key")
    return repr(value + 0.0)
