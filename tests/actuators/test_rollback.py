"""Protocol 17 and 18 in the ledger: two epochs, one worker, and whatever becomes of that worker."""

from typing import Any

import pytest

from holdfast_schemas.decisions import Decision
from holdfast_schemas.events import RunFinished
from holdfast_schemas.runs import RunRequested

from .conftest import Bench

pytestmark = pytest.mark.postgres


def test_rollback_has_two_epochs(bench: Bench) -> None:
    run = bench.start()
    second = bench.join(run)
    decision = bench.decide(run, "rollback")
    stop = bench.desired()
    assert (stop.desired, stop.undo_by, stop.epoch) == ("rollback", None, 2)
    bench.acknowledge(run)
    assert bench.desired().undo_by is None, "undone before the other worker stopped"
    bench.acknowledge(run, worker_id=second)
    undo = bench.desired()
    assert (undo.desired, undo.undo_by, undo.undo_token, undo.epoch) == ("rollback", run.worker_id, 1, 3)
    bench.acknowledge(run)
    bench.undone(run, 1, "running", left=5)
    bench.undone(run, 1)
    assert bench.outcomes(decision.decision_id)[-2:] == ["acknowledged", "effective"]
    assert bench.outcomes(f"{decision.decision_id}/undo/1") == ["requested", "acknowledged", "effective"]
    finished = [r for r in bench.sent if isinstance(r, RunFinished)]
    assert [(f.run_id, f.outcome) for f in finished] == [(run.run_id, "rolled_back")]


def test_a_silent_undo_goes_to_another_worker_under_a_higher_token(bench: Bench) -> None:
    run = bench.start()
    second = bench.join(run)
    bench.decide(run, "rollback")
    bench.acknowledge(run)
    bench.acknowledge(run, worker_id=second)
    bench.execute("UPDATE worker SET heard_at = heard_at - interval '41 s' WHERE worker_id = %s", run.worker_id)
    bench.age("migration", "changed_at", 41)
    bench.ledger.deadlines()
    state = bench.desired()
    assert (state.undo_by, state.undo_token) == (second, 2)
    before = len(bench.sent)
    bench.undone(run, 1)
    bench.drain()
    assert len(bench.sent) == before, "a report under a lower token was heeded"


def test_no_worker_that_can_undo_holds_the_rollback_until_one_joins(bench: Bench) -> None:
    run = bench.start(can_undo=False)
    decision = bench.decide(run, "rollback")
    bench.acknowledge(run)
    assert bench.outcomes(decision.decision_id)[-1] == "held"
    able = bench.join(run)
    bench.acknowledge(run, worker_id=able)
    assert bench.desired().undo_by == able


def test_a_new_run_meets_the_unfinished_rollback_of_the_old(bench: Bench) -> None:
    run = bench.start()
    bench.decide(run, "rollback")
    bench.leave(run, "failed")
    again = bench.start()
    answer = bench.desired()
    assert answer.answers is not None
    assert (answer.answers.request_id, answer.answers.result, answer.run_id) == (
        again.request_id,
        "rollback",
        run.run_id,
    )


def undoing(bench: Bench) -> tuple[RunRequested, Decision]:
    """A run of one worker, which was told to take it back under token 1."""
    run = bench.start()
    decision = bench.decide(run, "rollback")
    bench.acknowledge(run)
    assert bench.desired().undo_by == run.worker_id
    return run, decision


@pytest.mark.parametrize("said_before", [[], [("running", 4)]], ids=["done at once", "heard on the way"])
def test_the_only_worker_falls_silent_is_held_and_may_still_finish(bench: Bench, said_before: list[Any]) -> None:
    run, decision = undoing(bench)
    bench.age("worker", "heard_at", 41)
    bench.age("migration", "changed_at", 41)
    bench.ledger.deadlines()
    bench.ledger.deadlines()
    assert bench.outcomes(decision.decision_id)[-1] == "held"
    assert (bench.desired().undo_by, bench.desired().undo_token) == (run.worker_id, 1), "nobody else has a token"
    for outcome, left in said_before:
        bench.undone(run, 1, outcome, left)
        assert bench.outcomes(decision.decision_id)[-1] == "acknowledged"
    bench.undone(run, 1)
    assert bench.outcomes(decision.decision_id)[-4:] == ["held", "requested", "acknowledged", "effective"]
    assert [r.outcome for r in bench.sent if isinstance(r, RunFinished)] == ["rolled_back"]


def test_the_only_worker_falls_silent_and_its_undo_fails(bench: Bench) -> None:
    run, decision = undoing(bench)
    bench.age("worker", "heard_at", 41)
    bench.age("migration", "changed_at", 41)
    bench.ledger.deadlines()
    bench.undone(run, 1, "failed", 3)
    assert bench.outcomes(decision.decision_id)[-1] == "held"


@pytest.mark.parametrize("failed", [True, False], ids=["its undo failed", "it left"])
def test_the_next_worker_that_can_undo_takes_the_run_back(bench: Bench, failed: bool) -> None:
    run, decision = undoing(bench)
    if failed:
        bench.undone(run, 1, "failed", 3)
        assert bench.outcomes(f"{decision.decision_id}/undo/1")[-1] == "failed"
    bench.leave(run, "failed")
    assert bench.outcomes(decision.decision_id)[-1] == "held"
    second = bench.join(run)
    bench.acknowledge(run, worker_id=second)
    bench.ledger.deadlines()
    assert (bench.desired().undo_by, bench.desired().undo_token) == (second, 2)
    bench.undone(run, 1)
    assert bench.outcomes(decision.decision_id)[-1] == "acknowledged", "a lower token was heeded"
    bench.undone(run, 2, worker_id=second)
    assert bench.outcomes(decision.decision_id)[-1] == "effective"


def test_a_silent_worker_that_goes_on_without_a_lease_holds_the_rollback(bench: Bench) -> None:
    run = bench.start(on_guard_loss="continue")
    second = bench.join(run)
    decision = bench.decide(run, "rollback")
    bench.execute("UPDATE worker SET heard_at = heard_at - interval '41 s' WHERE worker_id = %s", second)
    bench.acknowledge(run)
    bench.ledger.deadlines()
    assert bench.outcomes(decision.decision_id) == ["requested", "acknowledged", "held"]
    assert bench.desired().undo_by is None, "undone under a worker that may still write"
    bench.acknowledge(run, worker_id=second)
    assert bench.desired().undo_by is not None
    assert bench.outcomes(decision.decision_id)[-2:] == ["requested", "acknowledged"]


def test_an_observed_run_that_ends_leaves_the_guarded_ones_actions_alone(bench: Bench) -> None:
    run = bench.start()
    decision = bench.decide(run, "pause")
    observed = bench.start(mode="observe")
    bench.leave(observed, "completed")
    bench.acknowledge(run)
    assert bench.outcomes(decision.decision_id) == ["requested", "effective"]
