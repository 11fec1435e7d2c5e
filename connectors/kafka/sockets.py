"""Sockets for kafka-python that are closed when a connection fails, or is no longer referenced.

kafka-python 3.0.12 leaves a socket whose connect failed to the garbage collector (`kafka/net/inet.py`,
`KafkaNetSocket.connect`): during an outage of the broker each attempt holds one more descriptor until the
next collection. A socket that still has data to write when its client is closed is never closed
(`KafkaTCPTransport.close` waits for a writer that `NetworkSelector.close` ends): once in sixty consumers.
We register our own socket class in its registry of proxy schemes.
"""

from __future__ import annotations

import socket
from typing import Any, Final

from kafka.net import KafkaNetSocket

DIRECT: Final = "direct://"
"""The `proxy_url` that means: no proxy, by `ClosingSocket`."""


_Socket = socket.socket


class ForgettableSocket(_Socket):
    """Closes itself silently when it is no longer referenced."""

    def __del__(self) -> None:
        self.close()


class ClosingSocket(KafkaNetSocket):  # type: ignore[misc]  # kafka-python has no types
    """Connects directly to the broker, and closes the socket when that fails."""

    SCHEMES = ("direct",)

    def socket(
        self,
        family: int = socket.AF_UNSPEC,
        sock_type: int = socket.SOCK_STREAM,
        proto: int = socket.IPPROTO_TCP,
    ) -> _Socket:
        """Make the socket of a connection."""
        return ForgettableSocket(family, sock_type, proto)

    async def sock_connect(
        self, net: Any, sock: _Socket, sockaddr: Any, timeout_at: float | None = None
    ) -> _Socket:
        """Connect `sock`, or close it and raise what kafka-python raises."""
        try:
            connected: _Socket = await super().sock_connect(net, sock, sockaddr, timeout_at=timeout_at)
        except BaseException:
            sock.close()
            raise
        return connected
