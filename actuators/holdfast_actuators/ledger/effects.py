"""What follows once workers obey: acknowledged, effective, the two epochs of a rollback, the end of a run.

Protocol 8 (who is live), 9 (the ledger alone ends runs), 14 (effective = every live worker acknowledged), 17 (rollback).
"""

from holdfast_schemas.events import RunClosed, RunFinished
from holdfast_schemas.states import RunOutcome
from holdfast_schemas.transport import topics

from . import log_undos, recoveries
from .entry import Entry
from .rows import ActionRow, MigrationRow, RunRow, WorkerRow

STOPPING = ("requested", "acknowledged", "unacknowledged")


def settle(entry: Entry, m: MigrationRow, run: RunRow) -> None:
    """Move the open actions of the current epoch as far as the workers' acknowledgements carry them."""
    workers = entry.workers(run)
    for action in entry.open_actions(m.migration_id):
        if action.epoch is None:
            continue
        if action.kind == "undo":
            _settle_undo(entry, action, m, workers)
            continue
        asked = _must_acknowledge(entry, run, workers)
        heard = [w for w in asked if w.acknowledged_epoch >= action.epoch]
        if len(heard) == len(asked):
            if action.kind == "rollback":
                _stopped(entry, action, m, workers)
            else:
                entry.move(action, "effective", "every live worker has acknowledged" if asked else "no worker is live")
        elif heard and action.state == "requested":
            entry.move(action, "acknowledged", f"{len(heard)} of {len(asked)} workers have acknowledged")
        elif action.kind == "rollback" and action.state in ("acknowledged", "unacknowledged"):
            _hold_if_unstoppable(entry, action, run, [w for w in asked if w not in heard])


def _hold_if_unstoppable(entry: Entry, action: ActionRow, run: RunRow, owing: list[WorkerRow]) -> None:
    """Protocol 8: a silent worker that goes on without a lease may still write, so nothing is undone under it."""
    silent = entry.settings.lease_seconds + entry.settings.acknowledgement_seconds
    gone = [w.worker_id for w in owing if not w.live(entry.now, silent)]
    if run.on_guard_loss == "continue" and gone:
        entry.move(action, "held", f"worker {gone[0]} is silent and goes on without a lease: stop it by hand")


def _must_acknowledge(entry: Entry, run: RunRow, workers: list[WorkerRow]) -> list[WorkerRow]:
    """Protocol 8: one that is not heard for lease + acknowledgement time is paused by its own lease, if it pauses then."""
    silent = entry.settings.lease_seconds + entry.settings.acknowledgement_seconds
    if run.on_guard_loss == "continue":
        return [w for w in workers if w.left_outcome is None]
    return [w for w in workers if w.live(entry.now, silent)]


def _settle_undo(entry: Entry, action: ActionRow, m: MigrationRow, workers: list[WorkerRow]) -> None:
    undoer = next((w for w in workers if w.worker_id == m.undo_by), None)
    if (
        action.state != "acknowledged"
        and undoer
        and action.epoch is not None
        and undoer.acknowledged_epoch >= action.epoch
    ):
        entry.move(action, "acknowledged", f"worker {undoer.worker_id} takes the run back")


def _stopped(entry: Entry, action: ActionRow, m: MigrationRow, workers: list[WorkerRow]) -> None:
    """The first epoch of a rollback is done: everyone stopped. Now one worker undoes, or a person is asked."""
    if action.state in ("requested", "unacknowledged"):
        entry.move(action, "acknowledged", "every live worker has stopped")
    if m.undo_by is None and not log_undos.under_way(entry, m.run_id):
        choose_undoer(entry, action, m, workers)


def take_up(entry: Entry, rollback: ActionRow, why: str) -> None:
    """A held rollback goes on: asked for again, and its workers have stopped already. Others stay as they are."""
    if rollback.state == "held":
        entry.move(rollback, "requested", why)
        entry.move(rollback, "acknowledged", why)


def choose_undoer(entry: Entry, rollback: ActionRow, m: MigrationRow, workers: list[WorkerRow], why: str = "") -> None:
    """Protocol 17, the second epoch: one live worker that can undo gets a higher token; none: from the log, else held.

    A held one keeps its ``undo_by``: nobody else has a token, so that worker may still come back and go on.
    """
    heard = entry.settings.worker_heard_seconds
    able = [w for w in workers if w.can_undo and w.live(entry.now, heard) and w.worker_id != m.undo_by]
    method = log_undos.asked(entry, rollback).method
    if method == "log" or (method == "auto" and not able and recoveries.ready(entry, m.migration_id)):
        take_up(entry, rollback, "armed: it is taken back from the log")
        log_undos.begin(entry, rollback, m)
        return
    if not able:
        if rollback.state != "held":
            why = f"{why}; " if why else ""
            entry.move(rollback, "held", f"{why}no live worker can undo the run: start one, or take it back by hand")
        return
    undoer, token = able[0], m.undo_token + 1
    take_up(entry, rollback, f"worker {undoer.worker_id} can take the run back")
    epoch = entry.desire(m, "rollback", m.set_by, m.reason, undo_by=undoer.worker_id, undo_token=token)
    entry.open(
        f"{rollback.cause_id}/undo/{token}",
        "deadline",
        "undo",
        "requested",
        actor="ledger",
        reason=f"worker {undoer.worker_id} is to take the run back (token {token})",
        migration_id=m.migration_id,
        run_id=m.run_id,
        epoch=epoch,
    )


def go_over(entry: Entry, m: MigrationRow) -> None:
    """The log knows a higher epoch than the ledger (restored from a backup): runners refuse all below it, so say it anew."""
    epoch = max(m.epoch, m.seen_epoch) + 1
    entry.db.execute(
        "UPDATE action SET epoch = %s WHERE migration_id = %s AND epoch = %s AND state = ANY(%s)",
        (epoch, m.migration_id, m.epoch, list(STOPPING)),
    )
    entry.desire(m, m.desired, m.set_by, m.reason)


def finish(entry: Entry, m: MigrationRow, run: RunRow, outcome: RunOutcome) -> None:
    """Protocol 9: the run's end. RunFinished goes to the engine; what was still asked of the run is superseded."""
    entry.move_run(run, "finished", outcome=outcome, finished_at=entry.now)
    if m.run_id == run.run_id:  # not when an observed run ends beside a guarded one
        entry.supersede_open(m, f"the run is over: {outcome}")
    entry.owe(
        topics.events,
        RunFinished(
            migration_id=m.migration_id,
            run_id=run.run_id,
            start_epoch=run.start_epoch,
            epoch=m.epoch,
            outcome=outcome,
            occurred_at=entry.now,
        ),
    )


def dismiss(entry: Entry, m: MigrationRow, run: RunRow) -> None:
    """The run is over while workers may still stand in it (at work, or standing by an undo): an epoch tells them so."""
    if m.run_id == run.run_id and any(worker.left_outcome is None for worker in entry.workers(run)):
        entry.desire(m, "none", "ledger", f"the run is over: {run.outcome}", undo_by=None)


def close(entry: Entry, m: MigrationRow, run: RunRow) -> None:
    """Protocol 10: the watch window is over. A tombstone goes out only while that run is still the current one."""
    entry.move_run(run, "closed")
    for action in entry.open_actions(m.migration_id):
        if action.run_id == run.run_id:
            entry.move(action, "expired" if action.state == "held" else "superseded", "the watch window is over")
    if m.run_id == run.run_id:
        m.epoch = max(m.epoch, m.seen_epoch) + 1
        m.desired, m.set_by, m.reason, m.undo_by = "none", "ledger", "the watch window is over", None
        m.changed_at = entry.now
        entry.save(m)
        entry.owe_tombstone(m, run.run_id)
    entry.owe(
        topics.events,
        RunClosed(
            migration_id=m.migration_id,
            run_id=run.run_id,
            start_epoch=run.start_epoch,
            epoch=m.epoch,
            occurred_at=entry.now,
        ),
    )
