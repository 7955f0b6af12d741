"""Every kind of table, migrated under interleaved writes of the application, undone, equals a twin without the migration."""

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from holdfast_actuators.postgres.arming import Arming
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_actuators.postgres.undo.rolling_back import LogRollback
from holdfast_schemas.settings import MigrationSettings
from tests.conftest import PostgresServer, create_database
from tests.recovery.kinds import SHAPES, A, Kind, M

pytestmark = pytest.mark.postgres


@pytest.fixture
def twin(postgres: PostgresServer) -> Iterator[str]:
    """Another database, where the migration never ran."""
    name = f"twin{uuid.uuid4().hex[:10]}"
    with psycopg.connect(postgres.dsn(), autocommit=True) as db:
        create_database(db, name)
    yield postgres.dsn(name)
    with psycopg.connect(postgres.dsn(), autocommit=True) as db:
        db.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def run(dsn: str, statements: str) -> None:
    with psycopg.connect(dsn) as db:
        db.execute("SET search_path = public")
        db.execute(statements)  # type: ignore[arg-type]


def contents(dsn: str, kind: Kind) -> dict[str, Any]:
    with connect("app", dsn) as db:
        return {
            name: sorted(str(row[0]) for row in db.execute(f"SELECT t::text FROM {name.replace('%', '%%')} t", []))
            for name in kind.tables
        }


@pytest.mark.parametrize("kind", SHAPES, ids=lambda kind: kind.name)
def test_it_is_as_if_the_migration_had_never_run(
    target: str, twin: str, migrator: str, environment: str, kind: Kind
) -> None:
    for dsn in (target, twin):
        run(dsn, kind.ddl)
    role = str(conninfo_to_dict(migrator)["user"])
    migration = MigrationSettings(target="app", tables=kind.tables, role=role)
    with connect("app", target) as db:
        Arming.of(environment, "m", migration).arm(db)
        before = contents(target, kind)
        joined = psycopg.connect(make_conninfo(migrator, options="-c search_path=public"), autocommit=True)
        joined.execute("SELECT holdfast.join('m')")
        for who, statements in kind.steps:
            if who == M:
                with joined.transaction():
                    joined.execute(statements)  # type: ignore[call-overload]
            else:
                assert who == A
                run(target, statements)
                run(twin, statements)
        assert contents(target, kind) != before
        done = LogRollback("app", target, "m").run()
        conflicts = db.execute("SELECT table_name, key, reason FROM holdfast_recovery.conflict").fetchall()
        assert contents(target, kind) == contents(twin, kind), conflicts
        assert (done.conflicts, conflicts) == (0, [])
        assert done.rows > 0
        joined.close()
        disarm(db, "m")
