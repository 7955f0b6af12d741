"""What becomes of a decision or a request. PURE: rows in, a ruling out. Protocol 14 to 17, rule by rule."""

from dataclasses import dataclass
from datetime import datetime

from holdfast_schemas.decisions import Decision
from holdfast_schemas.requests import NEEDS_EPOCH, PersonRequest
from holdfast_schemas.states import Desired, Outcome, desired_may

from .ledger.rows import FreezeRow, MigrationRow, RunRow

OVERRIDE_SECONDS_MAX = 86_400.0
"""A guard that is off for longer is no guard: apply other triggers, or override again."""


@dataclass(frozen=True)
class Ruling:
    """The first outcome of a cause; ``desired`` where it asks the run for another state."""

    outcome: Outcome
    reason: str
    desired: Desired | None = None


def rule_on_decision(
    decision: Decision,
    migration: MigrationRow,
    run: RunRow | None,
    age_seconds: float,
    max_age_seconds: float,
    log_ready: bool = False,
) -> Ruling:
    """A trigger's decision. The order is the policy: what needs no act comes first, then what is out of date.

    ``log_ready``: the migration is armed, so its rows can be taken back from the log, also when its run is over.
    """
    if run is None:
        return Ruling("refused", f"run {decision.run_id} is not known to the ledger")
    if run.state == "closed":
        return _after_the_end(decision, run)
    if run.mode == "observe":
        return Ruling("noted", "observe mode: reported and judged, not guarded")
    if decision.trigger_mode == "shadow":
        return Ruling("noted", "the trigger is in shadow mode")
    if decision.action == "warn":
        return Ruling("noted", "a warning asks nothing of the run")
    if decision.run_id != migration.run_id:
        return Ruling("refused", f"run {decision.run_id} was followed by {migration.run_id}")
    if decision.superseded_by is not None:
        return Ruling("superseded", f"decision {decision.superseded_by} on the same event is severer")
    if run.state == "finished" and not (log_ready and decision.action == "rollback"):
        return _after_the_end(decision, run)
    if decision.based_on_epoch < migration.resumed_epoch:
        return Ruling("superseded", f"judged from before the resume at #{migration.resumed_epoch}")
    if age_seconds > max_age_seconds:
        return Ruling("expired", f"{age_seconds:.0f} s old when it was read; at most {max_age_seconds:g} s are allowed")
    if migration.desired == "rollback":
        return Ruling("already", f"being rolled back since #{migration.epoch}")
    if migration.overridden is not None:
        return Ruling("refused", migration.overridden)
    if decision.action == "pause":
        return _pause(migration, decision.verdict)
    return Ruling("requested", decision.verdict, "rollback")


def _after_the_end(decision: Decision, run: RunRow) -> Ruling:
    """Protocol 9: inside the watch window a pause is refused and a rollback held; after it both are refused by name."""
    if run.state == "finished" and decision.action == "rollback":
        return Ruling("held", f"the run is {run.outcome}, and not armed: it cannot be taken back from the log")
    return Ruling("refused", f"the run is {run.state} ({run.outcome}): there is nothing to {decision.action}")


def _pause(migration: MigrationRow, reason: str) -> Ruling:
    if migration.desired == "pause":
        return Ruling("already", f"paused since #{migration.epoch} by {migration.set_by}")
    return Ruling("requested", reason, "pause")


def rule_on_request(
    request: PersonRequest,
    migration: MigrationRow,
    run: RunRow | None,
    freeze: FreezeRow | None,
    now: datetime,
    log_ready: bool = False,
) -> Ruling:
    """A person's pause, resume, rollback or override of one migration. ``log_ready`` as of a decision."""
    if run is None:
        return Ruling("refused", f"{request.migration_id} has no run that was granted")
    if request.kind in NEEDS_EPOCH and request.expected_epoch != migration.epoch:
        return Ruling("refused", moved_on(migration, now))
    if request.kind == "pause":
        return _person_pauses(migration, run, request)
    if request.kind == "resume":
        return _person_resumes(migration, run, freeze, request)
    if request.kind == "rollback":
        return _person_rolls_back(migration, run, request, log_ready)
    return _person_overrides(migration, run, freeze, request, now)


def on_the_brokers_clock(request: PersonRequest, logged_at: datetime) -> PersonRequest:
    """The request with the end that its person meant, so long after the broker wrote it: people's clocks are wrong."""
    if request.until is None:
        return request
    try:
        until = logged_at + (request.until - request.occurred_at)
    except OverflowError:  # centuries from now, however one counts
        return request
    return request.model_copy(update={"until": until})


def moved_on(migration: MigrationRow, now: datetime) -> str:
    """What a person is told whose epoch is not the newest."""
    ago = (now - migration.changed_at).total_seconds()
    return f"now #{migration.epoch}: {migration.desired} by {migration.set_by} {ago:.0f} s ago"


def _person_pauses(migration: MigrationRow, run: RunRow, request: PersonRequest) -> Ruling:
    if run.state in ("finished", "closed"):
        return Ruling("effective", "no run is live: the next one begins paused")
    if migration.desired == "rollback":
        return Ruling("refused", f"being rolled back since #{migration.epoch}: that is not paused half-way")
    return _pause(migration, request.reason)


def _person_resumes(migration: MigrationRow, run: RunRow, freeze: FreezeRow | None, request: PersonRequest) -> Ruling:
    if freeze is not None:
        return _frozen(freeze)
    if run.state in ("finished", "closed"):
        return Ruling("effective", "no run is live: the next one begins unpaused")
    if migration.desired == "run":
        overridden = f", {migration.overridden}; holdfast pause ends that" if migration.overridden else ""
        return Ruling("already", f"running since #{migration.epoch}{overridden}")
    if not desired_may(migration.desired, "run"):
        return Ruling("refused", f"{migration.desired} by {migration.set_by} is not taken back by a resume")
    return Ruling("requested", request.reason, "run")


def _frozen(freeze: FreezeRow) -> Ruling:
    return Ruling("refused", f"everything is frozen by {freeze.actor} ({freeze.reason}): holdfast resume --all first")


def _person_overrides(
    migration: MigrationRow, run: RunRow, freeze: FreezeRow | None, request: PersonRequest, now: datetime
) -> Ruling:
    """The run goes on in spite of its triggers, for a time that the person names: what they decide is refused until then."""
    if freeze is not None:
        return _frozen(freeze)
    if run.state != "live":
        return Ruling("refused", f"the run is {run.state}: there is nothing that triggers could stop")
    if request.until is None:
        return Ruling("refused", "an override needs an end: --for 30m")
    seconds = (request.until - now).total_seconds()
    if seconds <= 0:
        return Ruling("refused", f"the override would have ended {-seconds:.0f} s ago")
    if seconds > OVERRIDE_SECONDS_MAX:
        return Ruling("refused", f"an override lasts at most {OVERRIDE_SECONDS_MAX / 3600:g} h")
    return Ruling("requested", request.reason, "run")


def _person_rolls_back(migration: MigrationRow, run: RunRow, request: PersonRequest, log_ready: bool) -> Ruling:
    if run.state == "closed":
        return Ruling("refused", f"the run is closed ({run.outcome}): its watch window is over")
    if request.method == "log" and not log_ready:
        return Ruling("refused", f"it is not armed: holdfast arm {migration.migration_id} comes before the first row")
    if run.state == "finished" and not log_ready:
        return Ruling("held", f"the run is {run.outcome}, and not armed: it cannot be taken back from the log")
    if migration.desired == "rollback":
        return Ruling("already", f"being rolled back since #{migration.epoch}")
    return Ruling("requested", request.reason, "rollback")
