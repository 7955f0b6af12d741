"""holdfast.control: the state that the ledger wants a run in. Runners obey the highest epoch."""

from datetime import datetime
from typing import Literal

from .identity import MigrationId, RequestId, RunId, WorkerId
from .record import Count, Frozen, Record, Text, UtcTime
from .states import AnswerResult, Desired


class Answer(Frozen):
    """The ledger's answer to one RunRequested; an answer by itself raises no epoch."""

    request_id: RequestId
    result: AnswerResult
    reason: Text = ""


class DesiredState(Record):
    """One migration's desired state. ``undo_by`` and ``undo_token`` name the one worker that takes the run back."""

    type: Literal["DesiredState"] = "DesiredState"
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
    occurred_at: UtcTime

    def key(self) -> str:
        return self.migration_id

    def identity(self) -> str:
        return f"{self.run_id}/{self.epoch}" + (f"/{self.answers.request_id}" if self.answers else "")

    def time(self) -> datetime:
        return self.occurred_at


TOMBSTONE_RUN_ID = "holdfast_run_id"
TOMBSTONE_EPOCH = "holdfast_epoch"
"""Headers of a tombstone on holdfast.control: the run that was closed, and at which epoch."""
