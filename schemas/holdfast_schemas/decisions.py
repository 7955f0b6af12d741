"""holdfast.decisions: what a trigger concluded from the log, with everything that it concluded it from.

Log time only, no wall clock and no worker's name: the same log gives the same bytes.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from .identity import LogId, MigrationId, RunId, TargetName, TriggerId
from .record import Count, Frozen, KeptRecord, Text, UtcTime
from .states import Mode, TriggerAction
from .triggers import Metric, Op

DecisionId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
DecisionKind = Literal["breach", "missing"]


class LogPosition(Frozen):
    """A record's place in a log, and the time that the broker gave it."""

    log_id: LogId
    partition: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)]
    logged_at: UtcTime


class MetricsSnapshot(Frozen):
    """What the engine knew of the migration when it decided."""

    rows_processed: Count
    total_rows: Count | None
    rows_attempted: Count
    error_count: Count
    error_rate: float | None
    rows_per_second: float | None
    estimated_completion: UtcTime | None


class Decision(KeptRecord):
    """A trigger's conclusion; the actuator decides what becomes of it (ActionRecorded)."""

    type: Literal["Decision"] = "Decision"
    decision_id: DecisionId
    migration_id: MigrationId
    run_id: RunId
    target: TargetName | None
    mode: Mode
    trigger_id: TriggerId
    trigger_mode: Literal["enforce", "shadow"] = "enforce"
    kind: DecisionKind
    action: TriggerAction
    metric: Metric
    op: Op
    threshold: float
    """In the metric's unit; of estimated_completion the limit in seconds from the run's start, as ``observed`` is."""
    observed: float | None
    """None when the signal is missing: a missing signal is never a zero."""
    window_seconds: float
    k: Count | None
    """Of the ``n`` units in the window (rows, samples), those that failed or exceeded the threshold."""
    n: Count | None
    verdict: Text
    episode: LogPosition
    """The record that opened the breach."""
    tripped_by: LogPosition
    """The record at which this decision fell: the episode's own, a deadline's Tick, or a re-assertion's."""
    reassertion: Count
    decided_at: UtcTime
    """Log time: the engine's clock when it decided."""
    based_on_epoch: Count
    """The lowest resumed_epoch among the reports in the windows: a resume above it supersedes this decision."""
    start_epoch: Count | None
    rules_version: Count
    rules_hash: str
    engine_version: str
    superseded_by: DecisionId | None = None
    """A severer decision that fell on the same event."""
    metrics: MetricsSnapshot
    evidence: dict[str, Any] | None = None

    def key(self) -> str:
        return self.migration_id

    def identity(self) -> str:
        return self.decision_id

    def time(self) -> datetime:
        return self.decided_at
