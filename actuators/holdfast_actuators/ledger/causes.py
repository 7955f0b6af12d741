"""Decisions and people's requests as they are taken in: dedupe, policy, epoch, action, records. One transaction each."""

from pydantic import ValidationError

from holdfast_schemas.decisions import Decision
from holdfast_schemas.events import TriggersApplied
from holdfast_schemas.record import to_milliseconds
from holdfast_schemas.requests import PersonRequest
from holdfast_schemas.states import ActionKind, Desired
from holdfast_schemas.transport import topics
from holdfast_schemas.triggers import RuleSet, rules_hash

from ..policy import rule_on_decision, rule_on_request
from . import override, recoveries
from .effects import settle
from .entry import FREEZE_LOCK, Entry
from .rows import MigrationRow, RunRow

REQUEST_AGE_SECONDS_MAX = int(topics.requests.config["retention.ms"]) / 1000
RULES_LOCK = 0x52554C45
"""Advisory lock ("RULE"): versions are given out one at a time."""


def decide(entry: Entry, decision: Decision, broker_ms: int) -> None:
    """A trigger's decision; a repeat of one taken in before does nothing."""
    m = entry.lock(decision.migration_id)
    if entry.known(decision.decision_id):
        return
    run = entry.run(decision.run_id)
    if run is not None and run.run_id == m.run_id and run.state == "live":
        override.end_if_due(entry, m, run)
    age = (broker_ms - to_milliseconds(decision.decided_at)) / 1000
    ruling = rule_on_decision(
        decision, m, run, age, entry.settings.decision_age_seconds, recoveries.ready(entry, m.migration_id)
    )
    actor = f"trigger:{decision.trigger_id}"
    epoch = _change(entry, m, run, ruling.desired, actor, decision.verdict) if ruling.desired else None
    entry.open(
        decision.decision_id,
        "decision",
        decision.action,
        ruling.outcome,
        actor=actor,
        reason=ruling.reason,
        migration_id=m.migration_id,
        run_id=decision.run_id,
        epoch=epoch,
        verdict=decision.verdict,
        trigger_id=decision.trigger_id,
        decided_at=decision.decided_at,
        body=decision.model_dump_json(),
        quiet=decision.trigger_mode == "shadow",
    )
    if run is not None and epoch is not None:
        settle(entry, m, run)


def _change(entry: Entry, m: MigrationRow, run: RunRow | None, desired: Desired, by: str, reason: str) -> int:
    """Another desired state under a new epoch; what was open under older ones is superseded."""
    entry.supersede_open(m, f"{desired} by {by}")
    if desired != "run":
        m.end_override()
    elif m.desired != "run":
        m.resumed_epoch = max(m.epoch, m.seen_epoch) + 1
    if desired == "rollback" and run is not None:
        entry.move_run(run, "undoing")
    return entry.desire(m, desired, by, reason, undo_by=None)


def request(entry: Entry, asked: PersonRequest, age_seconds: float = 0.0) -> None:
    """A person's request, read so long after the broker wrote it."""
    if age_seconds > REQUEST_AGE_SECONDS_MAX:
        _expired(entry, asked, age_seconds)
    elif asked.kind == "apply_triggers":
        _apply_triggers(entry, asked)
    elif asked.kind in ("freeze", "unfreeze"):
        _freeze(entry, asked)
    else:
        _about_one(entry, asked)


def _expired(entry: Entry, asked: PersonRequest, age_seconds: float) -> None:
    """Its topic should have dropped it, and the ledger may have forgotten what became of it: it is not done again."""
    if asked.migration_id is not None:
        entry.lock(asked.migration_id)
    if entry.known(asked.request_id):
        return
    reason = f"{age_seconds / 86_400:.0f} days old when it was read; at most {REQUEST_AGE_SECONDS_MAX / 86_400:g} are allowed"
    entry.open(
        asked.request_id, "request", asked.kind, "expired", actor=asked.actor, reason=reason,
        migration_id=asked.migration_id, body=asked.model_dump_json(exclude={"rules"}),
    )  # fmt: skip


def _about_one(entry: Entry, asked: PersonRequest) -> None:
    assert asked.migration_id is not None
    m = entry.lock(asked.migration_id)
    if entry.known(asked.request_id):
        return
    run = entry.run(m.run_id)
    ruling = rule_on_request(asked, m, run, entry.freeze(), entry.now, recoveries.ready(entry, m.migration_id))
    epoch = None
    if ruling.outcome in ("requested", "already", "effective"):
        if asked.kind == "pause":
            m.held_by, m.held_by_freeze, m.until = asked.actor, False, asked.until
        elif asked.kind in ("resume", "override"):
            m.held_by, m.held_by_freeze, m.until = None, False, None
        if asked.kind == "override":
            m.override_by, m.override_reason, m.override_until = asked.actor, asked.reason, asked.until
        entry.save(m)
    if ruling.desired is not None:
        epoch = _change(entry, m, run, ruling.desired, asked.actor, asked.reason)
    entry.open(
        asked.request_id,
        "request",
        _KINDS[asked.kind],
        ruling.outcome,
        actor=asked.actor,
        reason=ruling.reason,
        migration_id=m.migration_id,
        run_id=m.run_id,
        epoch=epoch,
        body=asked.model_dump_json(),
    )
    if run is not None and epoch is not None:
        settle(entry, m, run)


_KINDS: dict[str, ActionKind] = {"pause": "pause", "resume": "resume", "rollback": "rollback", "override": "override"}


def _freeze(entry: Entry, asked: PersonRequest) -> None:
    """``pause --all`` and its lifting: every migration in turn, in the order of ids, so two freezes cannot deadlock."""
    entry.db.execute("SELECT pg_advisory_xact_lock(hashtext(current_schema()), %s)", (FREEZE_LOCK,))
    if entry.known(asked.request_id):
        return
    if asked.kind == "freeze":
        entry.db.execute(
            "INSERT INTO frozen (actor, reason) VALUES (%s, %s) ON CONFLICT (only_one) DO UPDATE"
            " SET actor = excluded.actor, reason = excluded.reason",
            (asked.actor, asked.reason),
        )
        where = "desired = 'run'"
    else:
        entry.db.execute("DELETE FROM frozen")
        where = "held_by_freeze"
    names = entry.db.execute(f"SELECT migration_id FROM migration WHERE {where} ORDER BY migration_id").fetchall()
    changed = sum(_freeze_one(entry, migration_id, asked) for (migration_id,) in names)
    reason = f"{changed} migrations {'paused' if asked.kind == 'freeze' else 'resumed'}"
    kind: ActionKind = "freeze" if asked.kind == "freeze" else "unfreeze"
    entry.open(
        asked.request_id, "request", kind, "effective", actor=asked.actor, reason=reason, body=asked.model_dump_json()
    )


def _freeze_one(entry: Entry, migration_id: str, asked: PersonRequest) -> bool:
    """Pause or resume one migration; whether it was changed. It is looked at again under its lock: it may have moved."""
    m = entry.lock(migration_id)
    run = entry.run(m.run_id)
    live = run is not None and run.state == "live"
    freezing = asked.kind == "freeze"
    if freezing and not (live and m.desired == "run"):
        return False  # a run that is granted later begins paused
    if not freezing and not m.held_by_freeze:
        return False  # a person holds it for a reason of their own
    m.held_by_freeze, m.held_by = freezing, asked.actor if freezing else None
    if not freezing and not (live and m.desired == "pause"):
        entry.save(m)
        return False
    assert run is not None
    epoch = _change(entry, m, run, "pause" if freezing else "run", asked.actor, asked.reason)
    entry.open(
        f"{asked.request_id}/{migration_id}",
        "request",
        "pause" if freezing else "resume",
        "requested",
        actor=asked.actor,
        reason=asked.reason,
        migration_id=migration_id,
        run_id=m.run_id,
        epoch=epoch,
    )
    settle(entry, m, run)
    return True


def _apply_triggers(entry: Entry, asked: PersonRequest) -> None:
    """Protocol 4: version = max(ledger, all noted) + 1, so one apply cures a restored ledger or a forged record."""
    entry.db.execute("SELECT pg_advisory_xact_lock(%s)", (RULES_LOCK,))
    if entry.known(asked.request_id):
        return
    assert asked.rules is not None
    try:
        RuleSet.model_validate_json(asked.rules)
    except ValidationError as error:
        reason = f"not a rule set: {error.errors()[0]['msg']}"
        entry.open(asked.request_id, "request", "apply_triggers", "refused", actor=asked.actor, reason=reason)
        return
    version, digest = next_rules_version(entry), rules_hash(asked.rules)
    entry.open(
        asked.request_id,
        "request",
        "apply_triggers",
        "requested",
        actor=asked.actor,
        reason=f"version {version}, hash {digest[:12]}: {asked.reason}",
        body=asked.model_dump_json(exclude={"rules"}),
    )
    keep_rules(entry, version, asked.rules, digest, asked.request_id)


def next_rules_version(entry: Entry) -> int:
    """Above every version that was given out here or is judged by anywhere."""
    row = entry.db.execute(
        "SELECT greatest((SELECT max(version) FROM rules), (SELECT max(rules_version) FROM watched), 0) + 1"
    ).fetchone()
    assert row is not None
    return int(row[0])


def keep_rules(entry: Entry, version: int, rules: str, digest: str, request_id: str) -> None:
    """The rules that stand from now on; owes them to every partition."""
    entry.db.execute(
        "INSERT INTO rules (version, rules, rules_hash, request_id) VALUES (%s, %s, %s, %s)",
        (version, rules, digest, request_id),
    )
    send_rules(entry, version, rules, digest)


def send_rules(entry: Entry, version: int, rules: str, digest: str) -> None:
    """Owe the rules to every partition of the log."""
    record = TriggersApplied(version=version, rules=rules, rules_hash=digest, occurred_at=entry.now)
    entry.owe(topics.events, record, every_partition=True)
    entry.db.execute("UPDATE rules SET sent_at = %s WHERE version = %s", (entry.now, version))
