"""Silence is proven only while somebody listened: an actuator that was away finds nobody dead."""

from datetime import timedelta

import pytest

from holdfast_schemas.record import now
from tests.actuators.conftest import Bench

pytestmark = pytest.mark.postgres
AWAY_SECONDS = 600.0


def away(bench: Bench, seconds: float = AWAY_SECONDS) -> None:
    """What an outage of the actuator leaves: the last note and whatever was heard lie that far back."""
    bench.execute("DELETE FROM listening")
    bench.execute(
        "INSERT INTO listening SELECT 0, clock_timestamp() - interval '1 day', clock_timestamp() - make_interval(secs => %s)",
        seconds,
    )
    bench.age("worker", "heard_at", seconds)
    bench.age("run", "heard_at", seconds)


@pytest.mark.parametrize("beats", [0, 1], ids=["before anybody listens", "as soon as somebody does"])
def test_after_an_outage_the_undo_stays_with_its_worker(bench: Bench, beats: int) -> None:
    run = bench.start()
    other = bench.join(run)
    bench.ask("rollback", bench.desired().epoch)
    for worker in (run.worker_id, other):
        bench.acknowledge(run, worker_id=worker)
    named = bench.desired()
    assert named.undo_token == 1
    away(bench)
    bench.age("migration", "changed_at", AWAY_SECONDS)
    for _ in range(beats):
        bench.ledger.beat([0])
    bench.ledger.deadlines()
    assert bench.desired() == named
    bench.listen()
    bench.acknowledge(run, worker_id=other)
    bench.ledger.deadlines()
    assert (bench.desired().undo_token, bench.desired().undo_by) == (2, other)


@pytest.mark.parametrize("beats", [0, 1], ids=["before anybody listens", "as soon as somebody does"])
def test_after_an_outage_no_rollback_takes_a_worker_for_stopped(bench: Bench, beats: int) -> None:
    run = bench.start()
    bench.acknowledge(run)
    bench.ask("rollback", bench.desired().epoch)
    away(bench)
    for _ in range(beats):
        bench.ledger.beat([0])
    bench.ledger.deadlines()
    assert bench.desired().undo_by is None  # it may be at work: its acknowledgement is not read yet


def test_after_an_outage_another_run_is_refused_as_before(bench: Bench) -> None:
    bench.start()
    away(bench)
    asked = bench.start()
    answer = bench.desired().answers
    assert answer is not None
    assert (answer.request_id, answer.result) == (asked.request_id, "already_live")


def test_a_day_without_an_actuator_loses_no_run(bench: Bench) -> None:
    bench.start()
    away(bench, 2 * 86_400.0)
    bench.ledger.beat([0])
    bench.ledger.deadlines()
    assert bench.execute("SELECT state FROM run") == [("live",)]


def test_a_gap_between_notes_begins_the_count_anew(bench: Bench) -> None:
    bench.execute("DELETE FROM listening")
    bench.ledger.beat([0])
    first = bench.execute("SELECT since FROM listening")
    bench.ledger.beat([0])
    assert bench.execute("SELECT since FROM listening") == first
    bench.age("listening", "at", 60.0)
    bench.ledger.beat([0])
    assert bench.execute("SELECT since FROM listening") > first


def test_a_worker_that_was_named_gets_its_time(bench: Bench) -> None:
    """Two able workers that were both not heard for a while must not be named in turn at each look."""
    run = bench.start()
    other = bench.join(run)
    bench.ask("rollback", bench.desired().epoch)
    for worker in (run.worker_id, other):
        bench.acknowledge(run, worker_id=worker)
    bench.age("worker", "heard_at", 25.0)
    bench.age("migration", "changed_at", 50.0)
    bench.execute(
        "UPDATE worker SET heard_at = heard_at - interval '20 s' WHERE worker_id = %s", bench.desired().undo_by
    )
    for _ in range(5):
        bench.ledger.deadlines()
    assert bench.desired().undo_token == 2


def test_an_end_that_a_worker_may_not_know_is_told_under_a_new_epoch(bench: Bench) -> None:
    run = bench.start()
    other = bench.join(run)
    bench.ask("rollback", bench.desired().epoch)
    for worker in (run.worker_id, other):
        bench.acknowledge(run, worker_id=worker)
    named = bench.desired()
    bench.undone(run, named.undo_token, worker_id=named.undo_by)
    assert (bench.desired().desired, bench.desired().undo_by, bench.desired().epoch) == ("none", None, named.epoch + 1)


def test_an_end_that_every_worker_made_itself_needs_no_telling(bench: Bench) -> None:
    run = bench.start()
    before = bench.desired()
    bench.leave(run, "completed")
    assert bench.desired() == before


def test_nothing_is_due_before_somebody_listens(bench: Bench) -> None:
    """A restored ledger says no epoch by a deadline before control was read: it may stand there already."""
    run = bench.start()
    bench.ask("pause", until=now() + timedelta(seconds=1))
    bench.acknowledge(run)
    paused = bench.desired()
    bench.age("migration", "until", 10)
    bench.execute("DELETE FROM listening")
    bench.ledger.deadlines()
    assert bench.desired() == paused
    bench.listen()
    bench.ledger.deadlines()
    assert (bench.desired().desired, bench.desired().epoch) == ("run", paused.epoch + 1)
