"""The stable words of `DecodeError.reason`, for metrics and dead letters."""

from __future__ import annotations

from typing import Final

TOO_LARGE: Final = "too_large"
"""The payload, a list, or the number of its items exceeds its bound."""
TRUNCATED: Final = "truncated"
"""The bytes end inside a value; also an empty payload."""
TRAILING: Final = "trailing"
"""There are bytes after the end."""
PROTOCOL: Final = "protocol"
"""Not Thrift's binary protocol: unknown wire type, negative length, nested too deep."""
VERSION: Final = "version"
"""A format version that this reader does not know."""
CRC: Final = "crc"
"""The check does not match the body."""
MISSING_FIELD: Final = "missing_field"
"""A required field is missing, or has another wire type."""
ENUM: Final = "enum"
"""A number that is not in its enum."""
UTF8: Final = "utf8"
"""A string that is not UTF-8."""
COLUMNS: Final = "columns"
"""No columns, too many, or two with the same name."""
VALUES_LENGTH: Final = "values_length"
"""An image without exactly one value per column, or with a wrong index of a NULL or absent column."""
IMAGE: Final = "image"
"""A row without the image that its kind needs."""
SEQ: Final = "seq"
"""A seq without the IDL's layout."""
TIME: Final = "time"
"""A negative message time."""
EVENT_TIME: Final = "event_time"
"""The event-time column is not in a table, or cannot hold a time."""

ALL: Final = frozenset(
    {
        TOO_LARGE,
        TRUNCATED,
        TRAILING,
        PROTOCOL,
        VERSION,
        CRC,
        MISSING_FIELD,
        ENUM,
        UTF8,
        COLUMNS,
        VALUES_LENGTH,
    }
    | {IMAGE, SEQ, TIME, EVENT_TIME}
)
