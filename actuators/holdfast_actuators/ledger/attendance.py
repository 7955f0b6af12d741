"""What runners say: may I start, I am here, I obey, I am gone, so much is undone. One transaction each (protocol 7 to 9)."""

from datetime import timedelta

from holdfast_schemas.desired_state import Answer
from holdfast_schemas.runs import (
    EpochAcknowledged,
    RunFinishRequested,
    RunnerRecord,
    RunRequested,
    UndoReported,
    WorkerJoined,
    WorkerLeft,
)
from holdfast_schemas.states import AnswerResult, Desired
from holdfast_schemas.triggers import DEFAULT_RULES_TEXT, RuleSet

from . import recoveries
from .effects import choose_undoer, dismiss, finish, go_over, settle, take_up
from .entry import Entry
from .rows import MigrationRow, RunRow

RESEND_SECONDS = 5.0


def heard(entry: Entry, record: RunnerRecord) -> None:
    """Take in one record of a runner."""
    m = entry.lock(record.migration_id)
    if isinstance(record, RunRequested):
        _requested(entry, m, record)
        return
    run = entry.run(record.run_id)
    if run is None:
        if isinstance(record, EpochAcknowledged):
            _never_granted(entry, m, record)
        return
    if run.migration_id != m.migration_id:
        return
    _note(entry, run, record)
    match record:
        case WorkerJoined():
            _joined(entry, m, run, record)
        case WorkerLeft():
            _left(entry, m, run, record)
        case RunFinishRequested():
            if run.state == "live":
                finish(entry, m, run, record.outcome)
                dismiss(entry, m, run)
        case EpochAcknowledged():
            _acknowledged(entry, m, run, record)
        case UndoReported():
            _undone(entry, m, run, record)


def _never_granted(entry: Entry, m: MigrationRow, record: EpochAcknowledged) -> None:
    """A worker obeys an epoch of a run that this ledger does not know: it was restored from a backup older than the run.

    Nothing that is decided would reach the run, so it must not go on believing that it is guarded: it is told to stop.
    """
    current = entry.run(m.run_id)
    if record.epoch == 0 or (current is not None and _has_live_workers(entry, current)):
        return  # an observed run, or one that the run at work has fenced
    if m.run_id == record.run_id and record.epoch <= m.epoch:
        if (entry.now - m.sent_at).total_seconds() > RESEND_SECONDS:
            entry.send_state(m)
        return
    m.seen_epoch = max(m.seen_epoch, record.epoch)
    why = f"this ledger does not know run {record.run_id} (was it restored?): start it again under the same HOLDFAST_RUN_ID"
    entry.desire(m, "none", "ledger", why, run_id=record.run_id, undo_by=None)


def _has_live_workers(entry: Entry, run: RunRow) -> bool:
    heard = entry.settings.worker_heard_seconds
    return run.state in ("live", "undoing") and any(w.live(entry.now, heard) for w in entry.workers(run))


def _note(entry: Entry, run: RunRow, record: RunnerRecord) -> None:
    entry.db.execute("UPDATE run SET heard_at = %s WHERE run_id = %s", (entry.now, run.run_id))
    entry.db.execute(
        "UPDATE worker SET heard_at = %s WHERE run_id = %s AND worker_id = %s",
        (entry.now, run.run_id, record.worker_id),
    )


# the start gate


def _requested(entry: Entry, m: MigrationRow, asked: RunRequested) -> None:
    run = entry.run(asked.run_id)
    if asked.mode == "observe":
        if run is None:
            _new_run(entry, m, asked, None)
        if run is None or run.mode == "observe":  # in a guarded run it would never acknowledge
            _join(entry, asked, asked.can_undo)
        return
    result, reason = _may_start(entry, m, run, asked)
    if result == "granted" and run is None:
        _grant(entry, m, asked)
    elif result == "granted":
        _join(entry, asked, asked.can_undo)
    if m.run_id is None:
        m.run_id = asked.run_id  # nothing was ever granted: the answer still needs a run to name
    entry.send_state(m, Answer(request_id=asked.request_id, result=result, reason=reason[:500]))
    if result == "granted" and (current := entry.run(m.run_id)) is not None:
        settle(entry, m, current)


def _may_start(entry: Entry, m: MigrationRow, run: RunRow | None, asked: RunRequested) -> tuple[AnswerResult, str]:
    if run is not None and run.state in ("finished", "closed"):
        return "refused", f"run {run.run_id} is {run.state} ({run.outcome}): start it with a run_id of its own"
    current = run if run is not None and m.run_id == asked.run_id else entry.run(m.run_id)
    if current is not None and current.state == "undoing":
        return "rollback", f"run {current.run_id} is not taken back yet: {m.reason}"
    if run is not None:
        if m.run_id != asked.run_id:
            return "refused", f"run {asked.run_id} was followed by {m.run_id}"
        return "granted", f"joins run {run.run_id} at #{m.epoch}"
    if current is not None and current.state == "live" and not asked.takeover:
        live = [w for w in entry.workers(current) if w.live(entry.now, entry.settings.worker_heard_seconds)]
        if live:
            return (
                "already_live",
                f"run {current.run_id} has {len(live)} live workers (first on {live[0].host or 'unknown'})",
            )
    rules = _rules(entry)
    if missing := _missing_signals(entry, rules, asked.migration_id, asked.target):
        return "waiting", f"required signals are not there: {missing}"
    return recoveries.gate(entry, asked, rules) or ("granted", "granted")


def _rules(entry: Entry) -> RuleSet:
    row = entry.db.execute("SELECT rules FROM rules ORDER BY version DESC LIMIT 1").fetchone()
    return RuleSet.model_validate_json(row[0] if row else DEFAULT_RULES_TEXT)


def _missing_signals(entry: Entry, rules: RuleSet, migration_id: str, target: str) -> str:
    """Triggers with ``required = true`` hold the gate until their signal is fresh."""
    required = [t.id for t in rules.triggers if t.required and t.of_target and t.concerns(migration_id, target)]
    if not required:
        return ""
    since = entry.now - timedelta(seconds=rules.judgement.health_fresh_seconds)
    found = entry.db.execute(
        "SELECT 1 FROM watched WHERE %s = ANY(fresh_targets) AND logged_at > %s", (target, since)
    ).fetchone()
    return "" if found else f"{', '.join(required)}: no health sample of target {target} under 30 s old"


def _grant(entry: Entry, m: MigrationRow, asked: RunRequested) -> None:
    """A new epoch, which is the run's start_epoch. What a person paused, or froze, begins paused."""
    before = entry.run(m.run_id)
    if before is not None and before.state == "live":
        finish(entry, m, before, "lost")
    entry.supersede_open(m, f"run {asked.run_id} began")  # what is held from an earlier run is not this one's
    m.end_override()  # it was about the run that was there
    frozen = entry.freeze()
    holder = m.held_by or (frozen.actor if frozen else None)
    desired: Desired = "pause" if holder else "run"
    start = max(m.epoch, m.seen_epoch) + 1
    m.held_by_freeze = m.held_by_freeze or (frozen is not None and m.held_by is None)
    also = {"run_id": asked.run_id, "start_epoch": start, "resumed_epoch": start, "undo_by": None, "held_by": holder}
    _new_run(entry, m, asked, start)
    _join(entry, asked, asked.can_undo)
    reason = f"granted to {asked.host or 'a runner'}" if not holder else f"granted, and paused as {holder} left it"
    epoch = entry.desire(m, desired, holder or "ledger", reason, **also)
    entry.open(
        asked.run_id, "run", "run", "requested", actor="ledger", reason=reason,
        migration_id=m.migration_id, run_id=asked.run_id, epoch=epoch, body=asked.model_dump_json(),
    )  # fmt: skip


def _new_run(entry: Entry, m: MigrationRow, asked: RunRequested, start_epoch: int | None) -> None:
    entry.db.execute(
        "INSERT INTO run (run_id, migration_id, target, mode, on_guard_loss, state, start_epoch, expected_workers,"
        " requested_at, heard_at) VALUES (%s, %s, %s, %s, %s, 'live', %s, %s, %s, %s)",
        (
            asked.run_id, m.migration_id, asked.target, asked.mode, asked.on_guard_loss, start_epoch,
            asked.expected_workers, entry.now, entry.now,
        ),
    )  # fmt: skip


def _join(entry: Entry, record: RunRequested | WorkerJoined, can_undo: bool) -> None:
    entry.db.execute(
        "INSERT INTO worker (run_id, worker_id, joined_at, heard_at, can_undo, host, pid) VALUES (%s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (run_id, worker_id) DO UPDATE SET heard_at = excluded.heard_at",
        (record.run_id, record.worker_id, entry.now, entry.now, can_undo, record.host, record.pid),
    )


# workers


def _joined(entry: Entry, m: MigrationRow, run: RunRow, record: WorkerJoined) -> None:
    _join(entry, record, record.can_undo)
    if m.run_id != run.run_id:
        return
    _owe_again(entry, m, run)
    settle(entry, m, run)


def _left(entry: Entry, m: MigrationRow, run: RunRow, record: WorkerLeft) -> None:
    entry.db.execute(
        "UPDATE worker SET left_outcome = %s WHERE run_id = %s AND worker_id = %s",
        (record.outcome, record.run_id, record.worker_id),
    )
    completed = sum(w.left_outcome == "completed" for w in entry.workers(run))
    if run.state == "live" and completed >= run.expected_workers:
        finish(entry, m, run, "completed")
    elif m.run_id == run.run_id and run.state in ("live", "undoing"):
        settle(entry, m, run)
        if run.state == "undoing" and m.undo_by == record.worker_id:
            undo_again(entry, m, run, f"worker {record.worker_id} left before the undo was done")


def _acknowledged(entry: Entry, m: MigrationRow, run: RunRow, record: EpochAcknowledged) -> None:
    before = next((w for w in entry.workers(run) if w.worker_id == record.worker_id), None)
    if before is None or m.run_id != run.run_id:
        return
    if record.epoch > m.epoch and run.state in ("live", "undoing"):
        entry.db.execute("UPDATE migration SET seen_epoch = %s WHERE migration_id = %s", (record.epoch, m.migration_id))
        m.seen_epoch = max(m.seen_epoch, record.epoch)
        go_over(entry, m)
        return
    entry.db.execute(
        "UPDATE worker SET acknowledged_epoch = greatest(acknowledged_epoch, %s) WHERE run_id = %s AND worker_id = %s",
        (record.epoch, record.run_id, record.worker_id),
    )
    if record.epoch > before.acknowledged_epoch:
        settle(entry, m, run)
    elif record.epoch < m.epoch and (entry.now - m.sent_at).total_seconds() > RESEND_SECONDS:
        # Anti-entropy: it holds less than the ledger, so what it missed (or a zombie overwrote) is owed again.
        _owe_again(entry, m, run)


def _owe_again(entry: Entry, m: MigrationRow, run: RunRow) -> None:
    """What stands on control of the run: of a closed one its tombstone, for a state would revive the key."""
    if run.state == "closed":
        entry.owe_tombstone(m, run.run_id)
    else:
        entry.send_state(m)


# the undo


def _undone(entry: Entry, m: MigrationRow, run: RunRow, record: UndoReported) -> None:
    if m.run_id != run.run_id or run.state != "undoing" or m.undo_by is None or record.undo_token != m.undo_token:
        return
    actions = entry.open_actions(m.migration_id)
    undo = next((a for a in actions if a.kind == "undo"), None)
    rollback = next((a for a in actions if a.kind == "rollback"), None)
    for action in (undo, rollback):
        if action is not None:
            action.steps_left = record.steps_left
            entry.db.execute(
                "UPDATE action SET steps_left = %s WHERE cause_id = %s", (record.steps_left, action.cause_id)
            )
    if record.outcome == "failed":
        why = f"the undo failed on worker {record.worker_id}: {record.detail or 'it did not say why'}"
        if undo is not None:
            entry.move(undo, "failed", why)
        undo_again(entry, m, run, why)
        return
    if rollback is not None:
        take_up(entry, rollback, f"worker {record.worker_id} is heard again and goes on")
    if record.outcome == "done":
        for action in (undo, rollback):
            if action is not None:
                entry.move(action, "effective", f"{record.rows_undone:,} rows undone")
        finish(entry, m, run, "rolled_back")
        dismiss(entry, m, run)


def undo_again(entry: Entry, m: MigrationRow, run: RunRow, why: str) -> None:
    """The worker that undoes is gone: a higher token for another, or held."""
    actions = entry.open_actions(m.migration_id)
    rollback = next((a for a in actions if a.kind == "rollback"), None)
    if rollback is None:
        return
    for action in actions:
        if action.kind == "undo":
            entry.move(action, "superseded", why)
    choose_undoer(entry, rollback, m, entry.workers(run), why)
