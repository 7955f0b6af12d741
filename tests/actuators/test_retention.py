"""What the ledger forgets, on a real PostgreSQL: nothing that is open, owed or newest, and nothing that would act again."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast_actuators.ledger import Ledger, retention
from holdfast_schemas import states
from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.identity import new_id
from holdfast_schemas.record import now, to_milliseconds
from holdfast_schemas.requests import PersonRequest
from holdfast_schemas.settings import ActuatorSettings

from .conftest import MIGRATION, SCHEMA, Bench, decision_of

pytestmark = pytest.mark.postgres
KEEP_DAYS = 120
OPEN = tuple(sorted(set(states.ACTION_TRANSITIONS) - states.FINAL_OUTCOMES - {"new"}))
WAS = {state: next(w for w, follow in states.ACTION_TRANSITIONS.items() if state in follow) for state in
       (*OPEN, *states.FINAL_OUTCOMES)}  # fmt: skip
HOUR = 1 / 24


def watched(bench: Bench, days_ago: float = 0) -> None:
    """A partition's newest Watched: by it the ledger knows the broker's time."""
    bench.execute("DELETE FROM watched")
    bench.execute(
        "INSERT INTO watched (partition, rules_version, rules_hash, logged_at)"
        " VALUES (0, 0, '', clock_timestamp() - make_interval(hours => %s))",
        round(days_ago * 24),
    )


def age_everything(bench: Bench, days: float) -> None:
    """As if all that stands there had been written so long ago."""
    bench.age("action", "recorded_at", days * 86_400)
    bench.age("run", "heard_at", days * 86_400)
    bench.age("run", "finished_at", days * 86_400)


def closed_run(bench: Bench) -> tuple[str, str]:
    """A run with a decision, to its end and closed; (run_id, decision_id)."""
    run = bench.start()
    bench.acknowledge(run)
    decision = bench.decide(run, "pause")
    bench.acknowledge(run)
    bench.leave(run, "completed")
    bench.age("run", "finished_at", 601)
    bench.ledger.deadlines()
    bench.drain()
    assert bench.execute("SELECT state FROM run WHERE run_id = %s", run.run_id) == [("closed",)]
    return run.run_id, decision.decision_id


@dataclass(frozen=True)
class Row:
    """An action: whose, how old, in which state."""

    migration: int | None
    run: int
    age_days: float
    state: str


AGES = st.sampled_from((0.0, 1.0, 90.0, KEEP_DAYS - HOUR, KEEP_DAYS + HOUR, 150.0, 400.0))
ROWS = st.lists(
    st.builds(
        Row,
        migration=st.sampled_from((None, 0, 1, 2)),
        run=st.integers(0, 1),
        age_days=AGES,
        state=st.sampled_from((*sorted(states.FINAL_OUTCOMES), *OPEN)),
    ),
    max_size=14,
)
RUN_AGES = st.lists(st.tuples(AGES, st.booleans()), min_size=6, max_size=6)  # two a migration: (age, closed)


def fill(
    db: psycopg.Connection, rows: list[Row], runs: list[tuple[float, bool]], owed: list[bool], at: datetime
) -> None:
    db.execute("TRUNCATE migration, run, worker, action, outbox, watched, rules CASCADE")
    db.execute("INSERT INTO watched (partition, rules_version, rules_hash, logged_at) VALUES (0, 0, '', %s)", (at,))
    for m in range(3):
        db.execute(
            "INSERT INTO migration (migration_id, run_id, epoch) VALUES (%s, %s, %s)", (f"m{m}", f"m{m}r1", 100 + m)
        )
        for r in range(2):
            age, closed = runs[2 * m + r]
            then, state = at - timedelta(days=age), ("finished", "closed") if closed else ("new", "live")
            db.execute(
                "INSERT INTO run (run_id, migration_id, target, mode, on_guard_loss, was, state, heard_at, finished_at)"
                " VALUES (%s, %s, 'orders', 'guard', 'pause', %s, %s, %s, %s)",
                (f"m{m}r{r}", f"m{m}", *state, then, then if closed else None),
            )
            db.execute("INSERT INTO worker (run_id, worker_id) VALUES (%s, 'w')", (f"m{m}r{r}",))
        if owed[m]:
            db.execute("INSERT INTO outbox (topic, key) VALUES ('actions', %s)", (f"m{m}".encode(),))
    for i, row in enumerate(rows):
        migration, run = (None, None) if row.migration is None else (f"m{row.migration}", f"m{row.migration}r{row.run}")
        db.execute(
            "INSERT INTO action (cause_id, cause_kind, migration_id, run_id, kind, was, state, actor, recorded_at)"
            " VALUES (%s, 'decision', %s, %s, 'pause', %s, %s, 'x', %s)",
            (f"c{i}", migration, run, WAS[row.state], row.state, at - timedelta(days=row.age_days)),  # type: ignore[index]
        )


def may_go(row: Row, rows: list[Row], runs: list[tuple[float, bool]], owed: list[bool]) -> bool:
    """The rule in words of its own: what the ledger may forget of these."""
    if row.state not in states.FINAL_OUTCOMES or row.age_days <= KEEP_DAYS:
        return False
    if row.migration is None:
        return True
    newest = min(other.age_days for other in rows if other.migration == row.migration)
    return row.age_days > newest and runs[2 * row.migration + row.run][1] and not owed[row.migration]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, runs=RUN_AGES, owed=st.lists(st.booleans(), min_size=3, max_size=3))
def test_only_what_is_old_final_sent_and_not_the_newest_goes(
    bench: Bench, rows: list[Row], runs: list[tuple[float, bool]], owed: list[bool]
) -> None:
    with psycopg.connect(bench.dsn, options=f"-c search_path={SCHEMA}") as db:
        fill(db, rows, runs, owed, datetime.now(UTC))
        migrations = db.execute("SELECT * FROM migration ORDER BY 1").fetchall()
        debts = db.execute("SELECT * FROM outbox ORDER BY 1").fetchall()
        db.commit()
        deleted = bench.ledger.delete_old(KEEP_DAYS)
        left = {cause for (cause,) in db.execute("SELECT cause_id FROM action").fetchall()}
        assert left == {f"c{i}" for i, row in enumerate(rows) if not may_go(row, rows, runs, owed)}
        assert deleted.actions == len(rows) - len(left)
        gone = {(m, r) for m in range(3) for r in range(2)
                if r == 0 and runs[2 * m][1] and runs[2 * m][0] > KEEP_DAYS and not owed[m]}  # fmt: skip
        for table in ("run", "worker"):
            stay = {run for (run,) in db.execute(f"SELECT run_id FROM {table}").fetchall()}
            assert stay == {f"m{m}r{r}" for m in range(3) for r in range(2)} - {f"m{m}r{r}" for m, r in gone}
        assert (deleted.runs, deleted.workers) == (len(gone), len(gone))
        assert db.execute("SELECT * FROM migration ORDER BY 1").fetchall() == migrations
        assert db.execute("SELECT * FROM outbox ORDER BY 1").fetchall() == debts
    assert bench.ledger.delete_old(KEEP_DAYS) == retention.Deleted()


def test_a_batch_is_bounded_and_one_actuator_is_at_it_at_a_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH_ROWS", 10)
    watched(bench)
    bench.execute(
        "INSERT INTO action (cause_id, cause_kind, kind, state, actor, recorded_at)"
        " SELECT 'c' || i, 'request', 'freeze', 'effective', 'ana', now() - make_interval(days => 200 + i)"
        " FROM generate_series(1, 25) i"
    )
    other = Ledger(bench.dsn, SCHEMA, ActuatorSettings())
    with bench.ledger.db.transaction():
        assert retention.delete_old(bench.ledger.db, SCHEMA, KEEP_DAYS) == retention.Deleted(10, 0, 0, more=True)
        assert other.delete_old(KEEP_DAYS) == retention.Deleted()
    assert bench.execute("SELECT count(*), min(recorded_at) > now() - interval '216 d' FROM action") == [(15, True)]
    assert other.delete_old(KEEP_DAYS).more
    assert other.delete_old(KEEP_DAYS) == retention.Deleted(5)
    other.close()


@pytest.mark.parametrize(
    ("watched_days_ago", "gone"),
    [
        pytest.param(None, False, id="no partition was ever watched"),
        pytest.param(30, False, id="the ledger's clock jumped ahead, or nothing was judged for a month"),
        pytest.param(0, True, id="both clocks agree"),
    ],
)
def test_old_is_what_is_old_by_the_brokers_clock_too(bench: Bench, watched_days_ago: float | None, gone: bool) -> None:
    closed_run(bench)
    age_everything(bench, KEEP_DAYS + 10)
    if watched_days_ago is not None:
        watched(bench, watched_days_ago)
    assert bool(bench.ledger.delete_old(KEEP_DAYS).actions) is gone


def test_the_rules_in_force_keep_their_request(bench: Bench) -> None:
    for _ in range(2):
        bench.ask("apply_triggers", rules='{"triggers": []}')
    bench.execute("UPDATE action SET was = 'requested', state = 'effective'")
    bench.drain()
    age_everything(bench, KEEP_DAYS + 1)
    watched(bench)
    bench.ledger.delete_old(KEEP_DAYS)
    [newest] = bench.execute("SELECT request_id FROM rules ORDER BY version DESC LIMIT 1")
    assert bench.execute("SELECT cause_id FROM action") == [newest]
    bench.ledger.deadlines()


def test_a_decision_that_comes_again_after_its_row_was_deleted_does_not_act(bench: Bench) -> None:
    run_id, decision_id = closed_run(bench)
    closed_run(bench)
    age_everything(bench, KEEP_DAYS + 1)
    watched(bench)
    deleted = bench.ledger.delete_old(KEEP_DAYS)
    assert deleted.actions >= 3
    assert bench.execute("SELECT 1 FROM action WHERE cause_id = %s", decision_id) == []
    before = bench.execute("SELECT * FROM migration"), len(bench.states())
    again = decision_of(
        run_id, "rollback", 1, decision_id=decision_id, decided_at=now() - timedelta(days=KEEP_DAYS + 1)
    )
    bench.ledger.decide(again, to_milliseconds(now()))
    assert bench.outcomes(decision_id)[-1] == "refused"
    assert (bench.execute("SELECT * FROM migration"), len(bench.states())) == before


def test_nor_where_its_run_is_live_still(bench: Bench) -> None:
    """Its rows are kept; were they lost otherwise, the decision is older than any may be."""
    run = bench.start()
    bench.acknowledge(run)
    decision = bench.decide(run, "pause")
    bench.acknowledge(run)
    bench.ask("resume", 2)
    bench.acknowledge(run)
    age_everything(bench, KEEP_DAYS + 1)
    watched(bench)
    bench.drain()
    assert bench.ledger.delete_old(KEEP_DAYS) == retention.Deleted()
    bench.execute("DELETE FROM action WHERE cause_id = %s", decision.decision_id)
    old = decision.model_copy(update={"decided_at": now() - timedelta(days=KEEP_DAYS + 1), "based_on_epoch": 3})
    bench.ledger.decide(old, to_milliseconds(now()))
    assert bench.outcomes(decision.decision_id)[-1] == "expired"
    assert (bench.desired().desired, bench.desired().epoch) == ("run", 3)


@pytest.mark.parametrize("kind", ["pause", "resume", "rollback", "freeze", "unfreeze", "apply_triggers"])
def test_a_request_that_is_older_than_its_topic_is_not_done_again(bench: Bench, kind: Any) -> None:
    run = bench.start()
    bench.acknowledge(run)
    if kind == "resume":
        bench.ask("pause")
    whole = kind in ("freeze", "unfreeze", "apply_triggers")
    asked = PersonRequest(
        request_id=new_id(), kind=kind, migration_id=None if whole else MIGRATION, actor="ana", reason="long ago",
        expected_epoch=bench.desired().epoch, rules='{"triggers": []}' if kind == "apply_triggers" else None,
        occurred_at=now() - timedelta(days=91),
    )  # fmt: skip
    before = bench.execute("SELECT * FROM migration"), len(bench.states())
    read_ms = to_milliseconds(now())
    for _ in range(2):
        bench.ledger.request(asked, read_ms - 91 * 86_400_000, read_ms)
    [record] = [r for r in bench.drain() if isinstance(r, ActionRecorded)]
    assert (record.kind, record.outcome, record.actor) == (kind, "expired", "ana")
    assert record.reason == "91 days old when it was read; at most 90 are allowed"
    assert (bench.execute("SELECT * FROM migration"), len(bench.states())) == before
    assert bench.execute("SELECT 1 FROM frozen UNION ALL SELECT 1 FROM rules") == []


def test_a_run_id_that_was_forgotten_may_be_used_anew(bench: Bench) -> None:
    run_id, _ = closed_run(bench)
    bench.start(run_id=run_id)
    answer = bench.desired().answers
    assert answer is not None
    assert answer.result == "refused"
    newest, _ = closed_run(bench)
    assert newest != run_id
    age_everything(bench, KEEP_DAYS + 1)
    watched(bench)
    assert bench.ledger.delete_old(KEEP_DAYS).runs == 1
    bench.start(run_id=run_id)
    answer = bench.desired().answers
    assert answer is not None
    assert (answer.result, bench.desired().run_id) == ("granted", run_id)
    assert bench.desired().epoch > 4, "epochs go on where they were"


@pytest.mark.parametrize(
    "what",
    [
        pytest.param("UPDATE run SET heard_at = now() WHERE run_id = %s", id="a worker is still heard"),
        pytest.param("UPDATE run SET finished_at = now() WHERE run_id = %s", id="it was lost and ended late"),
        pytest.param("UPDATE action SET recorded_at = now() WHERE cause_id = %s", id="its grant is still remembered"),
    ],
)
def test_a_run_is_kept_while_anything_of_it_is_recent(bench: Bench, what: str) -> None:
    """Forgotten, its worker would be told that the ledger was restored, and a start under its run_id would meet its grant."""
    run_id, _ = closed_run(bench)
    closed_run(bench)
    age_everything(bench, KEEP_DAYS + 1)
    bench.execute(what, run_id)
    watched(bench)
    assert bench.ledger.delete_old(KEEP_DAYS).runs == 0
