"""holdfast.actions: what became of each decision, request and deadline. The audit trail."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from .identity import MigrationId, RunId, TriggerId
from .record import Count, Record, Text, UtcTime
from .states import ActionKind, Outcome

CauseKind = Literal["decision", "request", "run", "deadline"]


class ActionRecorded(Record):
    """An action reached an outcome. Readers drop repeats by the record's identity (cause, epoch, outcome)."""

    type: Literal["ActionRecorded"] = "ActionRecorded"
    cause_id: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """The decision's id, the request's id, or the ledger's own name for a deadline."""
    cause_kind: CauseKind
    migration_id: MigrationId | None = None
    run_id: RunId | None = None
    kind: ActionKind
    outcome: Outcome
    epoch: Count | None = None
    """The epoch that this action set; None where it set none (noted, refused, superseded...)."""
    actor: Text
    reason: Text = ""
    verdict: Text = ""
    trigger_id: TriggerId | None = None
    steps_left: Count | None = None
    """Of a rollback: steps that the undo has before it."""
    decided_at: UtcTime | None = None
    requested_at: UtcTime | None = None
    acknowledged_at: UtcTime | None = None
    effective_at: UtcTime | None = None
    revision: Annotated[int, Field(ge=1)] = 1
    """Grows with each outcome of the same cause."""
    occurred_at: UtcTime

    def key(self) -> str:
        return self.migration_id or f"~{self.kind}"

    def identity(self) -> str:
        return f"{self.cause_id}/{self.revision}/{self.outcome}"

    def time(self) -> datetime:
        return self.occurred_at
