"""Redis: rows as JSON texts, hashes or members of sorted sets, on one server or a cluster."""

from connectors.redis.sink import RedisSink

__all__ = ["RedisSink"]
