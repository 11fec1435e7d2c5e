"""Distinguishes a login that fails for ever from a broker that cannot be reached yet.

kafka-python 3.0.12 tries to reach a broker until its timeout, whatever the reason, and at best logs that the
certificate is not trusted (`kafka/net/manager.py`, `_do_bootstrap`). It discards the last answer of a broker
that closes the connection, such as a wrong password (`kafka/net/transport.py`, `_read_from_sock`). And a
client whose constructor raises does not close its thread and sockets.
"""

from __future__ import annotations

from typing import Any, Final

from kafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import create_connection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

_FINAL = (SaslAuthenticationFailedError, UnsupportedSaslMechanismError, IllegalSaslStateError)
_UNTRUSTED: Final = "CERTIFICATE_VERIFY_FAILED"


class UntrustedBrokerError(KafkaError):  # type: ignore[misc]  # kafka-python has no types
    """The broker's certificate is not trusted, or is not for this host."""


def telling_client(**configs: Any) -> KafkaNetClient:
    """Return the client to pass to kafka-python's consumer, producer and admin as `kafka_client`.

    Promise: it raises at once an error that no further attempt cures; the error of a timeout shows why the
    last attempt failed.
    """
    net = NetworkSelector(**configs)
    return KafkaNetClient(net=net, manager=_TellingManager(net, **configs), **configs)


class _Closable:
    """What our transports add: the last answer of a broker that disconnects, and a method to close."""

    _sock: Any

    def _sock_recv(self) -> tuple[bytes, Exception | None]:
        data, failure = super()._sock_recv()  # type: ignore[misc]
        return data, None if data else failure  # the next call fails again

    def close_socket(self) -> None:
        """Close the socket of a transport that no connection uses yet."""
        self._sock.close()


class _PlainTransport(_Closable, KafkaTCPTransport):  # type: ignore[misc]
    """A transport without TLS."""


class _TlsTransport(_Closable, KafkaSSLTransport):  # type: ignore[misc]
    """A transport with TLS."""


class _TellingManager(KafkaConnectionManager):  # type: ignore[misc]
    def __init__(self, net: Any, **configs: Any) -> None:
        super().__init__(net, **configs)
        self._reached = False
        self._last_failure: BaseException | None = None
        self._hopeless: dict[Any, KafkaError] = {}

    def get_connection(self, node_id: Any, **options: Any) -> Any:
        """Return the connection; raise once an error that was final before."""
        if node_id in self._hopeless:
            raise self._hopeless.pop(node_id)
        known = self._conns.get(node_id)
        connection = super().get_connection(node_id, **options)
        if connection is not known:
            connection.init_future.add_errback(lambda failure: self._note(node_id, failure))
        return connection

    def bootstrap(self, timeout_ms: float | None = None, refresh: bool = True) -> None:
        """Reach the cluster, or raise; the first time also close: the caller gets no client to close."""
        try:
            super().bootstrap(timeout_ms, refresh)
        except BaseException:
            if not self._reached:
                self.close()
                self._net.close()
            raise
        self._reached = True

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        sock = await create_connection(
            self._net, node.host, node.port, self.config["socket_options"],
            proxy_url=self.config["proxy_url"], timeout_at=timeout_at,
        )  # fmt: skip
        kind, options = _PlainTransport, {}
        if self.ssl_enabled:
            kind, options = _TlsTransport, {"ssl_context": self.config["ssl_context"]}
        transport = kind(self._net, sock, host=node.host, **options)
        try:
            await transport.handshake()
        except Exception as exc:
            transport.close_socket()
            message = f"Handshake failed: {exc}"
            raise KafkaConnectionError(message) from exc
        return transport

    async def _do_bootstrap(self, deadline: float | None) -> Any:
        try:
            return await super()._do_bootstrap(deadline)
        except KafkaTimeoutError as exc:
            if self._last_failure is None:
                raise
            message = f"{exc.args[0]}; the last attempt: {self._last_failure}"
            raise KafkaTimeoutError(message) from exc

    def _note(self, node_id: Any, failure: BaseException) -> None:
        self._last_failure = failure
        if isinstance(failure, _FINAL):
            self._hopeless[node_id] = failure
        elif _UNTRUSTED in str(failure):
            message = f"the broker's certificate is not trusted: {failure}"
            self._hopeless[node_id] = UntrustedBrokerError(message)
