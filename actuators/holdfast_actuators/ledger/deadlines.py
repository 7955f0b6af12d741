"""What is due by the ledger server's clock: escalation, silent workers, lost and closing runs, rules not yet everywhere."""

from holdfast_schemas.states import Outcome
from holdfast_schemas.triggers import DEFAULT_RULES_TEXT, RuleSet

from . import log_undos, override, recoveries
from .attendance import undo_again
from .causes import RULES_LOCK, keep_rules, next_rules_version, send_rules
from .effects import STOPPING, close, dismiss, finish, go_over, settle
from .entry import Entry
from .rows import ActionRow, MigrationRow, RunRow

RULES_RESEND_SECONDS = 5.0
RULES_REPEAT_SECONDS = 3600.0


def migrations_due(entry: Entry) -> list[str]:
    """The migrations that a deadline may concern: those with an open run."""
    rows = entry.db.execute("SELECT DISTINCT migration_id FROM run WHERE state <> 'closed' ORDER BY 1").fetchall()
    return [row[0] for row in rows]


def check(entry: Entry, migration_id: str) -> int:
    """Everything due for one migration; returns the number of things done."""
    m = entry.lock(migration_id)
    if entry.listening_since(migration_id) is None:
        return 0  # whoever listens has read control first: a restored ledger must not say an epoch that stands there
    done = 0
    with_runs = entry.db.execute(
        "SELECT run_id FROM run WHERE migration_id = %s AND state <> 'closed'", (migration_id,)
    ).fetchall()
    for (run_id,) in with_runs:
        run = entry.run(run_id)
        assert run is not None
        if run.state in ("live", "undoing"):
            done += _live(entry, m, run)
        elif run.finished_at is not None and (entry.now - run.finished_at).total_seconds() >= _watch_window(entry):
            close(entry, m, run)
            done += 1
    return done


def _live(entry: Entry, m: MigrationRow, run: RunRow) -> int:
    if (entry.now - run.heard_at).total_seconds() >= entry.settings.lost_after_seconds:
        finish(entry, m, run, "lost")
        dismiss(entry, m, run)
        return 1
    if m.run_id != run.run_id:
        return 0
    if m.seen_epoch > m.epoch:
        go_over(entry, m)
        return 1
    before = [(a.cause_id, a.state) for a in entry.open_actions(m.migration_id)]
    if before:
        settle(entry, m, run)
    if run.state == "undoing" and m.undo_by is not None:
        _watch_undoer(entry, m, run)
    for action in entry.open_actions(m.migration_id):
        late = action.deadline is not None and entry.now >= action.deadline
        if late and (
            action.state == "requested" or (action.state == "acknowledged" and action.kind not in ("rollback", "undo"))
        ):
            entry.move(action, "unacknowledged", f"not effective after {entry.settings.acknowledgement_seconds:g} s")
        if action.kind == "rollback" and action.state == "unacknowledged" and run.state == "undoing":
            _fence_the_silent(entry, m, action)
    if m.desired == "pause" and m.held_by is not None and m.until is not None and entry.now >= m.until:
        _let_go(entry, m, run)
    override.end_if_due(entry, m, run)
    return before != [(a.cause_id, a.state) for a in entry.open_actions(m.migration_id)]


def _fence_the_silent(entry: Entry, m: MigrationRow, rollback: ActionRow) -> None:
    """Protocol 14's last step: who does not stop when asked is stopped by the fence, with which an undo from the log begins."""
    if log_undos.asked(entry, rollback).method == "runner":
        return
    if m.undo_by is None and recoveries.ready(entry, m.migration_id) and not log_undos.under_way(entry, m.run_id):
        log_undos.begin(entry, rollback, m)


def _watch_undoer(entry: Entry, m: MigrationRow, run: RunRow) -> None:
    undoer = next((w for w in entry.workers(run) if w.worker_id == m.undo_by), None)
    silent = entry.settings.undo_silent_seconds
    if undoer is not None:
        undoer.heard_at = max(undoer.heard_at, m.changed_at)  # named just now, it gets as long as any other to be heard
    if undoer is None or not undoer.live(entry.now, silent):
        undo_again(entry, m, run, f"worker {m.undo_by} was silent for {silent:g} s")


def _let_go(entry: Entry, m: MigrationRow, run: RunRow) -> None:
    """A pause that a person gave an end. While everything is frozen it becomes the freeze's, which lifts it."""
    if (frozen := entry.freeze()) is not None:
        m.held_by, m.held_by_freeze, m.until = frozen.actor, True, None
        entry.save(m)
        return
    if m.set_by.startswith("trigger:"):  # it was paused before the person asked: that is not lifted by a clock
        m.held_by, m.until = None, None
        entry.save(m)
        return
    by = m.held_by or "a person"
    entry.supersede_open(m, "the pause came to its end")
    m.held_by, m.until = None, None
    m.resumed_epoch = max(m.epoch, m.seen_epoch) + 1
    epoch = entry.desire(m, "run", "ledger", f"the pause by {by} came to its end")
    entry.open(
        f"{run.run_id}/until/{epoch}", "deadline", "resume", "requested", actor="ledger",
        reason=f"the pause by {by} came to its end", migration_id=m.migration_id, run_id=run.run_id, epoch=epoch,
    )  # fmt: skip


def _watch_window(entry: Entry) -> float:
    row = entry.db.execute("SELECT rules FROM rules ORDER BY version DESC LIMIT 1").fetchone()
    return RuleSet.model_validate_json(row[0] if row else DEFAULT_RULES_TEXT).judgement.watch_window_seconds


def check_rules(entry: Entry, partitions: int) -> int:
    """Protocol 4: rules are sent again until each partition's Watched names them, and hourly; then they are effective."""
    newest = entry.db.execute(
        "SELECT version, rules, rules_hash, request_id, sent_at FROM rules ORDER BY version DESC LIMIT 1 FOR UPDATE SKIP LOCKED"
    ).fetchone()
    if newest is None:
        return 0
    version, rules, digest, request_id, sent_at = newest
    agree = entry.db.execute(
        "SELECT count(*) >= %s AND bool_and(rules_version = %s AND rules_hash = %s) FROM watched",
        (partitions, version, digest),
    ).fetchone()
    everywhere = bool(agree and agree[0])
    done = 0
    if (entry.now - sent_at).total_seconds() >= (RULES_REPEAT_SECONDS if everywhere else RULES_RESEND_SECONDS):
        send_rules(entry, version, rules, digest)
        done += 1
    elif _go_over_rules(entry, version, rules, digest, request_id):
        done += 1
    if everywhere:
        done += _settle_requests(entry, request_id, "effective", f"every partition judges by version {version}")
    return done


def _go_over_rules(entry: Entry, version: int, rules: str, digest: str, request_id: str) -> bool:
    """Rules that a person just applied, under a version that the log has passed: the ledger was restored, and no Watched
    had come in yet when they were numbered; or somebody forged others since. They get the next version."""
    highest = next_rules_version(entry) - 1
    if highest <= version or entry.action(request_id).state not in STOPPING:
        return False
    entry.db.execute("SELECT pg_advisory_xact_lock(%s)", (RULES_LOCK,))
    newest = entry.db.execute("SELECT max(version) FROM rules").fetchone()
    if newest != (version,):
        return False  # others were applied meanwhile
    keep_rules(entry, next_rules_version(entry), rules, digest, request_id)
    return True


def _settle_requests(entry: Entry, request_id: str, outcome: Outcome, reason: str) -> int:
    rows = entry.db.execute(
        "SELECT cause_id FROM action WHERE kind = 'apply_triggers' AND state = ANY(%s)", (list(STOPPING),)
    ).fetchall()
    for (cause_id,) in rows:
        action = entry.action(cause_id)
        newest = cause_id == request_id
        entry.move(action, outcome if newest else "superseded", reason)
    return len(rows)
