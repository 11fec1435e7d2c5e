"""The position at which a job without state starts to read a topic."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from streamjobs.options.options import Option, Options


class StartKind(Enum):
    """The kind of start; OFFSET is the same offset in every partition."""

    EARLIEST = "earliest"
    LATEST = "latest"
    GROUP = "group"
    OFFSET = "offset"
    TIME = "time"


@dataclass(frozen=True)
class ScanStart:
    """A start position; `value` is the offset, epoch milliseconds for TIME, None for the other kinds."""

    kind: StartKind
    value: int | None = None


START_OPTIONS = (
    Option("startMessageOffset", "earliest, latest, group (the group's committed offsets) or an offset"),
    Option("startTime", "read messages from this time on, such as 20260131 08:00:00 or 2026-01-31T08:00:00Z"),
)
_NAMED = {each.value: ScanStart(each) for each in (StartKind.EARLIEST, StartKind.LATEST, StartKind.GROUP)}
_BLINK_TIME = re.compile(r"(\d{4})(\d{2})(\d{2}) (\d{2}:\d{2}:\d{2})")


def scan_start(options: Options, time_zone: str) -> ScanStart:
    """Return where the options start reading; the default is the earliest message: nothing is left out.

    `time_zone` is for times without a zone. Raises ValueError, with a text for the user.
    """
    offset, time = options.text_or_none("startMessageOffset"), options.text_or_none("startTime")
    if offset is not None and time is not None:
        message = "startMessageOffset and startTime both say where to start: give one"
        raise ValueError(message)
    if time is not None:
        return ScanStart(StartKind.TIME, _epoch_ms(time, time_zone))
    if offset is None:
        return ScanStart(StartKind.EARLIEST)
    if offset.lower() in _NAMED:
        return _NAMED[offset.lower()]
    if not re.fullmatch("[0-9]+", offset):
        message = f"startMessageOffset must be earliest, latest, group or an offset, not {offset!r}"
        raise ValueError(message)
    return ScanStart(StartKind.OFFSET, int(offset))


def _epoch_ms(text: str, time_zone: str) -> int:
    iso = re.sub("[Zz]$", "+00:00", _BLINK_TIME.sub(r"\1-\2-\3 \4", text.strip()))
    try:
        time = datetime.fromisoformat(iso)
        if time.tzinfo is None:
            time = time.replace(tzinfo=ZoneInfo(time_zone))
    except ZoneInfoNotFoundError as exc:
        message = f"startTime {text!r} is in the job's time zone, and {time_zone!r} is none"
        raise ValueError(message) from exc
    except ValueError as exc:
        message = f"startTime reads 20260131 08:00:00 or 2026-01-31T08:00:00Z, not {text!r}"
        raise ValueError(message) from exc
    return round(time.timestamp() * 1000)
