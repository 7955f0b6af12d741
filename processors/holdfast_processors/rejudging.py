"""One partition's log judged again: the engine, and the reference beside it, from where the rules are known."""

from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast_schemas.decisions import Decision
from holdfast_schemas.errors import Undecodable
from holdfast_schemas.events import Event, RunClosed, RunFinished, Tick, TriggersApplied, WorkerEvent
from holdfast_schemas.metrics import MigrationMetrics
from holdfast_schemas.record import to_milliseconds
from holdfast_schemas.transport import topics
from holdfast_schemas.transport.codec import decode

from .engine.records import LogRecord, Output
from .engine.state import PartitionState
from .reference import Conclusion, Reference, judged

Step = Callable[[PartitionState, LogRecord], Output]


@dataclass(slots=True)
class Rejudged:
    """What one partition's log gives. ``segments``: first offset, last offset, judged, reason."""

    decisions: dict[str, Decision] = field(default_factory=dict)
    figures: dict[tuple[str, int], MigrationMetrics] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    segments: list[tuple[int, int, bool, str]] = field(default_factory=list)
    rejected: int = 0
    last_offset: int = -1
    last_ms: int = 0
    ticks: list[tuple[int, int]] = field(default_factory=list)
    whole: bool = True
    judged_from: int = 0
    judged_from_ms: int = 0
    runs: dict[tuple[str, str], bool] = field(default_factory=dict)
    """Runs seen, and whether their beginning is in the log."""

    def knows_run(self, migration_id: str, run_id: str) -> bool:
        """Whether the log holds the run's beginning, so that its counters and windows are known."""
        return self.runs.get((migration_id, run_id), self.whole)

    def judges(self, decision: Decision) -> bool:
        """Whether the log that was read suffices to say that this decision follows from it."""
        at = decision.tripped_by.offset
        if not self.judged_from <= at <= self.last_offset:
            return False
        if self.whole:
            return True
        heard_ms = to_milliseconds(decision.decided_at) - self.judged_from_ms
        of_target = decision.metric == "response_time_p95" or decision.metric.startswith("target.")
        health_known = not of_target or heard_ms > decision.window_seconds * 1000
        return health_known and self.knows_run(decision.migration_id, decision.run_id)

    def judges_figures(self, metrics: MigrationMetrics) -> bool:
        """Figures of a truncated log lack what came before it."""
        return self.whole and metrics.last_offset <= self.last_offset

    def watched_end(self, watched: int | None, publishing_ms: int) -> int:
        """Up to which offset every decision must be on record: the last Watched's Tick, else a Tick old enough."""
        if watched is not None:
            return watched
        return max((offset for offset, ms in self.ticks if ms <= self.last_ms - publishing_ms), default=-1)


def rejudge(log: list[LogRecord], step: Step, wanted: set[tuple[str, int]]) -> Rejudged:
    """Judge a partition's records; of the figures only the ``wanted`` ones (migration, last offset) are kept."""
    start = max((i for i in range(1, len(log)) if log[i].offset != log[i - 1].offset + 1), default=0)
    result = Rejudged(whole=log[0].offset == 0 and start == 0)
    events = [_decoded(record) for record in log]
    if start:
        missing = f"offsets {log[start - 1].offset + 1} to {log[start].offset - 1} are not in the log"
        result.segments.append((log[0].offset, log[start - 1].offset, False, missing))
    state, reference = PartitionState(log[0].partition), Reference()
    begin = start
    if not result.whole:
        begin = next((i for i in range(start, len(log)) if isinstance(events[i], TriggersApplied)), len(log))
        state.log_id = next((e.log_id for e in events[start:] if isinstance(e, Tick)), None)
        if begin > start:
            reason = "truncated log: the rules in force are not known yet"
            result.segments.append((log[start].offset, log[begin - 1].offset, False, reason))
    result.last_offset, result.last_ms = log[-1].offset, max(record.timestamp for record in log)
    if begin == len(log):
        result.judged_from = log[-1].offset + 1
        return result
    result.judged_from, result.judged_from_ms = log[begin].offset, log[begin].timestamp
    why = "from the log's beginning" if result.whole else "truncated log: runs that began earlier are not judged"
    result.segments.append((log[begin].offset, log[-1].offset, True, why))
    mine: list[Conclusion] = []
    others: list[Conclusion] = []
    for record, event in zip(log[begin:], events[begin:], strict=True):
        _note(result, record, event)
        output = step(state, record)
        result.rejected += output.rejected is not None
        for metrics in output.metrics:
            if (key := (metrics.migration_id, metrics.last_offset)) in wanted:
                result.figures[key] = metrics
        for decision in output.decisions:
            result.decisions[decision.decision_id] = decision
            if decision.kind == "breach" and decision.metric == "error_rate" and _by_reference(state, decision):
                mine.append(_conclusion(decision))
        if event is not None:
            others += reference.read(record.offset, record.timestamp, event.model_dump())
    _compare(result, state, reference, mine, others)
    return result


def _decoded(record: LogRecord) -> Event | None:
    try:
        return decode(topics.events, record.value, record.key)
    except Undecodable:
        return None


def _note(result: Rejudged, record: LogRecord, event: Event | None) -> None:
    if isinstance(event, Tick):
        result.ticks.append((record.offset, record.timestamp))
    elif isinstance(event, WorkerEvent | RunFinished | RunClosed):
        begins = result.whole or event.type == "RunStarted"
        result.runs.setdefault((event.migration_id, event.run_id), begins)


def _by_reference(state: PartitionState, decision: Decision) -> bool:
    return any(t.id == decision.trigger_id and judged(t) for t in state.rules.triggers)


def _conclusion(d: Decision) -> Conclusion:
    return (d.migration_id, d.run_id, d.trigger_id, d.action, d.episode.offset, d.reassertion, d.k or 0, d.n or 0)


def _compare(
    result: Rejudged, state: PartitionState, reference: Reference, mine: list[Conclusion], others: list[Conclusion]
) -> None:
    for one, lacks in ((mine, others), (others, mine)):
        who = "engine" if one is mine else "reference"
        for c in sorted(set(one) - set(lacks)):
            result.faults.append(
                f"only the {who} concludes {c[2]} ({c[3]}) on {c[0]} from offset {c[4]}, reassertion {c[5]}: {c[6]} of {c[7]}"
            )
    for migration_id, totals in reference.totals().items():
        migration = state.migrations.get(migration_id)
        for name, expected in totals.items():
            found = None if migration is None else sum(getattr(w, name) for w in migration.workers.values())
            if found != expected:
                result.faults.append(f"{migration_id}: the engine counts {name} {found}, the reference {expected:g}")
