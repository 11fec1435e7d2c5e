"""Free loopback ports that two environments of one machine never share."""

from __future__ import annotations

import random
import socket

from streamjobs.errors import ServiceError

LOOPBACK = "127.0.0.1"
# Below the range that Linux uses for outgoing connections (32768 and up), so that none of those gets one.
_LOWEST, _HIGHEST = 20_000, 32_000
_ATTEMPTS = 200


def is_free(port: int) -> bool:
    """Return whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


class PortLease:
    """Loopback ports reserved for one environment, also while the service of a port is down.

    Promise: no other lease on this machine gets the same port until `close()` or the end of the process.
    The kernel holds the reservation (a socket in the abstract name space), so a crash releases it.
    """

    def __init__(self) -> None:
        self._claims: dict[int, socket.socket] = {}

    def take(self, wanted: int | None = None) -> int:
        """Reserve a free port, or exactly `wanted`; raise ServiceError when that one is in use.

        A port that this lease already holds may be requested again.
        """
        if wanted is not None:
            if wanted in self._claims:
                return wanted
            if not (self._claim(wanted) and is_free(wanted)):
                msg = f"port {wanted} of {LOOPBACK} is in use: stop its owner or choose another port"
                raise ServiceError(msg)
            return wanted
        for _ in range(_ATTEMPTS):
            port = random.randint(_LOWEST, _HIGHEST)  # noqa: S311 (not a secret)
            if is_free(port) and self._claim(port):
                return port
        msg = f"no free port found on {LOOPBACK} between {_LOWEST} and {_HIGHEST}"
        raise ServiceError(msg)

    def close(self) -> None:
        """Release all ports."""
        for claim in self._claims.values():
            claim.close()
        self._claims.clear()

    def _claim(self, port: int) -> bool:
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0streamjobs-port-{port}")
        except OSError:
            claim.close()
            return False
        self._claims[port] = claim
        return True
