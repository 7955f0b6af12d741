"""What people ask for beats triggers, and outlives what it does not concern."""

import pytest

from holdfast_schemas.record import now

from .conftest import Bench

pytestmark = pytest.mark.postgres


def test_a_resume_that_crosses_a_rollback_is_refused_as_moved(bench: Bench) -> None:
    run = bench.start()
    bench.decide(run, "pause")
    bench.decide(run, "rollback")
    asked = bench.ask("resume", 2)
    assert bench.outcomes(asked.request_id) == ["refused"]
    reason = bench.execute("SELECT reason FROM action WHERE cause_id = %s", asked.request_id)[0][0]
    assert reason.startswith("now #3: rollback by trigger:error-rate-rollback")


def test_what_a_person_paused_begins_paused_in_the_next_run(bench: Bench) -> None:
    run = bench.start()
    bench.ask("pause")
    bench.acknowledge(run)
    bench.leave(run, "completed")
    bench.start()
    assert (bench.desired().desired, bench.desired().set_by) == ("pause", "ana")


def test_freeze_holds_everything_and_new_runs(bench: Bench) -> None:
    run = bench.start()
    frozen = bench.ask("freeze")
    assert (bench.desired().desired, bench.outcomes(frozen.request_id)) == ("pause", ["effective"])
    refused = bench.ask("resume", bench.desired().epoch)
    assert bench.outcomes(refused.request_id) == ["refused"]
    bench.ask("unfreeze")
    assert bench.desired().desired == "run"
    assert run.run_id == bench.desired().run_id


def test_a_pause_with_an_end_ends(bench: Bench) -> None:
    run = bench.start()
    bench.ask("pause", until=now())
    bench.acknowledge(run)
    bench.ledger.deadlines()
    assert (bench.desired().desired, bench.desired().resumed_epoch) == ("run", 3)


def test_a_freeze_that_was_lifted_holds_no_later_run(bench: Bench) -> None:
    run = bench.start()
    bench.ask("freeze")
    bench.leave(run, "completed")
    bench.ask("unfreeze")
    bench.start()
    assert bench.desired().desired == "run"


def test_lifting_a_freeze_leaves_what_a_person_paused_before_it(bench: Bench) -> None:
    run = bench.start()
    bench.ask("pause")
    bench.leave(run, "completed")
    bench.ask("freeze")
    bench.start()
    bench.ask("unfreeze")
    assert bench.desired().desired == "pause"


def test_lifting_a_freeze_leaves_what_a_person_paused_during_it(bench: Bench) -> None:
    bench.start()
    bench.ask("freeze")
    bench.ask("pause")
    bench.ask("unfreeze")
    assert bench.desired().desired == "pause"


def test_a_pause_that_ends_during_a_freeze_ends_with_the_freeze(bench: Bench) -> None:
    bench.start()
    bench.ask("pause", until=now())
    bench.ask("freeze")
    bench.ledger.deadlines()
    assert bench.desired().desired == "pause"
    bench.ask("unfreeze")
    assert bench.desired().desired == "run"
