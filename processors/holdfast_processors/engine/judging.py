"""Triggers judged: episodes open, mature, are re-asserted and close (protocol 5, 6, 17); the severest acts."""

from holdfast_schemas.decisions import Decision, DecisionKind, LogPosition, MetricsSnapshot
from holdfast_schemas.identity import decision_id
from holdfast_schemas.record import from_milliseconds
from holdfast_schemas.states import TriggerAction
from holdfast_schemas.triggers import SEVERITY, Trigger

from . import ENGINE_VERSION, verdicts
from .clock import blind
from .completion import threshold_of
from .estimator import estimate
from .readings import breaches, read
from .records import LogRecord
from .rules import display_panes
from .seen import Seen
from .state import Episode, Migration, PartitionState, TriggerState

SILENCE = "seconds_since_report"


def judge(
    state: PartitionState, migration: Migration, record: LogRecord, *, at_tick: bool
) -> tuple[list[Decision], bool]:
    """Judge every trigger of one migration at this record: the decisions, and whether an episode opened or closed.

    Decisions are in the order of the rules, losers marked.
    """
    decisions: list[Decision] = []
    if migration.closed_ms is not None or _watch_window_over(state, migration):
        return decisions, False
    changed = False
    for rule in state.judged if at_tick else state.judged_by_report:
        if rule.placed and not rule.trigger.concerns(migration.migration_id, migration.target):
            continue
        memory = migration.triggers[rule.trigger.id]
        before = memory.breach, memory.missing
        if not at_tick and not breaches(state, migration, rule):
            memory.breach = None
            changed = changed or before[0] is not None
            continue
        seen = read(state, migration, rule)
        if (decision := _breach(state, migration, rule.trigger, memory, seen, record)) is not None:
            decisions.append(decision)
        if at_tick and (decision := _missing(state, migration, rule.trigger, memory, seen, record)) is not None:
            decisions.append(decision)
        changed = changed or before != (memory.breach, memory.missing)
    return _severest_acts(decisions), changed


def _watch_window_over(state: PartitionState, migration: Migration) -> bool:
    if migration.finished_ms is None:
        return False
    return (state.now or 0) - migration.finished_ms > state.rules.judgement.watch_window_seconds * 1000


def _applies(state: PartitionState, migration: Migration, trigger: Trigger) -> bool:
    """Protocol 6 and 17: own counters only while a worker runs (and not after the end); an undo is judged to warn only."""
    if migration.rolling_back() and trigger.action != "warn":
        return False
    if trigger.metric == SILENCE:
        return migration.finished is None and not blind(state)
    if trigger.of_target:
        return migration.finished is not None or migration.running(state.now or 0, state.dead_after_ms)
    return migration.finished is None and migration.running(state.now or 0, state.dead_after_ms)


def _breach(
    state: PartitionState, migration: Migration, trigger: Trigger, memory: TriggerState, seen: Seen, record: LogRecord
) -> Decision | None:
    if seen.reading != "breach":
        memory.breach = None
        return None
    if not _applies(state, migration, trigger):
        return None
    now = state.now or 0
    episode = memory.breach
    if episode is None:
        episode = memory.breach = Episode(record.offset, now, migration.running_ms)
    if episode.decided_ms is None:
        # `for` counts running time, so that a pause that worked ripens nothing; silence runs by no worker's time.
        lasted = (
            now - episode.opened_ms if trigger.metric == SILENCE else migration.running_ms - episode.opened_running_ms
        )
        if lasted < trigger.for_seconds * 1000:
            return None
    elif now - episode.decided_ms < state.rules.judgement.reassert_seconds * 1000:
        return None
    else:
        episode.reassertion += 1
    episode.decided_ms = now
    return _decision(state, migration, trigger, "breach", trigger.action, seen, episode, record)


def _missing(
    state: PartitionState, migration: Migration, trigger: Trigger, memory: TriggerState, seen: Seen, record: LogRecord
) -> Decision | None:
    """Protocol 5: a signal that was there and went silent; decides once, never beyond the trigger's own action."""
    now = state.now or 0
    if trigger.metric == SILENCE:
        return None  # its signal is the silence
    if trigger.of_target:
        silent = seen.reading == "missing" and migration.finished is None
    else:
        silent = (
            migration.finished is None
            and any(w.outcome is None for w in migration.workers.values())
            and not any(w.live(now, state.dead_after_ms) for w in migration.workers.values())
        )
    if not silent:
        memory.missing = None
        return None
    if memory.missing is not None or blind(state) or trigger.on_missing == "ignore":
        return None
    action: TriggerAction = min(trigger.on_missing, trigger.action, key=lambda a: SEVERITY[a])
    if migration.rolling_back() and action != "warn":
        return None  # protocol 17
    memory.missing = Episode(record.offset, now, migration.running_ms, now)
    if not trigger.of_target:
        silent_ms = now - max(w.heard_ms for w in migration.workers.values())
        seen = Seen("missing", lambda: verdicts.unheard(trigger, silent_ms))
    return _decision(state, migration, trigger, "missing", action, seen, memory.missing, record)


def _decision(
    state: PartitionState,
    migration: Migration,
    trigger: Trigger,
    kind: DecisionKind,
    action: TriggerAction,
    seen: Seen,
    episode: Episode,
    record: LogRecord,
) -> Decision:
    log_id = state.log_id or UNNAMED_LOG
    position = LogPosition(
        log_id=log_id, partition=state.partition, offset=episode.offset, logged_at=from_milliseconds(episode.opened_ms)
    )
    tripped = LogPosition(
        log_id=log_id, partition=state.partition, offset=record.offset, logged_at=from_milliseconds(record.timestamp)
    )
    return Decision(
        decision_id=decision_id(
            migration.migration_id,
            migration.run_id,
            trigger.id,
            kind,
            log_id,
            state.partition,
            episode.offset,
            episode.reassertion,
        ),
        migration_id=migration.migration_id,
        run_id=migration.run_id,
        target=migration.target,
        mode=migration.mode,
        trigger_id=trigger.id,
        trigger_mode=trigger.mode,
        kind=kind,
        action=action,
        metric=trigger.metric,
        op=trigger.op,
        threshold=threshold_of(trigger, migration),
        observed=seen.observed if kind == "breach" else None,
        window_seconds=trigger.window_seconds,
        k=seen.k,
        n=seen.n,
        verdict=seen.verdict,
        episode=position,
        tripped_by=tripped,
        reassertion=episode.reassertion,
        decided_at=from_milliseconds(state.now or 0),
        based_on_epoch=migration.resumed_epoch,
        start_epoch=migration.start_epoch,
        rules_version=state.rules_version,
        rules_hash=state.rules_hash,
        engine_version=ENGINE_VERSION,
        metrics=_snapshot(state, migration),
    )


UNNAMED_LOG = "00000000-0000-0000-0000-000000000000"
"""Stands in decisions that fall before the partition's first Tick."""


def _snapshot(state: PartitionState, migration: Migration) -> MetricsSnapshot:
    total = display_panes(state, migration).total(state.now or 0)
    return MetricsSnapshot(
        rows_processed=migration.total_of("rows_processed"),
        total_rows=migration.total_rows,
        rows_attempted=migration.total_of("rows_attempted"),
        error_count=migration.total_of("error_count"),
        error_rate=total.k / total.n if total.n else None,
        rows_per_second=total.rows * 1000 / total.active_ms if total.active_ms else None,
        estimated_completion=estimate(state, migration).expected,
    )


def _severest_acts(decisions: list[Decision]) -> list[Decision]:
    """On one event the severest action acts; the others name it in ``superseded_by``."""
    if len(decisions) < 2:
        return decisions
    enforced = [d for d in decisions if d.trigger_mode == "enforce"]
    if not enforced:
        return decisions
    winner = max(enforced, key=lambda d: SEVERITY[d.action])
    return [
        d
        if d.trigger_mode == "shadow" or SEVERITY[d.action] == SEVERITY[winner.action]
        else d.model_copy(update={"superseded_by": winner.decision_id})
        for d in decisions
    ]
