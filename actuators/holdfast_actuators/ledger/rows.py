"""The ledger's rows as typed records."""

from dataclasses import dataclass
from datetime import UTC, datetime

from holdfast_schemas.actions import CauseKind
from holdfast_schemas.states import (
    ActionKind,
    Desired,
    Mode,
    OnGuardLoss,
    Outcome,
    RunOutcome,
    RunState,
    WorkerOutcome,
)


@dataclass
class MigrationRow:
    """A migration: whoever holds its row lock may change what is desired of it."""

    migration_id: str
    run_id: str | None
    epoch: int
    seen_epoch: int
    start_epoch: int
    resumed_epoch: int
    desired: Desired
    set_by: str
    reason: str
    held_by: str | None
    held_by_freeze: bool
    until: datetime | None
    undo_by: str | None
    undo_token: int
    override_by: str | None
    override_reason: str | None
    override_until: datetime | None
    changed_at: datetime
    sent_at: datetime

    @property
    def overridden(self) -> str | None:
        """Who lets the run go on in spite of its triggers, until when and why; None when nobody does."""
        if self.override_by is None or self.override_until is None:
            return None
        until = f"{self.override_until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        return f"overridden by {self.override_by} until {until}: {self.override_reason}"

    def end_override(self) -> None:
        """The triggers act again."""
        self.override_by = self.override_reason = self.override_until = None


@dataclass
class RunRow:
    """One attempt at a migration."""

    run_id: str
    migration_id: str
    target: str
    mode: Mode
    on_guard_loss: OnGuardLoss
    was: RunState
    state: RunState
    start_epoch: int | None
    expected_workers: int
    outcome: RunOutcome | None
    requested_at: datetime
    heard_at: datetime
    finished_at: datetime | None


@dataclass
class WorkerRow:
    """One worker of a run."""

    run_id: str
    worker_id: str
    joined_at: datetime
    heard_at: datetime
    left_outcome: WorkerOutcome | None
    acknowledged_epoch: int
    can_undo: bool
    host: str
    pid: int

    def live(self, now: datetime, heard_seconds: float) -> bool:
        """Protocol 8: joined, not left, heard within 30 s."""
        return self.left_outcome is None and (now - self.heard_at).total_seconds() <= heard_seconds


@dataclass
class ActionRow:
    """What became of one cause (a decision, a request, a run, a deadline)."""

    cause_id: str
    cause_kind: CauseKind
    migration_id: str | None
    run_id: str | None
    kind: ActionKind
    epoch: int | None
    state: Outcome
    revision: int
    actor: str
    reason: str
    verdict: str
    trigger_id: str | None
    steps_left: int | None
    decided_at: datetime | None
    requested_at: datetime
    acknowledged_at: datetime | None
    effective_at: datetime | None
    deadline: datetime | None


@dataclass(frozen=True)
class FreezeRow:
    """``pause --all``: who holds everything."""

    actor: str
    reason: str


@dataclass(frozen=True)
class RulesInForce:
    """The rules that every partition must name: version 0 are the defaults."""

    version: int
    hash: str


@dataclass(frozen=True)
class OutboxRow:
    """A record owed to Kafka; ``topic`` is the short name. No value: a tombstone."""

    seq: int
    topic: str
    partition: int | None
    every_partition: bool
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
