"""What tests of recovery need of the session's PostgreSQL: roles, and nothing left of slots and origins after a test."""

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.conftest import PostgresServer
from tests.waiting import wait_for

LEFT_ORIGINS = """SELECT pg_replication_origin_drop(o.roname) FROM holdfast_recovery.recovery r, unnest(r.origins) n
    JOIN pg_replication_origin o ON o.roname = n"""
IN_USE = "SELECT FROM pg_replication_slots WHERE database = %s AND active"
LEFT_SLOTS = """SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
    WHERE database = %s AND NOT active AND slot_name LIKE 'hf\\_%%'"""


@pytest.fixture
def target(database: str) -> Iterator[str]:
    """A database like ``database``, whose slots and origins, which are the server's, are dropped before it is."""
    yield database
    with psycopg.connect(database, autocommit=True) as db:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        db.execute(others, [db.info.dbname])
        wait_for(lambda: not db.execute(IN_USE, [db.info.dbname]).fetchall(), 20, "the slots to be free")
        db.execute(LEFT_SLOTS, [db.info.dbname])
        if db.execute("SELECT to_regclass('holdfast_recovery.recovery')").fetchone() != (None,):
            db.execute(LEFT_ORIGINS)


@pytest.fixture
def environment() -> str:
    """Slots and origins belong to the server: an environment of its own keeps a test's apart from all others."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture
def migrator(postgres: PostgresServer, target: str) -> Iterator[str]:
    """The DSN of a role of its own on the target, which may write all tables of ``public``."""
    name = f"migrator_{uuid.uuid4().hex[:8]}"
    role = sql.Identifier(name)
    with psycopg.connect(target, autocommit=True) as db:
        db.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
        db.execute(sql.SQL("GRANT pg_read_all_data, pg_write_all_data TO {}").format(role))
    yield make_conninfo(target, user=name)
    with psycopg.connect(target, autocommit=True) as db:
        db.execute("SET lock_timeout = '20s'")
        db.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
    with psycopg.connect(postgres.dsn(), autocommit=True) as db:
        db.execute(sql.SQL("DROP ROLE {}").format(role))
