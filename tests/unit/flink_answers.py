"""A Flink REST interface that answers what a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.patience import limit_s


class FlinkAnswers(ThreadingHTTPServer):
    """Answers each GET with what `answers` has for its path.

    A PATCH is remembered in `cancelled`, then `on_patch` is called, and `patch_status` answered.
    """

    daemon_threads = True

    def __init__(self, answers: Mapping[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = dict(answers)
        self.cancelled: list[str] = []
        self.patch_status = 202
        self.on_patch: Callable[[], object] = lambda: None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, FlinkAnswers)
        path = self.path.partition("?")[0]
        self._answer(200 if path in self.server.answers else 404, self.server.answers.get(path, {}))

    def do_PATCH(self) -> None:
        assert isinstance(self.server, FlinkAnswers)
        self.server.cancelled.append(self.path)
        self.server.on_patch()
        self._answer(self.server.patch_status, {})

    def _answer(self, status: int, thing: object) -> None:
        body = json.dumps(thing).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def flink_that_answers(answers: Mapping[str, Any]) -> Iterator[FlinkAnswers]:
    """Run one in a thread for the length of a block."""
    with FlinkAnswers(answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(timeout=limit_s(10))
