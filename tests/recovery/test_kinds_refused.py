"""Tables whose rows the log cannot give back, or the actuator may not see: said by name before anything is touched."""

import psycopg
import pytest
from psycopg import sql

from holdfast_actuators.postgres import journal
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.laying_out import laid_out
from holdfast_actuators.postgres.preflight.report import refuse_what_blocks
from holdfast_actuators.postgres.undo.rolling_back import LogRollback
from holdfast_schemas.errors import PreflightBlocked, UndoRefused
from tests.recovery.test_arming import arming_of
from tests.recovery.test_grants import Roles
from tests.recovery.test_grants import roles as roles

pytestmark = [pytest.mark.postgres, pytest.mark.long]
PARTITIONS = """
    CREATE TABLE public.t (id int, k int, v text, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
    CREATE TABLE public.t1 PARTITION OF public.t FOR VALUES IN (1);
    INSERT INTO public.t SELECT i, 1, 'v' FROM generate_series(1, 5) i;
"""
ADDED = """
    CREATE TABLE public.t2 PARTITION OF public.t FOR VALUES IN (2);
    INSERT INTO public.t SELECT i, 2, 'theirs' FROM generate_series(11, 13) i;
"""


@pytest.mark.parametrize("statement", ["UPDATE public.t SET v = 'ours'", "DELETE FROM public.t WHERE k = 2"])
def test_a_partition_added_meanwhile_without_full_is_refused(
    target: str, migrator: str, environment: str, statement: str
) -> None:
    with psycopg.connect(target, autocommit=True) as application, connect("app", target) as db:
        application.execute(PARTITIONS)
        arming_of(environment, migrator, "public.t").arm(db)
        application.execute(ADDED)
        with psycopg.connect(migrator, autocommit=True) as migration:
            migration.execute("SELECT holdfast.join('m')")
            migration.execute(statement)  # type: ignore[call-overload]
            after = application.execute("SELECT * FROM public.t ORDER BY id").fetchall()
            with pytest.raises(UndoRefused, match=r"wrote public\.t2 where its old rows were not logged"):
                LogRollback("app", target, "m").run()
        assert application.execute("SELECT * FROM public.t ORDER BY id").fetchall() == after
        assert journal.expect(db, "m", "armed")
        psycopg.connect(migrator).close()  # it may log in again


def test_a_virtual_generated_column_is_refused(target: str, migrator: str, environment: str) -> None:
    with psycopg.connect(target, autocommit=True) as application, connect("app", target) as db:
        if application.info.server_version < 180_000:
            pytest.skip("no virtual generated columns before PostgreSQL 18")
        application.execute(
            "CREATE TABLE public.t (id int PRIMARY KEY, v int, twice int GENERATED ALWAYS AS (v * 2) VIRTUAL)"
        )
        arming = arming_of(environment, migrator, "public.t")
        with pytest.raises(PreflightBlocked, match=r"public\.t has virtual generated columns \(twice\)"):
            refuse_what_blocks(db, "m", arming.migration, None)  # arm by hand and the start gate ask it first
        application.execute("INSERT INTO public.t VALUES (1, 1)")
        assert application.execute("UPDATE public.t SET v = 2").rowcount == 1
        assert not laid_out(db)


@pytest.fixture
def hidden(roles: Roles) -> Roles:
    """The migration sees all orders, and the actuator, whose role is the owner's member, those from 11 on."""
    migrator = sql.Identifier(roles.migration.role)
    with psycopg.connect(roles.target, autocommit=True) as db:
        db.execute("ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY")
        db.execute(sql.SQL("CREATE POLICY all_of_it ON public.orders TO {} USING (true)").format(migrator))
        db.execute("CREATE POLICY late ON public.orders USING (id > 10)")
    roles.given()
    return roles


def test_a_policy_does_not_hide_rows_from_a_member_of_the_owner(hidden: Roles) -> None:
    assert hidden.cycle() == 20
    with psycopg.connect(hidden.target) as db:
        assert db.execute("SELECT DISTINCT cents FROM public.orders").fetchall() == [(0,)]


def test_a_policy_forced_on_the_owner_is_named_before_anything_is_touched(hidden: Roles) -> None:
    with psycopg.connect(hidden.target, autocommit=True) as db:
        db.execute("ALTER TABLE public.orders FORCE ROW LEVEL SECURITY")
    with connect("app", hidden.actuator) as db:
        with pytest.raises(PreflightBlocked, match=r"row level security of public\.orders applies to actuator_"):
            refuse_what_blocks(db, "m", hidden.migration, None)
        with pytest.raises(UndoRefused, match=r"row level security of public\.orders applies to actuator_.*BYPASSRLS"):
            hidden.cycle()  # armed before the policy was forced
        assert journal.expect(db, "m", "armed")
    with psycopg.connect(hidden.target) as db:
        assert db.execute("SELECT DISTINCT cents FROM public.orders").fetchall() == [(7,)]
    psycopg.connect(hidden.migrator).close()  # it may log in again
