"""A capture from its start to its end: where it begins, what it does after trouble, how it stops."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack

from connectors.mysql.errors import PositionLostError
from streamjobs.capture.broker import KafkaBroker
from streamjobs.capture.catalogs import Definitions, definitions_to_json
from streamjobs.capture.ddl import EVOLVE, DdlPolicy
from streamjobs.capture.handoff import Handoff
from streamjobs.capture.newcomers import LateTables
from streamjobs.capture.outbox import Outbox
from streamjobs.capture.rejects import Rejects
from streamjobs.capture.requests import Requests
from streamjobs.capture.routes import Routes
from streamjobs.capture.settings import CaptureConfig
from streamjobs.capture.source import Source
from streamjobs.capture.start import StartFinder
from streamjobs.capture.stored_position import Parts
from streamjobs.capture.stream import Stream
from streamjobs.capture.sweeps import Sweeps
from streamjobs.capture.telemetry import CaptureStatus, Telemetry
from streamjobs.capture.topics import KnownTopics
from streamjobs.errors import ConfigError, RetriableError
from streamjobs.retry import Clock, RetryPolicy, SystemClock, call_with_retries

logger = logging.getLogger(__name__)


class Capture:
    """Captures one source until it is stopped.

    Promise: at least once, in order per partition, nothing skipped. Trouble outside (server or broker away)
    is retried from the last stored position with full jitter, for at most the configured budget without any
    progress; then, and for what no retry cures, `run` raises. `stop` drains: what has been read up to a
    commit is acknowledged and stored.
    """

    def __init__(
        self,
        config: CaptureConfig,
        open_source: Callable[[Routes], Source],
        *,
        resnapshot: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._config = config
        self._open_source = open_source
        self._resnapshot = resnapshot
        self._clock = clock or SystemClock()
        self._routes = Routes(config.routes)
        self._broker = KafkaBroker(config.broker, config.name)
        self._stop = threading.Event()
        self.requests = Requests()
        self.telemetry = Telemetry(CaptureStatus(config.name))

    @property
    def stopping(self) -> bool:
        """Whether it was asked to end."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ask it to drain and end; from any thread or signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Capture until `stop`.

        Raises: SystemicError, ConfigError; RetriableError when the budget is spent.
        """
        policy = RetryPolicy(budget_s=self._config.retry_budget_ms / 1000)
        try:
            while not self._stop.is_set():
                call_with_retries(self._attempt, policy, clock=self._clock, on_retry=self._retried)
        except _StoppedWhileRetrying:
            logger.info("stopped while retrying; the position was stored before")
        finally:
            self.telemetry.update(phase="stopped")

    def _retried(self, error: RetriableError, wait_s: float) -> None:
        if self._stop.is_set():
            raise _StoppedWhileRetrying
        logger.warning("trouble, trying again in %.1f s: %s", wait_s, error)
        self.telemetry.add(retries=1)
        self.telemetry.update(phase="retrying", trouble=str(error))

    def _attempt(self) -> None:
        """Run once; trouble after progress ends the attempt well, so that the next has the whole budget."""
        stored_before = self.telemetry.status.stored_at_ms
        try:
            with ExitStack() as stack:
                self._run_once(stack)
        except RetriableError as exc:
            if self.telemetry.status.stored_at_ms == stored_before or self._stop.is_set():
                raise
            self._retried(exc, 0.0)
        except PositionLostError as exc:
            message = (
                f"{exc.detail}. Nothing was skipped: the position stays {self.telemetry.status.place}. "
                "To read all tables again from now on: `streamjobs capture run --resnapshot`"
            )
            raise PositionLostError(message, exc.place) from exc

    def _run_once(self, stack: ExitStack) -> None:
        config = self._config
        store = KnownTopics(self._broker.store(config.offsets), self._broker.topics, anew=self._resnapshot)
        stack.callback(store.close)
        source = self._open_source(self._routes)
        stack.callback(source.close)
        finder = StartFinder(
            config.name,
            self._routes,
            source,
            store,
            self._clock,
            snapshot_first=config.snapshot_first,
            resnapshot=self._resnapshot,
        )
        start = finder.find()
        self._resnapshot = False
        state, definitions, by_gtids = start.state, start.definitions, start.by_gtids
        catalog = definitions.catalog
        policy = DdlPolicy(config.ddl, self._routes, catalog.tables, definitions.kept)
        late = LateTables(source, definitions, self._routes, policy, reads_whole=config.snapshot_first)
        producer = self._broker.producer()
        stack.callback(producer.abandon)
        outbox = Outbox(config.name, self._routes, config.messages, producer, store.open, self._clock)
        # quiet tables have topics too, and hear the time
        outbox.open(*(definition.table for definition in catalog.tables), *start.new)
        handoff = Handoff(
            source.chunks(state.epoch),
            state.snapshots,
            readers=config.snapshot.readers,
            max_rows_per_second=config.snapshot.max_rows_per_second,
            clock=self._clock,
        )
        stack.callback(handoff.close)
        sweeps = Sweeps(
            config.name,
            state.epoch,
            self._routes,
            outbox,
            self._broker.reader,
            lambda tables: set(tables) & set(source.tables()),
            state.sweeps,
            self.telemetry,
        )
        stack.callback(sweeps.close)
        sweeps.forget_new_topics()
        letters = self._broker.dead_letters()
        stack.callback(letters.close)
        reader = stack.enter_context(source.read(state, catalog, by_gtids=by_gtids))
        parts = Parts(
            source,
            reader,
            outbox,
            handoff,
            store,
            Rejects(config.name, self._routes, letters, self.telemetry, self._clock),
            policy,
            lambda: definitions_to_json(Definitions(catalog, policy.kept, late.patterns), self._routes),
            late,
            sweeps,
            rereads_renamed=config.snapshot_first and config.ddl["rename_table"] == EVOLVE,
        )
        self.telemetry.update(
            server=source.identity.id, epoch=state.epoch, place=f"{state.file}:{state.offset}"
        )
        logger.info("%s: reading on from %s:%d, epoch %d", config.name, state.file, state.offset, state.epoch)
        Stream(
            parts,
            state,
            every_ms=config.offsets.every_ms,
            clock=self._clock,
            telemetry=self.telemetry,
            requests=self.requests,
            by_gtids=by_gtids,
            expected=source.sizes(handoff.tables),
            stopping=lambda: self.stopping,
        ).run()


class _StoppedWhileRetrying(ConfigError):
    """Ends the retries after a stop; never leaves this module."""
