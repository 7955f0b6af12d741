"""``step``: one record of holdfast.events into one partition's state, and what follows from it."""

from holdfast_schemas.errors import Undecodable
from holdfast_schemas.events import (
    CalibrationApplied,
    ErrorReported,
    Event,
    HealthSampled,
    ProgressReported,
    RunClosed,
    RunFinished,
    RunStarted,
    Tick,
    TriggersApplied,
    WorkerEvent,
    WorkerFinished,
)
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import decode

from . import clock, health, rules, runs
from .figures import due, figures
from .judging import judge
from .records import LogRecord, Output, Rejection
from .state import PARTITION_KEY, Migration, PartitionState

OF_A_RUN = (WorkerEvent, RunFinished, RunClosed)
ERROR_CHARACTERS = 1_000
"""Of what is said of a record that cannot be used: it may quote what a stranger sent."""


def step(state: PartitionState, record: LogRecord) -> Output:
    """Judge one record. Never raises for what a record holds: what cannot be used is ``rejected``, by name."""
    output = Output()
    replayed = record.offset <= state.kept_offset
    clock.advance(state, record)
    try:
        event = decode(topics.events, record.value, record.key)
    except Undecodable as why:
        if not replayed:
            output.rejected = Rejection(why.reason, str(why)[:ERROR_CHARACTERS])
        return output
    if isinstance(event, OF_A_RUN):
        _run_event(state, event, record, output)
    elif not replayed:
        _broadcast(state, event, record, output)
    return output


def _broadcast(state: PartitionState, event: Event, record: LogRecord, output: Output) -> None:
    output.touched.add(PARTITION_KEY)
    match event:
        case Tick():
            output.rejected = clock.tick(state, event, record.offset)
            output.tick = output.rejected is None
            if output.tick:
                _deadlines(state, record, output)
        case TriggersApplied():
            before = state.rules_version
            output.rejected = rules.apply(state, event, record.offset)
            if state.rules_version != before:
                output.urgent.add(PARTITION_KEY)
        case HealthSampled():
            health.sampled(state, event)
        case CalibrationApplied():
            pass  # reserved: the estimator that it calibrates comes later
        case _:
            raise AssertionError(event.type)


def _run_event(
    state: PartitionState, event: WorkerEvent | RunFinished | RunClosed, record: LogRecord, output: Output
) -> None:
    migration = state.migrations.get(event.migration_id)
    if record.offset <= max(state.kept_offset, -1 if migration is None else migration.offset):
        return  # protocol 3: what this state includes already
    before = (migration.run_id, migration.finished, migration.closed_ms) if migration else None
    rejected: Rejection | None
    if isinstance(event, WorkerEvent):
        migration, rejected = runs.admit(state, event, record.offset)
        if migration is None:
            return
        if rejected is None:
            clock.run_on(state, migration)
            rejected = _worker_event(state, migration, event)
    else:
        rejected = runs.run_finished(state, event) if isinstance(event, RunFinished) else runs.run_closed(state, event)
        migration = state.migrations.get(event.migration_id)
    if rejected is not None:
        output.rejected = rejected
        if migration is not None:
            migration.refused_records += 1
            output.touched.add(event.migration_id)
        return
    assert migration is not None
    output.touched.add(event.migration_id)
    if before != (migration.run_id, migration.finished, migration.closed_ms):
        output.urgent.add(event.migration_id)
    _judge(state, migration, record, output, at_tick=False)


def _worker_event(state: PartitionState, migration: Migration, event: WorkerEvent) -> Rejection | None:
    match event:
        case ProgressReported():
            return runs.progressed(state, migration, event)
        case RunStarted():
            runs.started(state, migration, event)
        case WorkerFinished():
            runs.worker_finished(state, migration, event)
        case ErrorReported():
            if worker := migration.workers.get(event.worker_id):
                worker.seq, worker.heard_ms = event.seq, state.now or 0
    return None


def _deadlines(state: PartitionState, record: LogRecord, output: Output) -> None:
    """At a Tick: `for`, re-assertion, missing signals, and the end of what is remembered of a closed run."""
    now = state.now or 0
    health.forget(state)
    for key in sorted(state.migrations):  # in the same order, whichever was loaded first
        migration = state.migrations[key]
        if record.offset <= migration.offset:
            continue  # protocol 3: replayed, and judged before
        if migration.closed_ms is not None:
            if now - migration.closed_ms > state.rules.judgement.stub_seconds * 1000:
                del state.migrations[key]
                output.touched.add(key)
            continue
        clock.run_on(state, migration)
        _judge(state, migration, record, output, at_tick=True)


def _judge(state: PartitionState, migration: Migration, record: LogRecord, output: Output, *, at_tick: bool) -> None:
    if migration.closed_ms is not None:
        return
    decisions, changed = judge(state, migration, record, at_tick=at_tick)
    output.decisions += decisions
    if decisions or changed:  # kept at once: an episode that is forgotten would be decided on again
        output.urgent.add(migration.migration_id)
    output.touched.add(migration.migration_id)
    if due(state, migration):
        output.metrics.append(figures(state, migration))
