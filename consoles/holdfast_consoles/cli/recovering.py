"""An undo from the log, in words: what the actuator told last of it."""

from collections.abc import Mapping

from holdfast_schemas.desired_state import Recovering
from holdfast_schemas.states import RecoveryState

from .figures import ago

DOES: Mapping[RecoveryState, str] = {
    "armed": "it begins",
    "fencing": "the migration's role is being shut out",
    "fenced": "its rows are being read from the log",
    "captured": "its rows are captured, and what takes them back is planned",
    "undoing": "its rows are being taken back",
    "undone": "every row is taken back",
    "undone_with_conflicts": "every row is taken back that nobody wrote to since",
}
DONE: tuple[RecoveryState, ...] = ("undone", "undone_with_conflicts")


def word(recovery: Recovering) -> str:
    """The migration's state while it is so."""
    if recovery.refused:
        return "rollback from the log refused"
    return "rolled back from the log" if recovery.state in DONE else "rolling back from the log"


def how_far(recovery: Recovering) -> str:
    """``its rows are being taken back: 1,200 so far, 4 of 9 steps left (as of 1 s ago)``."""
    if recovery.refused:
        return f"it cannot be taken back from the log: {recovery.refused}"
    text = DOES.get(recovery.state, recovery.state)
    if recovery.state in DONE:
        text += f": {recovery.rows_undone:,}"
    elif recovery.steps is not None:
        text += f": {recovery.rows_undone:,} so far, {recovery.steps_left or 0:,} of {recovery.steps:,} steps left"
    text += f" (as of {ago(recovery.reported_at)})"
    return f"{text}; it waits, and is tried again: {recovery.waits}" if recovery.waits else text
