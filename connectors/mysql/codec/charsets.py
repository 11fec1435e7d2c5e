"""The servers' character sets: collation number -> set -> text, exactly as the server reads it."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from connectors.mysql.codec.charset_tables import (
    CORRECTIONS,
    EXTRA_RUNS,
    FULLWIDTH_TILDE,
    HIGH_HALVES,
    SWE7,
    TRANSLATIONS,
)

_UNDEFINED = "\ufffe"
_COLLATIONS: Final = {
    "big5": "1 84", "latin2": "2 9 21 27 77", "dec8": "3 69", "cp850": "4 80", "latin1": "5 8 15 31 47-49 94",
    "hp8": "6 72", "koi8r": "7 74", "swe7": "10 82", "ascii": "11 65", "ujis": "12 91", "sjis": "13 88",
    "cp1251": "14 23 50-52", "hebrew": "16 71", "tis620": "18 89", "euckr": "19 85", "latin7": "20 41-42 79",
    "koi8u": "22 75", "gb2312": "24 86", "greek": "25 70", "cp1250": "26 34 44 66 99", "gbk": "28 87",
    "cp1257": "29 58-59", "latin5": "30 78", "armscii8": "32 64", "cp866": "36 68", "keybcs2": "37 73",
    "macce": "38 43", "macroman": "39 53", "cp852": "40 81", "cp1256": "57 67", "binary": "63",
    "geostd8": "92-93", "cp932": "95-96", "eucjpms": "97-98", "gb18030": "248-250",
    "utf8mb3": "33 76 83 192-215 223 576-578 2048-2303", "ucs2": "35 90 128-151 159 640-642 2560-2815",
    "utf8mb4": "45-46 224-247 255-335 608-610 2304-2559", "utf16": "54-55 101-124 672-674 2816-3071",
    "utf16le": "56 62", "utf32": "60-61 160-183 736-738 3072-3327",
}  # fmt: skip
"""Collation numbers; MariaDB's NOPAD twin of a collation below 1024 is 1024 higher.

Source: information_schema of MariaDB 10.11 (its UCA 14 collations are in blocks of 256 from 2048 on) and
MySQL 9.7.
"""

CODECS: Final = {
    "latin2": "iso8859_2", "cp850": "cp850", "latin1": "cp1252", "hp8": "hp_roman8", "koi8r": "koi8_r",
    "ascii": "ascii", "cp1251": "cp1251", "hebrew": "iso8859_8", "tis620": "tis_620", "latin7": "iso8859_13",
    "koi8u": "koi8_u", "greek": "iso8859_7", "cp1250": "cp1250", "cp1257": "cp1257", "latin5": "iso8859_9",
    "cp866": "cp866", "macce": "mac_latin2", "macroman": "mac_roman", "cp852": "cp852", "cp1256": "cp1256",
    "big5": "big5", "ujis": "euc_jp", "sjis": "cp932", "euckr": "cp949", "gb2312": "gb2312", "gbk": "gb18030",
    "cp932": "cp932", "eucjpms": "euc_jp", "gb18030": "gb18030", "utf8mb3": "utf-8", "utf8mb4": "utf-8",
    "ucs2": "utf-16-be", "utf16": "utf-16-be", "utf16le": "utf-16-le", "utf32": "utf-32-be",
}  # fmt: skip
"""The nearest Python codec; a superset also reads characters that the server cannot convert."""

_NARROW: Final = {"gbk": "gbk", "sjis": "shift_jis", "euckr": "euc_kr", "eucjpms": "euc_jp"}
"""Codecs without extra characters, for the codecs above that are supersets of the server's sets."""
_MAX_BYTES = {
    "big5": 2, "ujis": 3, "sjis": 2, "euckr": 2, "gb2312": 2, "gbk": 2, "utf8mb3": 3, "ucs2": 2, "cp932": 2,
    "eucjpms": 3, "utf8mb4": 4, "utf16": 4, "utf16le": 4, "utf32": 4, "gb18030": 4,
}  # fmt: skip
_NOT_ASCII = frozenset({"ucs2", "utf16", "utf16le", "utf32", "swe7"})
_WHOLE_UNICODE = frozenset({"utf8mb4", "utf16", "utf16le", "utf32", "gb18030"})
_ALIASES = {"utf8": "utf8mb3", "utf8mb3": "utf8mb3"}
_SINGLE_BYTE = frozenset(
    name for name in (*CODECS, *HIGH_HALVES, "swe7") if _MAX_BYTES.get(name, 1) == 1 and name != "ascii"
)


@dataclass(frozen=True)
class Charset:
    """One character set.

    `max_bytes` is the length of its longest character. `ascii`: ASCII bytes mean ASCII characters.
    `decode` raises UnicodeDecodeError for bytes that are not a text in it.
    """

    name: str
    max_bytes: int
    ascii: bool
    decode: Callable[[bytes], str]

    @property
    def is_utf8(self) -> bool:
        """Return whether the bytes are UTF-8 already."""
        return self.name.startswith("utf8")

    @property
    def is_binary(self) -> bool:
        """Return whether it is bytes, not text."""
        return self.name == "binary"


@cache
def charset(name: str) -> Charset:
    """Return the set with this name. Raises KeyError if there is none."""
    known = _ALIASES.get(name.lower(), name.lower())
    if known not in _COLLATIONS:
        raise KeyError(name)
    return Charset(known, _MAX_BYTES.get(known, 1), known not in _NOT_ASCII, _decoder(known))


def of_collation(number: int) -> Charset:
    """Return the set of the collation with this number. Raises KeyError if there is none."""
    names = _names_by_number()
    return charset(names[number] if number in names else names[number - 1024])


def of_collation_name(collation: str, context: str = "") -> Charset | None:
    """Return the set of the collation with this name, such as `latin1_swedish_ci`.

    MariaDB's `uca1400_as_ci` and `DEFAULT` are collations of the set in their context, which is `context`;
    None if that is not known (""). Raises KeyError if there is no such collation.
    """
    name = collation.lower().partition("_")[0]
    if name in ("uca1400", "default"):
        return charset(context) if context else None
    return charset(name)


def decode_all(data: bytes, collation: int | None) -> str:
    """Decode the statement of a client that uses this collation; None: UTF-8.

    A byte that is not a character becomes a lone surrogate, as with "surrogateescape"; all others are read.
    """
    try:
        found = of_collation(collation) if collation else charset("utf8mb4")
    except KeyError:
        return data.decode("ascii", "surrogateescape")
    if found.is_utf8 or found.is_binary:
        return data.decode("utf-8", "surrogateescape")
    try:
        return found.decode(data)
    except UnicodeDecodeError:
        return "".join(_character_by_character(data, found))


def _character_by_character(data: bytes, of: Charset) -> Iterator[str]:
    at = 0
    while at < len(data):
        for size in range(1, of.max_bytes + 1):
            try:
                yield of.decode(data[at : at + size])
            except UnicodeDecodeError:
                continue
            break
        else:
            size = 1
            yield chr(0xDC00 + data[at])
        at += size


def can_encode(of: Charset, text: str) -> bool:
    """Return whether a set has all characters of a text; the server stores `?` for others.

    No set has the lone surrogates that `decode_all` returns.
    """
    if any("\ud800" <= character <= "\udfff" for character in text):
        return False
    if of.name in _WHOLE_UNICODE or of.is_binary or (of.ascii and text.isascii()):
        return True
    if of.name in ("utf8mb3", "ucs2"):
        return all(character <= "\uffff" for character in text)
    if of.name in _SINGLE_BYTE:
        return set(text) <= _characters(of.name)
    try:
        return of.decode(text.encode(_NARROW.get(of.name, CODECS[of.name]))) == text
    except UnicodeError:
        return False


def shown_as_they_are(of: Charset) -> bool:
    """Return whether all bytes are characters of the servers' set for names and types (utf8mb3).

    Other characters are shown as `?`; so are bytes that are not characters, which a conversion may leave.
    """
    return of.name in _SINGLE_BYTE and len(_characters(of.name)) == 256


@cache
def _characters(name: str) -> frozenset[str]:
    found = set()
    for byte in range(256):
        try:
            found.add(charset(name).decode(bytes((byte,))))
        except UnicodeDecodeError:
            continue
    return frozenset(found)


@cache
def _names_by_number() -> dict[int, str]:
    names: dict[int, str] = {}
    for name, ranges in _COLLATIONS.items():
        for text in ranges.split():
            low, _, high = text.partition("-")
            names |= dict.fromkeys(range(int(low), int(high or low) + 1), name)
    return names


def _decoder(name: str) -> Callable[[bytes], str]:
    if name == "binary":
        return lambda data: data.decode("ascii")
    if name in _SINGLE_BYTE:
        return _single_byte(name)
    codec = CODECS[name]
    if name in EXTRA_RUNS or name in TRANSLATIONS:
        return _corrected(name, codec)
    decode = codecs.getdecoder(codec)
    return lambda data: decode(data, "strict")[0]


def _single_byte(name: str) -> Callable[[bytes], str]:
    table = list(map(chr, range(0x80))) + [_UNDEFINED] * 0x80
    if name in HIGH_HALVES:
        table[0x80:] = HIGH_HALVES[name]
    elif name == "swe7":
        for byte, character in SWE7.items():
            table[byte] = character
    else:
        decoded = bytes(range(0x80, 0x100)).decode(CODECS[name], "replace")
        table[0x80:] = decoded.replace("\ufffd", _UNDEFINED)
    for byte, character in CORRECTIONS.get(name, {}).items():
        table[byte] = character
    characters = "".join(table)
    return lambda data: codecs.charmap_decode(data, "strict", characters)[0]


def _corrected(name: str, codec: str) -> Callable[[bytes], str]:
    extra = _extra(name)
    translation = TRANSLATIONS.get(name, {})

    def decode(data: bytes) -> str:
        if name == "eucjpms" and FULLWIDTH_TILDE in data:  # Python reads it as the ASCII one
            return "\uff5e".join(map(decode, data.split(FULLWIDTH_TILDE)))
        text, at = "", 0
        while at < len(data):
            try:
                return text + data[at:].decode(codec).translate(translation)
            except UnicodeDecodeError as exc:
                start = at + exc.start
                text += data[at:start].decode(codec).translate(translation)
                size = 3 if data[start] == 0x8F else 2
                if data[start : start + size] not in extra:
                    raise
                text += extra[data[start : start + size]]
                at = start + size
        return text

    return decode


def _extra(name: str) -> dict[bytes, str]:
    return {
        first[:-1] + bytes((first[-1] + step,)): character
        for first, characters in EXTRA_RUNS.get(name, {}).items()
        for step, character in enumerate(characters)
        if character != _UNDEFINED
    }
