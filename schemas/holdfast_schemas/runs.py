"""holdfast.runs: what runners ask of the ledger and report to it."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from .identity import MigrationId, RequestId, RunId, TargetName, WorkerId
from .record import Count, KeptRecord, Text, UtcTime
from .states import Mode, OnGuardLoss, RunOutcome, WorkerOutcome, WorkerState


class RunnerRecord(KeptRecord):
    """What a worker says to the ledger; hearing any of these counts as having heard the worker."""

    migration_id: MigrationId
    run_id: RunId
    worker_id: WorkerId
    occurred_at: UtcTime

    def key(self) -> str:
        return self.migration_id

    def identity(self) -> str:
        return f"{self.run_id}/{self.worker_id}/{type(self).__name__}/{self.occurred_at.isoformat()}"

    def time(self) -> datetime:
        return self.occurred_at


class RunRequested(RunnerRecord):
    """May this run start? Repeated until a DesiredState's ``answers`` names the request_id. Counts as joined."""

    type: Literal["RunRequested"] = "RunRequested"
    request_id: RequestId
    target: TargetName
    mode: Mode = "guard"
    on_guard_loss: OnGuardLoss = "pause"
    total_rows: Count | None = None
    expected_workers: Annotated[int, Field(ge=1, le=10_000)] = 1
    takeover: bool = False
    can_undo: bool = False
    """Whether this worker can take the run back from a journal of its own."""
    host: Text = ""
    pid: Count = 0


class WorkerJoined(RunnerRecord):
    """A further worker of a run that was granted already, also one that joins an old run to undo it."""

    type: Literal["WorkerJoined"] = "WorkerJoined"
    can_undo: bool = False
    host: Text = ""
    pid: Count = 0


class WorkerLeft(RunnerRecord):
    """The worker's end, as the ledger needs to know it (WorkerFinished says the same to the engine)."""

    type: Literal["WorkerLeft"] = "WorkerLeft"
    outcome: WorkerOutcome
    detail: Text = ""


class RunFinishRequested(RunnerRecord):
    """``run.finish()``: the run is over, however many workers were expected."""

    type: Literal["RunFinishRequested"] = "RunFinishRequested"
    outcome: RunOutcome = "completed"


class EpochAcknowledged(RunnerRecord):
    """The worker obeys this epoch now: a pause is acknowledged once no batch is open. Repeated every 10 s."""

    type: Literal["EpochAcknowledged"] = "EpochAcknowledged"
    epoch: Count
    state: WorkerState


class UndoReported(RunnerRecord):
    """How far the undo is, and that it is done: the ledger ends the run by it."""

    type: Literal["UndoReported"] = "UndoReported"
    undo_token: Count
    steps_left: Count
    rows_undone: Count = 0
    outcome: Literal["running", "done", "failed"]
    detail: Text = ""


RunRecord = Annotated[
    RunRequested | WorkerJoined | WorkerLeft | RunFinishRequested | EpochAcknowledged | UndoReported,
    Field(discriminator="type"),
]
