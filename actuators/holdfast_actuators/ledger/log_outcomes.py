"""What an actuator reports of an undo from the log: done, and the run is over; or refused, and a person's to take on."""

from holdfast_schemas.desired_state import Recovering
from holdfast_schemas.states import RecoveryState

from . import log_undos
from .effects import dismiss, finish
from .entry import Entry
from .log_undos import LogUndo


def log_undo_goes_on(entry: Entry, undo: LogUndo, progress: Recovering) -> None:
    """An actuator tells how far it is: the run's state is sent again with it, under the same epoch."""
    m = entry.lock(undo.migration_id)
    if log_undos.note_progress(entry, undo, progress) and m.run_id == undo.run_id and m.desired == "rollback":
        entry.send_state(m)


def log_undone(entry: Entry, undo: LogUndo, rows: int, conflicts: int, seconds: float) -> None:
    """An actuator took the run back from the log."""
    m = entry.lock(undo.migration_id)
    state: RecoveryState = "undone_with_conflicts" if conflicts else "undone"
    log_undo_goes_on(entry, undo, Recovering(state=state, rows_undone=rows, steps_left=0, reported_at=entry.now))
    own, rollback = log_undos.end(entry, undo)
    said = f"{rows:,} rows undone from the log in {seconds:.1f} s, {conflicts:,} conflicts"
    for action in (own, rollback):
        if action is not None:
            entry.move(action, "effective", said)
    run = entry.run(undo.run_id)
    if own is not None and run is not None and run.state == "undoing":
        finish(entry, m, run, "rolled_back")
        dismiss(entry, m, run)


def log_undo_refused(entry: Entry, undo: LogUndo, why: str) -> None:
    """The rows cannot be taken back from the log, and nothing was touched: a person's to take on."""
    log_undo_goes_on(entry, undo, Recovering(state="armed", refused=why[:500], reported_at=entry.now))
    own, rollback = log_undos.end(entry, undo)
    if own is not None:
        entry.move(own, "failed", why)
    if rollback is not None and rollback.state != "held":
        if rollback.state == "requested":
            entry.move(rollback, "acknowledged", why)
        entry.move(rollback, "held", why)
