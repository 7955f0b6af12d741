"""Protocol 1: time is in the log. The engine's clock is the greatest log time read; a Tick lets deadlines pass."""

from holdfast_schemas.events import Tick

from .records import LogRecord, Rejection
from .state import Migration, PartitionState


def advance(state: PartitionState, record: LogRecord) -> None:
    """Read the record's time."""
    if state.started and record.offset > state.position:
        _log_gap(state, record.offset)
    state.started = True
    state.position = record.offset + 1
    state.now = record.timestamp if state.now is None else max(state.now, record.timestamp)


def _log_gap(state: PartitionState, offset: int) -> None:
    """Protocol 2: retention passed what was not read. Nobody knows when its rows fell: each worker's baseline begins anew."""
    state.log_gaps += 1
    for migration in state.migrations.values():
        if offset > migration.offset + 1:  # a state kept beyond the gap has read what is missing here
            for worker in migration.workers.values():
                worker.baseline_due = True


def tick(state: PartitionState, event: Tick, offset: int) -> Rejection | None:
    """A beat of the partition's owner: the first names the log. A gap between two is blind time."""
    now = state.now or 0
    if state.log_id is None:
        state.log_id = event.log_id
    elif event.log_id != state.log_id:
        return Rejection("foreign-log", f"a Tick of log {event.log_id}, but this log is {state.log_id}")
    judgement = state.rules.judgement
    if state.last_tick is not None and now - state.last_tick[1] > judgement.blind_gap_seconds * 1000:
        # Nobody judged meanwhile: what was silent then may speak within a reporting interval.
        state.blind_until_ms = now + round(max(judgement.reporting_interval_seconds, 1.0) * 2000)
    state.last_tick = (offset, now)
    return None


def blind(state: PartitionState) -> bool:
    """Whether silence proves nothing yet."""
    return (state.now or 0) < state.blind_until_ms


def run_on(state: PartitionState, migration: Migration) -> None:
    """Let the migration's running time go on to now: time in which a live worker reported running."""
    now = state.now or 0
    elapsed = now - migration.seen_ms
    if elapsed > 0 and migration.running(migration.seen_ms, state.dead_after_ms):
        migration.running_ms += elapsed
        if elapsed <= 8000:  # a longer silence is a stall: off the clock of the estimate
            migration.active_ms += elapsed
            for panes in migration.panes.values():
                if not panes.phases or migration.phase in panes.phases:
                    panes.add_active(now, elapsed)
    migration.seen_ms = max(migration.seen_ms, now)
