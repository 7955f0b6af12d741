"""A person lets a run go on for a time in spite of its triggers: until the end, by the ledger's clock."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now, to_milliseconds
from holdfast_schemas.requests import PersonRequest
from tests.actuators.conftest import MIGRATION, Bench

pytestmark = pytest.mark.postgres


def reasons(bench: Bench, cause_id: str) -> list[str]:
    bench.drain()
    return [r.reason for r in bench.sent if isinstance(r, ActionRecorded) and r.cause_id == cause_id]


def override(bench: Bench, seconds: float = 1_800.0, **also: Any) -> str:
    until = now() + timedelta(seconds=seconds)
    return bench.ask("override", bench.desired().epoch, **{"until": until, **also}).request_id


@pytest.mark.parametrize("action", ["pause", "rollback"])
def test_until_its_end_what_triggers_decide_is_refused(bench: Bench, action: str) -> None:
    run = bench.start()
    asked = override(bench)
    state = bench.desired()
    assert (state.desired, state.set_by, state.until is not None) == ("run", "ana", True)
    bench.acknowledge(run)
    assert bench.outcomes(asked) == ["requested", "effective"]
    decision = bench.decide(run, action)
    assert bench.outcomes(decision.decision_id) == ["refused"]
    assert "overridden by ana until" in reasons(bench, decision.decision_id)[-1]
    assert bench.outcomes(bench.decide(run, "warn").decision_id) == ["noted"]
    bench.age("migration", "override_until", 1_801)
    bench.ledger.deadlines()
    ended = bench.desired()
    assert (ended.desired, ended.until, ended.epoch, ended.resumed_epoch) == (
        "run", None, state.epoch + 1, state.resumed_epoch,
    )  # fmt: skip
    bench.acknowledge(run)
    assert bench.outcomes(f"{run.run_id}/override/{ended.epoch}") == ["requested", "effective"]
    assert bench.outcomes(bench.decide(run, action).decision_id)[0] == "requested"


def test_a_decision_after_its_end_acts_though_no_deadline_was_looked_at_since(bench: Bench) -> None:
    run = bench.start()
    override(bench)
    bench.age("migration", "override_until", 1_801)
    decision = bench.decide(run, "pause")
    assert bench.outcomes(decision.decision_id) == ["requested"]
    assert bench.desired().desired == "pause"
    assert bench.outcomes(f"{run.run_id}/override/{bench.desired().epoch - 1}") == ["requested", "superseded"]


@pytest.mark.parametrize("paused", [True, False])
def test_windows_are_emptied_only_where_it_stood(bench: Bench, paused: bool) -> None:
    run = bench.start()
    if paused:
        bench.decide(run, "pause")
        bench.acknowledge(run)
    before = bench.desired()
    override(bench)
    after = bench.desired()
    assert after.epoch == before.epoch + 1
    assert after.resumed_epoch == (after.epoch if paused else before.resumed_epoch)


@pytest.mark.parametrize("kind", ["pause", "rollback", "freeze"])
def test_what_a_person_stops_ends_it(bench: Bench, kind: str) -> None:
    run = bench.start()
    override(bench)
    bench.acknowledge(run)
    bench.ask(kind, bench.desired().epoch if kind == "rollback" else None)
    assert bench.desired().desired == ("rollback" if kind == "rollback" else "pause")
    assert bench.desired().until is None
    assert bench.execute("SELECT override_by FROM migration") == [(None,)]


def test_a_run_that_follows_is_guarded_again(bench: Bench) -> None:
    bench.start()
    override(bench)
    later = bench.start(takeover=True)
    decision = bench.decide(later, "pause")
    assert bench.outcomes(decision.decision_id) == ["requested"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"until": None}, "needs an end"),
        ({"seconds": -5.0}, "would have ended 5 s ago"),
        ({"seconds": 86_500.0}, "at most 24 h"),
    ],
)
def test_an_override_without_a_sensible_end_is_refused(bench: Bench, changes: dict[str, Any], says: str) -> None:
    bench.start()
    asked = override(bench, **changes)
    assert bench.outcomes(asked) == ["refused"]
    assert says in reasons(bench, asked)[0]


@pytest.mark.parametrize("kind", ["override", "pause"])
@pytest.mark.parametrize("off", [timedelta(days=1), timedelta(days=-1)])
def test_its_length_counts_and_not_the_clock_of_who_asks(bench: Bench, kind: Any, off: timedelta) -> None:
    bench.start()
    asked = PersonRequest(
        request_id=new_id(), kind=kind, migration_id=MIGRATION, expected_epoch=1, actor="ana", reason="known rows",
        until=now() + off + timedelta(minutes=30), occurred_at=now() + off,
    )  # fmt: skip
    bench.ledger.request(asked, to_milliseconds(now()))
    until = bench.execute(f"SELECT {'override_until' if kind == 'override' else 'until'} FROM migration")[0][0]
    assert abs(until - now() - timedelta(minutes=30)) < timedelta(seconds=30)


def test_an_end_beyond_all_calendars_stops_nothing(bench: Bench) -> None:
    bench.start()
    asked = PersonRequest(
        request_id=new_id(), kind="pause", migration_id=MIGRATION, actor="ana", reason="for good",
        until=datetime.max.replace(tzinfo=UTC), occurred_at=datetime.min.replace(tzinfo=UTC) + timedelta(days=1),
    )  # fmt: skip
    bench.ledger.request(asked, to_milliseconds(now()))
    assert bench.desired().desired == "pause"


def test_it_needs_the_epoch_that_was_seen_a_live_run_and_no_freeze(bench: Bench) -> None:
    run = bench.start()
    until = now() + timedelta(seconds=60)
    moved = bench.ask("override", bench.desired().epoch + 1, until=until)
    assert "now #1: run by" in reasons(bench, moved.request_id)[0]
    bench.ask("freeze")
    frozen = override(bench)
    assert "holdfast resume --all first" in reasons(bench, frozen)[0]
    bench.ask("unfreeze")
    bench.ask("rollback", bench.desired().epoch)
    undoing = override(bench)
    assert "the run is undoing" in reasons(bench, undoing)[0]
    assert run.run_id == bench.desired().run_id


def test_a_resume_of_what_runs_says_that_it_is_overridden(bench: Bench) -> None:
    bench.start()
    override(bench)
    asked = bench.ask("resume", bench.desired().epoch)
    assert bench.outcomes(asked.request_id) == ["already"]
    assert "overridden by ana until" in reasons(bench, asked.request_id)[0]
    assert bench.execute("SELECT override_by FROM migration") == [("ana",)]
