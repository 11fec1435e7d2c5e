"""What the servers' SELECT said of the recorded binlogs, and whether a canonical value says the same."""

from __future__ import annotations

import gzip
import json
import math
import re
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from connectors.mysql.codec import charsets
from connectors.mysql.codec.charsets import CODECS

BINLOGS = Path(__file__).parents[3] / "shared" / "data" / "binlogs"
SERVERS = ("mysql97", "mariadb1011")
VARIANTS = ("a_full", "b_minimal_metadata", "c_compressed", "d_minimal_image", "e_no_checksum")
RECORDED = [(server, variant) for server in SERVERS for variant in VARIANTS]

Truth = Any
"""A value as the recording has it: text, None, or texts in several forms."""


@dataclass(frozen=True)
class Recording:
    """One recorded binlog with its truth."""

    server: str
    variant: str

    @property
    def folder(self) -> Path:
        return BINLOGS / self.server / self.variant

    @property
    def log(self) -> Path:
        return self.folder / "binlog.bin.gz"

    @property
    def log_name(self) -> str:
        """The file's name on its server."""
        return str(self.about["binlog_file_name"])

    @cached_property
    def about(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.folder / "changes.json").read_text(encoding="utf-8"))
        return loaded

    def rows(self, name: str) -> dict[str, list[dict[str, Truth]]]:
        """Give the rows of a file of truth by table."""
        found: dict[str, list[dict[str, Truth]]] = {}
        with gzip.open(self.folder / name, "rt", encoding="utf-8") as lines:
            for line in lines:
                entry = json.loads(line)
                found.setdefault(entry["table"], []).append(entry["row"])
        return found

    def columns(self, table: str) -> list[dict[str, Any]]:
        """Give name, form, type and charset of a table's columns at the end."""
        columns: list[dict[str, Any]] = self.about["columns_at_end"][table]
        return columns


def differs(column: dict[str, Any], truth: Truth, value: object) -> bool:
    """Say whether a canonical value is another one than the server's."""
    if truth is None or value is None:
        return truth is not value
    if not isinstance(value, bytes):
        return True
    return not _SAME[column["form"]](column, truth, value)


def _number(column: dict[str, Any], truth: Truth, value: bytes) -> bool:
    kind = column["type"]
    if kind.startswith("bit"):  # CAST AS CHAR gives its bytes
        return int(value) == int.from_bytes(truth.encode("latin-1"), "big")
    if kind.startswith("double"):
        ours, theirs = float(value), float(truth)
        return ours == theirs and math.copysign(1, ours) == math.copysign(1, theirs)
    if re.match("time|datetime", kind):
        whole, _, fraction = truth.partition(".")
        micros = fraction.ljust(6, "0")
        return value.decode() == (f"{whole}.{micros}" if micros.strip("0") else whole)
    return bool(value.decode() == truth)


def _float(_column: dict[str, Any], truth: Truth, value: bytes) -> bool:
    as_float = struct.unpack("<f", struct.pack("<f", float(value)))[0]
    return bool(as_float == float(truth["double"]))


def _bits(_column: dict[str, Any], truth: Truth, value: bytes) -> bool:
    return bool(value.decode() == truth["dec"] and value.decode() == str(int(truth["hex"] or "0", 16)))


def _text(column: dict[str, Any], truth: Truth, value: bytes) -> bool:
    """The same text; where the server has no character for its bytes (it prints ?), the same bytes."""
    if value.decode() == truth["text"]:
        return True
    encoded = value.decode().encode(CODECS[column["charset"]]).hex().upper()
    return "?" in truth["text"] and encoded == truth["hex"]


def _bytes(_column: dict[str, Any], truth: Truth, value: bytes) -> bool:
    return bool(value.hex().upper() == truth["hex"])


def _labels(column: dict[str, Any], truth: Truth, value: bytes) -> bool:
    labels = [label.replace("''", "'") for label in re.findall(r"'((?:[^']|'')*)'", column["type"])]
    assert bytes.fromhex(truth["hex"]) == b"" or charsets.charset(column["charset"])
    if column["type"].startswith("enum"):
        number = 1 + labels.index(value.decode()) if value else 0
    else:
        number = sum(1 << labels.index(label) for label in value.decode().split(",") if value)
    return bool(str(number) == truth["num"] and value.decode() == truth["text"])


def _json(_column: dict[str, Any], truth: Truth, value: bytes) -> bool:
    return bool(value.decode() == truth["text"])


def _special(_column: dict[str, Any], truth: Truth, value: bytes) -> bool:
    return bool(value.decode() == truth["text"])


_SAME = {
    "num": _number, "float": _float, "bit": _bits, "text": _text, "bin": _bytes, "enum": _labels,
    "json": _json, "geo": _bytes, "vec": _bytes, "uuid": _special,
}  # fmt: skip
