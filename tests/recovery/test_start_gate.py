"""The start gate on a real ledger and target: armed before the first row, refused in words, disarmed after the window."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from holdfast_actuators.postgres import journal
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_schemas.settings import BackupSettings, Settings
from tests.actuators.conftest import MIGRATION, Bench
from tests.actuators.conftest import bench as bench
from tests.recovery.test_grants import Roles
from tests.recovery.test_grants import roles as roles
from tests.recovery.test_log_rollback import NAMES, TABLES
from tests.recovery.test_recoverer import Running
from tests.waiting import wait_for

pytestmark = pytest.mark.postgres


@pytest.fixture
def settings(target: str, migrator: str, environment: str) -> Iterator[Settings]:
    with psycopg.connect(target) as db:
        db.execute(TABLES)
    yield settings_of(target, migrator, environment)
    with connect("app", target) as db:
        if (found := journal.read(db, MIGRATION)) is not None and found.state != "disarmed":
            disarm(db, MIGRATION)


def settings_of(target: str, migrator: str, environment: str, **also: Any) -> Settings:
    role = str(conninfo_to_dict(migrator)["user"])
    protected = {"target": "app", "tables": NAMES, "role": role, **also}
    return Settings.load(environment=environment, targets={"app": {"dsn": target}}, migrations={MIGRATION: protected})


def answer(bench: Bench, run_id: str) -> tuple[str, str]:
    """A runner asks, as it does again and again; what it is told."""
    bench.start(run_id)
    answers = bench.desired().answers
    assert answers is not None
    return answers.result, answers.reason


def state(bench: Bench) -> Any:
    return bench.execute("SELECT state, run_id FROM recovery")


@pytest.mark.parametrize("protect", ["auto", "always"])
def test_a_run_waits_until_it_is_armed_and_its_end_disarms(
    bench: Bench, target: str, migrator: str, environment: str, settings: Settings, protect: str
) -> None:
    run_id = str(uuid.uuid4())
    with Running(bench, settings_of(target, migrator, environment, protect=protect)):
        wait_for(lambda: state(bench) == [("new", None)], 20, "the recovery to be seen")
        why = "protect = always" if protect == "always" else "trigger error-rate-rollback may roll it back"
        assert answer(bench, run_id) == ("waiting", f"it is being armed first: {why} (its recovery is new)")
        wait_for(lambda: state(bench) == [("armed", run_id)], 30, "it to be armed")
        assert answer(bench, run_id) == ("granted", "granted")
        with psycopg.connect(migrator, autocommit=True) as db:
            db.execute("SELECT holdfast.join(%s)", [MIGRATION])
        bench.leave(replace_run(bench, run_id), "completed")
        assert state(bench) == [("armed", run_id)], "the watch window: it can still be taken back"
        bench.age("run", "finished_at", 100_000)
        bench.ledger.deadlines()
        wait_for(lambda: state(bench) == [("disarmed", None)], 30, "it to be disarmed")
    with connect("app", target) as db:
        slots = db.execute("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()").fetchone()
    assert slots == (0,)


def replace_run(bench: Bench, run_id: str) -> Any:
    """The run as its worker knows it."""
    asked = bench.start(run_id)
    worker = bench.execute("SELECT worker_id FROM worker WHERE run_id = %s ORDER BY joined_at LIMIT 1", run_id)[0][0]
    return asked.model_copy(update={"worker_id": worker})


def test_what_cannot_be_armed_is_refused_in_words_and_the_next_run_is_asked_anew(
    bench: Bench, target: str, migrator: str, environment: str, settings: Settings
) -> None:
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    missing = settings_of(target, migrator, environment, tables=["public.orders", "public.nowhere"])
    with Running(bench, missing):
        wait_for(lambda: state(bench) == [("new", None)], 20, "the recovery to be seen")
        assert answer(bench, first)[0] == "waiting"
        wait_for(lambda: answer(bench, first)[0] == "refused", 20, "the refusal", 0.2)
        assert "has no table public.nowhere" in answer(bench, first)[1]
        assert answer(bench, second)[0] == "waiting"


def test_never_is_never_and_a_migration_that_settings_do_not_name_starts_at_once(
    bench: Bench, target: str, migrator: str, environment: str, settings: Settings
) -> None:
    assert answer(bench, str(uuid.uuid4()))[0] == "granted"
    with Running(bench, settings_of(target, migrator, environment, protect="never")):
        wait_for(lambda: state(bench) == [("new", None)], 20, "the recovery to be seen")
        bench.execute("UPDATE worker SET left_outcome = 'failed'")
        assert answer(bench, str(uuid.uuid4()))[0] == "granted"
    assert state(bench) == [("new", None)]


def test_two_actuators_arm_once(bench: Bench, settings: Settings) -> None:
    run_id = str(uuid.uuid4())
    other = replace(bench)
    with Running(bench, settings), Running(other, settings):
        wait_for(lambda: state(bench) == [("new", None)], 20, "the recovery to be seen")
        assert answer(bench, run_id)[0] == "waiting"
        wait_for(lambda: state(bench) == [("armed", run_id)], 30, "it to be armed")
        assert answer(bench, run_id)[0] == "granted"


def test_what_preflight_blocks_is_refused_with_its_cure(
    bench: Bench, target: str, migrator: str, environment: str, settings: Settings
) -> None:
    with psycopg.connect(target) as db:
        db.execute("ALTER TABLE public.lines SET UNLOGGED")
    run_id = str(uuid.uuid4())
    with Running(bench, settings):
        wait_for(lambda: state(bench) == [("new", None)], 20, "the recovery to be seen")
        assert answer(bench, run_id)[0] == "waiting"
        wait_for(lambda: answer(bench, run_id)[0] == "refused", 20, "the refusal", 0.2)
    assert "public.lines is unlogged" in answer(bench, run_id)[1]
    assert "ALTER TABLE public.lines SET LOGGED" in answer(bench, run_id)[1]


def test_where_a_clone_is_wanted_and_no_wal_is_archived_it_is_refused(
    bench: Bench, settings: Settings, tmp_path: Path
) -> None:
    backup = BackupSettings(folder=tmp_path, restore_command="cp /nowhere/%f %p")
    target = settings.targets["app"].model_copy(update={"backup": backup})
    run_id = str(uuid.uuid4())
    with Running(bench, settings.model_copy(update={"targets": {"app": target}})):
        wait_for(lambda: state(bench) == [("new", None)], 20, "the recovery to be seen")
        assert answer(bench, run_id)[0] == "waiting"
        wait_for(lambda: answer(bench, run_id)[0] == "refused", 20, "the refusal", 0.2)
    assert "archives no WAL (archive_mode is off): ALTER SYSTEM SET archive_mode = on" in answer(bench, run_id)[1]


def test_a_run_is_armed_anew_so_that_its_undo_leaves_the_earlier_one_s_rows(
    bench: Bench, target: str, migrator: str, environment: str, settings: Settings
) -> None:
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    with Running(bench, settings):
        wait_for(lambda: state(bench) == [("new", None)], 20, "the recovery to be seen")
        for run_id, cents in ((first, 1), (second, 2)):
            wait_for(lambda run_id=run_id: answer(bench, run_id)[0] == "granted", 30, "the grant", 0.3)
            with psycopg.connect(migrator, autocommit=True) as db:
                db.execute("SELECT holdfast.join(%s)", [MIGRATION])
                db.execute("UPDATE public.orders SET cents = %s", [cents])
            bench.leave(replace_run(bench, run_id), "completed")
            bench.execute("UPDATE worker SET left_outcome = 'completed'")  # asking again joined others
        run = bench.execute("SELECT outcome FROM run WHERE run_id = %s", second)
        assert run == [("completed",)]
        rollback = bench.ask("rollback", bench.desired().epoch)
        wait_for(lambda: bench.outcomes(rollback.request_id)[-1] == "effective", 30, "the rollback of the second")
    with psycopg.connect(target) as db:
        assert db.execute("SELECT DISTINCT cents FROM public.orders").fetchall() == [(1,)]


def test_nobody_passes_before_the_target_was_seen_and_what_settings_drop_is_free(bench: Bench) -> None:
    bench.ledger.expect_recoveries({MIGRATION: "auto"})
    bench.ledger.expect_recoveries({MIGRATION: "always"})  # another actuator starts
    run_id = str(uuid.uuid4())
    assert answer(bench, run_id)[1] == "it is being armed first: protect = always (its recovery is unknown)"
    bench.ledger.recovery_seen(MIGRATION, "armed", "always")
    bench.ledger.expect_recoveries({MIGRATION: "always"})
    assert state(bench) == [("armed", run_id)]
    bench.ledger.expect_recoveries({"other": "auto"})
    bench.ledger.recovery_seen("other", "new", "auto")
    assert bench.execute("SELECT protect FROM recovery WHERE migration_id = %s", MIGRATION) == [("never",)]
    assert answer(bench, run_id)[0] == "granted"


@pytest.mark.parametrize(
    ("also", "says"),
    [
        ({"major_bytes": 0}, "MB, more than 0.0 MB"),
        pytest.param({"plan": "DELETE FROM orders"}, "loses data: line 1: DELETE FROM orders", marks=pytest.mark.long),
        pytest.param({"plan": None}, "cannot be told", marks=pytest.mark.long),
        ({}, None),
        pytest.param({"plan": "UPDATE orders SET cents = 1"}, None, marks=pytest.mark.long),
    ],
    ids=["size", "plan", "no-plan-file", "small", "harmless-plan"],
)
def test_where_no_trigger_rolls_back_auto_goes_by_what_is_at_stake(
    bench: Bench, target: str, migrator: str, environment: str, settings: Settings, tmp_path: Path,
    also: dict[str, Any], says: str | None,
) -> None:  # fmt: skip
    bench.ask("apply_triggers", rules='{"triggers": []}')
    if "plan" in also:
        file = tmp_path / "plan.sql"
        if also["plan"]:
            file.write_text(also["plan"])
        also = also | {"plan": file}
    run_id = str(uuid.uuid4())
    with Running(bench, settings_of(target, migrator, environment, **also)):
        wait_for(lambda: state(bench) == [("new", None)], 20, "the recovery to be seen")
        result, reason = answer(bench, run_id)
        if says is None:
            assert result == "granted"
            return
        assert result == "waiting"
        assert says in reason
        wait_for(lambda: state(bench) == [("armed", run_id)], 30, "it to be armed")


def test_it_waits_while_nobody_looked_what_is_at_stake(bench: Bench) -> None:
    bench.ask("apply_triggers", rules='{"triggers": []}')
    bench.ledger.expect_recoveries({MIGRATION: "auto"})
    result, reason = answer(bench, str(uuid.uuid4()))
    assert (result, reason.endswith("its plan and its tables were not looked at yet")) == ("waiting", True)


@pytest.mark.long
def test_no_superuser_is_needed_from_the_gate_to_the_undo_and_the_disarming(bench: Bench, roles: Roles) -> None:
    roles.given()
    actuator = str(conninfo_to_dict(roles.actuator)["user"])
    bench.execute(f"GRANT ALL ON SCHEMA holdfast TO {actuator}")  # here the ledger's schema is the target's too
    run_id = str(uuid.uuid4())
    with Running(bench, settings_of(roles.actuator, roles.migrator, roles.environment)):
        wait_for(lambda: state(bench) == [("new", None)], 20, "the recovery to be seen")
        wait_for(lambda: answer(bench, run_id)[0] == "granted", 30, "the grant", 0.3)
        with psycopg.connect(roles.migrator, autocommit=True) as db:
            db.execute("SELECT holdfast.join(%s)", [MIGRATION])
            db.execute("UPDATE public.orders SET cents = 7")
        bench.execute("UPDATE worker SET left_outcome = 'completed'")  # asking again joined others
        rollback = bench.ask("rollback", bench.desired().epoch)
        wait_for(lambda: bench.outcomes(rollback.request_id)[-1] == "effective", 30, "the rollback")
        bench.age("run", "finished_at", 100_000)
        bench.ledger.deadlines()
        wait_for(lambda: state(bench) == [("disarmed", None)], 30, "it to be disarmed")
    with psycopg.connect(roles.target) as db:
        assert db.execute("SELECT DISTINCT cents FROM public.orders").fetchall() == [(0,)]
