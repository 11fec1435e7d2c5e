"""The dead letter: a payload or row that could not be processed, with its origin."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from enum import Enum

FORMAT_VERSION = 1


class Stage(str, Enum):
    """The stage at which processing stopped."""

    DECODE = "decode"
    CONVERT = "convert"
    LATE = "late"
    SINK = "sink"


@dataclass(frozen=True)
class DeadLetter:
    """Why and where a row or message could not be processed.

    Shape: `id` is `topic/partition/offset/row`, the same on every replay: readers count distinct ids.
    `row` is the row's index in its message, or -1 for the whole message. `raw` is the bytes of the whole
    message (the payload as the broker had it), or None if the stage no longer has them (`late`).
    `at_ms` is when the dead letter was made, `event_time_ms` the time of the row or None.
    """

    id: str
    stage: Stage
    reason: str
    detail: str
    job: str
    table: str
    topic: str
    partition: int
    offset: int
    row: int
    at_ms: int
    event_time_ms: int | None = None
    raw: bytes | None = None

    @property
    def has_origin(self) -> bool:
        """Return whether it names the message that it came from: topic, partition and offset."""
        return bool(self.topic) and self.partition >= 0 and self.offset >= 0

    def to_json(self) -> bytes:
        """Return the one-line JSON form that the dead-letter topic carries."""
        fields = asdict(self) | {"v": FORMAT_VERSION, "stage": self.stage.value}
        fields["raw"] = None if self.raw is None else base64.b64encode(self.raw).decode("ascii")
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> DeadLetter:
        """Read the JSON form. Raises ValueError when `data` is not a dead letter of this version."""
        try:
            fields = json.loads(data)
            if fields.pop("v") != FORMAT_VERSION:
                message = f"not a dead letter of version {FORMAT_VERSION}: {data[:80]!r}"
                raise ValueError(message)
            raw = fields.pop("raw")
            fields["stage"] = Stage(fields["stage"])
            return cls(**fields, raw=None if raw is None else base64.b64decode(raw, validate=True))
        except (KeyError, TypeError, AttributeError) as exc:
            message = f"not a dead letter: {data[:80]!r}"
            raise ValueError(message) from exc


@dataclass(frozen=True)
class Replayed:
    """A note in the dead-letter topic: the message of letter `id` was sent again, to `to` at `at_ms`.

    Shape: `Replayed("shop.item/1/0/2", "shop.item/1", 1760000000000)`.
    """

    id: str
    to: str
    at_ms: int

    def to_json(self) -> bytes:
        """Return the one-line JSON form that the dead-letter topic carries."""
        fields = {"v": FORMAT_VERSION, "replayed": self.id, "to": self.to, "at_ms": self.at_ms}
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Replayed | None:
        """Read the JSON form; None when `data` is something else."""
        try:
            fields = json.loads(data)
            if fields["v"] != FORMAT_VERSION:
                return None
            return cls(str(fields["replayed"]), str(fields["to"]), int(fields["at_ms"]))
        except (KeyError, TypeError, ValueError):
            return None
