"""Encoding of a row as Redis keys and values: the bytes of its key, and of its columns.

A key is the prefix and the key column's text; several columns are joined by `:`, with `\\` before each `:`
and `\\` inside them, so that no two keys share a name. Texts of values: integers and shortest floats as in
JSON, `true`/`false`, DECIMAL with all digits of its scale, ISO dates and times (TIMESTAMP_LTZ in UTC), BYTES
as they are (in a JSON text: base64).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from streamjobs.changes.wire_values import shortest_float
from streamjobs.errors import ConfigError
from streamjobs.sinks.contract import SinkTable
from streamjobs.sinks.stored_types import ColumnType, Reason, UnfitValueError, column_type

OWN_PREFIX = b"__streamjobs__:"
"""Prefix of the connector's own keys; no row may have such a key."""
MAX_KEY_BYTES = 1024 * 1024
MAX_ROW_BYTES = 16 * 1024 * 1024
MAX_EXACT_SCORE = 1 << 53

Put = Callable[[Any], bytes]


class RowForm:
    """The columns of one table, and how they are encoded."""

    def __init__(self, table: SinkTable, prefix: str) -> None:
        self.prefix = prefix.encode()
        self.names = tuple(column.name for column in table.columns)
        types = {column.name: column_type(column.type) for column in table.columns}
        missing = [name for name in table.key if name not in types]
        if missing or not table.key:
            message = f"table {table.name}: key {table.key} and columns {self.names} do not fit together"
            raise ConfigError(message)
        self._columns = [(c.name, types[c.name], c.nullable, _put(types[c.name])) for c in table.columns]
        self._key = [(name, types[name], _key_put(types[name])) for name in table.key]

    def key(self, values: Sequence[Any], width: int | None = None) -> bytes:
        """Return the Redis key of all key values, or of the first `width` ones. Raises UnfitValueError."""
        parts = [self.key_part(values, place) for place in range(len(self._key) if width is None else width)]
        if len(parts) > 1:
            parts = [part.replace(b"\\", b"\\\\").replace(b":", b"\\:") for part in parts]
        key = self.prefix + b":".join(parts)
        if len(key) > MAX_KEY_BYTES:
            raise UnfitValueError(Reason.SIZE, f"the key has {len(key)} bytes, the limit is {MAX_KEY_BYTES}")
        if key.startswith(OWN_PREFIX):
            raise UnfitValueError(
                Reason.RANGE, f"keys that start with {OWN_PREFIX.decode()} are reserved for the framework"
            )
        return key

    def key_part(self, values: Sequence[Any], place: int) -> bytes:
        """Return the text of one key column. Raises UnfitValueError."""
        name, kind, put = self._key[place]
        if values[place] is None:
            raise UnfitValueError(Reason.NULL, f"key column {name} is NULL")
        return _spelled(name, kind, put, values[place])

    def fields(self, values: Mapping[str, Any]) -> tuple[str, list[bytes]]:
        """Return a hash's mask (see WRITE_HASHES) and the texts it sets. Raises UnfitValueError."""
        mask, texts, size = [], [], 0
        for name, kind, nullable, put in self._columns:
            if name not in values:
                mask.append("-")
            elif (value := values[name]) is None:
                _refuse_null(name, nullable=nullable)
                mask.append("0")
            else:
                mask.append("1")
                text = _spelled(name, kind, put, value)
                texts.append(text)
                size += len(text)
        if size > MAX_ROW_BYTES:
            raise UnfitValueError(Reason.SIZE, f"the row has {size} bytes, the limit is {MAX_ROW_BYTES}")
        return "".join(mask), texts

    def text(self, values: Mapping[str, Any], previous: bytes | None) -> bytes:
        """Return a row's JSON text; missing columns come from the previous text, else are NULL.

        Raises UnfitValueError.
        """
        stored: dict[str, Any] = {}
        older = orjson.loads(previous) if previous else {}
        for name, kind, nullable, _ in self._columns:
            if name not in values:
                stored[name] = older.get(name)
            elif (value := values[name]) is None:
                _refuse_null(name, nullable=nullable)
                stored[name] = None
            else:
                stored[name] = _stored(name, kind, value)
        try:
            text = orjson.dumps(stored)
        except orjson.JSONEncodeError as exc:
            detail = f"the row holds text that is not valid Unicode: {exc}"
            raise UnfitValueError(Reason.ENCODING, detail) from exc
        if len(text) > MAX_ROW_BYTES:
            raise UnfitValueError(Reason.SIZE, f"the row has {len(text)} bytes, the limit is {MAX_ROW_BYTES}")
        return text

    def keys_many(self, keys: Sequence[Sequence[Any]]) -> list[bytes] | None:
        """Return what `key` returns of each, or None if one of them must be handled alone."""
        _, kind, put = self._key[0]
        if len(self._key) > 1 or kind.plain is bytes:  # the stored form of bytes is text; a key has them raw
            return None
        stored = kind.store_column([key[0] for key in keys], nullable=False)
        if stored is None:
            return None
        prefix = self.prefix
        try:
            names = [prefix + put(value) for value in stored]
        except UnicodeEncodeError:
            return None
        if any(len(name) > MAX_KEY_BYTES or name.startswith(OWN_PREFIX) for name in names):
            return None
        return names

    def texts_many(self, columns: Sequence[Sequence[Any]]) -> list[bytes] | None:
        """Return what `text` returns of each row, or None if one of them must be handled alone.

        `columns` are the rows' values, column by column in the order of `names`.
        """
        stored = self._stored_columns(columns)
        if stored is None:
            return None
        names = self.names
        try:
            texts = [orjson.dumps(dict(zip(names, row, strict=True))) for row in zip(*stored, strict=True)]
        except orjson.JSONEncodeError:
            return None
        return None if max(map(len, texts)) > MAX_ROW_BYTES else texts

    def fields_many(self, columns: Sequence[Sequence[Any]]) -> list[tuple[str, list[bytes]]] | None:
        """Return what `fields` returns of each row; see `texts_many`.

        None if one of them must be handled alone.
        """
        stored = self._stored_columns(columns, raw_bytes=True)
        if stored is None:
            return None
        try:
            spelled = [
                [None if value is None else put(value) for value in values]
                for values, (_, _, _, put) in zip(stored, self._columns, strict=True)
            ]
        except UnicodeEncodeError:
            return None
        full, many = "1" * len(self.names), []
        for row in zip(*spelled, strict=True):
            if None in row:
                mask = "".join(["0" if cell is None else "1" for cell in row])
                many.append((mask, [cell for cell in row if cell is not None]))
            else:
                many.append((full, list(row)))
        big = any(sum(map(len, texts)) > MAX_ROW_BYTES for _, texts in many)
        return None if big else many

    def _stored_columns(
        self, columns: Sequence[Sequence[Any]], *, raw_bytes: bool = False
    ) -> list[Sequence[Any]] | None:
        all_stored: list[Sequence[Any]] = []
        stored: Sequence[Any] | None
        for values, (_, kind, nullable, _) in zip(columns, self._columns, strict=True):
            if raw_bytes and kind.plain is bytes:
                fits = set(map(type, values)) <= ({bytes, type(None)} if nullable else {bytes})
                stored = values if fits else None
            else:
                stored = kind.store_column(values, nullable=nullable)
            if stored is None:
                return None
            all_stored.append(stored)
        return all_stored

    def is_float(self, name: str) -> bool:
        """Return whether a column is a FLOAT."""
        return any(kind.name == "FLOAT" for column, kind, _, _ in self._columns if column == name)

    def is_whole(self, values: Mapping[str, Any]) -> bool:
        """Return whether the record has all columns."""
        return len(values) >= len(self.names)


def score_text(name: str, value: Any, *, is_float: bool = False) -> bytes:
    """Return the text of a score: a double exactly equal to the value, or the shortest text of a FLOAT.

    Raises UnfitValueError.
    """
    if value is None:
        raise UnfitValueError(Reason.NULL, f"the score {name} is NULL: set it, or delete the row")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UnfitValueError(Reason.TYPE, f"the score {name} is {value!r}, which is not a number")
    if value != value:  # noqa: PLR0124 - NaN differs from itself
        raise UnfitValueError(Reason.RANGE, f"the score {name} is NaN")
    if isinstance(value, int) and abs(value) > MAX_EXACT_SCORE:
        raise UnfitValueError(
            Reason.RANGE, f"the score {name} is {value}; Redis keeps doubles, exact to 2^53"
        )
    return repr(shortest_float(value) if is_float else value).encode()


def _refuse_null(name: str, *, nullable: bool) -> None:
    if not nullable:
        raise UnfitValueError(Reason.NULL, f"column {name} is NOT NULL")


def _stored(name: str, kind: ColumnType, value: Any) -> Any:
    try:
        return kind.store(value)
    except UnfitValueError as exc:
        raise UnfitValueError(exc.reason, f"column {name}: {exc}") from exc


def _spelled(name: str, kind: ColumnType, put: Put, value: Any) -> bytes:
    stored = value if kind.plain is bytes and isinstance(value, bytes) else _stored(name, kind, value)
    try:
        return put(stored)
    except UnicodeEncodeError as exc:
        detail = f"column {name}: {value!r} is not valid Unicode text: {exc}"
        raise UnfitValueError(Reason.ENCODING, detail) from exc


def _key_put(kind: ColumnType) -> Put:
    put = _put(kind)
    # -0.0 is 0.0 in SQL, so it is the same key
    return (
        put
        if kind.plain is not float
        else lambda value: put(value if isinstance(value, str) else value + 0.0)
    )


def _put(kind: ColumnType) -> Put:
    if kind.plain is bytes:
        return bytes
    if kind.plain is bool:
        return lambda value: b"true" if value else b"false"
    if kind.plain is int:
        return lambda value: b"%d" % value
    if kind.plain is float:
        return lambda value: (value if isinstance(value, str) else repr(value)).encode()
    return lambda value: (value if isinstance(value, str) else value.isoformat()).encode()
