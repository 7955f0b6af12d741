"""Alive, stuck or dead: a worker that hangs still reports, one that is gone does not; each has a verdict of its own."""

from .state import Migration, PartitionState
from .verdicts import heard


def seconds_since_report(state: PartitionState, migration: Migration) -> float | None:
    """Since a worker that has not ended was last heard; None without one."""
    heard_ms = [worker.heard_ms for worker in migration.workers.values() if worker.outcome is None]
    return ((state.now or 0) - max(heard_ms)) / 1000 if heard_ms else None


def seconds_since_progress(state: PartitionState, migration: Migration) -> float | None:
    """Reported running time since rows were last attempted, processed or undone: neither a pause nor silence is a stall."""
    return max(0, migration.reported_running_ms - migration.progressed_running_ms) / 1000


def heard_workers(state: PartitionState, migration: Migration) -> tuple[int, int]:
    """How many workers are heard, of those that have not ended."""
    workers = [worker for worker in migration.workers.values() if worker.outcome is None]
    return sum(worker.live(state.now or 0, state.dead_after_ms) for worker in workers), len(workers)


def stuck_after_seconds(state: PartitionState, migration: Migration) -> float:
    """Running time without progress that is a stall: the floor, or eight typical gaps where those are longer."""
    judgement = state.rules.judgement
    return max(judgement.stuck_floor_seconds, judgement.stuck_gap_factor * migration.typical_gap_ms / 1000)


def stuck(state: PartitionState, migration: Migration) -> bool:
    """Whether its workers are heard and make no progress."""
    return (seconds_since_progress(state, migration) or 0.0) > stuck_after_seconds(state, migration)


def liveness(state: PartitionState, migration: Migration, live_state: str) -> str:
    """The verdict on whether it is alive; empty where nothing lives that could be."""
    report, progress = seconds_since_report(state, migration), seconds_since_progress(state, migration)
    if report is None or progress is None:
        return ""
    workers = heard(*heard_workers(state, migration))
    if live_state == "dead":
        return f"dead: seconds_since_report {report:.0f} s > {state.rules.judgement.dead_after_seconds:g} s ({workers})"
    limit = stuck_after_seconds(state, migration)
    if live_state == "stuck":
        return f"stuck: seconds_since_progress {progress:.0f} s > {limit:g} s ({workers})"
    return f"alive: seconds_since_report {report:.0f} s, seconds_since_progress {progress:.0f} s not > {limit:g} s ({workers})"
