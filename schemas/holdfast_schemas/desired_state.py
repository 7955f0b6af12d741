"""holdfast.control: the state that the ledger wants a run in. Runners obey the highest epoch."""

from datetime import datetime
from typing import Literal

from .identity import MigrationId, RequestId, RunId, WorkerId
from .record import Count, Frozen, Record, SchemaVersion, Text, UtcTime
from .states import AnswerResult, Desired, RecoveryState


class Answer(Frozen):
    """The ledger's answer to one RunRequested; an answer by itself raises no epoch."""

    request_id: RequestId
    result: AnswerResult
    reason: Text = ""


class Recovering(Frozen):
    """How far the actuator is that takes the run back from the log; it is told again, under the same epoch, as it goes on."""

    state: RecoveryState
    """As the target's journal has it."""
    rows_undone: Count = 0
    steps: Count | None = None
    """Of the whole undo; None before its rows are captured."""
    steps_left: Count | None = None
    waits: Text = ""
    """For what it stands still, and is tried again."""
    refused: Text = ""
    """Why it cannot be done: a person's to take on."""
    reported_at: UtcTime


class DesiredState(Record):
    """One migration's desired state. ``undo_by`` and ``undo_token`` name the one worker that takes the run back."""

    type: Literal["DesiredState"] = "DesiredState"
    schema_version: SchemaVersion = "1.1"
    migration_id: MigrationId
    run_id: RunId
    epoch: Count
    start_epoch: Count
    """The epoch at which this run was granted: the higher fences the lower."""
    resumed_epoch: Count
    """The epoch of the newest resume (or of the start): reports carry it back to the engine."""
    desired: Desired
    undo_by: WorkerId | None = None
    undo_token: Count = 0
    set_by: Text
    reason: Text
    until: UtcTime | None = None
    answers: Answer | None = None
    recovery: Recovering | None = None
    """While ``desired`` is rollback, and it is done from the log."""
    occurred_at: UtcTime

    def key(self) -> str:
        return self.migration_id

    def identity(self) -> str:
        answers = f"/{self.answers.request_id}" if self.answers else ""
        recovery = f"/{self.recovery.state}/{self.recovery.rows_undone}" if self.recovery else ""
        return f"{self.run_id}/{self.epoch}{answers}{recovery}"

    def time(self) -> datetime:
        return self.occurred_at


TOMBSTONE_RUN_ID = "holdfast_run_id"
TOMBSTONE_EPOCH = "holdfast_epoch"
"""Headers of a tombstone on holdfast.control: the run that was closed, and at which epoch."""
