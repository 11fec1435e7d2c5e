"""Sockets for kafka-python that are closed when a connection fails.

kafka-python 3.0.12 leaves a socket whose connect failed to the garbage collector (`kafka/net/inet.py`,
`KafkaNetSocket.connect`): during an outage of the broker each attempt holds one descriptor more until a
collection comes along. Its registry of proxy schemes is the place where a socket class of ours can stand.
"""

from __future__ import annotations

import socket
from typing import Any, Final

from kafka.net import KafkaNetSocket

DIRECT: Final = "direct://"
"""The `proxy_url` that means: no proxy, by `ClosingSocket`."""


class ClosingSocket(KafkaNetSocket):  # type: ignore[misc]  # kafka-python has no types
    """Connects straight to the broker, and closes the socket when that fails."""

    SCHEMES = ("direct",)

    async def sock_connect(
        self, net: Any, sock: socket.socket, sockaddr: Any, timeout_at: float | None = None
    ) -> socket.socket:
        """Connect `sock`, or close it and raise what kafka-python raises."""
        try:
            connected: socket.socket = await super().sock_connect(net, sock, sockaddr, timeout_at=timeout_at)
        except BaseException:
            sock.close()
            raise
        return connected
