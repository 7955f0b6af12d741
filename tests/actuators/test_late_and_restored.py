"""Late records, restored ledgers, and what runs leave behind: nothing is revived, mistaken or left unsaid."""

import threading
from datetime import timedelta

import pytest

from holdfast_actuators.ledger import Ledger
from holdfast_actuators.ledger.entry import FREEZE_LOCK
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now, to_milliseconds
from holdfast_schemas.runs import UndoReported
from holdfast_schemas.settings import ActuatorSettings
from holdfast_schemas.triggers import DEFAULT_RULES_TEXT, rules_hash
from holdfast_schemas.watches import Watched

from .conftest import MIGRATION, SCHEMA, Bench
from .test_start_gate import RULES
from .test_start_gate import watched as fresh

pytestmark = pytest.mark.postgres


def test_an_old_watched_opens_no_start_gate(bench: Bench) -> None:
    bench.ask("apply_triggers", rules=RULES)
    bench.ledger.watched(fresh("orders"), to_milliseconds(now() - timedelta(seconds=31)))
    bench.start()
    assert [s.answers.result for s in bench.states() if s.answers] == ["waiting"]


def test_a_rollback_held_from_an_earlier_run_is_not_taken_for_the_next_ones(bench: Bench) -> None:
    first = bench.start()
    bench.leave(first, "completed")
    held = bench.decide(first, "rollback")
    assert bench.outcomes(held.decision_id) == ["held"]
    second = bench.start()
    assert bench.outcomes(held.decision_id) == ["held", "superseded"]
    decision = bench.decide(second, "rollback")
    bench.acknowledge(second)
    bench.undone(second, bench.desired().undo_token)
    assert bench.outcomes(decision.decision_id)[-1] == "effective"


def test_a_rollback_held_in_the_watch_window_expires_with_it(bench: Bench) -> None:
    run = bench.start()
    bench.leave(run, "completed")
    held = bench.decide(run, "rollback")
    bench.age("run", "finished_at", 601)
    bench.ledger.deadlines()
    assert bench.outcomes(held.decision_id) == ["held", "expired"]


def test_a_late_record_of_a_closed_run_revives_nothing_and_meets_the_tombstone(bench: Bench) -> None:
    run = bench.start()
    bench.acknowledge(run)
    bench.leave(run, "completed")
    bench.age("run", "finished_at", 601)
    bench.ledger.deadlines()
    before = len(bench.states())
    bench.age("migration", "sent_at", 6)
    bench.acknowledge(run, epoch=1)
    bench.join(run)
    assert len(bench.states()) == before, "the closed run's state stands on control again"
    assert [t["holdfast_epoch"] for t in bench.tombstones] == [b"2"] * 3


def test_an_epoch_above_the_ledgers_is_gone_over_and_said_again(bench: Bench) -> None:
    """The ledger was restored from a backup: the runner obeys an epoch that it forgot, and refuses all that is lower."""
    run = bench.start()
    bench.acknowledge(run)
    bench.ledger.saw_control(MIGRATION, 9)
    bench.ledger.deadlines()
    assert (bench.desired().epoch, bench.desired().desired) == (10, "run")
    bench.ledger.deadlines()
    assert bench.desired().epoch == 10


def test_an_acknowledgement_above_the_ledgers_epoch_acknowledges_nothing(bench: Bench) -> None:
    run = bench.start()
    bench.acknowledge(run)
    decision = bench.decide(run, "pause")
    bench.acknowledge(run, epoch=9)
    assert bench.outcomes(decision.decision_id) == ["requested"]
    assert (bench.desired().epoch, bench.desired().desired) == (10, "pause")
    bench.acknowledge(run)
    assert bench.outcomes(decision.decision_id)[-1] == "effective"


def test_an_undo_that_nobody_was_told_to_do_is_not_believed(bench: Bench) -> None:
    run = bench.start()
    bench.join(run)
    decision = bench.decide(run, "rollback")
    bench.ledger.run_record(
        UndoReported(
            migration_id=MIGRATION, run_id=run.run_id, worker_id=run.worker_id, occurred_at=now(), undo_token=0,
            steps_left=0, outcome="done",
        )
    )  # fmt: skip
    assert bench.outcomes(decision.decision_id) == ["requested"]


def test_the_end_of_a_persons_pause_lifts_no_triggers(bench: Bench) -> None:
    run = bench.start()
    bench.decide(run, "pause")
    bench.acknowledge(run)
    asked = bench.ask("pause", until=now())
    assert bench.outcomes(asked.request_id) == ["already"]
    bench.ledger.deadlines()
    assert (bench.desired().desired, bench.desired().epoch) == ("pause", 2)
    bench.leave(run, "completed")
    bench.start()
    assert bench.desired().desired == "run", "the person's pause came to its end"


def test_an_observing_worker_of_a_guarded_run_is_not_waited_for(bench: Bench) -> None:
    run = bench.start()
    bench.start(run_id=run.run_id, mode="observe")
    decision = bench.decide(run, "pause")
    bench.acknowledge(run)
    assert bench.outcomes(decision.decision_id) == ["requested", "effective"]


def test_a_run_that_begins_while_everything_is_frozen_begins_paused(bench: Bench) -> None:
    """The freeze has not committed when the run asks: it waits for it, instead of slipping past."""
    frozen = Ledger(bench.dsn, SCHEMA, ActuatorSettings())
    with frozen.db.transaction():
        frozen.db.execute("SELECT pg_advisory_xact_lock(hashtext(current_schema()), %s)", (FREEZE_LOCK,))
        frozen.db.execute("INSERT INTO frozen (actor, reason) VALUES ('ana', 'deploy')")
        starting = threading.Thread(target=bench.start)
        starting.start()
        starting.join(0.3)
        assert starting.is_alive()
    starting.join(10)
    frozen.close()
    assert bench.desired().desired == "pause"


def test_rules_are_not_effective_before_every_partition_was_heard(bench: Bench) -> None:
    asked = bench.ask("apply_triggers", rules=DEFAULT_RULES_TEXT)
    for partition in (0, 1):
        said = Watched(
            partition=partition, log_id=new_id(), tick_offset=1, tick_at=now(), decisions_end=0, rules_version=1,
            rules_hash=rules_hash(DEFAULT_RULES_TEXT), lag_seconds=0.0, occurred_at=now(),
        )  # fmt: skip
        bench.ledger.watched(said, to_milliseconds(now()))
        bench.ledger.deadlines(partitions=2)
        assert bench.outcomes(asked.request_id)[-1] == ("requested" if partition == 0 else "effective")


def restored_to_before_everything(bench: Bench) -> None:
    """The ledger as a backup from before the run has it."""
    bench.drain()
    bench.execute("TRUNCATE worker, run, action, log_undo, migration")


def test_a_run_that_a_restored_ledger_does_not_know_is_told_to_stop_and_may_start_again(bench: Bench) -> None:
    run = bench.start()
    granted = bench.desired()
    restored_to_before_everything(bench)
    bench.acknowledge(run, epoch=7)
    told = bench.desired()
    assert (told.run_id, told.desired, told.epoch) == (run.run_id, "none", 8)
    assert "HOLDFAST_RUN_ID" in told.reason
    bench.acknowledge(run, epoch=7)
    assert bench.desired() == told
    bench.age("migration", "sent_at", 6)
    sent = len(bench.states())
    bench.acknowledge(run, epoch=7)
    assert len(bench.states()) == sent + 1
    bench.start(run.run_id)
    again = bench.desired()
    assert (again.run_id, again.desired, again.epoch) == (run.run_id, "run", 9)
    assert again.start_epoch > granted.start_epoch


def test_an_unknown_run_stops_nothing_while_another_is_at_work(bench: Bench) -> None:
    run = bench.start()
    before = bench.states()
    bench.acknowledge(run.model_copy(update={"run_id": new_id()}), epoch=7)
    assert bench.states() == before
