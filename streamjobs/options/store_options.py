"""The options of the stores that Python sinks write: their plain names, and those of Blink's sinks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from streamjobs.options.options import Option, OptionKind, OptionSet

TYPE = Option("type", "what the table stands for")

DELIVERY_OPTIONS = (
    Option(
        "retryTimeout",
        "how long a store that is down is waited for before the attempt fails",
        OptionKind.DURATION_MS,
        default="10 min",
        minimum=1,
        aliases=("retry-timeout",),
    ),
    Option(
        "ignoreDelete",
        "drop deletes: rows stay when the query takes them back",
        OptionKind.FLAG,
        default="false",
        aliases=("ignore-delete",),
    ),
    Option(
        "deleteWhenNull",
        "a column beside the key: a row in which it is NULL deletes its key",
    ),
    Option(
        "originColumn",
        "a column that the query fills with METADATA FROM 'origin': dead letters name this message",
    ),
    Option(
        "acceptLeftovers",
        "take a query that can leave rows behind after a crash",
        OptionKind.FLAG,
        default="false",
    ),
    Option(
        "batchSize",
        "rows of one request, at most",
        OptionKind.INTEGER,
        minimum=1,
        aliases=("batch-size",),
    ),
)
"""What every store takes: it is for the delivery, not for the store."""

_NO_EFFECT = (
    ("bufferSize", ()),
    ("flushIntervalMs", ("flush-interval-ms",)),
    ("maxRetryTimes", ("max-retry-times",)),
    ("partitionBy", ()),
)
NO_EFFECT_OPTIONS = tuple(
    Option(name, "Blink's; has no effect: rows are written as they come, and retries are bounded in time",
           aliases=aliases)
    for name, aliases in _NO_EFFECT
)  # fmt: skip

REQUEST_OPTIONS = (
    Option(
        "connectTimeout",
        "how long a connection may take to come up",
        OptionKind.DURATION_MS,
        default="10 s",
        minimum=1,
        aliases=("connect-timeout",),
    ),
    Option(
        "requestTimeout",
        "how long a request may take before it is sent again",
        OptionKind.DURATION_MS,
        default="30 s",
        minimum=1,
        aliases=("request-timeout", "timeout"),
    ),
)
TLS_OPTIONS = (
    Option("tls", "encrypt, and verify the server's certificate and name", OptionKind.FLAG, default="false"),
    Option("tlsCa", "file of the authorities that may sign the server's certificate; default: the system's"),
    Option("tlsCert", "file of the certificate that we show"),
    Option("tlsKey", "file of its private key"),
    Option("tlsInsecure", "encrypt without verifying: anybody may answer", OptionKind.FLAG, default="false"),
)
WRITER = Option(
    "writer",
    "name of this job's part of the target, where several jobs write different columns or keys of it",
)

LOOKUP_OPTIONS = (
    Option("cache", "what a lookup join remembers of this table", choices=("NONE", "LRU", "ALL"),
           default="NONE"),
    Option("cacheSize", "LRU: keys that are remembered, at most", OptionKind.INTEGER, default="10000",
           minimum=1, aliases=("cache-size",)),
    Option("cacheTTLMs", "LRU: how long a key is remembered, default: for ever; ALL: how often the table is "
           "read anew, default: never", OptionKind.DURATION_MS, minimum=1, aliases=("cache-ttl", "cacheTTL")),
    Option("cacheEmpty", "LRU: remember keys that have no row, too", OptionKind.FLAG, default="true",
           aliases=("cache-empty",)),
)  # fmt: skip
"""What a table that lookup joins read takes; a sink has no use for them."""

ROCKSDB_OPTIONS = OptionSet(
    (
        TYPE,
        Option("path", "the store's directory", default=".streamjobs/rocksdb"),
        Option(
            "sync",
            "true: a batch survives a power failure; false: only the death of the process",
            OptionKind.FLAG,
            default="true",
        ),
        *DELIVERY_OPTIONS,
    )
)

MYSQL_OPTIONS = OptionSet(
    (
        TYPE,
        Option("url", "the server and database, as jdbc:mysql://host:port/database or mysql://…"),
        Option("host", "the server, where no url is given"),
        Option("port", "its port", OptionKind.INTEGER, default="3306", minimum=1),
        Option("database", "the database, where no url is given", aliases=("dbName",)),
        Option("tableName", "the table; default: the declared name", aliases=("table-name", "table")),
        Option("userName", "who writes", aliases=("username", "user"), required=True),
        Option("password", "the password", secret=True),
        Option(
            "excludeUpdateColumns",
            "columns, by commas, that an existing row keeps as they are",
            aliases=("exclude-update-columns",),
        ),
        Option(
            "looseKeys",
            "true: take a key whose collation holds different texts for one",
            OptionKind.FLAG,
            default="false",
        ),
        WRITER,
        *TLS_OPTIONS,
        *REQUEST_OPTIONS,
        *LOOKUP_OPTIONS,
        *DELIVERY_OPTIONS,
        *NO_EFFECT_OPTIONS,
    )
)

REDIS_OPTIONS = OptionSet(
    (
        TYPE,
        Option("host", "the server, where it is one"),
        Option("port", "its port", OptionKind.INTEGER, default="6379", minimum=1),
        Option("hostAndPorts", "nodes of a cluster to ask first: host:port,host:port"),
        Option("clusterMode", "the server is a Redis Cluster", OptionKind.FLAG, default="false"),
        Option("dbNum", "the database's number", OptionKind.INTEGER, default="0", minimum=0,
               aliases=("db", "database")),
        Option("userName", "the ACL user", aliases=("username", "user")),
        Option("password", "the password", secret=True),
        Option(
            "mode",
            "how a row is kept",
            choices=("STRING", "HASHMAP", "SORTEDSET"),
            default="STRING",
        ),
        Option("keyPrefix", "what each key starts with; default: the table's name and a colon",
               aliases=("key-prefix",)),
        Option("ttl", "how long a row lives after its last change; default: for ever",
               OptionKind.DURATION_MS, minimum=1, aliases=("expiration", "expire")),
        Option("scoreColumn", "SORTEDSET: the column with the score; default: the only one beside the key",
               aliases=("score-column",)),
        WRITER,
        *TLS_OPTIONS,
        *REQUEST_OPTIONS,
        *LOOKUP_OPTIONS,
        *DELIVERY_OPTIONS,
        *NO_EFFECT_OPTIONS,
    )
)  # fmt: skip

ELASTICSEARCH_OPTIONS = OptionSet(
    (
        TYPE,
        Option("endPoint", "nodes to ask, one after the other: https://host:port,…",
               aliases=("endpoint", "hosts", "url"), required=True),
        Option("index", "the index, or one a date of a key column: items-{day|yyyy.MM}; default: the name"),
        Option("userName", "who writes", aliases=("username", "user", "accessId")),
        Option("password", "the password", secret=True, aliases=("accessKey",)),
        Option("apiKey", "an API key, in place of user and password", secret=True, aliases=("api-key",)),
        Option("createIndex", "make an index that is missing, with a strict mapping", OptionKind.FLAG,
               default="true", aliases=("create-index",)),
        Option("textFields", "columns, by commas, that an index that we make searches by word: title,descr",
               aliases=("text-fields",)),
        Option("settings.*", "a setting of an index that we make: settings.number_of_replicas"),
        Option("compression", "compress requests", OptionKind.FLAG, default="false"),
        WRITER,
        *TLS_OPTIONS,
        *REQUEST_OPTIONS,
        *DELIVERY_OPTIONS,
        *NO_EFFECT_OPTIONS,
        *(Option(name, "Blink's; has no effect") for name in ("typeName", "discovery", "multiThread")),
    )
)  # fmt: skip

HBASE_OPTIONS = OptionSet(
    (
        TYPE,
        Option("endPoint", "Thrift gateways to ask, one after the other: host:port,…",
               aliases=("endpoint", "thrift"), required=True),
        Option("tableName", "the table; default: the declared name", aliases=("table-name", "table")),
        Option("columnFamily", "the column family of columns that no 'family.…' names", default="cf",
               aliases=("column-family",)),
        Option("family.*", "columns, by commas, of a family of their own: 'family.stats'='clicks,ctr'"),
        Option("saltBuckets", "one byte before each row key that spreads rows over so many ranges; 0: none",
               OptionKind.INTEGER, default="0", minimum=0, aliases=("salt-buckets",)),
        Option("stringWriteMode", "true: all cells are text; false: as Java's Bytes.toBytes",
               OptionKind.FLAG, default="false", aliases=("string-write-mode",)),
        Option("ttl", "how long a cell lives; default: as long as its column family says",
               OptionKind.DURATION_MS, minimum=1),
        Option("createTable", "make a table that is missing", OptionKind.FLAG, default="false",
               aliases=("create-table",)),
        Option("transport", "the gateway's transport", choices=("buffered", "framed"), default="buffered"),
        Option("protocol", "the gateway's protocol", choices=("binary", "compact"), default="binary"),
        WRITER,
        *REQUEST_OPTIONS,
        *LOOKUP_OPTIONS,
        *DELIVERY_OPTIONS,
        *NO_EFFECT_OPTIONS,
        *(Option(name, "Blink's; has no effect: rows go through the Thrift gateway", aliases=aliases)
          for name, aliases in (("zkQuorum", ("zookeeper.quorum",)), ("haClusterID", ()))),
    )
)  # fmt: skip

STORE_OPTIONS: Mapping[str, OptionSet] = MappingProxyType(
    {
        "rocksdb": ROCKSDB_OPTIONS,
        "mysql": MYSQL_OPTIONS,
        "rds": MYSQL_OPTIONS,
        "redis": REDIS_OPTIONS,
        "elasticsearch": ELASTICSEARCH_OPTIONS,
        "hbase": HBASE_OPTIONS,
        "cloudhbase": HBASE_OPTIONS,
    }
)
"""Each store's `type` -> its options. Every one of them is written by a Python sink."""

STORE_KINDS: Mapping[str, str] = MappingProxyType({"rds": "mysql", "cloudhbase": "hbase"})
"""Types that are another name for a connector."""
