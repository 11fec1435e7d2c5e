"""Codecs of columns: how a row image stores a value, and the expression for its canonical form.

`codec_of` is the one table from storage types to code; `row_decoder` puts the codecs of a row together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import orjson

from connectors.mysql.codec import binary_json, values
from connectors.mysql.codec.charsets import Charset
from connectors.mysql.errors import RefusedError
from connectors.mysql.rows.old_times import OLD_TIMES, old_time_decoder
from connectors.mysql.rows.table_map import Stored
from connectors.mysql.schema.enum_labels import enum_texts, set_texts


@dataclass(frozen=True)
class Codec:
    """How to read one column.

    Exactly one of `form` and `length_bytes` determines where a value ends: a `struct` code of a fixed size,
    little-endian (`i`, `5s`), or the number of length bytes before the value. `expression` computes the value
    from the variable `{v}` (the result of `struct`, or the bytes); `names` are the objects in it.
    """

    expression: str
    form: str | None = None
    length_bytes: int | None = None
    names: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Meaning:
    """What a column's bytes mean, from the log's metadata together with the known schema.

    `charset` is None for types without one. `labels` are decoded. `special` is `uuid`, `inet4`, `inet6` or
    "". `in_key`: values that differ for the server must have different texts. `lost`: number of a label, from
    1 on -> why the label is not known.
    """

    unsigned: bool = False
    charset: Charset | None = None
    labels: tuple[str, ...] = ()
    special: str = ""
    in_key: bool = False
    lost: Mapping[int, str] = field(default_factory=dict)


_BIG = 'from_bytes({v}, "big")'
_INTEGERS = {
    Stored.TINY: ("b", "B"),
    Stored.SHORT: ("h", "H"),
    Stored.INT24: ("3s", "3s"),
    Stored.LONG: ("i", "I"),
    Stored.LONGLONG: ("q", "Q"),
}
_BLOBS = frozenset(
    {Stored.BLOB, Stored.TINY_BLOB, Stored.MEDIUM_BLOB, Stored.LONG_BLOB, Stored.BLOB_COMPRESSED}
)
_COMPRESSED = frozenset({Stored.BLOB_COMPRESSED, Stored.VARCHAR_COMPRESSED})
_LENGTHS_OF_TEXT = _BLOBS | _COMPRESSED | {Stored.VARCHAR, Stored.VAR_STRING}
_SPECIAL = {"uuid": (values.uuid_text, 16), "inet4": (values.inet4_text, 4), "inet6": (values.inet6_text, 16)}


def codec_of(kind: Stored, size: int, scale: int, meaning: Meaning) -> Codec:
    """Return the codec of a column. Raises RefusedError for storage that cannot be read."""
    if kind in OLD_TIMES and size:
        width, spell = old_time_decoder(kind, size)
        return Codec("OLD({v})", f"{width}s", names={"OLD": spell})
    if kind in _FIXED:
        return _FIXED[kind]
    if kind in _INTEGERS:
        return _integer(kind, unsigned=meaning.unsigned)
    if kind in _LENGTHS_OF_TEXT:
        length_bytes = size if kind in _BLOBS else 1 if size < 256 else 2
        codec = _text(length_bytes, meaning)
        return _inflated(codec) if kind in _COMPRESSED else codec
    match kind:
        case Stored.NEWDECIMAL:
            return _decimal(size, scale)
        case Stored.BIT:
            return Codec(f'b"%d" % {_BIG}', f"{(size + 7) // 8}s")
        case Stored.TIME2 | Stored.DATETIME2 | Stored.TIMESTAMP2:
            return _time(kind, size)
        case Stored.ENUM | Stored.SET:
            return _labelled(kind, size, meaning)
        case Stored.STRING:
            return _char(size, meaning)
        case Stored.JSON | Stored.GEOMETRY | Stored.VECTOR:
            read = {Stored.JSON: binary_json.text_of, Stored.GEOMETRY: values.geometry, Stored.VECTOR: bytes}
            return Codec("READ({v})", length_bytes=size, names={"READ": read[kind]})
        case _:
            message = f"storage type {kind.name} is not supported"
            raise RefusedError(message)


def _integer(kind: Stored, *, unsigned: bool) -> Codec:
    if kind is Stored.INT24:
        signed = "" if unsigned else ", signed=True"
        return Codec(f'b"%d" % from_bytes({{v}}, "little"{signed})', "3s")
    if kind is Stored.TINY:
        return Codec("INT8[{v}]", "B", names={"INT8": values.UINT8 if unsigned else values.INT8})
    form = _INTEGERS[kind][unsigned]
    return Codec('b"%d" % {v}', form)  # orjson is faster, but its bytes need more memory


def _decimal(precision: int, scale: int) -> Codec:
    try:
        decode = values.decimal_decoder(precision, scale)
    except ValueError as exc:
        raise RefusedError(str(exc)) from exc
    return Codec("DECIMAL({v})", f"{values.decimal_bytes(precision, scale)}s", names={"DECIMAL": decode})


def _labelled(kind: Stored, size: int, meaning: Meaning) -> Codec:
    if kind is Stored.ENUM:
        texts = enum_texts(meaning.labels, meaning.lost, in_key=meaning.in_key)
        return Codec("LABELS[{v}]", {1: "B", 2: "H"}[size], names={"LABELS": texts})
    names = {"SETS": set_texts(meaning.labels, meaning.lost, in_key=meaning.in_key)}
    if size in (1, 2, 4, 8):
        return Codec("SETS[{v}]", {1: "B", 2: "H", 4: "I", 8: "Q"}[size], names=names)
    return Codec('SETS[from_bytes({v}, "little")]', f"{size}s", names=names)


def _time(kind: Stored, digits: int) -> Codec:
    """Return the codec of times: seconds big-endian, then a byte for each two digits of the fraction."""
    if not 0 <= digits <= 6:
        message = f"{kind.name} with {digits} digits of fraction"
        raise RefusedError(message)
    part = (digits + 1) // 2
    names: dict[str, object] = {
        "DAYS": values.DAYS, "HOURS": values.HOURS, "SECONDS": values.SECONDS,
        "EPOCH_DAYS": values.EPOCH_DAYS, "EPOCH_HOURS": values.EPOCH_HOURS, "ZERO_TIME": values.ZERO_TIME,
        "FRACTIONS": values.FRACTIONS, "MILLIS": values.MILLIS, "MICROS": values.MICROS,
        "TIME": values.time_of,
    }  # fmt: skip
    if kind is Stored.TIME2:
        return Codec(f"TIME({_BIG}, {digits})", f"{3 + part}s", names=names)
    scale = f" * {10 ** (6 - 2 * part)}" if part < 3 else ""
    tail = f" + FRACTIONS[(x & {(1 << 8 * part) - 1:#x}){scale}]" if part else ""
    if part == 3:  # too many values to remember
        tail = ' + (MILLIS[f // 1000] + MICROS[f % 1000] if (f := x & 0xFFFFFF) else b"")'
    if kind is Stored.DATETIME2:
        shift = 8 * part
        body = (
            f"DAYS[(x := {_BIG}) >> {17 + shift}] + HOURS[x >> {6 + shift} & 0x7ff] + "
            f"SECONDS[x >> {shift} & 63]"
        )
        return Codec(body + tail, f"{5 + part}s", names=names)
    seconds = f"(s := (x := {_BIG}) >> {8 * part})"
    clock = "EPOCH_HOURS[s % 86400 // 60] + SECONDS[s % 60]"
    body = f"(EPOCH_DAYS[s // 86400] + {clock} if {seconds} else ZERO_TIME)"
    return Codec(body + tail, f"{4 + part}s", names=names)


def _char(size: int, meaning: Meaning) -> Codec:
    """Return the codec of CHAR (without trailing spaces, as in SELECT) or BINARY (with its zeros again)."""
    length_bytes = 1 if size < 256 else 2
    if meaning.special:
        spell, width = _SPECIAL[meaning.special]
        if width == size:
            return Codec("SPELL({v})", length_bytes=length_bytes, names={"SPELL": spell})
    charset = meaning.charset
    if charset is None or charset.is_binary:
        return Codec(f"{{v}}.ljust({size}, ZERO)", length_bytes=length_bytes, names={"ZERO": b"\0"})
    convert = text_converter(charset, strip=True)
    if charset.ascii:
        stripped = '(w if (w := {v}.rstrip(b" ")).isascii() else CONVERT(w))'
        return Codec(stripped, length_bytes=length_bytes, names={"CONVERT": convert})
    return Codec("CONVERT({v})", length_bytes=length_bytes, names={"CONVERT": convert})


def _text(length_bytes: int, meaning: Meaning) -> Codec:
    charset = meaning.charset
    if charset is None or charset.is_binary:
        return Codec("{v}", length_bytes=length_bytes)
    if charset.is_utf8:  # str() of non-empty bytes is true, or raises
        return Codec('({v} if {v}.isascii() or str({v}, "utf-8") else {v})', length_bytes=length_bytes)
    names = {"CONVERT": text_converter(charset, strip=False)}
    if charset.ascii:
        return Codec("({v} if {v}.isascii() else CONVERT({v}))", length_bytes=length_bytes, names=names)
    return Codec("CONVERT({v})", length_bytes=length_bytes, names=names)


def _inflated(codec: Codec) -> Codec:
    """Return the codec of a MariaDB COMPRESSED column: it unpacks the value, then uses the given codec."""
    inner = codec.expression.replace("{v}", "w")
    expression = f"({inner} if (w := INFLATE({{v}})) is not None else None)"
    return Codec(
        expression, length_bytes=codec.length_bytes, names={**codec.names, "INFLATE": values.inflate_column}
    )


def text_converter(charset: Charset, *, strip: bool) -> Callable[[bytes], bytes]:
    """Return a function from a text's stored bytes to UTF-8; it raises UnicodeDecodeError for other bytes.

    `strip`: remove the spaces that pad a CHAR.
    """
    decode = charset.decode
    if charset.is_utf8:

        def check(data: bytes) -> bytes:
            decode(data)
            return data

        return check
    if strip:
        return lambda data: decode(data).rstrip(" ").encode()
    return lambda data: decode(data).encode()


_FIXED: Mapping[Stored, Codec] = {
    Stored.FLOAT: Codec("FLOAT({v})", "f", names={"FLOAT": values.float32}),
    # orjson is six times faster than repr(), and differs only for very large and small numbers
    Stored.DOUBLE: Codec(
        "(DUMPS({v}) if 1e-4 <= {v} < 1e16 or -1e16 < {v} <= -1e-4 else DOUBLE({v}))",
        "d",
        names={"DUMPS": orjson.dumps, "DOUBLE": values.float64},
    ),
    Stored.DATE: Codec('DATES[from_bytes({v}, "little")]', "3s", names={"DATES": values.DATES}),
    Stored.NEWDATE: Codec('DATES[from_bytes({v}, "little")]', "3s", names={"DATES": values.DATES}),
    Stored.YEAR: Codec("YEARS[{v}]", "B", names={"YEARS": values.YEARS}),
    Stored.TIME: Codec(
        'OLD_TIME(from_bytes({v}, "little", signed=True))', "3s", names={"OLD_TIME": values.old_time}
    ),
    Stored.DATETIME: Codec("OLD_DATETIME({v})", "Q", names={"OLD_DATETIME": values.old_datetime}),
    Stored.TIMESTAMP: Codec("TIMESTAMP({v})", "I", names={"TIMESTAMP": values.timestamp}),
}
