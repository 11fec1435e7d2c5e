"""(a) Only the codec and the parser: rows per second of one core."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks import rows
from thrift_idl.codec import Header, MessageBuilder, decode_body
from udfs.parser_spec import ParserSpec
from udfs.projection import Field
from udfs.row_change import RowChangeParser

HEADER = Header("bench", "ts")
FIELDS = (
    Field("imp_id", "BIGINT"),
    Field("user_id", "BIGINT"),
    Field("item_id", "BIGINT"),
    Field("scene", "STRING"),
    Field("pos", "INT"),
    Field("ts", "BIGINT"),
    Field("device", "STRING"),
    Field("city", "STRING"),
    Field("query", "STRING"),
    Field("bid", "STRING"),
)


@dataclass(frozen=True)
class CodecRates:
    """Rows per CPU second: built, decoded, parsed (decoded and converted); bytes per row on the wire."""

    encode: float
    decode_body: float
    parse: float
    bytes_per_row: float


def messages(count: int) -> list[bytes]:
    """Return the payloads of `count` rows."""
    builder = MessageBuilder()
    for change in rows.changes(count):
        builder.add(change)
    return [built.payload for built in builder.flush(HEADER)]


def measure(count: int, rounds: int) -> list[CodecRates]:
    """Measure `count` rows, `rounds` times."""
    changes = rows.changes(count)
    payloads = messages(count)
    parser = RowChangeParser(ParserSpec("bench.impression", FIELDS, rowtime=None))

    def encode() -> None:
        builder = MessageBuilder()
        for change in changes:
            builder.add(change)
        for _ in builder.flush(HEADER):
            pass

    def decode() -> None:
        for payload in payloads:
            decode_body(payload)

    def parse() -> None:
        for payload in payloads:
            parser.eval(payload)

    size = sum(map(len, payloads)) / count
    return [
        CodecRates(
            encode=round(count / _cpu_s(encode)),
            decode_body=round(count / _cpu_s(decode)),
            parse=round(count / _cpu_s(parse)),
            bytes_per_row=round(size, 1),
        )
        for _ in range(rounds)
    ]


def _cpu_s(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
