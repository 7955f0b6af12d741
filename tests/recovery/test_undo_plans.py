"""How the server goes about an undo: its journal was written a moment ago, and no statistics of it are there."""

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.laying_out import lay_out
from holdfast_actuators.postgres.undo import statements
from holdfast_actuators.postgres.undo.capture import ANALYZE
from holdfast_actuators.postgres.undo.chunk import CHANGE
from holdfast_actuators.postgres.undo.shapes import read_shapes

pytestmark = pytest.mark.postgres
ROWS = 20_000


@pytest.fixture
def captured(database: str) -> str:
    """A journal of many rows of one table, as a capture leaves it."""
    with psycopg.connect(database, autocommit=True) as db:
        db.execute("CREATE TABLE public.t (id int PRIMARY KEY, cents int)")
        db.execute("INSERT INTO public.t SELECT g, 0 FROM generate_series(1, %s) g", [ROWS])
        db.execute("VACUUM ANALYZE public.t")
    with connect("app", database) as db:
        lay_out(db)
        db.execute(
            "INSERT INTO holdfast_recovery.recovery (migration_id, was, state, role_name, slot, publication, origins, nonce)"
            " VALUES ('m', 'fenced', 'captured', 'r', 's', 'p', '{}', 'n')"
        )
        columns = [{"name": name, "type_oid": 23, "type_modifier": -1} for name in ("id", "cents")]
        db.execute(
            "INSERT INTO holdfast_recovery.relation VALUES ('m', 1, 'public.t'::regclass, 'public', 't', 'f', %s)",
            [Jsonb(columns)],
        )
        db.execute(
            "INSERT INTO holdfast_recovery.change SELECT 'm', g, 1, 1, 7, 'U', ARRAY[g::text, '5'], ARRAY[g::text, '0']"
            " FROM generate_series(1, %s) g",
            [ROWS],
        )
    return database


@pytest.mark.parametrize("operation", ["updates", "inserts"])
def test_what_is_left_over_is_not_looked_for_row_by_row(captured: str, operation: str) -> None:
    with connect("app", captured) as db:
        shape = read_shapes(db, "m")[1]
        statement = (
            statements.undo_updates(shape, shape.written[1:])
            if operation == "updates"
            else statements.undo_inserts(shape)
        )
        parameters = {"migration_id": "m", "chunk": 1}
        plan = "\n".join(line for (line,) in db.execute(sql.SQL("EXPLAIN {}").format(statement), parameters))
        assert "SetOp" in plan
        left = db.execute(statement, parameters).fetchall()
    assert left == []


def test_a_change_is_found_by_its_seq_and_its_values_are_in_no_statistics(captured: str) -> None:
    with connect("app", captured) as db:
        db.execute(ANALYZE)
        plan = db.execute(sql.SQL("EXPLAIN {}").format(CHANGE), ["m", 5]).fetchall()
        assert "Index Scan using change_pkey" in plan[0][0]
        known = db.execute(
            "SELECT attname FROM pg_stats WHERE schemaname = 'holdfast_recovery' AND tablename = 'change'"
        )
        names = {name for (name,) in known}
    assert {"seq", "chunk"} <= names
    assert names.isdisjoint({"old", "new"}), "they outlive the rows"
