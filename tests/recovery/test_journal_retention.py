"""How long the journal keeps rows where disarm never comes, state by state."""

import psycopg
import pytest

from holdfast_actuators.postgres import journal
from holdfast_actuators.postgres.connecting import Connection, connect
from holdfast_actuators.postgres.journal_retention import NEEDED, remove_old_rows
from holdfast_actuators.postgres.laying_out import lay_out
from holdfast_schemas.states import RECOVERY_TRANSITIONS, RecoveryState

pytestmark = pytest.mark.postgres
STATES = [state for state in RECOVERY_TRANSITIONS if state != "new"]


def kept(db: Connection, migration_id: str, state: RecoveryState, days: float) -> None:
    """A recovery whose last change is that long ago, with a change and a conflict."""
    was = next(w for w, follow in RECOVERY_TRANSITIONS.items() if state in follow)
    db.execute(
        "INSERT INTO holdfast_recovery.recovery (migration_id, was, state, role_name, slot, publication, origins, nonce,"
        " changed_at) VALUES (%s, %s, %s, 'r', %s, 'p', '{}', 'n', clock_timestamp() - make_interval(secs => %s * 86400))",
        [migration_id, was, state, migration_id, days],
    )
    db.execute("INSERT INTO holdfast_recovery.change VALUES (%s, 1, 1, 1, 1, 'U', '{a}', '{b}')", [migration_id])
    db.execute("INSERT INTO holdfast_recovery.conflict VALUES (%s, 1, 't', 'r', '{}', '{}')", [migration_id])


def test_old_rows_go_unless_an_undo_needs_them_and_that_is_said(database: str) -> None:
    with connect("app", database) as db:
        assert remove_old_rows(db, 30) == []  # nothing was ever armed here
        lay_out(db)
        for state in STATES:
            kept(db, state, state, 31)
        kept(db, "young", "undone", 29)
        found = {old.migration_id: old for old in remove_old_rows(db, 30)}
        assert set(found) == set(STATES)
        for state in STATES:
            needed = state in NEEDED
            assert found[state].removed == (None if needed else 2)
            assert journal.count(db, state, "change") == journal.count(db, state, "conflict") == (1 if needed else 0)
            assert journal.read(db, state) is not None  # its state and its counts stay
        assert "it is undoing since" in found["undoing"].sentence
        assert "holdfast rollback undoing --method log goes on with it" in found["undoing"].sentence
        assert journal.count(db, "young", "change") == 1
        assert {old.migration_id for old in remove_old_rows(db, 30)} == set(NEEDED)  # said again, nothing else


def test_one_that_is_being_moved_is_left_for_the_next_time(database: str) -> None:
    with connect("app", database) as db, psycopg.connect(database) as other:
        lay_out(db)
        kept(db, "m", "undone", 31)
        other.execute("SELECT * FROM holdfast_recovery.recovery FOR UPDATE")
        assert remove_old_rows(db, 30) == []
        other.rollback()
        assert [old.removed for old in remove_old_rows(db, 30)] == [2]
