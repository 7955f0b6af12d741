"""A migration's figures (MigrationMetrics): at most one record a second of log time, and one at each change of state."""

from holdfast_schemas.metrics import LiveState, MigrationMetrics, TriggerReading
from holdfast_schemas.record import from_milliseconds

from . import ENGINE_VERSION
from .clock import blind
from .completion import threshold_of
from .estimator import estimate
from .liveness import liveness, seconds_since_progress, seconds_since_report, stuck
from .readings import p95_ms, read
from .rules import DEFAULT_PANES, display_panes
from .runs import MAX_METRICS
from .state import Migration, PartitionState

EVERY_MS = 1000


def live_state(state: PartitionState, migration: Migration) -> LiveState:
    """What the migration does, told from its workers: silence is dead, no progress is stuck."""
    now = state.now or 0
    if migration.finished is not None:
        return "finished"
    workers = migration.workers.values()
    live = [w for w in workers if w.outcome is None and now - w.heard_ms <= state.dead_after_ms]
    if not live:
        if not migration.workers:
            return "running"
        if all(w.outcome is not None for w in workers):
            return "finished"  # as far as the workers say; the ledger's word follows
        return "running" if blind(state) else "dead"
    if any(w.state == "rolling_back" for w in live):
        return "rolling_back"
    if not migration.running(now, state.dead_after_ms):
        return "paused"
    return "stuck" if stuck(state, migration) and not blind(state) else "running"


def due(state: PartitionState, migration: Migration) -> bool:
    """Whether figures are to be published now; notes that they are."""
    now, is_now = state.now or 0, live_state(state, migration)
    if is_now == migration.published_state and now - migration.published_ms < EVERY_MS:
        return False
    migration.published_ms, migration.published_state = now, is_now
    return True


def figures(state: PartitionState, migration: Migration) -> MigrationMetrics:
    """The figures now."""
    now = state.now or 0
    panes = display_panes(state, migration)
    total = panes.total(now)
    live = live_state(state, migration)
    attempted, processed = migration.total_of("rows_attempted"), migration.total_of("rows_processed")
    busy = sum(w.busy_seconds for w in migration.workers.values())
    estimated = estimate(state, migration)
    done = processed + migration.rows_already_done
    target = state.targets.get(migration.target or "")
    return MigrationMetrics(
        migration_id=migration.migration_id,
        run_id=migration.run_id,
        target=migration.target,
        mode=migration.mode,
        state=live,
        outcome=migration.finished,
        start_time=from_milliseconds(migration.started_ms),
        updated_at=from_milliseconds(now),
        current_phase=migration.phase,
        phase_rows_processed=sum(
            w.phase_rows_processed for w in migration.workers.values() if w.phase == migration.phase
        ),
        phase_total_rows=migration.phase_total_rows,
        liveness=liveness(state, migration, live),
        seconds_since_report=seconds_since_report(state, migration),
        seconds_since_progress=seconds_since_progress(state, migration),
        running_seconds=migration.running_ms / 1000,
        metrics=_custom(migration),
        rows_processed=processed,
        rows_already_done=migration.rows_already_done,
        total_rows=migration.total_rows,
        total_is_estimate=migration.total_is_estimate,
        total_exceeded=migration.total_rows is not None and done > migration.total_rows,
        rows_attempted=attempted,
        error_count=migration.total_of("error_count"),
        rows_undone=migration.total_of("rows_undone"),
        average_processing_time=busy / attempted if attempted else None,
        error_rate=total.k / total.n if total.n else None,
        rows_per_second=total.rows * 1000 / total.active_ms if total.active_ms else None,
        batch_duration_p95_ms=p95_ms(panes.samples(now)),
        response_time_p95_ms=p95_ms(target.panes[DEFAULT_PANES].samples(now)) if target else None,
        estimated_completion=estimated.expected,
        estimate=estimated,
        workers=len(migration.workers),
        workers_live=sum(w.live(now, state.dead_after_ms) for w in migration.workers.values()),
        start_epoch=migration.start_epoch,
        applied_epoch=max((w.applied_epoch for w in migration.workers.values()), default=0),
        resumed_epoch=migration.resumed_epoch,
        triggers=tuple(_readings(state, migration)),
        rules_version=state.rules_version,
        log_id=state.log_id,
        partition=state.partition,
        last_offset=state.position - 1,
        engine_version=ENGINE_VERSION,
        refused_records=migration.refused_records,
    )


def _custom(migration: Migration) -> dict[str, float]:
    """The newest value of each custom figure; of several workers that said one, the mean."""
    said: dict[str, list[float]] = {}
    for worker in migration.workers.values():
        for name, value in worker.metrics.items():
            said.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in sorted(said.items())[:MAX_METRICS]}


def _readings(state: PartitionState, migration: Migration) -> list[TriggerReading]:
    found = []
    for rule in state.judged:
        trigger = rule.trigger
        if not trigger.concerns(migration.migration_id, migration.target):
            continue
        seen = read(state, migration, rule, scales=True)
        breach = migration.triggers[trigger.id].breach
        tripped = seen.reading == "breach" and breach is not None and breach.decided_ms is not None
        found.append(
            TriggerReading(
                trigger_id=trigger.id,
                metric=trigger.metric,
                op=trigger.op,
                threshold=threshold_of(trigger, migration),
                action=trigger.action,
                reading="tripped" if tripped else seen.reading,
                observed=seen.observed,
                fast=seen.fast,
                slow=seen.slow,
                k=seen.k,
                n=seen.n,
                verdict=seen.verdict,
            )
        )
    return found
