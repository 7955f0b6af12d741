"""The whole cycle without a superuser: the printed grants are enough, and each of them is needed and named."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from holdfast_actuators.postgres.arming import Arming
from holdfast_actuators.postgres.connecting import connect
from holdfast_actuators.postgres.disarming import disarm
from holdfast_actuators.postgres.grants import Grant, grants, lacking
from holdfast_actuators.postgres.laying_out import laid_out
from holdfast_actuators.postgres.undo.rolling_back import LogRollback
from holdfast_schemas.errors import GrantsMissing, HoldfastError
from holdfast_schemas.settings import MigrationSettings
from tests.conftest import PostgresServer
from tests.recovery.test_log_rollback import NAMES, TABLES

pytestmark = pytest.mark.postgres
COUNT = 12
"""Of the grants, for a migration of tables with one owner."""


@dataclass
class Roles:
    """Three roles, none of them a superuser: the tables' owner, the migration's and the actuator's."""

    target: str
    actuator: str
    migrator: str
    environment: str
    migration: MigrationSettings

    def given(self, leave_out: int | None = None) -> list[Grant]:
        """What an administrator ran, but for one."""
        name = str(conninfo_to_dict(self.actuator)["user"])
        with connect("app", self.target) as db:
            wanted = grants(db, name, self.migration)
            for number, grant in enumerate(wanted):
                if number != leave_out:
                    db.execute(grant.run)
        return wanted

    def cycle(self) -> int:
        """Arm, migrate, roll back, disarm; the rows taken back."""
        with connect("app", self.actuator) as db:
            Arming.of(self.environment, "m", self.migration).arm(db)
            with psycopg.connect(self.migrator, autocommit=True) as migration:
                for _ in range(2):  # a pool may well call it again
                    migration.execute("SELECT holdfast.join('m')")
                migration.execute("UPDATE public.orders SET cents = 7")
                done = LogRollback("app", self.actuator, "m").run()
            psycopg.connect(self.migrator).close()  # it may log in again
            disarm(db, "m")
        return done.rows


@pytest.fixture
def roles(postgres: PostgresServer, target: str, migrator: str, environment: str) -> Iterator[Roles]:
    owner, actuator = (f"{kind}_{uuid.uuid4().hex[:8]}" for kind in ("owner", "actuator"))
    names = sql.SQL(", ").join([sql.Identifier(owner), sql.Identifier(actuator)])
    with psycopg.connect(target, autocommit=True) as db:
        db.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(owner)))
        db.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(actuator)))
        db.execute(TABLES)
        for name in NAMES:
            db.execute(sql.SQL("ALTER TABLE {} OWNER TO {}").format(sql.SQL(name), sql.Identifier(owner)))  # type: ignore[arg-type]
    role = str(conninfo_to_dict(migrator)["user"])
    settings = MigrationSettings(target="app", tables=NAMES, role=role)
    yield Roles(target, make_conninfo(target, user=actuator), migrator, environment, settings)
    with psycopg.connect(target, autocommit=True) as db:
        others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        db.execute(others, [db.info.dbname])
        db.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()"
        )
        db.execute("DROP SCHEMA IF EXISTS holdfast_fence, holdfast CASCADE")
        db.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(names))
        db.execute(sql.SQL("DROP ROLE {}").format(names))


def test_the_printed_grants_are_enough(roles: Roles) -> None:
    assert len(roles.given()) == COUNT
    with connect("app", roles.actuator) as db:
        assert lacking(db, db.info.user, roles.migration) == []
    assert roles.cycle() == 20


@pytest.mark.parametrize("left_out", range(COUNT))
def test_each_is_named_before_anything_is_touched(roles: Roles, left_out: int) -> None:
    missing = roles.given(left_out)[left_out]
    with connect("app", roles.actuator) as db:
        assert [grant.run for grant in lacking(db, db.info.user, roles.migration)] == [missing.run]
        with pytest.raises(GrantsMissing) as refused:
            roles.cycle()
        assert missing.run.as_string(db) in str(refused.value)
        assert not laid_out(db)


@pytest.mark.long
@pytest.mark.parametrize("left_out", range(COUNT))
def test_each_is_needed(roles: Roles, left_out: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast_actuators.postgres.arming.lacking", lambda *_, **__: [])
    missing = roles.given(left_out)[left_out]
    if missing.why == "to see them":  # without it those who hold things up are not named; tests/recovery/test_arming.py
        assert roles.cycle() == 20
        return
    with pytest.raises((HoldfastError, psycopg.errors.InsufficientPrivilege)):
        roles.cycle()
    with connect("app", roles.target) as db:
        db.execute(missing.run)
    assert roles.cycle() == 20, "what was refused half-way is gone on with"
