"""holdfast.events: what runners, samplers, processors and the ledger's relay tell the engine.

Counters and ``seq`` are cumulative per (run, worker): the engine sums workers, and a repeat or a lost report costs nothing.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from .identity import LogId, MigrationId, RunId, TargetName, WorkerId
from .record import Count, Record, Seconds, Text, UtcTime
from .sketch import LatencySketch
from .states import Mode, RunOutcome, WorkerOutcome, WorkerState

Phase = Annotated[str, StringConstraints(min_length=1, max_length=100)]
MetricName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class WorkerEvent(Record):
    """What a worker says of itself; keyed by its migration."""

    migration_id: MigrationId
    run_id: RunId
    worker_id: WorkerId
    seq: Annotated[int, Field(ge=1)]
    occurred_at: UtcTime

    def key(self) -> str:
        return self.migration_id

    def identity(self) -> str:
        return f"{self.run_id}/{self.worker_id}/{self.seq}"

    def time(self) -> datetime:
        return self.occurred_at


class RunStarted(WorkerEvent):
    """A worker begins or joins a run: what the run is about, said by each of its workers."""

    type: Literal["RunStarted"] = "RunStarted"
    target: TargetName
    mode: Mode = "guard"
    start_epoch: Count | None = None
    """The epoch at which the ledger granted the run; None in observe mode."""
    total_rows: Count | None = None
    total_is_estimate: bool = False
    rows_already_done: Count = 0
    expected_workers: Annotated[int, Field(ge=1, le=10_000)] = 1


class ProgressReported(WorkerEvent):
    """Sent each second, progress or not: silence means dead, no progress means stuck.

    ``rows_processed`` counts rows done, ``rows_attempted`` rows tried (done or failed), ``error_count`` rows failed;
    ``busy_seconds`` is the time inside batches. A report never spans two applied epochs.
    """

    type: Literal["ProgressReported"] = "ProgressReported"
    state: WorkerState = "running"
    start_epoch: Count | None = None
    applied_epoch: Count = 0
    resumed_epoch: Count = 0
    phase: Phase | None = None
    phase_rows_processed: Count = 0
    phase_total_rows: Count | None = None
    total_rows: Count | None = None
    total_is_estimate: bool = False
    rows_processed: Count = 0
    rows_attempted: Count = 0
    error_count: Count = 0
    rows_undone: Count = 0
    busy_seconds: Seconds = 0.0
    interval_seconds: Seconds = 0.0
    """The time that this report covers: after an outage, more than a second."""
    batch_duration: LatencySketch | None = None
    """Durations of the batches since the last delivered report: a delta, one sample a batch."""
    metrics: dict[MetricName, float] = Field(default_factory=dict, max_length=50)


class ErrorReported(WorkerEvent):
    """An error as its class and template; the message's text only where the runner opted in (redacted, 512 bytes)."""

    type: Literal["ErrorReported"] = "ErrorReported"
    sqlstate: Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{5}$")] | None = None
    error_class: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    template: Text = ""
    message: Text | None = None
    count: Annotated[int, Field(ge=1)] = 1


class WorkerFinished(WorkerEvent):
    """The worker's end. ``failed`` and ``stopped`` end the worker, not the run: the ledger alone ends runs."""

    type: Literal["WorkerFinished"] = "WorkerFinished"
    outcome: WorkerOutcome


class RunEvent(Record):
    """What the ledger says of a run, sent by its relay."""

    migration_id: MigrationId
    run_id: RunId
    start_epoch: Count | None = None
    epoch: Count
    occurred_at: UtcTime

    def key(self) -> str:
        return self.migration_id

    def identity(self) -> str:
        return f"{self.run_id}/{self.epoch}/{type(self).__name__}"

    def time(self) -> datetime:
        return self.occurred_at


class RunFinished(RunEvent):
    """The run's end, from the ledger. Counters are refused from here on; health is judged until the watch window ends."""

    type: Literal["RunFinished"] = "RunFinished"
    outcome: RunOutcome


class RunClosed(RunEvent):
    """The watch window is over: the engine's state shrinks to a stub (run_id, start_epoch)."""

    type: Literal["RunClosed"] = "RunClosed"


class Broadcast(Record):
    """A record that goes to every partition, under a key of Holdfast's own."""

    occurred_at: UtcTime

    def time(self) -> datetime:
        return self.occurred_at


class Tick(Broadcast):
    """The partition's owner's beat, once a second: deadlines are judged when one is read."""

    type: Literal["Tick"] = "Tick"
    log_id: LogId
    """The log's identity: made with a partition's first Tick, carried by every later one."""

    def key(self) -> str:
        return "~tick"

    def identity(self) -> str:
        return f"{self.log_id}/{self.occurred_at.isoformat()}"


class HealthSampled(Broadcast):
    """The health of a target, as the application or a sampler sees it; one merged sketch a second from each reporter."""

    type: Literal["HealthSampled"] = "HealthSampled"
    target: TargetName
    reporter_id: WorkerId
    seq: Annotated[int, Field(ge=1)]
    interval_seconds: Seconds = 1.0
    response_time: LatencySketch | None = None
    metrics: dict[MetricName, float] = Field(default_factory=dict, max_length=50)

    def key(self) -> str:
        return f"~target/{self.target}"

    def identity(self) -> str:
        return f"{self.reporter_id}/{self.seq}"


class TriggersApplied(Broadcast):
    """The rules from here on. Their hash is of the bytes of ``rules`` as carried, never of a re-serialisation."""

    type: Literal["TriggersApplied"] = "TriggersApplied"
    version: Annotated[int, Field(ge=1)]
    rules: Annotated[str, StringConstraints(max_length=200_000)]
    """A RuleSet as JSON text."""
    rules_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

    def key(self) -> str:
        return "~rules"

    def identity(self) -> str:
        return f"rules/{self.version}/{self.rules_hash}"


class CalibrationApplied(Broadcast):
    """Reserved: the estimator's calibration, in the log as the rules are."""

    type: Literal["CalibrationApplied"] = "CalibrationApplied"
    version: Annotated[int, Field(ge=1)]
    calibration: Annotated[str, StringConstraints(max_length=200_000)]

    def key(self) -> str:
        return "~calibration"

    def identity(self) -> str:
        return f"calibration/{self.version}"


Event = Annotated[
    RunStarted
    | ProgressReported
    | ErrorReported
    | WorkerFinished
    | RunFinished
    | RunClosed
    | Tick
    | HealthSampled
    | TriggersApplied
    | CalibrationApplied,
    Field(discriminator="type"),
]
