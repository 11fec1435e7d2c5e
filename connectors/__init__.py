"""The stores and brokers that SQL may name, in one lazy table: a worker imports only the client it uses."""

from collections.abc import Mapping
from types import MappingProxyType

CONNECTORS: Mapping[str, str] = MappingProxyType(
    {
        "elasticsearch": "connectors.elasticsearch:ElasticsearchSink",
        "hbase": "connectors.hbase:HBaseSink",
        "kafka": "connectors.kafka:KafkaProducer",
        "memory": "connectors.memory:MemorySink",
        "mysql": "connectors.mysql.store.sink:MySqlSink",
        "redis": "connectors.redis:RedisSink",
        "rocksdb": "connectors.rocksdb:RocksDbSink",
    }
)
"""Type name in `WITH (type='…')` -> `module:class`. Importing this table imports no client."""
LOOKUPS: Mapping[str, str] = MappingProxyType(
    {
        "hbase": "connectors.hbase.lookup:HBaseLookup",
        "mysql": "connectors.mysql.store.lookup:MySqlLookup",
        "redis": "connectors.redis.lookup:RedisLookup",
    }
)
"""The types that lookup joins read, in the same form."""
