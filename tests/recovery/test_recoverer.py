"""The recoverer: a rollback in a real ledger becomes rows taken back on a real target, whoever is killed meanwhile."""

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from holdfast_actuators.figures import Figures
from holdfast_actuators.ledger import Ledger
from holdfast_actuators.postgres.undo.applying import SESSION
from holdfast_actuators.recoverer import Recoverer
from holdfast_schemas.settings import Settings
from tests.actuators.conftest import MIGRATION, SCHEMA, Bench
from tests.actuators.conftest import bench as bench
from tests.recovery.test_log_rollback import NAMES, Loop
from tests.waiting import wait_for

pytestmark = pytest.mark.postgres


@pytest.fixture
def loop(target: str, migrator: str, environment: str) -> Iterator[Loop]:
    loop = Loop(target, migrator, environment, MIGRATION)
    yield loop
    loop.close()


@pytest.fixture
def settings(loop: Loop, migrator: str) -> Settings:
    protected = {"target": "app", "tables": NAMES, "role": str(conninfo_to_dict(migrator)["user"])}
    return Settings.load(targets={"app": {"dsn": loop.target}}, migrations={MIGRATION: protected})


class Running:
    """A recoverer in a thread, as in the service."""

    def __init__(self, bench: Bench, settings: Settings) -> None:
        self.stop, self.wake, self.figures = threading.Event(), threading.Event(), Figures()
        one, other = (Ledger(bench.dsn, SCHEMA, settings.actuator) for _ in range(2))
        recoverer = Recoverer(one, other, settings, self.wake, self.figures)
        self.thread = threading.Thread(target=recoverer.run, args=(self.stop,))

    def __enter__(self) -> "Running":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(30)
        assert not self.thread.is_alive()


def seen(bench: Bench) -> Any:
    return bench.execute("SELECT state FROM recovery")


def rolled_back(bench: Bench) -> Any:
    run = bench.start(can_undo=False)
    decision = bench.decide(run, "rollback")
    bench.acknowledge(run)
    return decision


def test_a_decision_takes_the_rows_back(bench: Bench, loop: Loop, settings: Settings) -> None:
    loop.migration.execute("UPDATE orders SET cents = 100")
    with Running(bench, settings) as running:
        wait_for(lambda: seen(bench) == [("armed",)], 20, "the recovery to be seen")
        assert 'holdfast_recovery_slots{target="app"} 1' in running.figures.text()
        decision = rolled_back(bench)
        wait_for(lambda: bench.outcomes(decision.decision_id)[-1] == "effective", 30, "the rollback")
        wait_for(lambda: seen(bench) == [("undone",)], 20, "the end to be seen")
        none_left = 'holdfast_recovery_slots{target="app"} 0'
        wait_for(lambda: none_left in running.figures.text(), 20, "its slot to be dropped: its rows are captured")
    assert loop.rows() == loop.before
    assert bench.execute("SELECT state, outcome FROM run") == [("finished", "rolled_back")]


def test_what_the_target_refuses_reaches_the_ledger(bench: Bench, loop: Loop, settings: Settings) -> None:
    loop.migration.execute("UPDATE orders SET cents = 100")
    loop.application.execute("ALTER TABLE orders DROP COLUMN note")
    with Running(bench, settings):
        wait_for(lambda: seen(bench) == [("armed",)], 20, "the recovery to be seen")
        decision = rolled_back(bench)
        wait_for(lambda: bench.outcomes(decision.decision_id)[-1] == "held", 30, "the refusal")
    [(reason,)] = bench.execute("SELECT reason FROM action WHERE cause_id = %s", decision.decision_id)
    assert "public.orders.note was dropped or renamed since" in reason


def test_locks_of_the_application_delay_it_and_do_not_end_it(
    bench: Bench, loop: Loop, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast_actuators.postgres.undo.applying.ATTEMPTS", 1)
    monkeypatch.setitem(SESSION, "lock_timeout", "100ms")
    monkeypatch.setattr("holdfast_actuators.recoverer.AGAIN_SECONDS", 0.5)
    monkeypatch.setattr("holdfast_actuators.recovery_lease.EVERY_SECONDS", 0.02)
    loop.migration.execute("UPDATE orders SET cents = 100")
    with psycopg.connect(loop.target) as holder, Running(bench, settings):
        holder.execute("SELECT * FROM public.orders WHERE id = 3 FOR UPDATE")
        wait_for(lambda: seen(bench) == [("armed",)], 20, "the recovery to be seen")
        decision = rolled_back(bench)
        tokens = "SELECT token FROM log_undo"
        wait_for(lambda: (bench.execute(tokens) or [(0,)])[0][0] >= 2, 30, "a second attempt")
        wait_for(lambda: (told := bench.desired().recovery) and told.waits, 30, "what it waits for to be told")
        told = bench.desired().recovery
        assert told is not None
        assert "its tables are held by pid" in told.waits
        assert (told.state, told.steps_left, told.steps) == ("undoing", 1, 1)
        holder.rollback()
        wait_for(lambda: bench.outcomes(decision.decision_id)[-1] == "effective", 30, "the rollback")
    assert loop.rows() == loop.before


def test_one_that_ends_in_the_middle_leaves_the_rest_to_another(bench: Bench, loop: Loop, settings: Settings) -> None:
    for number in range(20):
        loop.migration.execute("UPDATE orders SET cents = %s", [number + 1])
    with Running(bench, settings) as first:
        wait_for(lambda: seen(bench) == [("armed",)], 20, "the recovery to be seen")
        decision = rolled_back(bench)
        wait_for(lambda: bench.execute("SELECT 1 FROM log_undo WHERE token = 1"), 20, "it to be taken")
        first.stop.set()
    with Running(bench, settings):
        wait_for(lambda: bench.outcomes(decision.decision_id)[-1] == "effective", 30, "the rollback")
    assert loop.rows() == loop.before
