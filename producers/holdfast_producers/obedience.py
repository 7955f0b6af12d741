"""What a worker makes of the desired states that it reads (protocol 7, 10, 14, 17). Pure: a record in, a verdict out.

It heeds its own run's states and another run's higher start_epoch, nothing else. A higher epoch is obeyed, an equal one
acknowledged again, a lower one refused.
"""

from dataclasses import dataclass, field
from typing import Literal

from holdfast_schemas.desired_state import DesiredState

Heard = Literal["obeyed", "equal", "refused", "fenced", "ignored"]
Verdict = Literal["go", "wait", "stop", "undo", "fenced"]


@dataclass(slots=True)
class Obedience:
    """One worker's newest orders. An order that stops work is *applied* only once no batch is open."""

    run_id: str
    worker_id: str
    can_undo: bool = False
    start_epoch: int | None = None
    state: DesiredState | None = None
    applied_epoch: int = 0
    resumed_epoch: int = 0
    fenced_by: DesiredState | None = None
    closed_at: int | None = None
    undo_tokens: set[int] = field(default_factory=set)
    """Tokens that were handed to a thread of this worker already: one thread undoes."""
    undoing: int | None = None
    """The token under which this worker is undoing now."""

    def grant(self, state: DesiredState) -> None:
        """The ledger's answer: from here on this run has a start epoch, and its orders hold."""
        self.start_epoch = state.start_epoch
        self.hear(state)

    def hear(self, state: DesiredState) -> Heard:
        """A desired state was read."""
        if state.run_id != self.run_id:
            if self.start_epoch is not None and state.start_epoch > self.start_epoch:
                self.fenced_by = state
                return "fenced"
            return "ignored"
        if self.start_epoch is None:
            self.start_epoch = state.start_epoch
        known = -1 if self.state is None else self.state.epoch
        if state.epoch == known:
            return "equal"
        if state.epoch < known:
            return "refused"
        self.state = state
        return "obeyed"

    def hear_close(self, run_id: str, epoch: int) -> Heard:
        """A tombstone was read: the run is over, if it is this one and the epoch is not below its own."""
        if run_id != self.run_id:
            return "ignored"
        if self.state is not None and epoch < self.state.epoch:
            return "refused"
        self.closed_at = epoch
        return "obeyed"

    @property
    def applied(self) -> bool:
        """Whether the newest order is in effect here."""
        return self.state is not None and self.applied_epoch == self.state.epoch

    def apply(self) -> None:
        """The newest order is in effect: from now on reports carry its epochs."""
        if self.state is not None:
            self.applied_epoch = self.state.epoch
            self.resumed_epoch = self.state.resumed_epoch

    def verdict(self) -> Verdict:
        """What the worker has to do. ``undo``: one of its threads takes the run back."""
        if self.fenced_by is not None:
            return "fenced"
        if self.closed_at is not None:
            return "stop"
        if self.state is None:
            return "wait"
        match self.state.desired:
            case "run" | "throttle":  # throttle is reserved: until a worker can, it runs
                return "go"
            case "pause":
                return "wait"
            case "none":
                return "stop"
            case "rollback":
                if self.state.undo_by is None:
                    return "wait" if self.can_undo else "stop"
                mine = self.state.undo_by == self.worker_id and self.state.undo_token not in self.undo_tokens
                return "undo" if mine else "stop"

    @property
    def undoer(self) -> str | None:
        """The worker that takes the run back; None where nobody was named, or the run is over."""
        if self.state is None or self.state.desired != "rollback" or self.closed_at is not None:
            return None
        return self.state.undo_by

    def why(self) -> str:
        """The order in words, for the log and for the errors that checkpoint() raises."""
        if self.fenced_by is not None:
            return f"fenced by run {self.fenced_by.run_id} at epoch {self.fenced_by.start_epoch}"
        if self.closed_at is not None:
            return f"the run was closed at epoch {self.closed_at}"
        if self.state is None:
            return "the ledger has not said yet what it wants of this run"
        state = self.state
        if state.desired == "rollback" and state.undo_by not in (None, self.worker_id):
            return f"worker {state.undo_by} takes the run back (epoch {state.epoch}: {state.reason})"
        return f"{state.desired} by {state.set_by} at epoch {state.epoch}: {state.reason}"

    def may_undo(self, token: int) -> bool:
        """Whether this worker's undo under ``token`` is still the one that the ledger wants."""
        if self.fenced_by is not None or self.closed_at is not None or self.state is None:
            return False
        return self.state.undo_by == self.worker_id and self.state.undo_token == token
