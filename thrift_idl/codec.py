"""The codec of the wire format: the only interface to Thrift for the rest of the project.

Reading: `decode_body` (fast, the generated structs, validated) and `decode` (domain objects).
Writing: `MessageBuilder` and `PartitionMessageBuilder`. The rules are in `dbms_row_change.thrift`.
"""

from __future__ import annotations

from thrift_idl.bounds import MAX_MESSAGE_BYTES
from thrift_idl.builder import (
    DEFAULT_LIMITS,
    BuiltMessage,
    Limits,
    MessageBuilder,
    PartitionMessageBuilder,
    partition_of,
    partition_of_row,
)
from thrift_idl.decoding import FORMAT_VERSION, DecodedMessage, Header, decode, decode_body
from thrift_idl.encoding import RowTooLargeError
from thrift_idl.structs import Body, DBMSRowChange, RowImage, WireRowChange

__all__ = [
    "DEFAULT_LIMITS",
    "FORMAT_VERSION",
    "MAX_MESSAGE_BYTES",
    "Body",
    "BuiltMessage",
    "DBMSRowChange",
    "DecodedMessage",
    "Header",
    "Limits",
    "MessageBuilder",
    "PartitionMessageBuilder",
    "RowImage",
    "RowTooLargeError",
    "WireRowChange",
    "decode",
    "decode_body",
    "partition_of",
    "partition_of_row",
]
