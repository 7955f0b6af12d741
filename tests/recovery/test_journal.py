"""The recovery's journal: laid out once, closed to others, and no way but the table's."""

from importlib.resources import files

import psycopg
import pytest
from psycopg import sql

from holdfast_actuators.postgres import journal
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.laying_out import NAMES, laid_out, lay_out
from holdfast_schemas import states
from holdfast_schemas.errors import RecoveryMoved

pytestmark = pytest.mark.postgres
ROW = """INSERT INTO holdfast_recovery.recovery (migration_id, was, state, role_name, slot, publication, origins, nonce)
    VALUES ('m', %s, %s, 'r', 's', 'p', '{}', 'n')"""


def test_it_is_laid_out_once_and_holds_the_table_of_transitions(database: str) -> None:
    with connect("app", database) as db:
        assert not laid_out(db)
        lay_out(db)
        lay_out(db)
        found = {(was, state) for was, state in db.execute("SELECT was, state FROM holdfast_recovery.transition")}
    assert found == {(was, state) for was, follow in states.RECOVERY_TRANSITIONS.items() for state in follow}


def test_the_first_releases_journal_is_brought_up_to_date_with_its_rows(database: str) -> None:
    first = files("holdfast_actuators.postgres").joinpath("sql", "001_recovery.sql").read_text()
    with connect("app", database) as db:
        db.execute("CREATE SCHEMA holdfast_recovery")
        db.execute(sql.SQL(first).format(**NAMES))
        db.execute(ROW, ["preparing", "armed"])
        lay_out(db)
        lay_out(db)
        scripts = db.execute("SELECT number FROM holdfast_recovery.script ORDER BY number").fetchall()
        assert scripts[:2] == [(1,), (2,)]
        kept = journal.read(db, "m")
    assert kept is not None
    assert kept.state == "armed"


@pytest.mark.parametrize("was", states.RECOVERY_TRANSITIONS)
def test_every_move_is_legal_or_refused(database: str, was: states.RecoveryState) -> None:
    with connect("app", database) as db:
        lay_out(db)
        for state in states.RECOVERY_TRANSITIONS:
            db.execute("DELETE FROM holdfast_recovery.recovery")
            before = next((w for w, follow in states.RECOVERY_TRANSITIONS.items() if was in follow), None)
            if before is None:
                continue
            db.execute(ROW, [before, was])
            if states.recovery_may(was, state):
                journal.move(db, "m", state)
                found = journal.read(db, "m")
                assert found is not None
                assert found.state == state
            else:
                with pytest.raises(psycopg.errors.ForeignKeyViolation):
                    journal.move(db, "m", state)


def test_a_step_that_comes_too_late_is_refused_by_name(database: str) -> None:
    with connect("app", database) as db:
        lay_out(db)
        with pytest.raises(RecoveryMoved, match="is not armed, and this needs fenced"), db.transaction():
            journal.lock(db, "m", "fenced")


def test_nobody_else_reads_it(database: str) -> None:
    with connect("app", database) as db:
        lay_out(db)
        db.execute("SET ROLE pg_read_all_settings")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            db.execute("SELECT * FROM holdfast_recovery.change")
