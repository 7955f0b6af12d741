"""The ledger on a real PostgreSQL: each rule of the protocol that lives in it, by name."""

import threading

import psycopg
import pytest

from holdfast_actuators.ledger import Ledger
from holdfast_actuators.ledger import schema as ledger_schema
from holdfast_schemas import states
from holdfast_schemas.errors import LedgerSchemaChanged, LedgerUnreachable
from holdfast_schemas.events import RunClosed, RunFinished
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now, to_milliseconds
from holdfast_schemas.runs import RunFinishRequested
from holdfast_schemas.settings import ActuatorSettings

from .conftest import MIGRATION, SCHEMA, Bench, decision_of

pytestmark = pytest.mark.postgres


def test_transition_tables_are_those_of_the_contracts(bench: Bench) -> None:
    actions = {(was, state) for was, follow in states.ACTION_TRANSITIONS.items() for state in follow}
    runs = {(was, state) for was, follow in states.RUN_TRANSITIONS.items() for state in follow}
    assert set(bench.execute("SELECT was, state FROM action_transition")) == actions
    assert set(bench.execute("SELECT was, state FROM run_transition")) == runs


def test_an_illegal_transition_is_refused_by_the_database(bench: Bench) -> None:
    bench.start()
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        bench.execute("UPDATE run SET was = state, state = 'closed'")


def test_a_run_is_granted_under_a_new_epoch_that_is_its_start_epoch(bench: Bench) -> None:
    run = bench.start()
    state = bench.desired()
    assert (state.desired, state.epoch, state.start_epoch, state.resumed_epoch, state.run_id) == (
        "run",
        1,
        1,
        1,
        run.run_id,
    )
    assert state.answers is not None or bench.states()[-2].answers is not None
    answers = [s.answers for s in bench.states() if s.answers]
    assert [(a.request_id, a.result) for a in answers] == [(run.request_id, "granted")]
    assert bench.outcomes(run.run_id) == ["requested"]
    bench.acknowledge(run)
    assert bench.outcomes(run.run_id)[-1] == "effective"


def test_every_repeat_is_answered_and_raises_no_epoch(bench: Bench) -> None:
    run = bench.start()
    for _ in range(3):
        bench.ledger.run_record(run)
    assert {s.epoch for s in bench.states()} == {1}
    assert sum(s.answers is not None for s in bench.states()) == 4


def test_pause_acknowledge_effective_resume(bench: Bench) -> None:
    run = bench.start()
    bench.acknowledge(run)
    decision = bench.decide(run, "pause")
    assert (bench.desired().desired, bench.desired().epoch) == ("pause", 2)
    assert bench.outcomes(decision.decision_id) == ["requested"]
    bench.acknowledge(run)
    assert bench.outcomes(decision.decision_id) == ["requested", "effective"]
    asked = bench.ask("resume", 2)
    state = bench.desired()
    assert (state.desired, state.epoch, state.resumed_epoch, state.start_epoch) == ("run", 3, 3, 1)
    bench.acknowledge(run)
    assert bench.outcomes(asked.request_id) == ["requested", "effective"]


def test_a_repeated_decision_has_one_effect(bench: Bench) -> None:
    run = bench.start()
    decision = bench.decide(run, "pause")
    for _ in range(3):
        bench.ledger.decide(decision, to_milliseconds(now()))
    assert bench.desired().epoch == 2
    assert bench.outcomes(decision.decision_id) == ["requested"]


def test_effective_needs_every_live_worker(bench: Bench) -> None:
    run = bench.start()
    second = bench.join(run)
    decision = bench.decide(run, "pause")
    bench.acknowledge(run)
    assert bench.outcomes(decision.decision_id) == ["requested", "acknowledged"]
    bench.acknowledge(run, worker_id=second)
    assert bench.outcomes(decision.decision_id)[-1] == "effective"


def test_a_worker_that_left_or_lost_its_lease_is_not_waited_for(bench: Bench) -> None:
    run = bench.start()
    second = bench.join(run)
    decision = bench.decide(run, "pause")
    bench.acknowledge(run)
    bench.leave(run, "failed", second)
    assert bench.outcomes(decision.decision_id)[-1] == "effective"
    third = bench.join(run)
    assert third
    bench.ask("resume", 2)
    bench.acknowledge(run)
    assert bench.desired().epoch == 3
    bench.age("worker", "heard_at", 41)
    bench.acknowledge(run)
    bench.ledger.deadlines()
    assert bench.execute("SELECT state FROM action WHERE epoch = 3") == [("effective",)]


def test_no_acknowledgement_in_time_is_recorded_and_may_still_come(bench: Bench) -> None:
    run = bench.start()
    decision = bench.decide(run, "pause")
    bench.age("action", "deadline", 11)
    bench.ledger.deadlines()
    assert bench.outcomes(decision.decision_id) == ["requested", "unacknowledged"]
    bench.ledger.deadlines()
    bench.acknowledge(run)
    assert bench.outcomes(decision.decision_id) == ["requested", "unacknowledged", "effective"]


def test_a_live_run_refuses_another_and_yields_to_takeover(bench: Bench) -> None:
    first = bench.start()
    second = bench.start()
    answer = bench.desired().answers
    assert answer is not None
    assert (answer.request_id, answer.result) == (second.request_id, "already_live")
    third = bench.start(takeover=True)
    assert (bench.desired().run_id, bench.desired().start_epoch) == (third.run_id, 2)
    ended = [r for r in bench.sent if isinstance(r, RunFinished)]
    assert [(e.run_id, e.outcome) for e in ended] == [(first.run_id, "lost")]


def test_a_finished_run_id_is_refused(bench: Bench) -> None:
    run = bench.start()
    bench.leave(run, "completed")
    bench.start(run_id=run.run_id)
    answer = bench.desired().answers
    assert answer is not None
    assert answer.result == "refused"


def test_the_ledger_alone_ends_runs(bench: Bench) -> None:
    run = bench.start(expected_workers=2)
    second = bench.join(run)
    bench.leave(run, "completed")
    bench.drain()
    assert not [r for r in bench.sent if isinstance(r, RunFinished)]
    bench.leave(run, "completed", second)
    bench.drain()
    assert [r.outcome for r in bench.sent if isinstance(r, RunFinished)] == ["completed"]


def test_a_run_that_nobody_works_on_for_a_day_is_lost(bench: Bench) -> None:
    bench.start()
    bench.age("run", "heard_at", 86_401)
    bench.ledger.deadlines()
    bench.drain()
    assert [r.outcome for r in bench.sent if isinstance(r, RunFinished)] == ["lost"]


def test_close_takes_an_epoch_and_sends_a_tombstone_that_names_the_run(bench: Bench) -> None:
    run = bench.start()
    bench.leave(run, "completed")
    bench.ledger.deadlines()
    assert bench.execute("SELECT state FROM run") == [("finished",)]
    bench.age("run", "finished_at", 601)
    bench.ledger.deadlines()
    bench.drain()
    assert [t["holdfast_run_id"] for t in bench.tombstones] == [run.run_id.encode()]
    assert bench.tombstones[0]["holdfast_epoch"] == b"2"
    assert [r.epoch for r in bench.sent if isinstance(r, RunClosed)] == [2]
    assert bench.execute("SELECT state FROM run") == [("closed",)]


def test_close_sends_no_tombstone_once_another_run_began(bench: Bench) -> None:
    run = bench.start()
    bench.leave(run, "completed")
    bench.start()
    bench.age("run", "finished_at", 601)
    bench.ledger.deadlines()
    bench.drain()
    assert bench.tombstones == []
    assert len([r for r in bench.sent if isinstance(r, RunClosed)]) == 1


def test_observe_mode_waits_for_nothing_and_its_decisions_are_noted(bench: Bench) -> None:
    run = bench.start(mode="observe")
    assert bench.states() == []
    decision = decision_of(run.run_id, "rollback", 0, mode="observe", start_epoch=None)
    bench.ledger.decide(decision, to_milliseconds(now()))
    assert bench.outcomes(decision.decision_id) == ["noted"]


def test_epochs_go_above_every_one_seen_on_the_topic(bench: Bench) -> None:
    bench.ledger.saw_control(MIGRATION, 41)
    bench.start()
    assert bench.desired().epoch == 42


def test_anti_entropy_owes_a_lower_acknowledgement_the_state_again(bench: Bench) -> None:
    run = bench.start()
    bench.acknowledge(run)
    bench.decide(run, "pause")
    bench.age("migration", "sent_at", 6)
    before = len(bench.states())
    bench.acknowledge(run, epoch=1)
    assert len(bench.states()) == before + 1
    assert bench.desired().desired == "pause"


def test_two_writers_never_share_an_epoch(bench: Bench) -> None:
    run = bench.start()
    bench.desired()
    errors: list[Exception] = []

    def write(kind: str) -> None:
        ledger = Ledger(bench.dsn, SCHEMA, ActuatorSettings())
        try:
            for _ in range(25):
                ledger.decide(decision_of(run.run_id, "pause", 10**6), to_milliseconds(now()))
                epoch = bench_epoch(bench)
                asked = {"kind": "resume", "expected_epoch": epoch}
                ledger.request(request(asked), to_milliseconds(now()))
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)
        finally:
            ledger.close()

    threads = [threading.Thread(target=write, args=(kind,)) for kind in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    epochs = [s.epoch for s in bench.states() if s.answers is None]
    assert len(epochs) > 10
    assert epochs == list(range(1, len(epochs) + 1)), "an epoch was shared, skipped or sent out of order"


def bench_epoch(bench: Bench) -> int:
    return int(bench.execute("SELECT epoch FROM migration")[0][0])


def request(asked: dict[str, object]):  # type: ignore[no-untyped-def]
    from holdfast_schemas.requests import PersonRequest

    return PersonRequest(
        request_id=new_id(),
        migration_id=MIGRATION,
        actor="ana",
        reason="because",
        occurred_at=now(),
        **asked,  # type: ignore[arg-type]
    )


def test_the_schema_is_made_once_and_its_scripts_never_change(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.ledger.migrate()
    first, (number, name, content), *rest = ledger_schema.scripts()
    monkeypatch.setattr(ledger_schema, "scripts", lambda: [first, (number, name, content + b"-- changed"), *rest])
    with pytest.raises(LedgerSchemaChanged, match=name):
        bench.ledger.migrate()


def test_a_ledger_that_is_away_is_named() -> None:
    with pytest.raises(LedgerUnreachable, match="HOLDFAST_LEDGER__DSN"):
        Ledger("host=127.0.0.1 port=1 dbname=x", SCHEMA, ActuatorSettings()).connect()


def test_a_record_that_names_another_migrations_run_ends_nothing(bench: Bench) -> None:
    run = bench.start()
    ending = RunFinishRequested(migration_id="another", run_id=run.run_id, worker_id=run.worker_id, occurred_at=now())
    bench.ledger.run_record(ending)
    assert bench.execute("SELECT state FROM run") == [("live",)]


def test_what_is_not_sent_stays_owed_and_one_relay_works_at_a_time(bench: Bench) -> None:
    bench.start()
    other = Ledger(bench.dsn, SCHEMA, ActuatorSettings())
    with bench.ledger.owed() as first, other.owed() as second:
        assert len(first.rows) >= 2
        assert second.rows == []
    other.close()
    with bench.ledger.owed() as again:
        assert [row.seq for row in again.rows] == [row.seq for row in first.rows]
