"""The options of the stores that Python sinks write, with the option names of Blink's sinks as aliases."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from streamjobs.options.options import Option, OptionKind, OptionSet

TYPE = Option("type", "the connector of the table")

DELIVERY_OPTIONS = (
    Option(
        "retryTimeout",
        "how long to wait for a store that is down before the attempt fails",
        OptionKind.DURATION_MS,
        default="10 min",
        minimum=1,
        aliases=("retry-timeout",),
    ),
    Option(
        "ignoreDelete",
        "drop deletes: rows stay when the query retracts them",
        OptionKind.FLAG,
        default="false",
        aliases=("ignore-delete",),
    ),
    Option(
        "deleteWhenNull",
        "a column outside the key: a row in which it is NULL deletes its key",
    ),
    Option(
        "originColumn",
        "a column that the query fills with METADATA FROM 'origin': dead letters name this message",
    ),
    Option(
        "acceptLeftovers",
        "accept a query that can leave stale rows after a crash",
        OptionKind.FLAG,
        default="false",
    ),
    Option(
        "batchSize",
        "maximum number of rows in one request",
        OptionKind.INTEGER,
        minimum=1,
        aliases=("batch-size",),
    ),
)
"""What every store accepts: these options configure the delivery, not the store."""

_NO_EFFECT = (
    ("bufferSize", ()),
    ("flushIntervalMs", ("flush-interval-ms",)),
    ("maxRetryTimes", ("max-retry-times",)),
    ("partitionBy", ()),
)
NO_EFFECT_OPTIONS = tuple(
    Option(name, "Blink's; has no effect: rows are written as they arrive, and retries are bounded in time",
           aliases=aliases)
    for name, aliases in _NO_EFFECT
)  # fmt: skip

REQUEST_OPTIONS = (
    Option(
        "connectTimeout",
        "how long to wait until a connection is open",
        OptionKind.DURATION_MS,
        default="10 s",
        minimum=1,
        aliases=("connect-timeout",),
    ),
    Option(
        "requestTimeout",
        "how long to wait for an answer before a request is sent again",
        OptionKind.DURATION_MS,
        default="30 s",
        minimum=1,
        aliases=("request-timeout", "timeout"),
    ),
)
TLS_OPTIONS = (
    Option("tls", "encrypt, and verify the server's certificate and name", OptionKind.FLAG, default="false"),
    Option("tlsCa", "file of the authorities that may sign the server's certificate; default: the system's"),
    Option("tlsCert", "file of the client's certificate"),
    Option("tlsKey", "file of its private key"),
    Option("tlsInsecure", "encrypt without verifying who answers", OptionKind.FLAG, default="false"),
)
WRITER = Option(
    "writer",
    "name of this job's part of the target, if several jobs write different columns or keys of it",
)

LOOKUP_OPTIONS = (
    Option("cache", "which rows of this table a lookup join keeps in memory", choices=("NONE", "LRU", "ALL"),
           default="NONE"),
    Option("cacheSize", "LRU: maximum number of keys in memory", OptionKind.INTEGER, default="10000",
           minimum=1, aliases=("cache-size",)),
    Option("cacheTTLMs", "LRU: how long a key stays in memory, default: for ever; ALL: how often the table "
           "is read again, default: never", OptionKind.DURATION_MS, minimum=1,
           aliases=("cache-ttl", "cacheTTL")),
    Option("cacheEmpty", "LRU: also remember keys that have no row", OptionKind.FLAG, default="true",
           aliases=("cache-empty",)),
)  # fmt: skip
"""What a table that lookup joins read accepts; a sink ignores these options."""

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
        Option("host", "the server, if no url is given"),
        Option("port", "its port", OptionKind.INTEGER, default="3306", minimum=1),
        Option("database", "the database, if no url is given", aliases=("dbName",)),
        Option("tableName", "the table; default: the declared name", aliases=("table-name", "table")),
        Option("userName", "the user to log in as", aliases=("username", "user"), required=True),
        Option("password", "the password", secret=True),
        Option(
            "excludeUpdateColumns",
            "columns, separated by commas, that do not change in an existing row",
            aliases=("exclude-update-columns",),
        ),
        Option(
            "looseKeys",
            "true: accept a key whose collation treats different texts as equal",
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
        Option("host", "the server, if it is not a cluster"),
        Option("port", "its port", OptionKind.INTEGER, default="6379", minimum=1),
        Option("hostAndPorts", "the first nodes of a cluster to connect to: host:port,host:port"),
        Option("clusterMode", "the server is a Redis Cluster", OptionKind.FLAG, default="false"),
        Option("dbNum", "the number of the database", OptionKind.INTEGER, default="0", minimum=0,
               aliases=("db", "database")),
        Option("userName", "the ACL user", aliases=("username", "user")),
        Option("password", "the password", secret=True),
        Option(
            "mode",
            "how a row is stored",
            choices=("STRING", "HASHMAP", "SORTEDSET"),
            default="STRING",
        ),
        Option("keyPrefix", "prefix of each key; default: the name of the table and a colon",
               aliases=("key-prefix",)),
        Option("ttl", "how long a row lives after its last change; default: for ever",
               OptionKind.DURATION_MS, minimum=1, aliases=("expiration", "expire")),
        Option("scoreColumn", "SORTEDSET: the score column; default: the only column outside the key",
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
        Option("endPoint", "nodes to try, one after the other: https://host:port,…",
               aliases=("endpoint", "hosts", "url"), required=True),
        Option("index", "the index, or one per date of a key column: items-{day|yyyy.MM}; default: the name"),
        Option("userName", "the user to log in as", aliases=("username", "user", "accessId")),
        Option("password", "the password", secret=True, aliases=("accessKey",)),
        Option("apiKey", "an API key, instead of user and password", secret=True, aliases=("api-key",)),
        Option("createIndex", "create the index if it is missing, with a strict mapping", OptionKind.FLAG,
               default="true", aliases=("create-index",)),
        Option("textFields", "columns, separated by commas, that a new index searches by word: title,descr",
               aliases=("text-fields",)),
        Option("settings.*", "a setting of a new index: settings.number_of_replicas"),
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
        Option("endPoint", "Thrift gateways to try, one after the other: host:port,…",
               aliases=("endpoint", "thrift"), required=True),
        Option("tableName", "the table; default: the declared name", aliases=("table-name", "table")),
        Option("columnFamily", "the column family of all columns that no 'family.…' names", default="cf",
               aliases=("column-family",)),
        Option("family.*", "columns, separated by commas, of another family: 'family.stats'='clicks,ctr'"),
        Option("saltBuckets", "spread rows over so many ranges by one byte before each row key; 0: none",
               OptionKind.INTEGER, default="0", minimum=0, aliases=("salt-buckets",)),
        Option("stringWriteMode", "true: all cells are text; false: as Java's Bytes.toBytes",
               OptionKind.FLAG, default="false", aliases=("string-write-mode",)),
        Option("ttl", "how long a cell lives; default: the TTL of its column family",
               OptionKind.DURATION_MS, minimum=1),
        Option("createTable", "create the table if it is missing", OptionKind.FLAG, default="false",
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
"""The `type` of each store -> its options. A Python sink writes each of these stores."""

STORE_KINDS: Mapping[str, str] = MappingProxyType({"rds": "mysql", "cloudhbase": "hbase"})
"""Types that are aliases of a connector."""
