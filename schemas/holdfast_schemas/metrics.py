"""holdfast.metrics: each migration as the engine sees it, at most once a second and at each change of state."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from .identity import LogId, MigrationId, RunId, TargetName, TriggerId
from .record import Count, Frozen, Record, SchemaVersion, Seconds, Text, UtcTime
from .states import Mode, RunOutcome, TriggerAction
from .triggers import Metric, Op

Reading = Literal["ok", "breach", "tripped", "too_few", "absent", "missing", "no_data", "not_judged"]
"""absent: never seen in this run. missing: was there, went silent. no_data: nothing in the window (yet).
not_judged: the trigger holds in other phases or hours."""

EstimateState = Literal["measuring", "ready", "overdue", "diverging", "unknown_total", "paused", "done"]
LiveState = Literal["running", "paused", "rolling_back", "stuck", "dead", "finished"]


class TriggerReading(Frozen):
    """One trigger's view, in the words of its verdict; the three rates are over a sixth, one and five windows."""

    trigger_id: TriggerId
    metric: Metric
    op: Op
    threshold: float
    """In the metric's unit; of estimated_completion the limit in seconds from the run's start, as ``observed`` is."""
    action: TriggerAction
    reading: Reading
    observed: float | None
    fast: float | None
    slow: float | None
    k: Count | None
    n: Count | None
    verdict: Text


class Estimate(Frozen):
    """When the migration ends: the pace at two scales gives the range, and the text says which state it is in."""

    state: EstimateState
    earliest: UtcTime | None = None
    expected: UtcTime | None = None
    latest: UtcTime | None = None


class MigrationMetrics(Record):
    """A migration's newest figures. ``average_processing_time`` is seconds a row: busy_seconds / rows_attempted."""

    type: Literal["MigrationMetrics"] = "MigrationMetrics"
    schema_version: SchemaVersion = "1.1"
    migration_id: MigrationId
    run_id: RunId
    target: TargetName | None
    mode: Mode
    state: LiveState
    outcome: RunOutcome | None = None
    start_time: UtcTime
    """Log time of the run's first record."""
    updated_at: UtcTime
    """Log time of the newest record read."""
    current_phase: str | None
    phase_rows_processed: Count = 0
    phase_total_rows: Count | None = None
    liveness: Text = ""
    """Whether it is alive, stuck (heard, no progress) or dead (not heard), as a verdict."""
    seconds_since_report: float | None = None
    """Since a worker that has not ended was last heard; None without one."""
    seconds_since_progress: float | None = None
    """Running time since rows were last attempted, processed or undone: a pause is not a stall."""
    running_seconds: Seconds = 0.0
    """Time in which a live worker reported state running."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """The newest custom figures that reports carried; of several workers that said one, the mean."""
    rows_processed: Count
    rows_already_done: Count = 0
    total_rows: Count | None
    total_is_estimate: bool = False
    total_exceeded: bool = False
    """More rows were processed than the total says: the total was wrong."""
    rows_attempted: Count
    error_count: Count
    rows_undone: Count = 0
    average_processing_time: Seconds | None
    error_rate: float | None
    """Over the default window of the first error_rate trigger (60 s without one); None where nothing was attempted."""
    rows_per_second: float | None
    batch_duration_p95_ms: float | None
    response_time_p95_ms: float | None
    estimated_completion: UtcTime | None
    estimate: Estimate
    workers: Annotated[int, Field(ge=0)]
    workers_live: Annotated[int, Field(ge=0)]
    start_epoch: Count | None
    applied_epoch: Count
    resumed_epoch: Count
    triggers: tuple[TriggerReading, ...]
    rules_version: Count
    log_id: LogId | None
    partition: Count
    last_offset: Annotated[int, Field(ge=-1)]
    engine_version: str | None = None
    refused_records: Count = 0
    """Records of this migration that went to the dead letters."""

    def key(self) -> str:
        return self.migration_id

    def identity(self) -> str:
        return f"{self.run_id}/{self.log_id}/{self.partition}/{self.last_offset}"

    def time(self) -> datetime:
        return self.updated_at
