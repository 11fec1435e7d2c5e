"""Logging in: what a server can ask for that we cannot give, in words."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress

import pytest

from connectors.mysql.server.session import Login, Session
from streamjobs.errors import ConfigError
from streamjobs.options.options import Secret
from tests.patience import limit_s

_CAPABILITIES = 1 | 0x200 | 0x8000 | 0x80000
GREETING = (
    b"\x0a9.7.4\0" + struct.pack("<I", 7) + b"a" * 8 + b"\0" + struct.pack("<H", _CAPABILITIES & 0xFFFF)
    + b"\xff\2\0" + struct.pack("<HB", _CAPABILITIES >> 16, 21) + b"\0" * 10 + b"b" * 12 + b"\0"
    + b"caching_sha2_password\0"
)  # fmt: skip
FULL_LOGIN, PUBLIC_KEY = b"\1\4", b"\1-----BEGIN PUBLIC KEY-----\n"


def test_a_password_that_needs_encryption_is_refused_with_the_cure() -> None:
    """caching_sha2_password without TLS, on a server that has not seen this password since its start."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(limit_s(10))
        thread = threading.Thread(target=_serve, args=(server,))
        thread.start()
        try:
            with pytest.raises(ConfigError, match=r"caching_sha2_password.*`cryptography`.*Use TLS"):
                Session(
                    Login("127.0.0.1", server.getsockname()[1], "root", Secret("pw"), tls=False),
                    timeout_s=limit_s(10),
                )
        finally:
            thread.join(limit_s(20))


def test_a_server_without_tls_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(limit_s(10))
        thread = threading.Thread(target=_serve, args=(server,))
        thread.start()
        try:
            with pytest.raises(ConfigError, match="the server offers no TLS"):
                Session(
                    Login("127.0.0.1", server.getsockname()[1], "root", Secret("pw")), timeout_s=limit_s(10)
                )
        finally:
            thread.join(limit_s(20))


def _serve(server: socket.socket) -> None:
    client, _ = server.accept()
    with client, suppress(OSError):  # a client that has seen enough hangs up
        client.settimeout(limit_s(10))
        for number, packet in ((0, GREETING), (2, FULL_LOGIN), (4, PUBLIC_KEY)):
            client.sendall(struct.pack("<I", len(packet) | number << 24) + packet)
            client.recv(4096)
