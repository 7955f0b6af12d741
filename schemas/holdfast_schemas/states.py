"""The states of runs, workers, desired states, actions and recoveries, and the legal transitions: one table each.

The foreign keys of the ledger and of the recovery's journal hold the same tables in SQL; a test compares the two.
"""

from typing import Literal, get_args

Mode = Literal["observe", "guard"]
OnGuardLoss = Literal["pause", "continue"]
WorkerState = Literal["running", "paused", "rolling_back"]
WorkerOutcome = Literal["completed", "failed", "stopped"]
RunOutcome = Literal["completed", "rolled_back", "failed", "lost", "refused"]
Desired = Literal["none", "run", "throttle", "pause", "rollback"]
TriggerAction = Literal["warn", "pause", "rollback"]
AnswerResult = Literal["granted", "waiting", "refused", "already_live", "rollback"]
ActionKind = Literal[
    "warn",
    "run",
    "throttle",
    "pause",
    "resume",
    "rollback",
    "undo",
    "override",
    "close",
    "apply_triggers",
    "freeze",
    "unfreeze",
]

Outcome = Literal[
    "requested", "held", "acknowledged", "unacknowledged",
    "effective", "noted", "already", "superseded", "refused", "expired", "failed",
]  # fmt: skip
FINAL_OUTCOMES: frozenset[Outcome] = frozenset(
    ("effective", "noted", "already", "superseded", "refused", "expired", "failed")
)

ActionState = Literal["new"] | Outcome
ACTION_TRANSITIONS: dict[ActionState, frozenset[Outcome]] = {
    "new": frozenset(("requested", "held", "effective", "noted", "already", "superseded", "refused", "expired")),
    "held": frozenset(("requested", "superseded", "refused", "expired")),
    "requested": frozenset(("acknowledged", "effective", "unacknowledged", "superseded", "expired", "failed")),
    "acknowledged": frozenset(("effective", "unacknowledged", "held", "superseded", "failed")),
    "unacknowledged": frozenset(("acknowledged", "effective", "held", "superseded", "failed")),
    **{final: frozenset() for final in FINAL_OUTCOMES},
}
"""An action's way (protocol 16): a final outcome is exactly one, nothing follows it.

``acknowledged → held`` is a rollback whose workers stopped but of whom none is left to undo: a person's to take on.
"""

RunState = Literal["new", "waiting", "live", "undoing", "finished", "closed"]
RUN_TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    "new": frozenset(("waiting", "live", "finished")),
    "waiting": frozenset(("live", "finished")),
    "live": frozenset(("undoing", "finished")),
    "undoing": frozenset(("finished",)),
    "finished": frozenset(("undoing", "closed")),
    "closed": frozenset(),
}
"""A run's way in the ledger. ``finished → undoing``: harm shown inside the watch window is taken back (from the log)."""

DESIRED_TRANSITIONS: dict[Desired, frozenset[Desired]] = {
    "none": frozenset(("run",)),
    "run": frozenset(("run", "throttle", "pause", "rollback", "none")),
    "throttle": frozenset(("run", "pause", "rollback", "none")),
    "pause": frozenset(("run", "pause", "throttle", "rollback", "none")),
    "rollback": frozenset(("rollback", "none")),
}
"""What a higher epoch may ask after a lower one. Nothing leads from a rollback back to running: it ends in close."""

RecoveryState = Literal[
    "new", "preparing", "armed", "fencing", "fenced", "captured", "undoing", "undone", "undone_with_conflicts",
    "disarming", "disarmed",
]  # fmt: skip
RECOVERY_TRANSITIONS: dict[RecoveryState, frozenset[RecoveryState]] = {
    "new": frozenset(("preparing",)),
    "preparing": frozenset(("armed", "disarming")),
    "armed": frozenset(("fencing", "disarming")),
    "fencing": frozenset(("fenced", "armed")),
    "fenced": frozenset(("captured", "armed")),
    "captured": frozenset(("undoing", "armed")),
    "undoing": frozenset(("undone", "undone_with_conflicts")),
    "undone": frozenset(("disarming",)),
    "undone_with_conflicts": frozenset(("disarming",)),
    "disarming": frozenset(("disarmed",)),
    "disarmed": frozenset(("preparing",)),
}
"""A recovery's way in its target. Back to ``armed``: nothing was written yet, the fence is lifted, the slot is untouched."""


def final(outcome: Outcome) -> bool:
    """Whether nothing may follow this outcome."""
    return outcome in FINAL_OUTCOMES


def action_may(was: ActionState, state: Outcome) -> bool:
    """Whether an action in state ``was`` may go to ``state``."""
    return state in ACTION_TRANSITIONS[was]


def run_may(was: RunState, state: RunState) -> bool:
    """Whether a run in state ``was`` may go to ``state``."""
    return state in RUN_TRANSITIONS[was]


def desired_may(was: Desired, state: Desired) -> bool:
    """Whether a desired state may follow another."""
    return state in DESIRED_TRANSITIONS[was]


def recovery_may(was: RecoveryState, state: RecoveryState) -> bool:
    """Whether a recovery in state ``was`` may go to ``state``."""
    return state in RECOVERY_TRANSITIONS[was]


RUN_STATES: tuple[RunState, ...] = get_args(RunState)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
