"""The loopback port of a running capture: /metrics, /status, and requests for a snapshot."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs, quote, urlsplit

from streamjobs.capture.config.routes import Routes
from streamjobs.capture.status.requests import Requests
from streamjobs.capture.status.status import Telemetry, exposition
from streamjobs.changes.row_change import TableId
from streamjobs.errors import ConfigError, RetriableError, SystemicError

_LOOPBACK = "127.0.0.1"
_HEADER = "X-Streamjobs-Capture"
"""Protects against web pages: a browser does not send this header to another site without permission."""
_ANSWER_S = 5.0


class Endpoint:
    """Serves HTTP inside its `with` block; `address_file` gets the address for other commands, None: no file.

    Raises SystemicError when the port is taken.
    """

    def __init__(
        self,
        port: int,
        telemetry: Telemetry,
        requests: Requests,
        routes: Routes,
        address_file: Path | None = None,
    ) -> None:
        class Handler(_Handler):
            of_telemetry = telemetry
            of_requests = requests
            of_routes = routes

        try:
            self._server = ThreadingHTTPServer((_LOOPBACK, port), Handler)
        except OSError as exc:
            message = f"cannot serve metrics on {_LOOPBACK}:{port}: {exc}"
            raise SystemicError(message) from exc
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._address_file = address_file
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    def __enter__(self) -> Endpoint:
        self._thread.start()
        if self._address_file is not None:
            self._address_file.parent.mkdir(parents=True, exist_ok=True)
            self._address_file.write_text(f"{_LOOPBACK}:{self.port}\n", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._address_file is not None:
            self._address_file.unlink(missing_ok=True)
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    of_telemetry: Telemetry
    of_requests: Requests
    of_routes: Routes

    def do_GET(self) -> None:
        match urlsplit(self.path).path:
            case "/metrics":
                text = exposition(self.of_telemetry.now()).encode()
                self._answer(HTTPStatus.OK, text, "text/plain; version=0.0.4; charset=utf-8")
            case "/status":
                self._answer(HTTPStatus.OK, self.of_telemetry.now().to_json(), "application/json")
            case _:
                self._answer(HTTPStatus.NOT_FOUND, b"/metrics or /status\n")

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        database, _, name = (parse_qs(url.query).get("table") or [""])[0].partition(".")
        table = TableId(database, name)
        if self.headers.get(_HEADER) is None:
            self._answer(HTTPStatus.FORBIDDEN, f"the header {_HEADER} is missing\n".encode())
        elif url.path != "/snapshot" or not name:
            self._answer(HTTPStatus.NOT_FOUND, b"/snapshot?table=database.table\n")
        elif not self.of_routes(table):
            self._answer(HTTPStatus.BAD_REQUEST, f"{table} is not captured: no route matches it\n".encode())
        else:
            self.of_requests.ask(table)
            self._answer(HTTPStatus.ACCEPTED, f"a snapshot of {table} will be sent\n".encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the library's)
        """Log nothing: metrics are read every few seconds."""

    def _answer(self, status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def read_status(address_file: Path) -> dict[str, object] | None:
    """Return the status of the capture at this address, None if none runs.

    Raises: SystemicError if it runs and does not answer.
    """
    try:
        status: dict[str, object] = json.loads(_ask(address_file, "/status"))
    except RetriableError:
        return None
    return status


def ask_snapshot(address_file: Path, table: str) -> str:
    """Ask the running capture for a snapshot of a table; return its answer.

    Raises: RetriableError if none runs; SystemicError if it does not answer; ConfigError if it does not
    capture the table.
    """
    return _ask(address_file, f"/snapshot?table={quote(table)}", post=True).decode().strip()


def _ask(address_file: Path, path: str, *, post: bool = False) -> bytes:
    address = ""
    try:
        address = address_file.read_text(encoding="utf-8").strip()
        request = urllib.request.Request(
            f"http://{address}{path}", method="POST" if post else "GET", headers={_HEADER: "1"}
        )
        with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:  # noqa: S310
            data: bytes = answer.read()
            return data
    except urllib.error.HTTPError as exc:
        with exc:
            message = exc.read().decode("utf-8", "replace").strip()
        raise ConfigError(message) from exc
    except TimeoutError as exc:
        message = (
            f"the capture at {address} ({address_file}) accepted the request and does not answer within "
            f"{_ANSWER_S:g} s: its process is stopped or overloaded"
        )
        raise SystemicError(message) from exc
    except OSError as exc:
        message = f"no capture runs here ({address_file}: {exc})"
        raise RetriableError(message) from exc
