"""The backfill runner and what it meets: a table that does not fit, values of many types, a process that is killed."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from holdfast import MemorySink, Reporter
from holdfast_schemas.errors import BackfillInvalid
from holdfast_schemas.identity import new_id
from holdfast_schemas.runs import WorkerJoined
from tests.producers.settings import quick
from tests.producers.test_backfill import BAD, ROWS, after, backfill, before, cents, db, in_thread, undo_when_asked
from tests.waiting import wait_for

__all__ = ["db"]
pytestmark = pytest.mark.postgres


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table": "nothing"}, "no such table"),
        ({"key": "note"}, "unique index"),
        ({"set": {"nothing": "1"}}, "no column nothing"),
        ({"set": {}}, "at least one column"),
        ({"batch_rows": 0}, "at least 1"),
    ],
)
def test_a_backfill_that_does_not_fit_is_refused_before_anything_starts(
    database: str, db: psycopg.Connection[Any], changes: dict[str, Any], message: str
) -> None:
    sink = MemorySink()
    with pytest.raises(BackfillInvalid, match=message):
        backfill(database, **changes).run(Reporter(quick(), sink=sink))
    assert sink.sent == []


def test_values_of_many_types_come_back_exactly(database: str, db: psycopg.Connection[Any]) -> None:
    db.execute(
        "CREATE TABLE many (code text PRIMARY KEY, t timestamptz, f float8, n numeric, b bytea, a int[], j jsonb, i interval)"
    )
    db.execute(
        "INSERT INTO many VALUES ('a\"''{b', '2026-03-29 02:30:00.123456+02', 0.1::float8 + 0.2, 1.500, '\\x00ff', '{1,null}',"
        " '{\"a\": [1.0]}', '1 year -3 days'), ('z', null, 'NaN', null, '', '{}', 'null', null)"
    )
    was = db.execute("SELECT * FROM many ORDER BY code").fetchall()
    columns = {
        c: f"null::{k}"
        for c, k in zip(
            "tfnbaji", ["timestamptz", "float8", "numeric", "bytea", "int[]", "jsonb", "interval"], strict=True
        )
    }
    columns["a"] = "'{7,8}'::int[]"  # braces and per cent signs in an expression are its own
    sink = MemorySink()
    job = backfill(
        database,
        where="code NOT LIKE '%{no}%'",
        table="public.many",
        key="code",
        set=columns,
        total_rows=None,
        batch_rows=1,
    )
    run_id = new_id()
    assert job.run(Reporter(quick(), sink=sink), run_id).rows_done == 2
    assert db.execute("SELECT count(t) + count(j), sum(a[2]) FROM many").fetchone() == (0, 16)
    sink = MemorySink(answer="rollback")
    thread, found = in_thread(job, Reporter(quick(), sink=sink), run_id)
    wait_for(lambda: sink.of(WorkerJoined), 5, "the worker that joins to undo")
    undo_when_asked(sink)
    thread.join(20)
    assert found[0].rows_restored == 2
    assert str(db.execute("SELECT * FROM many ORDER BY code").fetchall()) == str(was)


KILLED = """
import sys
from holdfast import MemorySink, Reporter
from tests.producers.settings import quick
from tests.producers.test_backfill import backfill
backfill(sys.argv[1], batch_rows=10, batch_delay_seconds=0.02).run(Reporter(quick(), sink=MemorySink()), sys.argv[2])
"""


def test_a_process_that_was_killed_is_taken_up_by_the_next_and_every_row_is_visited_once(
    database: str, db: psycopg.Connection[Any]
) -> None:
    db.execute("ALTER TABLE orders ADD visits int NOT NULL DEFAULT 0")
    db.execute(
        "CREATE FUNCTION visit() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN new.visits := old.visits + 1; RETURN new; END $$"
    )
    db.execute("CREATE TRIGGER visit BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION visit()")
    run_id, root = new_id(), Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", KILLED, database, run_id], cwd=root)
    try:
        wait_for(lambda: cents(db)[50] == 50, 20, "five batches")
    finally:
        process.kill()
        process.wait()
    assert cents(db)[1000] == before(1000)
    result = backfill(database).run(Reporter(quick(), sink=MemorySink()), run_id)
    assert (result.rows_done, result.rows_failed) == (ROWS - len(BAD), len(BAD))
    assert cents(db) == {row: after(row) for row in range(1, ROWS + 1)}
    visited = db.execute("SELECT DISTINCT visits FROM orders WHERE id < 400 OR id > 439").fetchall()
    assert visited == [(1,)]
