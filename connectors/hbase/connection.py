"""One connection to the Thrift gateway, reopened after any failure, and what the gateway's errors mean."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import happybase
from thriftpy2.protocol.exc import TProtocolException
from thriftpy2.thrift import TApplicationException, TDecodeException
from thriftpy2.transport import TTransportException

from connectors.hbase.thrift_types import AlreadyExists, GatewayError, IllegalArgument
from streamjobs.errors import ConfigError, RetriableError, SystemicError
from streamjobs.options.options import Options

T = TypeVar("T")

_SYSTEMIC_WORDS = (
    "TableNotFoundException",
    "NoSuchColumnFamilyException",
    "AccessDeniedException",
    "TableNotEnabledException",
    "TableNotDisabledException",
)
_DEFAULT_PORT = 9090


class RefusedError(SystemicError):
    """The gateway refuses this request as wrong."""


class Gateway:
    """Calls the given gateways, one at a time, and the next one after each failure.

    A connection is closed if its request failed in any way: after a timeout it would answer the next request
    with the reply to the failed one. Raises ConfigError for invalid end points.
    """

    def __init__(self, options: Options, where: str) -> None:
        self.where = where
        self._places = [_place(text, where) for text in options.text("endPoint").split(",")]
        self._turn = 0
        self._timeout_ms = options.number("requestTimeout")
        self._transport = options.text("transport")
        self._protocol = options.text("protocol")
        self._connection: Any = None

    @property
    def connected(self) -> bool:
        """Return True after `connect`, until the next failure."""
        return self._connection is not None

    def connect(self) -> None:
        """Connect to the next gateway. Raises RetriableError."""
        self.close()
        host, port = self._places[self._turn % len(self._places)]
        self._turn += 1
        with self._errors(f"connecting to {host}:{port}"):
            self._connection = happybase.Connection(
                host, port, timeout=self._timeout_ms, transport=self._transport, protocol=self._protocol,
                autoconnect=False,
            )  # fmt: skip
            self._connection.open()

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError, TTransportException):
                connection.close()

    def call(self, what: str, action: Callable[[Any], T]) -> T:
        """Return what `action` returns for the Thrift client; `what` describes the call in errors.

        Raises: RetriableError, SystemicError, RefusedError (the request itself is wrong).
        """
        if self._connection is None:
            message = f"{self.where}: {what}: not connected"
            raise RetriableError(message)
        with self._errors(what):
            return action(self._connection.client)

    @contextlib.contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (IllegalArgument, AlreadyExists) as exc:
            raise RefusedError(f"{self.where}: {what}: {_text(exc)}") from exc  # noqa: EM102
        except GatewayError as exc:
            message = f"{self.where}: {what}: {_text(exc)}"
            if any(word in message for word in _SYSTEMIC_WORDS):
                raise SystemicError(message) from exc
            self.close()
            raise RetriableError(message) from exc
        except TApplicationException as exc:
            self.close()
            message = f"{self.where}: {what}: the gateway failed: {_text(exc)}"
            if exc.type == TApplicationException.INTERNAL_ERROR:
                raise SystemicError(message) from exc
            raise RetriableError(message) from exc
        except (OSError, EOFError, TTransportException, TProtocolException, TDecodeException) as exc:
            self.close()
            message = f"{self.where}: {what}: {type(exc).__name__}: {_text(exc)}"
            raise RetriableError(message) from exc


def _text(exc: Exception) -> str:
    """Return an exception's text; `str()` itself fails if the gateway's text is bytes."""
    message = getattr(exc, "message", None)
    if isinstance(message, bytes):
        return message.decode("utf-8", "replace").strip().partition("\n")[0][:1000]
    return str(message) if message else str(exc)


def _place(text: str, where: str) -> tuple[str, int]:
    host, _, port = text.strip().rpartition(":")
    if not host:
        host, port = port, str(_DEFAULT_PORT)
    if not host or not port.isdecimal() or not 0 < int(port) < 65536 or "/" in host:
        message = f"{where}: 'endPoint' is host:port of the Thrift gateway, not {text!r}"
        raise ConfigError(message)
    return host.strip("[]"), int(port)
