"""A process that writes a table again and again, for tests that stop it.

`python -m tests.contract.store_writer FILE`

FILE holds a pickled (sink class's `module:name`, SinkTable). Opens the sink as attempt 0, prints `open`, then
after each batch of ROWS rows a line; ends with the error's class and text.
"""

from __future__ import annotations

import importlib
import itertools
import pickle
import sys
from pathlib import Path

from streamjobs.delivery import Delivery
from streamjobs.errors import StreamjobsError
from streamjobs.metrics import MemoryMetrics
from tests.contract.delivering import POLICY, Letters
from tests.contract.stores import attempt, upsert

ROWS = 300


def main(file: str) -> None:
    """Write until another attempt takes over; see the module."""
    where, table = pickle.loads(Path(file).read_bytes())  # noqa: S301 - the test's own
    module, _, name = where.partition(":")
    letters = Letters()
    delivery = Delivery(
        getattr(importlib.import_module(module), name)(table), attempt(), job="zombie", table=table,
        metrics=MemoryMetrics(), dead_letters=letters, alive=lambda: None, policy=POLICY,
    )  # fmt: skip
    try:
        delivery.open()
        print("open", flush=True)
        for number in itertools.count():
            delivery.write([upsert(n, delivery.next_version(), name=f"zombie {number}") for n in range(ROWS)])
            print(number, flush=True)
    except StreamjobsError as exc:
        print(f"{type(exc).__name__}: {exc}", flush=True)
    finally:
        delivery.close()


if __name__ == "__main__":
    main(sys.argv[1])
