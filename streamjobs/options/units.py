"""Reads durations and sizes as people write them."""

from __future__ import annotations

import re
from fractions import Fraction

# Labels: Flink 2.3, TimeUtils and MemorySize; a number without a unit is milliseconds or bytes in both.
_DURATION_NS = {
    label: factor
    for labels, factor in (
        (("ns", "nano", "nanosecond"), 1),
        (("us", "µs", "micro", "microsecond"), 1000),
        (("", "ms", "milli", "millisecond"), 10**6),
        (("s", "sec", "second"), 10**9),
        (("m", "min", "minute"), 60 * 10**9),
        (("h", "hour"), 3600 * 10**9),
        (("d", "day"), 86400 * 10**9),
    )
    for label in labels
}
_SIZES = {
    label: 1 << (10 * power)
    for power, labels in enumerate(
        (
            ("", "b", "byte", "bytes"),
            ("k", "kb", "kibibytes"),
            ("m", "mb", "mebibytes"),
            ("g", "gb", "gibibytes"),
            ("t", "tb", "tebibytes"),
        )
    )
    for label in labels
}
_AMOUNT = re.compile(r"([0-9]+)\s*([a-zµ]*)")
_ISO = re.compile(
    r"P(?:(?P<d>\d+)D)?(?:T(?=\d)(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?", re.IGNORECASE
)


def duration_ms(text: str) -> int:
    """Read a duration as whole milliseconds: `30 s`, `5 min`, `1d`, `PT1M30S`, `250`. Raises ValueError."""
    amount = _AMOUNT.fullmatch(text.strip().lower())
    nanoseconds = None
    if amount is not None:
        label = amount.group(2)
        factor = _DURATION_NS.get(label, _DURATION_NS.get(label[:-1]) if len(label) > 3 else None)
        nanoseconds = None if factor is None else Fraction(int(amount.group(1)) * factor)
    elif (iso := _ISO.fullmatch(text.strip())) is not None and any(iso.groups()):
        parts = iso.groupdict(default="0").items()
        nanoseconds = sum(
            (Fraction(value) * _DURATION_NS[unit.lower()] for unit, value in parts), Fraction(0)
        )
    if nanoseconds is None or nanoseconds % 10**6:
        message = f"must be a duration of whole milliseconds, such as '30 s', '5 min' or 'PT1M', not {text!r}"
        raise ValueError(message)
    return int(nanoseconds / 10**6)


def size_bytes(text: str) -> int:
    """Read a size in bytes: `64 kb`, `2g`, `1048576`; units are powers of 1024. Raises ValueError."""
    amount = _AMOUNT.fullmatch(text.strip().lower())
    if amount is None or amount.group(2) not in _SIZES:
        message = f"must be a size such as '64 kb' or '2 gb', not {text!r}"
        raise ValueError(message)
    return int(amount.group(1)) * _SIZES[amount.group(2)]
