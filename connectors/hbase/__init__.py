"""HBase, by its Thrift gateway: one row a key, one cell a value, the time of writing as its version."""

from connectors.hbase.sink import HBaseSink

__all__ = ["HBaseSink"]
