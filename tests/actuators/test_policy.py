"""The policy as tables: rows in, a ruling out."""

from dataclasses import replace
from typing import Any

import pytest

from holdfast_actuators.ledger.rows import FreezeRow, MigrationRow, RunRow
from holdfast_actuators.policy import rule_on_decision, rule_on_request
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now
from holdfast_schemas.requests import PersonRequest

from .conftest import MIGRATION, decision_of

RUN_ID, OTHER = new_id(), new_id()
AT = now()
RUNNING = MigrationRow(
    MIGRATION, RUN_ID, 7, 0, 3, 5, "run", "ledger", "", None, False, None, None, 0, None, None, None, AT, AT
)
LIVE = RunRow(RUN_ID, MIGRATION, "orders", "guard", "pause", "new", "live", 3, 1, None, AT, AT, None)


def migration(**changed: Any) -> MigrationRow:
    return replace(RUNNING, **changed)


def run(**changed: Any) -> RunRow:
    return replace(LIVE, **changed)


DECISIONS = [
    # what,                       decision's fields,                              migration, run,  age, outcome, desired, says
    ("a pause", {"action": "pause"}, {}, {}, 1, "requested", "pause", "0.080"),
    ("a rollback", {"action": "rollback"}, {}, {}, 1, "requested", "rollback", "0.080"),
    ("a warning", {"action": "warn"}, {}, {}, 1, "noted", None, "asks nothing"),
    ("observe mode", {"action": "rollback"}, {}, {"mode": "observe"}, 1, "noted", None, "observe"),
    ("shadow", {"action": "rollback", "trigger_mode": "shadow"}, {}, {}, 1, "noted", None, "shadow"),
    ("a loser", {"action": "pause", "superseded_by": "f" * 32}, {}, {}, 1, "superseded", None, "severer"),
    ("from before a resume", {"action": "pause", "based_on_epoch": 4}, {}, {}, 1, "superseded", None, "#5"),
    ("from the resume's own epoch", {"action": "pause", "based_on_epoch": 5}, {}, {}, 1, "requested", "pause", ""),
    ("as old as allowed", {"action": "pause"}, {}, {}, 60, "requested", "pause", ""),
    ("overridden", {"action": "pause"}, {"override_by": "ana", "override_until": AT, "override_reason": "known"}, {}, 1, "refused", None, "overridden by ana until"),
    ("overridden too", {"action": "rollback"}, {"override_by": "ana", "override_until": AT, "override_reason": "known"}, {}, 1, "refused", None, ": known"),
    ("too old", {"action": "pause"}, {}, {}, 60.1, "expired", None, "at most 60 s"),
    ("paused already", {"action": "pause"}, {"desired": "pause", "set_by": "ana"}, {}, 1, "already", None, "ana"),
    ("a rollback beats a person's pause", {"action": "rollback"}, {"desired": "pause", "held_by": "ana"}, {}, 1, "requested", "rollback", ""),
    ("rolled back already", {"action": "rollback"}, {"desired": "rollback"}, {"state": "undoing"}, 1, "already", None, "#7"),
    ("a pause while rolled back", {"action": "pause"}, {"desired": "rollback"}, {"state": "undoing"}, 1, "already", None, "#7"),
    ("a pause in the watch window", {"action": "pause"}, {}, {"state": "finished", "outcome": "completed"}, 1, "refused", None, "completed"),
    ("a rollback in the watch window", {"action": "rollback"}, {}, {"state": "finished", "outcome": "completed"}, 1, "held", None, "not armed"),
    ("a rollback after it", {"action": "rollback"}, {}, {"state": "closed", "outcome": "completed"}, 1, "refused", None, "closed"),
    ("a warning in the watch window", {"action": "warn"}, {}, {"state": "finished"}, 1, "noted", None, ""),
    ("a warning after it", {"action": "warn"}, {}, {"state": "closed", "outcome": "completed"}, 1, "refused", None, "closed"),
    ("an observed run's after it", {"action": "pause"}, {}, {"mode": "observe", "state": "closed"}, 1, "refused", None, "closed"),
    ("an observed run's beside a guarded one", {"action": "pause"}, {"run_id": OTHER}, {"mode": "observe"}, 1, "noted", None, ""),
    ("a run that was followed", {"action": "rollback"}, {"run_id": OTHER}, {}, 1, "refused", None, OTHER),
]  # fmt: skip


@pytest.mark.parametrize(
    ("decision", "m", "r", "age", "outcome", "desired", "says"),
    [c[1:] for c in DECISIONS],
    ids=[c[0] for c in DECISIONS],
)
def test_decisions(
    decision: dict[str, Any],
    m: dict[str, Any],
    r: dict[str, Any],
    age: float,
    outcome: str,
    desired: str | None,
    says: str,
) -> None:
    fields = {"based_on_epoch": 5, **decision}
    made = decision_of(RUN_ID, fields.pop("action"), fields.pop("based_on_epoch"), **fields)
    ruling = rule_on_decision(made, migration(**m), run(**r), age, 60)
    assert (ruling.outcome, ruling.desired) == (outcome, desired)
    assert says in ruling.reason


@pytest.mark.parametrize(
    ("state", "desired"), [("live", "rollback"), ("finished", "rollback"), ("closed", None)], ids=str
)
def test_an_armed_migration_is_rolled_back_until_its_watch_window_is_over(state: Any, desired: str | None) -> None:
    over = run(state=state, outcome=None if state == "live" else "completed")
    decided = rule_on_decision(decision_of(RUN_ID, "rollback", 5), RUNNING, over, 1, 60, log_ready=True)
    asked = PersonRequest(
        request_id=new_id(), kind="rollback", migration_id=MIGRATION, expected_epoch=7, actor="ana", reason="because",
        occurred_at=AT,
    )  # fmt: skip
    assert rule_on_request(asked, RUNNING, over, None, AT, log_ready=True).desired == desired
    assert decided.desired == desired
    paused = rule_on_decision(decision_of(RUN_ID, "pause", 5), RUNNING, run(state="finished"), 1, 60, log_ready=True)
    assert paused.outcome == "refused"


def test_a_run_that_the_ledger_does_not_know_is_refused_by_name() -> None:
    ruling = rule_on_decision(decision_of(OTHER, "rollback", 5), RUNNING, None, 1, 60)
    assert (ruling.outcome, ruling.desired) == ("refused", None)
    assert OTHER in ruling.reason


FROZEN = FreezeRow("bo", "deploy")
REQUESTS = [
    # what,               kind, epoch, migration, run, freeze, outcome, desired, says
    ("pause", "pause", None, {}, {}, None, "requested", "pause", "because"),
    ("pause needs no epoch", "pause", 1, {}, {}, None, "requested", "pause", ""),
    ("pause again", "pause", None, {"desired": "pause", "set_by": "trigger:x"}, {}, None, "already", None, "trigger:x"),
    ("pause a rollback", "pause", None, {"desired": "rollback"}, {"state": "undoing"}, None, "refused", None, "half-way"),
    ("pause between runs", "pause", None, {}, {"state": "finished"}, None, "effective", None, "next one begins paused"),
    ("resume", "resume", 7, {"desired": "pause"}, {}, None, "requested", "run", "because"),
    ("resume a moved epoch", "resume", 6, {"desired": "pause"}, {}, None, "refused", None, "now #7: pause"),
    ("resume what runs", "resume", 7, {}, {}, None, "already", None, "#7"),
    ("resume a rollback", "resume", 7, {"desired": "rollback"}, {"state": "undoing"}, None, "refused", None, "rollback"),
    ("resume while frozen", "resume", 7, {"desired": "pause"}, {}, FROZEN, "refused", None, "bo"),
    ("roll back", "rollback", 7, {"desired": "pause"}, {}, None, "requested", "rollback", ""),
    ("roll back a moved epoch", "rollback", 8, {}, {}, None, "refused", None, "now #7"),
    ("roll back again", "rollback", 7, {"desired": "rollback"}, {"state": "undoing"}, None, "already", None, ""),
    ("roll back a finished run", "rollback", 7, {}, {"state": "finished", "outcome": "completed"}, None, "held", None, "log"),
    ("roll back a closed run", "rollback", 7, {}, {"state": "closed", "outcome": "completed"}, None, "refused", None, "watch window"),
    ("an override without an end", "override", 7, {}, {}, None, "refused", None, "--for 30m"),
    ("a moved override", "override", 6, {}, {}, None, "refused", None, "now #7"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "epoch", "m", "r", "freeze", "outcome", "desired", "says"),
    [c[1:] for c in REQUESTS],
    ids=[c[0] for c in REQUESTS],
)
def test_requests(
    kind: Any,
    epoch: int | None,
    m: dict[str, Any],
    r: dict[str, Any],
    freeze: FreezeRow | None,
    outcome: str,
    desired: str | None,
    says: str,
) -> None:
    asked = PersonRequest(
        request_id=new_id(),
        kind=kind,
        migration_id=MIGRATION,
        expected_epoch=epoch,
        actor="ana",
        reason="because",
        occurred_at=AT,
    )
    ruling = rule_on_request(asked, migration(**m), run(**r), freeze, AT)
    assert (ruling.outcome, ruling.desired) == (outcome, desired)
    assert says in ruling.reason
