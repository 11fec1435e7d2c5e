"""One connection to one node that is never reopened silently, and what the client's errors mean."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import elastic_transport
from elastic_transport import ApiResponseMeta, BaseNode, HttpHeaders, NodeConfig, OrjsonSerializer
from elastic_transport._node import NodeApiResponse
from elastic_transport.client_utils import DEFAULT, DefaultType, basic_auth_to_header
from elasticsearch import ApiError, Elasticsearch, UnsupportedProductError

from streamjobs.errors import ConfigError, RetriableError, StreamjobsError, SystemicError
from streamjobs.options.options import Options
from streamjobs.options.tls import tls_context

_RETRIABLE_STATUS = (408, 429, 502, 503, 504)


class SteadyNode(BaseNode):
    """A node over exactly one TCP connection: after it breaks, every further request fails.

    So what a writer learned over it (that it is still the writer) is valid for the next request: a restarted
    server never receives the late request of a zombie that was connected to the server before the restart.
    """

    _CLIENT_META_HTTP_CLIENT = ("hc", "1.1")

    def __init__(self, config: NodeConfig) -> None:
        super().__init__(config)
        self._broken = False
        self._connection: http.client.HTTPConnection | None = None

    def perform_request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: HttpHeaders | None = None,
        request_timeout: DefaultType | float | None = DEFAULT,
    ) -> Any:
        """Send one request and read its answer; raise the transport's own errors."""
        timeout_s = (
            self.config.request_timeout if isinstance(request_timeout, DefaultType) else request_timeout
        )
        started = time.monotonic()
        sent = {**self.headers, **(headers or {})}
        try:
            connection = self._connected(timeout_s)
            connection.request(method, self.path_prefix + target, body, sent)
            response = connection.getresponse()
            content = response.read()
        except TimeoutError as exc:
            self._break()
            message = f"no answer within {timeout_s} s"
            raise elastic_transport.ConnectionTimeout(message, errors=(exc,)) from exc
        except ssl.SSLCertVerificationError as exc:
            self._break()
            raise elastic_transport.TlsError(str(exc), errors=(exc,)) from exc
        except (OSError, http.client.HTTPException) as exc:
            self._break()
            message = f"{type(exc).__name__}: {exc}"
            raise elastic_transport.ConnectionError(message, errors=(exc,)) from exc
        meta = ApiResponseMeta(
            status=response.status,
            http_version="1.1",
            headers=HttpHeaders(response.getheaders()),
            duration=time.monotonic() - started,
            node=self.config,
        )
        return NodeApiResponse(meta, content)

    def close(self) -> None:
        """Close the connection for ever."""
        self._break()

    def _connected(self, timeout_s: float | None) -> http.client.HTTPConnection:
        if self._broken:
            message = "the connection is closed"
            raise OSError(message)
        if self._connection is None:
            if self.scheme == "https":
                context = self.config.ssl_context
                self._connection = http.client.HTTPSConnection(
                    self.host, self.port, timeout=timeout_s, context=context
                )
            else:
                self._connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)
            self._connection.connect()
            self._connection.auto_open = 0
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._connection

    def _break(self) -> None:
        self._broken = True
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Cluster:
    """The nodes to connect to, one at a time; the next one after each failure.

    Raises ConfigError for end points that are not URLs or do not fit the TLS options.
    """

    def __init__(self, options: Options, where: str) -> None:
        self._where = where
        self._hosts = [_host(text.strip(), options, where) for text in _listed(options.text("endPoint"))]
        self._turn = 0
        self._client: Elasticsearch | None = None
        self._timeout_s = options.number("requestTimeout") / 1000
        self._compress = options.flag("compression")
        self._headers = _authorization(options, where)
        self._context = tls_context(options, where) if self._hosts[0].startswith("https:") else None

    @property
    def connected(self) -> bool:
        """Return True after `connect`, until the next failure."""
        return self._client is not None

    def connect(self) -> None:
        """Choose the next node; the first request opens the connection."""
        self.close()
        host = self._hosts[self._turn % len(self._hosts)]
        self._turn += 1
        self._client = Elasticsearch(
            host,
            node_class=SteadyNode,
            max_retries=0,
            retry_on_timeout=False,
            request_timeout=self._timeout_s,
            http_compress=self._compress,
            serializer=OrjsonSerializer(),
            ssl_context=DEFAULT if self._context is None else self._context,
        )

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def request(
        self, what: str, method: str, path: str, body: object = None, *, missing: bool = False
    ) -> Any:
        """Send a request and return the answer's JSON; with `missing`, None for a 404.

        `what` describes the request in errors. Raises RetriableError, SystemicError, and TooLargeError and
        RefusedError, which are about the body.
        """
        client = self._client
        if client is None:
            message = f"{self._where}: {what}: not connected"
            raise RetriableError(message)
        headers = {"accept": "application/json", **self._headers}
        if body is not None:
            is_lines = isinstance(body, bytes)
            headers["content-type"] = "application/x-ndjson" if is_lines else "application/json"
        try:
            return client.perform_request(method, path, headers=headers, body=body).body
        except ApiError as exc:
            if missing and exc.status_code == 404:
                return None
            raise self._error_of(exc, what) from exc
        except UnsupportedProductError as exc:
            message = f"{self._where}: {what}: the server that answers is not Elasticsearch"
            raise SystemicError(message) from exc
        except elastic_transport.TlsError as exc:
            self.close()
            message = f"{self._where}: {what}: {exc.message}"
            raise SystemicError(message) from exc
        except elastic_transport.TransportError as exc:
            self.close()
            message = f"{self._where}: {what}: {type(exc).__name__}: {exc.message}"
            raise RetriableError(message) from exc

    def _error_of(self, exc: ApiError, what: str) -> StreamjobsError:
        status, cause = exc.status_code, _cause(exc.body)
        message = f"{self._where}: {what}: HTTP {status} {cause}"
        if status in _RETRIABLE_STATUS or status >= 500:
            return RetriableError(message)
        if status == 413:
            return TooLargeError(message)
        if status in (400, 409):
            return RefusedError(message)
        return SystemicError(message)


class RefusedError(SystemicError):
    """The server refuses this request as wrong."""


class TooLargeError(RefusedError):
    """The request is larger than the server accepts."""


def _cause(body: object) -> str:
    error = body.get("error") if isinstance(body, Mapping) else body
    if isinstance(error, Mapping):
        return f"{error.get('type')}: {error.get('reason')}"
    return str(error)[:500]


def _listed(text: str) -> list[str]:
    return [part for part in text.replace(";", ",").split(",") if part.strip()]


def _host(text: str, options: Options, where: str) -> str:
    secure = options.flag("tls") or options.flag("tlsInsecure") or options.text_or_none("tlsCa") is not None
    given = text if "://" in text else f"{'https' if secure else 'http'}://{text}"
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        message = (
            f"{where}: 'endPoint' is http://host:port or https://host:port, not {parts.hostname or text!r}"
        )
        raise ConfigError(message)
    if parts.username or parts.password:
        message = f"{where}: 'endPoint' holds credentials: give them as 'userName' and 'password'"
        raise ConfigError(message)
    if secure and parts.scheme == "http":
        message = f"{where}: the options ask for TLS, and 'endPoint' is {text!r}: write https://"
        raise ConfigError(message)
    port = parts.port or (443 if parts.scheme == "https" else 9200)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}"


def _authorization(options: Options, where: str) -> dict[str, str]:
    user, password, key = (
        options.text_or_none("userName"),
        options.secret("password"),
        options.secret("apiKey"),
    )
    if key is not None and (user or password):
        message = f"{where}: give 'apiKey', or 'userName' and 'password', not both"
        raise ConfigError(message)
    if key is not None:
        return {"authorization": f"ApiKey {key.reveal()}"}
    if (user is None) != (password is None):
        message = f"{where}: 'userName' and 'password' go together"
        raise ConfigError(message)
    if user is None or password is None:
        return {}
    return {"authorization": basic_auth_to_header((user, password.reveal()))}
