"""Connections to one Redis or to the nodes of a cluster, and what their errors mean."""

from __future__ import annotations

import binascii
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from streamjobs.errors import ConfigError, RetriableError, StreamjobsError, SystemicError
from streamjobs.options.options import Options
from streamjobs.options.tls import tls_context

logger = logging.getLogger(__name__)

SLOTS = 16384
_SYSTEMIC = (
    redis.AuthenticationError,
    redis.exceptions.AuthorizationError,
    redis.exceptions.NoPermissionError,
    redis.exceptions.AuthenticationWrongNumberOfArgsError,
)
_RETRIABLE = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.ReadOnlyError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.NoScriptError,
    redis.exceptions.ClusterError,
    redis.exceptions.TryAgainError,
    redis.exceptions.AskError,
    OSError,
)
_RETRIABLE_WORDS = (
    "LOADING",
    "BUSY",
    "MISCONF",
    "NOREPLICAS",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "OOM",
    "READONLY",
    "TRYAGAIN",
)
"""Prefixes of answers that scripts return as text, and of errors that the client has no class for."""
_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"


@contextmanager
def redis_errors(what: str) -> Iterator[None]:
    """Turn the client's exceptions into ours; `what` says what was done, and where."""
    try:
        yield
    except (redis.RedisError, OSError) as exc:
        raise error_of(exc, what) from exc


def error_of(exc: Exception, what: str) -> StreamjobsError:
    """Return our error for one of the client's.

    Failures of the connection, a failover, full memory and moved slots are retriable; credentials,
    permissions and everything that Redis refuses for another reason are not.
    """
    text = str(exc)
    message = f"{what}: {type(exc).__name__}: {text}"
    if isinstance(exc, _SYSTEMIC) or _UNTRUSTED in text:
        return SystemicError(message)
    if isinstance(exc, _RETRIABLE) or text.startswith(_RETRIABLE_WORDS):
        return RetriableError(message)
    return SystemicError(message)


def call(client: Any, commands: Sequence[Sequence[bytes]]) -> list[Any]:
    """Send commands together and return their answers in order, errors as exceptions.

    It does what a pipeline does, in a third of the time for each argument. Raises the client's errors.
    """
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        connection.send_packed_command(list(map(_packed, commands)))
        answers: list[Any] = []
        for _ in commands:
            try:
                answers.append(connection.read_response())
            except redis.ResponseError as exc:
                answers.append(exc)
    except BaseException:
        connection.disconnect()
        raise
    finally:
        pool.release(connection)
    return answers


def _packed(command: Sequence[bytes]) -> bytes:
    return b"*%d\r\n%b" % (len(command), b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in command]))


def slot_of(key: bytes) -> int:
    """Return a key's slot in a cluster.

    Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
    """
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            key = key[start + 1 : end]
    return binascii.crc_hqx(key, 0) % SLOTS


@cache
def slot_tags() -> tuple[bytes, ...]:
    """Return for each slot a short text whose slot it is."""
    tags: dict[int, bytes] = {}
    number = 0
    while len(tags) < SLOTS:
        text = b"%x" % number
        tags.setdefault(binascii.crc_hqx(text, 0) % SLOTS, text)
        number += 1
    return tuple(tags[slot] for slot in range(SLOTS))


class Nodes:
    """Open connections, one per server. It never retries; make a new one after a failure."""

    def __init__(self, options: Options, where: str) -> None:
        self._options = options
        self._where = where
        self._clients: dict[tuple[str, int], Any] = {}
        self._by_slot: list[Any] = []
        self.is_cluster = options.flag("clusterMode") or options.text_or_none("hostAndPorts") is not None
        if self.is_cluster and options.number("dbNum"):
            message = f"{where}: a Redis cluster has database 0 only"
            raise ConfigError(message)

    def connect(self) -> None:
        """Connect to the server, or ask the cluster for its nodes. Raises RetriableError, SystemicError."""
        self.close()
        last: StreamjobsError | None = None
        for host, port in self._seeds():
            try:
                with redis_errors(f"{self._where}: connecting to Redis at {host}:{port}"):
                    client = self._client(host, port)
                    client.ping()
                    self._by_slot = self._slots(client, host) if self.is_cluster else [client]
            except RetriableError as exc:
                last = exc
                continue
            else:
                return
        if last is not None:
            raise last

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.close()
        self._clients, self._by_slot = {}, []

    @property
    def connected(self) -> bool:
        """Return whether `connect` has been called since `close`."""
        return bool(self._by_slot)

    def node(self, slot: int) -> Any:
        """Return the `redis.Redis` of the server that owns the slot."""
        return self._by_slot[slot if self.is_cluster else 0]

    def primaries(self) -> list[Any]:
        """Return a client of each primary server."""
        return list({id(client): client for client in self._by_slot}.values())

    def _seeds(self) -> list[tuple[str, int]]:
        listed = self._options.text_or_none("hostAndPorts")
        if listed is None:
            host = self._options.text_or_none("host")
            if host is None:
                message = f"{self._where}: option 'host' (or 'hostAndPorts' of a cluster) is missing"
                raise ConfigError(message)
            return [(host, self._options.number("port"))]
        seeds = []
        for entry in listed.split(","):
            host, _, port = entry.strip().rpartition(":")
            if not host or not port.isdecimal():
                message = f"{self._where}: 'hostAndPorts' reads host:port,host:port, not {listed!r}"
                raise ConfigError(message)
            seeds.append((host, int(port)))
        return seeds

    def _client(self, host: str, port: int) -> Any:
        known = self._clients.get((host, port))
        if known is None:
            options, password = self._options, self._options.secret("password")
            known = redis.Redis(
                host=host,
                port=port,
                db=options.number("dbNum"),
                username=options.text_or_none("userName"),
                password=None if password is None else password.reveal(),
                socket_connect_timeout=options.number("connectTimeout") / 1000,
                socket_timeout=options.number("requestTimeout") / 1000,
                retry=Retry(NoBackoff(), 0),
                health_check_interval=0,
                **self._tls(),
            )
            self._clients[host, port] = known
        return known

    def _tls(self) -> Mapping[str, Any]:
        options = self._options
        insecure = options.flag("tlsInsecure")
        if not options.flag("tls") and not insecure:
            return {}
        tls_context(options, self._where)  # redis-py would retry a file that is missing
        if insecure:
            logger.warning("%s: 'tlsInsecure': the server's certificate is not verified", self._where)
        return {
            "ssl": True,
            "ssl_cert_reqs": "none" if insecure else "required",
            "ssl_check_hostname": not insecure,
            "ssl_ca_certs": options.text_or_none("tlsCa"),
            "ssl_certfile": options.text_or_none("tlsCert"),
            "ssl_keyfile": options.text_or_none("tlsKey"),
        }

    def _slots(self, client: Any, asked: str) -> list[Any]:
        found: list[Any] = [None] * SLOTS
        for first, last, primary, *_replicas in client.execute_command("CLUSTER SLOTS"):
            node = self._client(bytes(primary[0] or b"").decode() or asked, int(primary[1]))
            found[first : last + 1] = [node] * (last + 1 - first)
        nodes = [node for node in found if node is not None]
        if len(nodes) < SLOTS:
            message = f"{self._where}: {SLOTS - len(nodes)} of the cluster's slots have no server"
            raise RetriableError(message)
        return nodes
