"""A rollback that goes to the log, in the ledger: when it does, who works at it, and what becomes of it."""

import pytest

from holdfast_actuators.ledger import LogUndo
from holdfast_schemas.decisions import Decision
from holdfast_schemas.desired_state import Recovering
from holdfast_schemas.events import RunFinished
from holdfast_schemas.record import now
from holdfast_schemas.runs import RunRequested

from .conftest import MIGRATION, Bench

pytestmark = pytest.mark.postgres


def armed(bench: Bench, state: str = "armed") -> None:
    bench.ledger.recovery_seen(MIGRATION, state, "never")


def taken(bench: Bench, owner: str = "actuator-1") -> LogUndo:
    undo = bench.ledger.take_log_undo(owner, [MIGRATION])
    assert undo is not None
    return undo


def rolled_back(bench: Bench, **also: object) -> tuple[RunRequested, Decision]:
    """A run whose workers cannot undo it, and that is told to roll back; every worker has stopped."""
    armed(bench)
    run = bench.start(can_undo=False)
    decision = bench.decide(run, "rollback")
    bench.acknowledge(run)
    return run, decision


def test_no_worker_that_can_undo_but_armed_goes_to_the_log(bench: Bench) -> None:
    run, decision = rolled_back(bench)
    undo = taken(bench)
    assert (undo.migration_id, undo.run_id, undo.on_conflict, undo.token) == (MIGRATION, run.run_id, "keep", 1)
    assert bench.desired().undo_by is None
    bench.ledger.log_undone(undo, 900, 2, 1.5)
    assert bench.outcomes(decision.decision_id)[-1] == "effective"
    assert bench.outcomes(undo.cause_id) == ["requested", "effective"]
    finished = [r for r in bench.sent if isinstance(r, RunFinished)]
    assert [(f.run_id, f.outcome) for f in finished] == [(run.run_id, "rolled_back")]
    told = [state.recovery for state in bench.states() if state.recovery is not None]
    assert [(one.state, one.rows_undone, one.steps_left) for one in told] == [("undone_with_conflicts", 900, 0)]
    said = bench.execute("SELECT reason FROM action WHERE cause_id = %s", undo.cause_id)
    assert said == [("900 rows undone from the log in 1.5 s, 2 conflicts",)]
    assert bench.ledger.take_log_undo("actuator-1", [MIGRATION]) is None


def test_a_worker_that_can_undo_is_cheaper(bench: Bench) -> None:
    armed(bench)
    run = bench.start(can_undo=True)
    bench.decide(run, "rollback")
    bench.acknowledge(run)
    assert bench.desired().undo_by == run.worker_id
    assert bench.ledger.take_log_undo("actuator-1", [MIGRATION]) is None


@pytest.mark.parametrize("state", ["preparing", "disarming", "disarmed", "undone"])
def test_what_is_not_ready_is_held_as_before(bench: Bench, state: str) -> None:
    armed(bench, state)
    run = bench.start(can_undo=False)
    decision = bench.decide(run, "rollback")
    bench.acknowledge(run)
    assert bench.outcomes(decision.decision_id)[-1] == "held"


def test_a_recovery_that_nobody_saw_for_long_is_not_counted_on(bench: Bench) -> None:
    armed(bench)
    bench.age("recovery", "seen_at", 31)
    run = bench.start(can_undo=False)
    decision = bench.decide(run, "rollback")
    bench.acknowledge(run)
    assert bench.outcomes(decision.decision_id)[-1] == "held"


def test_a_worker_that_does_not_stop_is_fenced_after_its_acknowledgement_is_late(bench: Bench) -> None:
    armed(bench)
    run = bench.start(can_undo=True)
    decision = bench.decide(run, "rollback")
    bench.ledger.deadlines()
    assert bench.ledger.take_log_undo("actuator-1", [MIGRATION]) is None
    bench.age("action", "deadline", 11)
    bench.ledger.deadlines()
    undo = taken(bench)
    bench.ledger.deadlines()
    bench.ledger.log_undone(undo, 1, 0, 0.1)
    assert bench.outcomes(decision.decision_id)[-2:] == ["unacknowledged", "effective"]
    assert bench.execute("SELECT count(*) FROM log_undo") == [(1,)]


def test_a_finished_run_in_its_watch_window_goes_to_the_log(bench: Bench) -> None:
    armed(bench)
    run = bench.start(can_undo=True)
    bench.leave(run, "completed")
    decision = bench.decide(run, "rollback")
    bench.ledger.deadlines()
    undo = taken(bench)
    bench.ledger.log_undone(undo, 5, 0, 0.1)
    assert bench.outcomes(decision.decision_id)[-1] == "effective"
    assert bench.execute("SELECT state, outcome FROM run") == [("finished", "rolled_back")]


def test_what_the_target_refuses_is_held_with_the_reason(bench: Bench) -> None:
    _, decision = rolled_back(bench)
    undo = taken(bench)
    bench.ledger.log_undo_refused(undo, "orders was truncated")
    assert bench.outcomes(undo.cause_id)[-1] == "failed"
    assert bench.outcomes(decision.decision_id)[-1] == "held"
    said = bench.execute("SELECT reason FROM action WHERE cause_id = %s", decision.decision_id)
    assert said == [("orders was truncated",)]


def test_one_lease_at_a_time_and_an_older_token_reports_nothing(bench: Bench) -> None:
    _, decision = rolled_back(bench)
    first = taken(bench)
    assert bench.ledger.take_log_undo("actuator-2", [MIGRATION]) is None
    assert bench.ledger.renew_log_undo(first)
    bench.age("log_undo", "lease_until", 16)
    second = taken(bench, "actuator-2")
    assert second.token == 2
    assert not bench.ledger.renew_log_undo(first)
    bench.ledger.log_undo_refused(first, "late")
    assert bench.outcomes(decision.decision_id)[-1] == "acknowledged"
    bench.ledger.log_undone(second, 1, 0, 0.1)
    bench.ledger.log_undone(second, 1, 0, 0.1)
    assert bench.outcomes(decision.decision_id).count("effective") == 1


def progress(rows: int, left: int | None, **also: str) -> Recovering:
    return Recovering(state="undoing", rows_undone=rows, steps=9, steps_left=left, reported_at=now(), **also)


def test_how_far_it_is_is_told_with_the_desired_state_under_the_same_epoch(bench: Bench) -> None:
    rolled_back(bench)
    undo = taken(bench)
    before = bench.desired()
    assert before.recovery is None
    bench.ledger.log_undo_goes_on(undo, progress(100, 7))
    after = bench.desired()
    assert (after.epoch, after.desired, after.recovery and after.recovery.steps_left) == (before.epoch, "rollback", 7)
    told = len(bench.states())
    bench.ledger.log_undo_goes_on(undo, progress(100, 7))
    assert len(bench.states()) == told, "nothing new"
    bench.age("log_undo", "lease_until", 16)
    newer = taken(bench, "actuator-2")
    bench.ledger.log_undo_goes_on(undo, progress(900, 1))
    assert len(bench.states()) == told, "another one has the lease"
    bench.ledger.log_undo_goes_on(newer, progress(200, 6, waits="a lock of pid 7"))
    assert (found := bench.desired().recovery) is not None
    assert (found.rows_undone, found.waits) == (200, "a lock of pid 7")
    bench.ledger.log_undo_refused(newer, "public.orders was truncated")
    assert (found := bench.desired().recovery) is not None
    assert found.refused == "public.orders was truncated"
