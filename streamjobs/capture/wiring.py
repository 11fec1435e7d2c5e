"""Opens the parts of one run of a capture, from the log to the broker, and builds its stream."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from connectors.mysql.events import BadRow
from streamjobs.capture.checkpoint import Parts
from streamjobs.capture.config.routes import Routes
from streamjobs.capture.config.settings import CaptureConfig
from streamjobs.capture.ddl_policy import EVOLVE, DdlPolicy
from streamjobs.capture.definition_watch import DefinitionWatch
from streamjobs.capture.new_tables import LateTables
from streamjobs.capture.publish.dead_letters import Rejects
from streamjobs.capture.publish.kafka import KafkaBroker
from streamjobs.capture.publish.outbox import Outbox
from streamjobs.capture.publish.topics import KnownTopics
from streamjobs.capture.snapshot.handoff import Handoff
from streamjobs.capture.snapshot.reconcile import Reconciliation
from streamjobs.capture.source.contract import Source
from streamjobs.capture.source.schema_history import Definitions, definitions_to_json
from streamjobs.capture.start import Start
from streamjobs.capture.status.requests import Requests
from streamjobs.capture.status.status import Telemetry
from streamjobs.capture.stopped_tables import StoppedTables
from streamjobs.capture.stream import Stream
from streamjobs.retry import Clock


@dataclass(frozen=True)
class CaptureContext:
    """What all runs of a capture share: configuration, status, requests and stop signal."""

    config: CaptureConfig
    routes: Routes
    broker: KafkaBroker
    clock: Clock
    telemetry: Telemetry
    requests: Requests
    stop: threading.Event


def build_stream(
    context: CaptureContext, source: Source, store: KnownTopics, start: Start, stack: ExitStack
) -> Stream:
    """Open one run from `start`; `stack` closes everything that is opened here.

    Afterwards, the topics of all captured tables exist, and the server sends its log.
    Raises what the server and the broker raise.
    """
    config, state, catalog = context.config, start.state, start.definitions.catalog
    policy = DdlPolicy(config.ddl, context.routes, catalog.tables, start.definitions.kept)
    late = LateTables(source, start.definitions, context.routes, policy, snapshot_first=config.snapshot_first)
    rejects = _rejects(context, stack)

    def too_large(row: BadRow) -> None:
        rejects.add(row, "too_large")
        reconciliation.undecodable(row.schema.table)

    outbox = _outbox(context, store, start, stack, too_large)
    handoff = _handoff(context, source, start, stack)
    reconciliation = _reconciliation(context, source, outbox, start, stack)
    reader = stack.enter_context(source.read(state, catalog, by_gtids=start.by_gtids))
    parts = Parts(
        source,
        reader,
        outbox,
        handoff,
        store,
        rejects,
        policy,
        lambda: definitions_to_json(Definitions(catalog, policy.kept, late.patterns), context.routes),
        late,
        reconciliation,
        DefinitionWatch(source, catalog, context.routes, active=not source.identity.names_columns),
        StoppedTables(catalog, state.stopped),
        rereads_renamed=config.snapshot_first and config.ddl["rename_table"] == EVOLVE,
    )
    return Stream(
        parts,
        state,
        every_ms=config.offsets.every_ms,
        clock=context.clock,
        telemetry=context.telemetry,
        requests=context.requests,
        by_gtids=start.by_gtids,
        expected=source.sizes(handoff.tables),
        stopping=context.stop.is_set,
    )


def _outbox(
    context: CaptureContext,
    store: KnownTopics,
    start: Start,
    stack: ExitStack,
    on_too_large: Callable[[BadRow], None],
) -> Outbox:
    producer = context.broker.producer()
    stack.callback(producer.abandon)
    config = context.config
    outbox = Outbox(
        config.name, context.routes, config.messages, producer, store.open, context.clock, on_too_large
    )
    # quiet tables have topics too, and get heartbeats
    outbox.open(*(definition.table for definition in start.definitions.catalog.tables), *start.new)
    return outbox


def _handoff(context: CaptureContext, source: Source, start: Start, stack: ExitStack) -> Handoff:
    snapshot = context.config.snapshot
    handoff = Handoff(
        source.chunks(start.state.epoch),
        start.state.snapshots,
        readers=snapshot.readers,
        max_rows_per_second=snapshot.max_rows_per_second,
        clock=context.clock,
    )
    stack.callback(handoff.close)
    return handoff


def _reconciliation(
    context: CaptureContext, source: Source, outbox: Outbox, start: Start, stack: ExitStack
) -> Reconciliation:
    reconciliation = Reconciliation(
        context.config.name,
        start.state.epoch,
        context.routes,
        outbox,
        context.broker.reader,
        lambda tables: set(tables) & set(source.tables()),
        start.state.sweeps,
        context.telemetry,
    )
    stack.callback(reconciliation.close)
    reconciliation.forget_new_topics()
    return reconciliation


def _rejects(context: CaptureContext, stack: ExitStack) -> Rejects:
    letters = context.broker.dead_letters()
    stack.callback(letters.close)
    return Rejects(context.config.name, context.routes, letters, context.telemetry, context.clock)
