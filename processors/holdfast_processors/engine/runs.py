"""Runs and workers: counters by worker, baselines, epochs, the end. What cannot be used is refused by name."""

from holdfast_schemas.events import (
    ErrorReported,
    ProgressReported,
    RunClosed,
    RunFinished,
    RunStarted,
    WorkerEvent,
    WorkerFinished,
)

from .panes import Pane
from .records import Rejection
from .rules import prepare
from .state import Migration, PartitionState, TriggerState, Worker

SILENT_INTERVALS = 3
MAX_METRICS = 50
"""Custom figures that are remembered of a worker, as many as one report may carry: names may be made up without end."""
WITH_START_EPOCH = (ProgressReported, RunStarted)


def admit(state: PartitionState, event: WorkerEvent, offset: int) -> tuple[Migration | None, Rejection | None]:
    """The run that this event belongs to; a new one where the log shows one. (None, None): a repeat, dropped."""
    migration = state.migrations.get(event.migration_id)
    start_epoch = event.start_epoch if isinstance(event, WITH_START_EPOCH) else None
    if migration is None:
        return _begin(state, event, start_epoch, offset), None
    if event.run_id != migration.run_id:
        if not _follows(migration, event, start_epoch):
            return migration, Rejection(
                "another-run",
                f"run {event.run_id}; {event.migration_id} is run {migration.run_id} (start epoch {migration.start_epoch})",
            )
        return _begin(state, event, start_epoch, offset), None
    if migration.closed_ms is not None:
        return migration, Rejection("closed-run", f"run {event.run_id} is closed: nothing of it is judged any more")
    if migration.finished is not None and not isinstance(event, RunStarted | ErrorReported | WorkerFinished):
        if _claims_nothing_new(migration, event):
            return None, None  # a worker that stood by reports until it hears of the end
        return migration, Rejection(
            "finished-run", f"run {event.run_id} is finished ({migration.finished}); its counters are refused"
        )
    worker = migration.workers.get(event.worker_id)
    if worker is not None and event.seq <= worker.seq:
        return None, None
    return migration, None


def _claims_nothing_new(migration: Migration, event: WorkerEvent) -> bool:
    """Whether a report only says again what its worker said before the run's end."""
    worker = migration.workers.get(event.worker_id)
    names = ("rows_processed", "rows_attempted", "error_count", "rows_undone")
    return (
        worker is not None
        and isinstance(event, ProgressReported)
        and all(getattr(worker, name) == getattr(event, name) for name in names)
    )


def _follows(migration: Migration, event: WorkerEvent, start_epoch: int | None) -> bool:
    """The higher start_epoch fences the lower; runs that were never granted follow each other by their UUIDv7."""
    if start_epoch is not None:
        return migration.start_epoch is None or start_epoch > migration.start_epoch
    over = migration.finished is not None or migration.start_epoch is None
    return isinstance(event, RunStarted | ProgressReported) and over and event.run_id > migration.run_id


def _begin(state: PartitionState, event: WorkerEvent, start_epoch: int | None, offset: int) -> Migration:
    now = state.now or 0
    migration = Migration(event.migration_id, event.run_id, now, offset, seen_ms=now)
    migration.start_epoch = start_epoch
    migration.resumed_epoch = start_epoch or 0
    if isinstance(event, RunStarted):
        migration.mode = event.mode
    elif isinstance(event, ProgressReported):
        migration.mode = "observe" if start_epoch is None else "guard"
    state.migrations[event.migration_id] = migration
    prepare(state, migration)
    return migration


def started(state: PartitionState, migration: Migration, event: RunStarted) -> None:
    """A worker's beginning: its counters start at zero, and it says what the run is about."""
    migration.mode, migration.target = event.mode, event.target
    if event.start_epoch is not None:
        migration.start_epoch = max(migration.start_epoch or 0, event.start_epoch)
    if event.total_rows is not None:  # a worker that joins only to undo says none
        migration.total_rows, migration.total_is_estimate = event.total_rows, event.total_is_estimate
    if not migration.workers:
        # What was done before this run; a worker that comes later would count what its predecessors reported again.
        migration.rows_already_done = event.rows_already_done
    worker = migration.workers.setdefault(event.worker_id, Worker(event.seq, state.now or 0))
    worker.seq, worker.heard_ms = event.seq, state.now or 0


def progressed(state: PartitionState, migration: Migration, event: ProgressReported) -> Rejection | None:
    """A report: totals by worker; what it adds goes into the windows unless it is a baseline or from before a resume."""
    now = state.now or 0
    worker = migration.workers.get(event.worker_id)
    if worker is not None and (why := _backwards(worker, event)):
        return Rejection("counters-backwards", why)
    if event.resumed_epoch > migration.resumed_epoch:
        resume(migration, event.resumed_epoch)
    first_sight = worker is None
    if worker is None:
        worker = migration.workers[event.worker_id] = Worker(event.seq, now)
    attempted = event.rows_attempted - worker.rows_attempted
    failed = event.error_count - worker.error_count
    processed = event.rows_processed - worker.rows_processed
    busy = event.busy_seconds - worker.busy_seconds
    counts = not first_sight and not worker.baseline_due
    worker.baseline_due = False
    if counts and event.resumed_epoch >= migration.resumed_epoch and event.state != "rolling_back":
        reports = 1 if attempted else 0
        pane = Pane(
            attempted, failed, failed * failed, failed * attempted, attempted * attempted, reports, processed,
            round(busy * 1e6),
        )  # fmt: skip
        for panes in migration.panes.values():
            if panes.phases and event.phase not in panes.phases:
                continue
            panes.add(now, pane)
            if event.batch_duration is not None:
                panes.sample(now, event.batch_duration)
            if panes.gauges:
                panes.gauge(now, event.metrics)
    _leave_silence_out(state, migration)
    if processed or attempted or event.rows_undone > worker.rows_undone:
        _progress_made(migration)
    _take(worker, event, now)
    _take_run(migration, event)
    return None


def _leave_silence_out(state: PartitionState, migration: Migration) -> None:
    """A stall is what reports say: time in which none came (a worker died, another came) is silence."""
    silent_ms = migration.running_ms - migration.reported_running_ms
    if silent_ms > SILENT_INTERVALS * state.rules.judgement.reporting_interval_seconds * 1000:
        migration.progressed_running_ms += silent_ms
    migration.reported_running_ms = migration.running_ms


def _progress_made(migration: Migration) -> None:
    """Note that there was progress, and how long it usually takes (eight gaps without are a stall)."""
    gap = migration.running_ms - migration.progressed_running_ms
    migration.progressed_running_ms = migration.running_ms
    migration.typical_gap_ms = (7 * migration.typical_gap_ms + gap) // 8 if migration.typical_gap_ms else gap


def _backwards(worker: Worker, event: ProgressReported) -> str | None:
    if (
        event.rows_processed >= worker.rows_processed
        and event.rows_attempted >= worker.rows_attempted
        and event.error_count >= worker.error_count
        and event.rows_undone >= worker.rows_undone
        and event.busy_seconds >= worker.busy_seconds
    ):
        return None
    for name in ("rows_processed", "rows_attempted", "error_count", "rows_undone", "busy_seconds"):
        was, found = getattr(worker, name), getattr(event, name)
        if found < was:
            return f"{name} went from {was:g} back to {found:g} (worker {event.worker_id}, seq {event.seq})"
    return None


def _take(worker: Worker, event: ProgressReported, now: int) -> None:
    worker.seq, worker.heard_ms, worker.state = event.seq, now, event.state
    worker.rows_processed, worker.rows_attempted = event.rows_processed, event.rows_attempted
    worker.error_count, worker.rows_undone = event.error_count, event.rows_undone
    worker.busy_seconds, worker.applied_epoch = event.busy_seconds, event.applied_epoch
    worker.phase, worker.phase_rows_processed = event.phase, event.phase_rows_processed
    if event.metrics:
        known = worker.metrics | event.metrics
        worker.metrics = known if len(known) <= MAX_METRICS else event.metrics


def _take_run(migration: Migration, event: ProgressReported) -> None:
    migration.phase, migration.phase_total_rows = event.phase, event.phase_total_rows
    if event.total_rows is not None:
        migration.total_rows, migration.total_is_estimate = event.total_rows, event.total_is_estimate
    if event.start_epoch is not None:
        migration.start_epoch = max(migration.start_epoch or 0, event.start_epoch)


def resume(migration: Migration, epoch: int) -> None:
    """Protocol 15: a risen resumed_epoch empties the run's windows, and only that does."""
    migration.resumed_epoch = epoch
    for panes in migration.panes.values():
        panes.empty()
    migration.triggers = {i: TriggerState() for i in migration.triggers}


def worker_finished(state: PartitionState, migration: Migration, event: WorkerFinished) -> None:
    """The worker's end, not the run's: the ledger alone ends runs."""
    worker = migration.workers.setdefault(event.worker_id, Worker(event.seq, state.now or 0))
    worker.seq, worker.heard_ms, worker.outcome = event.seq, state.now or 0, event.outcome


def run_finished(state: PartitionState, event: RunFinished) -> Rejection | None:
    """Counters are refused from here on."""
    migration = state.migrations.get(event.migration_id)
    if migration is None or migration.run_id != event.run_id:
        return Rejection("another-run", f"RunFinished of run {event.run_id}, which is not the one judged here")
    if migration.finished is None:  # the relay repeats itself: the watch window began with the first
        migration.finished, migration.finished_ms = event.outcome, state.now
    return None


def run_closed(state: PartitionState, event: RunClosed) -> Rejection | None:
    """Protocol 10: shrink to a stub of (run_id, start_epoch); what is not newer than it is refused from here on."""
    migration = state.migrations.get(event.migration_id)
    if migration is None or migration.run_id != event.run_id:
        return Rejection("another-run", f"RunClosed of run {event.run_id}, which is not the one judged here")
    if migration.closed_ms is not None:
        return None
    migration.finished = migration.finished or "completed"
    migration.closed_ms = state.now
    migration.workers.clear()
    migration.panes.clear()
    migration.triggers.clear()
    return None
