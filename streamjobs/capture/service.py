"""A capture from start to end: runs, retries after errors, and stops."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack

from connectors.mysql.errors import PositionLostError
from streamjobs.capture.config.routes import Routes
from streamjobs.capture.config.settings import CaptureConfig
from streamjobs.capture.publish.kafka import KafkaBroker
from streamjobs.capture.publish.topics import KnownTopics
from streamjobs.capture.source.contract import Source
from streamjobs.capture.start import Start, StartFinder
from streamjobs.capture.status.requests import Requests
from streamjobs.capture.status.status import CaptureStatus, Telemetry
from streamjobs.capture.wiring import CaptureContext, build_stream
from streamjobs.errors import ConfigError, RetriableError
from streamjobs.retry import Clock, RetryPolicy, SystemClock, call_with_retries

logger = logging.getLogger(__name__)


class Capture:
    """Captures one source until `stop` is set.

    Promise: at least once, in order per partition, nothing skipped. If server or broker is unavailable, it
    retries from the last stored position with full jitter, for at most the configured budget without any
    progress. After that, and for errors that a retry cannot solve, `run` raises. Once `stop` is set, from any
    thread or signal handler, it drains: everything read up to the last commit is acknowledged and stored.
    """

    def __init__(
        self,
        config: CaptureConfig,
        open_source: Callable[[Routes], Source],
        stop: threading.Event,
        *,
        resnapshot: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._open_source = open_source
        self._resnapshot = resnapshot
        self._stop = stop
        self.requests = Requests()
        clock = clock or SystemClock()
        self.telemetry = Telemetry(CaptureStatus(config.name), clock)
        self._context = CaptureContext(
            config,
            Routes(config.routes),
            KafkaBroker(config.broker, config.name),
            clock,
            self.telemetry,
            self.requests,
            self._stop,
        )

    def run(self) -> None:
        """Capture until `stop` is set.

        Raises: SystemicError, ConfigError; RetriableError when the retry budget is spent.
        """
        policy = RetryPolicy(budget_s=self._context.config.retry_budget_ms / 1000)
        try:
            while not self._stop.is_set():
                call_with_retries(self._attempt, policy, clock=self._context.clock, on_retry=self._retried)
        except _StoppedWhileRetrying:
            logger.info("stopped while retrying; the position was stored before")
        finally:
            self.telemetry.update(phase="stopped")

    def _retried(self, error: RetriableError, wait_s: float) -> None:
        if self._stop.is_set():
            raise _StoppedWhileRetrying
        logger.warning("error, retrying in %.1f s: %s", wait_s, error)
        self.telemetry.add(retries=1)
        self.telemetry.update(phase="retrying", trouble=str(error))

    def _attempt(self) -> None:
        """Run once; do not raise an error after progress, so that the next attempt has the full budget."""
        stored_before = self.telemetry.status.stored_at_ms
        try:
            with ExitStack() as stack:
                self._run_once(stack)
        except RetriableError as exc:
            if self.telemetry.status.stored_at_ms == stored_before or self._stop.is_set():
                raise
            self._retried(exc, 0.0)
        except PositionLostError as exc:
            status = self.telemetry.status
            place = status.place + (f" ({status.gtids})" if status.gtids else "")
            message = (
                f"{exc.detail}. Nothing was skipped: the position stays {place}. "
                "To snapshot all tables again from now on: `streamjobs capture run --resnapshot`"
            )
            raise PositionLostError(message, exc.place) from exc

    def _run_once(self, stack: ExitStack) -> None:
        context, config = self._context, self._context.config
        store = KnownTopics(
            context.broker.store(config.offsets), context.broker.topics, resnapshot=self._resnapshot
        )
        stack.callback(store.close)
        self._recall(store)
        source = self._open_source(context.routes)
        stack.callback(source.close)
        start = self._find_start(source, store)
        self._resnapshot = False
        state = start.state
        self.telemetry.update(
            server=source.identity.id, epoch=state.epoch, place=state.place, gtids=state.gtids
        )
        stream = build_stream(context, source, store, start, stack)
        logger.info("%s: continuing from %s, epoch %d", config.name, state.place, state.epoch)
        stream.run()

    def _recall(self, store: KnownTopics) -> None:
        """Start the lag of a new process with the stored value, also if the server does not answer."""
        self.telemetry.update(owed_since_ms=0)
        if not self.telemetry.status.delivered_to_ms and (known := store.read()) is not None:
            self.telemetry.update(delivered_to_ms=known.delivered_to_ms)

    def _find_start(self, source: Source, store: KnownTopics) -> Start:
        config = self._context.config
        return StartFinder(
            config.name,
            self._context.routes,
            source,
            store,
            self._context.clock,
            snapshot_first=config.snapshot_first,
            resnapshot=self._resnapshot,
        ).find()


class _StoppedWhileRetrying(ConfigError):
    """Ends the retries after a stop; never leaves this module."""
