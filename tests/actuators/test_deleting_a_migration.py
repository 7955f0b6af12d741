"""The deletion that docs/personal-data.md gives: nothing of the migration is left in the ledger, and all of another."""

import json
import re
from pathlib import Path

import pytest
from psycopg import connect, sql

from .conftest import MIGRATION, SCHEMA, Bench

PAGE = (Path(__file__).parents[2] / "docs" / "personal-data.md").read_text()
DELETION = re.findall(r"```sql\n(.*?)```", PAGE, re.S)[0]

pytestmark = pytest.mark.postgres


def rows(bench: Bench) -> list[tuple[str, str]]:
    """(table, row as text) of the whole ledger."""
    tables = bench.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", SCHEMA)
    with connect(bench.dsn) as db:
        return [
            (name, row)
            for (name,) in tables
            for (row,) in db.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(SCHEMA, name)))
        ]


def test_the_deletion_leaves_nothing_of_the_migration_and_all_of_another(bench: Bench) -> None:
    bench.execute("INSERT INTO migration (migration_id, set_by) VALUES ('another', 'ana')")
    run = bench.start()
    bench.acknowledge(run)
    bench.decide(run, "warn")
    bench.ask("pause", 1)
    marks = (MIGRATION, MIGRATION.encode().hex(), run.run_id)
    told = [json.dumps([MIGRATION, run.run_id, "pause", "held", "ana"]), json.dumps({"migration_id": MIGRATION})]
    bench.execute("INSERT INTO notification (id, about, body) VALUES ('1', %s, %s)", *told)
    bench.execute("INSERT INTO notified (about) VALUES (%s)", told[0])

    def left() -> set[str]:
        return {table for table, row in rows(bench) if any(mark in row for mark in marks)}

    assert left() == {"action", "run", "worker", "migration", "outbox", "notification", "notified"}
    bench.ledger.close()
    bench.execute(DELETION.replace(":'migration_id'", f"'{MIGRATION}'"))
    assert left() == set()
    assert bench.execute("SELECT migration_id FROM migration") == [("another",)]
