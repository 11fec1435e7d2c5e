"""Column attributes that rows do not show; they are listed so that an unknown attribute is noticed."""

from __future__ import annotations

from typing import Final

from connectors.mysql.errors import RefusedError
from connectors.mysql.schema.tokens import Cursor, Kind

_ALONE: Final = (
    "NULL", "SIGNED", "AUTO_INCREMENT", "VISIBLE", "INVISIBLE", "VIRTUAL", "STORED", "PERSISTENT", "ENFORCED"
)  # fmt: skip
_WITH_VALUE: Final = (
    "COMMENT", "COLUMN_FORMAT", "STORAGE", "SRID", "REF_SYSTEM_ID", "ENGINE_ATTRIBUTE",
    "SECONDARY_ENGINE_ATTRIBUTE",
)  # fmt: skip
_TYPED_TEXT: Final = ("N", "X", "B", "DATE", "TIME", "TIMESTAMP")
"""Words that belong to the quoted text after them, as `_utf8mb4` does."""


def skip_attribute(cursor: Cursor) -> bool:
    """Skip an attribute that keeps name, type, sign, charset, key and position; False: it is not one."""
    if cursor.skip_any(*_ALONE):
        return True
    if cursor.skip("NOT", "SECONDARY") or cursor.skip("NOT", "ENFORCED") or cursor.skip("NOT", "INVISIBLE"):
        return True
    if cursor.skip("SERIAL", "DEFAULT", "VALUE") or cursor.skip("WITHOUT", "SYSTEM", "VERSIONING"):
        return True
    if cursor.skip_any("UNIQUE"):
        cursor.skip_any("KEY")
        return True
    if cursor.skip_any(*_WITH_VALUE):
        cursor.skip_mark("=")
        cursor.next()
        return True
    if cursor.skip_any("DEFAULT"):
        skip_value(cursor)
        return True
    if cursor.skip("ON", "UPDATE"):
        skip_value(cursor)
        return True
    return _skip_longer(cursor)


def _skip_longer(cursor: Cursor) -> bool:
    if cursor.skip("GENERATED", "ALWAYS"):
        if not cursor.peek().is_word("AS"):
            message = f"AS was expected after GENERATED ALWAYS, not {cursor.peek().text!r}"
            raise RefusedError(message)
        return True
    if cursor.skip_any("CONSTRAINT"):
        if not cursor.peek().is_word("CHECK"):
            cursor.name()
        return cursor.peek().is_word("CHECK")
    if cursor.skip_any("REFERENCES"):
        _skip_reference(cursor)
        return True
    if cursor.peek().is_name and cursor.peek(1).is_mark("="):  # MariaDB: options of engines
        cursor.next()
        cursor.next()
        cursor.next()
        return True
    return False


def _skip_reference(cursor: Cursor) -> None:
    cursor.qualified_name()
    if cursor.peek().is_mark("("):
        cursor.group()
    while True:
        if cursor.skip_any("MATCH"):
            cursor.next()
        elif cursor.peek().is_word("ON") and cursor.peek(1).is_word("DELETE", "UPDATE"):
            cursor.next()
            cursor.next()
            if not (
                cursor.skip("SET", "NULL") or cursor.skip("SET", "DEFAULT") or cursor.skip("NO", "ACTION")
            ):
                cursor.name()
        else:
            return


def skip_value(cursor: Cursor) -> None:
    """Skip a value without operators outside parentheses: 'x', -1, NOW(6), (a + 1), CASE … END.

    Raises: RefusedError if there is none.
    """
    if cursor.skip_mark("-") or cursor.skip_mark("+"):
        pass
    here = cursor.peek()
    if here.is_mark("("):
        cursor.group()
    elif cursor.skip_any("CASE"):
        _skip_case(cursor)
    elif cursor.skip("NEXT", "VALUE", "FOR") or cursor.skip("PREVIOUS", "VALUE", "FOR"):
        cursor.qualified_name()
    elif here.kind in (Kind.STRING, Kind.NUMBER):
        cursor.next()
    elif here.is_name and not cursor.done:
        _skip_call(cursor)
    else:
        message = f"a value was expected, not {here.text!r}"
        raise RefusedError(message)
    while cursor.peek().kind is Kind.STRING:  # 'a' 'b' is one text
        cursor.next()


def _skip_call(cursor: Cursor) -> None:
    """Skip a word, name or call: NULL, b'1', _utf8'x', d.f(1)."""
    first, then = cursor.next(), cursor.peek()
    is_set = first.kind is Kind.WORD and first.text.startswith("_")
    if (first.is_word(*_TYPED_TEXT) and then.kind is Kind.STRING) or (
        is_set and (then.kind is Kind.STRING or then.is_word("X", "B") or then.text[:1] == "0")
    ):
        _skip_call(cursor)
        return
    while cursor.skip_mark("."):
        cursor.name()
    if cursor.peek().is_mark("("):
        cursor.group()


def _skip_case(cursor: Cursor) -> None:
    depth = 1
    while depth:
        if cursor.done:
            message = "a CASE that does not end"
            raise RefusedError(message)
        token = cursor.next()
        depth += token.is_word("CASE") - token.is_word("END")
