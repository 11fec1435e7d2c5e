"""RocksDB, embedded: one shard per subtask, readable while it is written."""

from connectors.rocksdb.reader import RocksDbTable, list_tables
from connectors.rocksdb.sink import DEFAULT_PATH, RocksDbSink
from streamjobs.sinks.stored_types import Reason, UnfitValueError, column_type

__all__ = [
    "DEFAULT_PATH",
    "Reason",
    "RocksDbSink",
    "RocksDbTable",
    "UnfitValueError",
    "column_type",
    "list_tables",
]
