"""One shard: opens its RocksDB, and turns rocksdict's errors into ours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rocksdict import AccessType, BlockBasedOptions, DBCompressionType, Options, Rdict

from streamjobs.errors import RetriableError, SystemicError

_POLL_S = 0.05


class LockedError(RetriableError):
    """Another process, or another handle of this one, holds the RocksDB LOCK."""


@contextmanager
def rocksdb_errors(what: str) -> Iterator[None]:
    """Turn rocksdict's errors into ours; it raises plain `Exception`, which differ only in type and text."""
    try:
        yield
    except Exception as exc:
        if type(exc) is not Exception and not isinstance(exc, OSError):
            raise
        message = f"{what}: {exc}"
        if "No space left" in message:
            message += "; free some disk space, then start the job again"
        locked = "/LOCK:" in message
        raise (LockedError(message) if locked else SystemicError(message)) from exc


def open_writer(path: Path, wait_s: float) -> Any:
    """Open a shard for writing; wait up to `wait_s` until a dying process releases the LOCK.

    Raises: LockedError, SystemicError.
    """
    path.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            with rocksdb_errors(f"opening {path}"):
                return Rdict(str(path), _options())
        except LockedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_S)


def open_reader(path: Path, scratch: Path) -> Any:
    """Open a shard as a secondary instance, which reads while another process writes, without a lock."""
    options = _options()
    options.create_if_missing(False)
    options.set_max_open_files(-1)  # a secondary must keep the files open that the writer may delete
    with rocksdb_errors(f"opening {path} to read"):
        return Rdict(str(path), options, access_type=AccessType.secondary(str(scratch)))


def _options() -> Options:
    blocks = BlockBasedOptions()
    blocks.set_bloom_filter(10, False)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(blocks)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(32 * 1024 * 1024)
    options.set_max_total_wal_size(128 * 1024 * 1024)
    options.set_max_background_jobs(2)
    options.set_keep_log_file_num(2)
    return options
