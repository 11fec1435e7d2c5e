"""HBase, by its Thrift gateway: one row per key, one cell per value, the time of writing as its version."""

from connectors.hbase.sink import HBaseSink

__all__ = ["HBaseSink"]
