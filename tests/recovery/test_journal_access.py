"""Who may read the journal: whatever was granted before, arming leaves its owner alone; hidden rows stay hidden."""

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from holdfast_actuators.postgres.arming import Arming
from holdfast_actuators.postgres.connecting import Connection, connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_actuators.postgres.laying_out import lay_out
from tests.recovery.test_arming import arming as arming

pytestmark = pytest.mark.postgres
READERS = """
    SELECT r.rolname, c.relname, has_any_column_privilege(r.oid, c.oid, 'SELECT')
    FROM pg_class c CROSS JOIN pg_roles r WHERE c.relnamespace = 'holdfast_recovery'::regnamespace AND c.relkind = 'r'
    AND NOT r.rolsuper AND NOT pg_has_role(r.oid, 'pg_read_all_data', 'MEMBER') AND r.oid <> c.relowner
"""
GRANTS = """
    SELECT c.relname FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid
    CROSS JOIN LATERAL (SELECT * FROM aclexplode(c.relacl) UNION SELECT * FROM aclexplode(a.attacl)) g
    WHERE c.relnamespace = 'holdfast_recovery'::regnamespace AND c.relkind = 'r' AND g.grantee <> c.relowner
"""


@pytest.fixture
def reader(target: str) -> Iterator[str]:
    """A role that default privileges let read each new table."""
    name = f"reader_{uuid.uuid4().hex[:8]}"
    role = sql.Identifier(name)
    with psycopg.connect(target, autocommit=True) as db:
        db.execute(sql.SQL("CREATE ROLE {}").format(role))
        db.execute(sql.SQL("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {}").format(role))
    yield name
    with psycopg.connect(target, autocommit=True) as db:
        db.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
        db.execute(sql.SQL("DROP ROLE {}").format(role))


def readers(db: Connection) -> set[Any]:
    found = db.execute(READERS).fetchall()
    assert len(found) > 20  # every role, every table
    return {(role, table) for role, table, may in found if may}


def test_nobody_but_its_owner_reads_it(target: str, arming: Arming, reader: str) -> None:
    with connect("app", target) as db:
        lay_out(db)
        db.execute("GRANT SELECT (old) ON holdfast_recovery.change TO PUBLIC")
        db.execute("GRANT SELECT, DELETE ON holdfast_recovery.conflict TO PUBLIC")
        assert {(reader, "recovery"), (reader, "change"), ("pg_monitor", "change")} <= readers(db)
        arming.arm(db)
        assert readers(db) == set()
        assert db.execute(GRANTS).fetchall() == []
        disarm(db, "m")


def test_rows_that_a_policy_hides_in_a_table_are_hidden_in_the_journal(
    target: str, migrator: str, arming: Arming
) -> None:
    hidden = "SELECT relname FROM pg_class WHERE relnamespace = 'holdfast_recovery'::regnamespace AND relrowsecurity"
    with connect("app", target) as db:
        arming.arm(db)
        assert db.execute(hidden).fetchall() == []  # a dump by a role that reads everything goes on
        disarm(db, "m")
        db.execute("ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY")
        arming.arm(db)
        assert set(db.execute(hidden).fetchall()) == {("change",), ("conflict",)}
        db.execute("INSERT INTO holdfast_recovery.conflict VALUES ('m', 1, 'public.orders', 'r', '{}', '{}')")
        with psycopg.connect(migrator) as everything:  # a member of pg_read_all_data
            assert everything.execute("SELECT * FROM holdfast_recovery.conflict").fetchall() == []
        assert db.execute("SELECT count(*) FROM holdfast_recovery.conflict").fetchone() == (1,)
        disarm(db, "m")
