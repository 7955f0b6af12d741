"""The state of a partition: its migrations, its targets' health, and the rules in force. Plain data."""

from dataclasses import dataclass, field
from typing import Literal

from holdfast_schemas.states import Mode, RunOutcome, WorkerOutcome, WorkerState
from holdfast_schemas.triggers import DEFAULT_RULES, DEFAULT_RULES_HASH, RuleSet

from .panes import Panes
from .rule import compiled

PARTITION_KEY = "~partition"
TARGET_PREFIX = "~target/"


@dataclass(slots=True)
class Worker:
    """One worker's cumulative counters, as its newest report said them."""

    seq: int
    heard_ms: int
    state: WorkerState = "running"
    rows_processed: int = 0
    rows_attempted: int = 0
    error_count: int = 0
    rows_undone: int = 0
    busy_seconds: float = 0.0
    applied_epoch: int = 0
    outcome: WorkerOutcome | None = None
    phase: str | None = None
    phase_rows_processed: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    """Custom figures, as its newest report said them."""
    baseline_due: bool = False
    """After a gap in the log: the next report is a baseline, its rows are in no window."""

    def live(self, now_ms: int, dead_after_ms: float) -> bool:
        """Not finished, and heard lately."""
        return self.outcome is None and now_ms - self.heard_ms <= dead_after_ms


@dataclass(slots=True)
class Episode:
    """A breach under way: the record that opened it, and what was decided on it."""

    offset: int
    opened_ms: int
    opened_running_ms: int
    decided_ms: int | None = None
    reassertion: int = 0


@dataclass(slots=True)
class TriggerState:
    """One trigger's memory in one migration."""

    breach: Episode | None = None
    missing: Episode | None = None
    suspect_since: int | None = None
    confirm_n: int = 0
    confirm_k: int = 0


@dataclass(slots=True)
class Migration:
    """One migration's run, as the log tells it."""

    migration_id: str
    run_id: str
    started_ms: int
    offset: int
    mode: Mode = "guard"
    target: str | None = None
    start_epoch: int | None = None
    resumed_epoch: int = 0
    total_rows: int | None = None
    total_is_estimate: bool = False
    rows_already_done: int = 0
    phase: str | None = None
    phase_total_rows: int | None = None
    workers: dict[str, Worker] = field(default_factory=dict)
    panes: dict[str, Panes] = field(default_factory=dict)
    """By scope.panes_key."""
    triggers: dict[str, TriggerState] = field(default_factory=dict)
    running_ms: int = 0
    active_ms: int = 0
    seen_ms: int = 0
    reported_running_ms: int = 0
    """``running_ms`` at the newest report: what has passed since is silence, not a stall."""
    progressed_running_ms: int = 0
    """``running_ms`` when rows were last attempted, processed or undone."""
    typical_gap_ms: int = 0
    """Running time between two such reports, smoothed."""
    finished: RunOutcome | None = None
    finished_ms: int | None = None
    closed_ms: int | None = None
    refused_records: int = 0
    published_ms: int = 0
    published_state: str = ""

    def total_of(self, what: Literal["rows_processed", "rows_attempted", "error_count", "rows_undone"]) -> int:
        """A counter over all workers."""
        return sum(getattr(worker, what) for worker in self.workers.values())

    def running(self, now_ms: int, dead_after_ms: float) -> bool:
        """Whether a live worker reports state running."""
        for worker in self.workers.values():  # called for every record: a generator would cost more than it does
            if worker.state == "running" and worker.outcome is None and now_ms - worker.heard_ms <= dead_after_ms:
                return True
        return False

    def rolling_back(self) -> bool:
        """Whether a worker that has not ended takes the run back."""
        return any(w.state == "rolling_back" and w.outcome is None for w in self.workers.values())


@dataclass(slots=True)
class Target:
    """The health of one target, from the samples of its reporters."""

    name: str
    sampled_ms: int
    offset: int = -1
    """Always -1: a target is kept in the partition's record, at the partition's offset."""
    seqs: dict[str, int] = field(default_factory=dict)
    """The newest sample's seq of each reporter."""
    heard_ms: dict[str, int] = field(default_factory=dict)
    """When each reporter was last heard."""
    response_ms: int | None = None
    """When response times were last sampled, or that there were none."""
    metrics_ms: dict[str, int] = field(default_factory=dict)
    """When each custom figure was last sampled."""
    panes: dict[str, Panes] = field(default_factory=dict)


class PartitionState:
    """Everything that one partition's judgement knows. ``position`` is the offset of the next record."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.position = 0
        self.started = False
        self.kept_offset = -1
        self.log_id: str | None = None
        self.rules = DEFAULT_RULES
        self.rules_version = 0
        self.rules_hash = DEFAULT_RULES_HASH
        self.now: int | None = None
        self.last_tick: tuple[int, int] | None = None
        self.blind_until_ms = 0
        self.log_gaps = 0
        self.migrations: dict[str, Migration] = {}
        self.targets: dict[str, Target] = {}

    @property
    def rules(self) -> RuleSet:
        """The rules in force."""
        return self._rules

    @rules.setter
    def rules(self, rules: RuleSet) -> None:
        self._rules, self.judged = rules, compiled(rules)
        self.judged_by_report = tuple(rule for rule in self.judged if rule.by_report)
        self.dead_after_ms = rules.judgement.dead_after_seconds * 1000

    def fresh_targets(self) -> tuple[str, ...]:
        """Targets whose newest sample is recent enough to judge by."""
        fresh_ms = self.rules.judgement.health_fresh_seconds * 1000
        now = self.now or 0
        return tuple(sorted(t.name for t in self.targets.values() if now - t.sampled_ms <= fresh_ms))
