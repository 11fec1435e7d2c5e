"""What the demo needs of whoever starts jobs; `streamjobs.job.session` fulfils it with a Flink cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

MAX_WATERMARK_MS: Final = 2**63 - 1
"""The watermark after all input: every window is closed."""


@dataclass(frozen=True)
class Overrides:
    """What a run sets over the job file.

    `disorder_ms` is the sources' disorder bound. `store` is the directory of the embedded store.
    None: keep what the job file says.
    """

    bootstrap: str
    store: Path
    parallelism: int | None = None
    disorder_ms: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


class RunningJob(Protocol):
    """One job on a cluster."""

    def watermark_ms(self) -> int | None:
        """Give the smallest watermark of the job's last stage; MAX_WATERMARK_MS after `drain`.

        None: there is none yet.
        """

    def records_in(self) -> int:
        """Give the number of messages read by all sources so far."""

    def is_idle(self, seconds: float) -> bool:
        """Tell whether all input was read and nothing has moved for `seconds`.

        Raises: JobError when the job has failed.
        """

    def drain(self) -> None:
        """Stop with a savepoint and the last watermark: all windows close, all output is committed.

        Blocks until the job has ended. Raises JobError when it failed instead.
        """

    def cancel(self) -> None:
        """Stop at once; nothing more is written. Does nothing when the job has ended."""


class JobRunner(Protocol):
    """Starts jobs on one cluster."""

    def start(self, sql_path: Path, overrides: Overrides) -> RunningJob:
        """Submit the job file and return when it runs. Raises SqlError, ConfigError or JobError."""
