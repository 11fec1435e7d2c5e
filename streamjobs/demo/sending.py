"""One row on its way to a topic, and how its message can be damaged."""

from __future__ import annotations

import random
from enum import Enum
from typing import NamedTuple

from typing_extensions import assert_never

from streamjobs.changes.row_change import RowChange


class Damage(Enum):
    """Kinds of damage to the bytes of a message; each gives a payload that no reader may accept."""

    TRUNCATED = "truncated"
    BIT_FLIP = "bit flip"
    RANDOM_BYTES = "random bytes"
    WRONG_VERSION = "wrong version"
    EMPTY = "empty"


class Sending(NamedTuple):
    """A row change that is sent when the source's clock shows `at_ms`.

    None: `damage` is None for an undamaged row; otherwise the row is alone in its message, and the message
    is damaged.
    """

    at_ms: int
    topic: str
    change: RowChange
    damage: Damage | None = None


def damaged(payload: bytes, damage: Damage, rng: random.Random) -> bytes:
    """Return the payload after `damage`; deterministic for a given state of `rng`."""
    match damage:
        case Damage.TRUNCATED:
            return payload[: rng.randrange(1, len(payload))]
        case Damage.BIT_FLIP:
            place = rng.randrange(len(payload))
            flipped = payload[place] ^ (1 << rng.randrange(8))
            return payload[:place] + bytes([flipped]) + payload[place + 1 :]
        case Damage.RANDOM_BYTES:
            return rng.randbytes(len(payload))
        case Damage.WRONG_VERSION:
            return _with_version(payload, 99)
        case Damage.EMPTY:
            return b""
        case _:
            assert_never(damage)


def _with_version(payload: bytes, version: int) -> bytes:
    """Rewrite the first field of the outer struct: one byte type, two bytes id, then its integer."""
    width = {3: 1, 6: 2, 8: 4}[payload[0]]
    return payload[:3] + version.to_bytes(width, "big") + payload[3 + width :]
