"""Event files that are harder than the real one."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterable
from pathlib import Path

Line = tuple[int, int, int, str, int]
"""User, item, category, behavior, epoch seconds."""

DAY_S = 86_400
DELAYS_S = (0, 1, 1_799, 1_800, 1_801, 3_600, -1)


def invented(count: int, seed: int) -> list[Line]:
    """Make views of many users, in time order over a few hours."""
    rng = random.Random(seed)
    times = sorted(1_511_658_000 + rng.randrange(4 * 3_600) for _ in range(count))
    return [(rng.randrange(2_000), rng.randrange(3_000), rng.randrange(90), "pv", time_s) for time_s in times]


def read(path: Path) -> list[Line]:
    """Give the lines of a file, or of a .gz file."""
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    fields = [line.split(",") for line in text.splitlines()]
    return [
        (int(user), int(item), int(category), kind, int(time_s))
        for user, item, category, kind, time_s in fields
    ]


def write_hard(lines: Iterable[Line], target: Path, seed: int) -> Path:
    """Write the events spread over three weeks with quiet hours, with 15 % more views that are converted.

    A converted view has one to many conversions, at and around the edges of the window; many users and items
    meet again, so that a conversion belongs to several views.
    """
    rng = random.Random(seed)
    given = list(lines)
    block = max(1, len(given) // 21)
    events: list[Line] = []
    for number, (user, item, category, kind, time_s) in enumerate(given):
        moved_s = time_s + number // block * DAY_S
        events.append((user, item, category, kind, moved_s))
        while kind == "pv" and rng.random() < (0.15 if events[-1][3] == "pv" else 0.4):
            delay_s = rng.choice(DELAYS_S) if rng.random() < 0.3 else int(rng.expovariate(1 / 400))
            events.append((user, item, category, rng.choice(("cart", "fav", "buy")), moved_s + delay_s))
        if rng.random() < 0.02:
            events.append((user, item, category, "pv", moved_s + rng.randrange(3)))
    events.sort(key=lambda event: event[-1])
    target.write_text("".join(f"{','.join(map(str, event))}\n" for event in events))
    return target
