"""Who may upgrade the ledger and who may use it: real roles on a real PostgreSQL."""

from collections.abc import Iterator

import psycopg
import pytest

from holdfast_actuators.ledger import Ledger, roles
from holdfast_actuators.ledger import schema as ledger_schema
from holdfast_schemas.errors import LedgerRightsMissing, LedgerRoleMissing
from holdfast_schemas.settings import ActuatorSettings

from . import older_ledgers
from .conftest import SCHEMA
from .roles import as_role, new_role

pytestmark = pytest.mark.postgres


@pytest.fixture
def role(database: str) -> Iterator[str]:
    with new_role(database) as made:
        yield made


@pytest.fixture
def owners(database: str) -> Iterator[Ledger]:
    """The ledger through its owner."""
    made = Ledger(database, SCHEMA, ActuatorSettings())
    yield made
    made.close()


@pytest.fixture
def restricted(database: str, role: str) -> Iterator[Ledger]:
    """The ledger through a role that owns nothing and may make nothing."""
    made = Ledger(as_role(database, role), SCHEMA, ActuatorSettings())
    yield made
    made.close()


def test_a_role_that_may_make_nothing_starts_where_nothing_is_pending(
    owners: Ledger, restricted: Ledger, role: str
) -> None:
    owners.migrate()
    roles.grant(owners.db, SCHEMA, role)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        restricted.db.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")  # type: ignore[arg-type]
    assert restricted.migrate() == []
    restricted.check_rights()
    assert restricted.beat([0]).version == 0


def test_a_role_that_may_make_nothing_is_refused_in_words_where_there_is_no_ledger(
    restricted: Ledger, role: str
) -> None:
    with pytest.raises(
        LedgerRightsMissing, match=f"{role}.*permission denied for database.*--grant-to {role}"
    ) as refusal:
        restricted.migrate()
    assert refusal.value.exit_code == 3


def test_and_where_a_script_is_pending(database: str, owners: Ledger, restricted: Ledger, role: str) -> None:
    older_ledgers.make(database)
    with pytest.raises(LedgerRightsMissing, match="permission denied for schema"):
        restricted.migrate()
    owners.db.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {role}")  # type: ignore[arg-type]
    owners.db.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA {SCHEMA} TO {role}")  # type: ignore[arg-type]
    before = older_ledgers.everything(database)
    with pytest.raises(LedgerRightsMissing, match="permission denied for schema"):
        restricted.migrate()
    assert older_ledgers.everything(database) == before
    assert owners.migrate() == [ledger_schema.scripts()[-1][1]]
    assert restricted.migrate() == []


def test_a_schema_that_was_made_for_a_role_needs_no_right_on_the_database(
    owners: Ledger, restricted: Ledger, role: str
) -> None:
    owners.db.execute(f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {role}")  # type: ignore[arg-type]
    assert len(restricted.migrate()) == len(ledger_schema.scripts())
    restricted.check_rights()


@pytest.mark.parametrize(
    ("revoke", "named"),
    [
        ("UPDATE ON {schema}.action", "UPDATE on action"),
        ("DELETE, INSERT ON {schema}.outbox", "DELETE on outbox, INSERT on outbox"),
        ("SELECT ON {schema}.frozen", "SELECT on frozen"),
        ("USAGE ON SCHEMA {schema}", "permission denied for schema|on action.*on worker"),
    ],
)
def test_each_right_that_lacks_is_named_at_the_start(
    owners: Ledger, restricted: Ledger, role: str, revoke: str, named: str
) -> None:
    owners.migrate()
    roles.grant(owners.db, SCHEMA, role)
    restricted.check_rights()
    owners.db.execute(f"REVOKE {revoke.format(schema=SCHEMA)} FROM {role}")  # type: ignore[arg-type]
    with pytest.raises(LedgerRightsMissing, match=named):
        restricted.check_rights()


def test_what_cannot_be_granted_is_refused_in_words(owners: Ledger, restricted: Ledger, role: str) -> None:
    owners.migrate()
    with pytest.raises(LedgerRoleMissing, match="CREATE ROLE nobody_such LOGIN") as refusal:
        roles.grant(owners.db, SCHEMA, "nobody_such")
    assert refusal.value.exit_code == 4
    roles.grant(owners.db, SCHEMA, role)
    roles.grant(owners.db, SCHEMA, role)  # again: no harm
    with pytest.raises(LedgerRightsMissing):
        roles.grant(restricted.db, SCHEMA, "pg_monitor")  # has rights of its own, may pass none on


def test_every_table_of_the_ledger_is_granted_or_needs_no_right(database: str, owners: Ledger) -> None:
    owners.migrate()
    assert set(older_ledgers.tables(database)) - set(roles.GRANTS) == {"action_transition", "run_transition"}
    assert set(roles.GRANTS) - set(older_ledgers.tables(database)) == {"schema_version"}
